"""The sandbox: whatever one job does, the others go on, and nothing is left running."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agents.errors import Unavailable
from app.pictures.decode import Reason
from app.pictures.sandbox import Failed, Sandbox
from tests.pictures import bad_jobs

MEMORY = 384 << 20
PRELOAD = bad_jobs.__name__


@pytest.fixture
async def pool() -> AsyncIterator[Sandbox]:
    async with Sandbox(2, MEMORY, cpu_seconds=1.0, wall_seconds=20.0, preload=PRELOAD) as pool:
        yield pool


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def gone(pids: list[int], seconds: float = 30.0) -> bool:
    give_up = time.monotonic() + seconds
    while any(alive(pid) for pid in pids):
        if time.monotonic() > give_up:
            return False
        await asyncio.sleep(0.02)
    return True


async def test_many_jobs_are_answered_in_the_callers_order(pool: Sandbox) -> None:
    answers = await asyncio.gather(*(pool.run(bad_jobs.double, n) for n in range(300)))
    assert answers == [2 * n for n in range(300)]
    assert len(pool.pids) == 2


async def test_no_process_is_there_before_there_is_work(pool: Sandbox) -> None:
    assert pool.pids == []
    assert await pool.run(bad_jobs.double, 1) == 2
    assert len(pool.pids) == 1


@pytest.mark.parametrize(
    ("job", "reason"),
    [
        (bad_jobs.allocate, Reason.TOO_MUCH_MEMORY),
        (bad_jobs.allocate_in_c, Reason.TOO_MUCH_MEMORY),
        (bad_jobs.compute, Reason.TOO_SLOW),
        (bad_jobs.crash, Reason.CRASHED),
        (bad_jobs.kill_itself, Reason.CRASHED),
        (bad_jobs.leave, Reason.CRASHED),
        (bad_jobs.fall_silent, Reason.CRASHED),
        (bad_jobs.lie, Reason.CRASHED),
        (bad_jobs.forge, Reason.CRASHED),
        (bad_jobs.large, Reason.CRASHED),
        (bad_jobs.fail, Reason.ERROR),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_a_bad_job_fails_alone_and_those_around_it_are_done(pool: Sandbox, job: Any, reason: Reason) -> None:
    around = [(bad_jobs.double, (n,)) for n in range(20)]
    calls = [*around[:10], (job, ()), *around[10:]]
    answers = await asyncio.gather(*(pool.run(function, *args) for function, args in calls))
    assert answers.pop(10) == Failed(reason)
    assert answers == [2 * n for n in range(20)]
    assert await pool.run(bad_jobs.double, 5) == 10


async def test_a_job_that_waits_for_ever_is_ended() -> None:
    async with Sandbox(1, MEMORY, wall_seconds=0.5, preload=PRELOAD) as pool:
        hanging, after = await asyncio.gather(pool.run(bad_jobs.wait), pool.run(bad_jobs.double, 4))
        assert hanging == Failed(Reason.TOO_SLOW)
        assert after == 8


async def test_a_process_that_somebody_else_killed_is_not_the_pictures_fault(pool: Sandbox, tmp_path: Path) -> None:
    assert await pool.run(bad_jobs.die_once, str(tmp_path / "mark")) == 1


async def test_a_process_that_died_while_idle_is_replaced(pool: Sandbox) -> None:
    first = await pool.run(bad_jobs.process_id)
    assert isinstance(first, int)
    os.kill(first, signal.SIGKILL)
    assert await gone([first])
    second = await pool.run(bad_jobs.process_id)
    assert second != first


async def test_a_full_disk_is_not_the_pictures_fault(pool: Sandbox) -> None:
    with pytest.raises(Unavailable, match="No space left"):
        await pool.run(bad_jobs.fill_disk)
    assert await pool.run(bad_jobs.double, 1) == 2


async def test_what_is_not_installed_is_not_the_pictures_fault(pool: Sandbox) -> None:
    with pytest.raises(Unavailable, match="install the extra"):
        await pool.run(bad_jobs.lack_weights)


async def test_what_a_job_prints_disturbs_nothing(pool: Sandbox) -> None:
    assert await pool.run(bad_jobs.chatter) == 7
    assert await pool.run(bad_jobs.double, 1) == 2


async def test_secrets_of_the_environment_stay_outside(pool: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARQUEE_API_TOKEN", "secret")
    names = await pool.run(bad_jobs.environment)
    assert isinstance(names, list)
    assert "PATH" in names
    assert "MARQUEE_API_TOKEN" not in names


async def test_a_process_keeps_memory_for_the_next_picture(pool: Sandbox) -> None:
    kept = await pool.run(bad_jobs.kept_blocks)
    assert isinstance(kept, int)
    assert 0 < kept <= 8


async def test_a_process_has_limits(pool: Sandbox) -> None:
    assert await pool.run(bad_jobs.limits) == (MEMORY, 64, 0)


async def test_a_pool_that_cannot_start_says_why() -> None:
    async with Sandbox(1, MEMORY, preload="app.pictures.no_such_module") as pool:
        for _ in range(2):
            with pytest.raises(Unavailable, match="no_such_module"):
                await pool.run(bad_jobs.double, 1)
        assert pool.pids == []


async def test_a_caller_who_gives_up_disturbs_nobody(pool: Sandbox) -> None:
    tasks = [asyncio.create_task(pool.run(bad_jobs.double, n)) for n in range(50)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert answers[1::2] == [2 * n for n in range(1, 50, 2)]


async def test_closing_ends_all_processes_and_everybody_who_waits() -> None:
    pool = Sandbox(2, MEMORY, preload=PRELOAD)
    await pool.run(bad_jobs.double, 1)
    waiting = [asyncio.create_task(pool.run(bad_jobs.wait)) for _ in range(4)]
    while len(pool.pids) < 2:  # noqa: ASYNC110  the pool tells nobody when a process is there
        await asyncio.sleep(0.01)
    pids = pool.pids
    await pool.close()
    assert await gone(pids)
    assert all(
        isinstance(end, asyncio.CancelledError) for end in await asyncio.gather(*waiting, return_exceptions=True)
    )
    with pytest.raises(RuntimeError, match="closed"):
        await pool.run(bad_jobs.double, 1)


PARENT = f"""
import asyncio
from app.pictures.sandbox import Sandbox
from tests.pictures import bad_jobs

async def main():
    pool = Sandbox(2, {MEMORY}, cpu_seconds=600, wall_seconds=600, preload={PRELOAD!r})
    await asyncio.gather(*(pool.run(bad_jobs.double, n) for n in range(100)))
    hanging = [asyncio.create_task(pool.run(job)) for job in (bad_jobs.wait, bad_jobs.compute)]
    while len(pool.pids) < 2:
        await asyncio.sleep(0.01)
    print(*pool.pids, flush=True)
    await asyncio.gather(*hanging)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a hanging process is ended by its own limits only")
async def test_no_process_outlives_a_parent_that_is_killed_however_busy_it_is() -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, stdout=asyncio.subprocess.PIPE, env=environment
    )
    try:
        assert parent.stdout is not None
        pids = [int(pid) for pid in (await parent.stdout.readline()).split()]
        assert len(pids) == 2
        assert all(alive(pid) for pid in pids)
    finally:
        parent.kill()
        await parent.wait()
    assert await gone(pids)

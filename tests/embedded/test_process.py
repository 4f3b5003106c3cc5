"""Children: they answer, stop, die with their parent, and leave nothing that a later run cannot recognise."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from app.embedded.leftovers import PidFile, end_leftover, identity, remember
from app.embedded.lock import DirectoryLock, is_locked
from app.embedded.ports import PortBook, free_port, is_free, listens
from app.embedded.process import Child, ChildEndedError, EmbeddedError, NotReadyError

SLEEP = (sys.executable, "-c", "import time; time.sleep(600)")
STUBBORN = (
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)",
)


def spawn(command: Sequence[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


async def gone(pid: int, seconds: float = 20.0) -> bool:
    give_up = time.monotonic() + seconds
    while identity(pid) is not None:
        if time.monotonic() > give_up:
            return False
        await asyncio.sleep(0.02)
    return True


async def test_a_child_that_ends_at_once_says_why(tmp_path: Path) -> None:
    child = Child("broken", (sys.executable, "-c", "raise SystemExit('no such thing')"), tmp_path)
    child.start()

    async def never() -> bool:
        return False

    with pytest.raises(ChildEndedError, match="no such thing"):
        await child.wait_ready(never, 30)


async def test_a_child_that_does_not_answer_in_time_is_named_with_its_log(tmp_path: Path) -> None:
    child = Child("silent", SLEEP, tmp_path)
    child.start()

    async def never() -> bool:
        return False

    with pytest.raises(NotReadyError, match=r"silent\.log"):
        await child.wait_ready(never, 0.1)
    await child.stop()


async def test_a_stubborn_child_is_killed_after_the_grace_period(tmp_path: Path) -> None:
    child = Child("stubborn", STUBBORN, tmp_path, stop_seconds=0.3)
    child.start()

    async def ready() -> bool:
        return "ready" in child.log_file.read_text()

    await child.wait_ready(ready, 30)
    pid = child.pid
    assert pid is not None
    await child.stop()
    assert identity(pid) is None
    assert not child.pid_file.exists()


async def test_restart_gives_a_new_process(tmp_path: Path) -> None:
    child = Child("again", SLEEP, tmp_path)
    child.start()
    first = child.pid
    await child.restart()
    assert child.running
    assert child.pid != first
    await child.stop()
    assert not child.running


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the next start ends what is left")
async def test_a_child_dies_when_its_parent_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from app.embedded.process import Child\n"
        f"c = Child('orphan', {SLEEP!r}, Path({str(tmp_path)!r})); c.start(); print(c.pid, flush=True); time.sleep(600)"
    )
    parent = spawn((sys.executable, "-c", script))
    assert parent.stdout is not None
    orphan = int(await asyncio.to_thread(parent.stdout.readline))
    assert identity(orphan) is not None
    parent.kill()
    parent.wait()
    assert await gone(orphan)


async def test_a_leftover_of_an_earlier_run_is_ended_at_the_next_start(tmp_path: Path) -> None:
    leftover = spawn(SLEEP)
    child = Child("server", SLEEP, tmp_path)
    remember(child.pid_file, leftover.pid)
    child.start()
    assert await asyncio.to_thread(leftover.wait, 30) != 0
    assert child.running
    await child.stop()


async def test_a_stranger_with_the_same_pid_is_left_alone(tmp_path: Path) -> None:
    stranger = spawn(SLEEP)
    note = tmp_path / "server.pid"
    remember(note, stranger.pid)
    noted = note.read_bytes().replace(b'"identity":"', b'"identity":"another-')
    note.write_bytes(noted)
    assert not end_leftover(note)
    assert stranger.poll() is None
    assert not note.exists()
    stranger.kill()
    stranger.wait()


def test_a_damaged_pid_file_is_no_obstacle(tmp_path: Path) -> None:
    note = tmp_path / "server.pid"
    note.write_bytes(b'{"pid": 1')
    assert not end_leftover(note)


def test_a_process_is_known_by_more_than_its_number() -> None:
    assert identity(os.getpid()) == identity(os.getpid())
    ended = subprocess.Popen([sys.executable, "-c", "pass"])
    assert PidFile(ended.pid, "x").pid == ended.pid
    ended.wait()
    assert identity(ended.pid) is None


def test_two_cannot_hold_one_data_directory(tmp_path: Path) -> None:
    first, second = DirectoryLock(tmp_path), DirectoryLock(tmp_path)
    assert not is_locked(tmp_path)
    first.acquire()
    assert is_locked(tmp_path)
    with pytest.raises(EmbeddedError, match=f"pid {os.getpid()}.*--data-dir"):
        second.acquire()
    first.release()
    second.acquire()
    second.release()


async def test_a_port_is_kept_unless_somebody_took_it(tmp_path: Path) -> None:
    book = tmp_path / "ports.json"
    port = PortBook(book).port("broker")
    assert PortBook(book).port("broker") == port
    taker = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", port)
    assert await listens(port)
    assert not is_free(port)
    assert PortBook(book).port("broker") != port
    taker.close()
    await taker.wait_closed()


async def test_nobody_listens_on_a_free_port() -> None:
    port = free_port()
    assert is_free(port)
    assert not await listens(port)

"""Two workers on four partitions: look-ups are right from either, and either may die."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest

from app.delivery.producer import partition_of
from tests.crash.crowd import Crowd, Feeder, facts
from tests.crash.judge import Verdict, drained
from tests.crash.servers import Servers
from tests.crash.straight import StraightRun
from tests.crash.worker import WorkerProcess, until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

PARTITIONS: Final = 4
LOOKUPS: Final = 200
APP: Final = "crash-pair"
RATE: Final = 100.0
GENEROUS: Final = 120.0
"""Seconds until a take-over counts as failed; the figure that is printed is what matters."""

Report = Callable[[str], None]


class Pair:
    """Two workers with one snapshot directory."""

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self.snapshots = servers.directory / "snapshots"
        self.first, self.second = (
            WorkerProcess(
                servers, APP, name, PARTITIONS, storage__snapshots=self.snapshots, learning__snapshot_lessons=500
            )
            for name in ("worker-1", "worker-2")
        )

    @property
    def both(self) -> tuple[WorkerProcess, WorkerProcess]:
        """The two."""
        return self.first, self.second

    async def shared(self) -> None:
        """Return once both are ready and each has some of the partitions, all of them together."""

        async def settled() -> bool:
            held = [await assigned(worker) for worker in self.both]
            ready = [(await worker.get("/readyz"))[0] == 200 for worker in self.both]
            return all(ready) and all(held) and sorted(held[0] + held[1]) == list(range(PARTITIONS))

        await until(settled, "both have partitions", *self.both, patience=GENEROUS)

    async def owner(self) -> WorkerProcess:
        """Whoever has the models."""
        found: list[WorkerProcess] = []

        async def known() -> bool:
            found[:] = [worker for worker in self.both if await owns_models(worker)]
            return len(found) == 1

        await until(known, "one owner of the models", patience=GENEROUS)
        return found[0]

    def other(self, worker: WorkerProcess) -> WorkerProcess:
        """The one beside it."""
        return self.second if worker is self.first else self.first


async def assigned(worker: WorkerProcess) -> list[int]:
    """The partitions of `ratings` that a worker says are its own."""
    status, said, _ = await worker.get("/statusz")
    return list(said["assignment"].get("ratings", [])) if status == 200 else []


async def owns_models(worker: WorkerProcess) -> bool:
    """Whether a worker says that it has the rating model."""
    status, said, _ = await worker.get("/statusz")
    return status == 200 and "future-rating" in said["models"]


@asynccontextmanager
async def flowing(feeder: Feeder, crowd: Crowd) -> AsyncIterator[None]:
    """Ratings arrive all the while."""
    stopping = asyncio.Event()

    async def feed() -> None:
        while not stopping.is_set():
            await feeder.send(crowd.give(int(RATE / 10)))
            await asyncio.sleep(0.1)

    task = asyncio.create_task(feed())
    try:
        yield
    finally:
        stopping.set()
        await task


async def look_up(straight: StraightRun, worker: WorkerProcess) -> Counter[str]:
    """Ask one worker for films: how many it answered right, wrongly, or put off as the contract allows."""
    rows = {key: value for held in straight.rows("predictions").values() for key, value in held.items()}
    found: Counter[str] = Counter()
    for key in sorted(rows)[:LOOKUPS]:
        found[judged(rows[key], *await worker.get(f"/films/{key.decode()}/prediction"))] += 1
    return found


def judged(row: bytes, status: int, said: Any, headers: dict[str, str]) -> str:
    """What an answer is worth, beside the row that it should have been made from."""
    import json

    if status == 503:
        return "put off" if int(headers["Retry-After"]) > 0 and said["status"] == 503 else "wrong"
    expected = {name: value for name, value in json.loads(row).items() if name != "event_id"}
    return "right" if (status, said) == (200, expected) else "wrong"


async def start_both(pair: Pair, feeder: Feeder, crowd: Crowd, seed: int) -> StraightRun:
    """Two workers that have shared the work of the first ratings, and what a straight run says of these."""
    for worker in pair.both:
        worker.start()
    await pair.shared()
    await feeder.send(facts(seed))
    await drained(pair.servers, *pair.both)
    await feeder.send(crowd.give(3_000))
    await drained(pair.servers, *pair.both)
    return (await Verdict.of(pair.servers, APP, PARTITIONS)).straight


async def while_dead(pair: Pair, dead: WorkerProcess, lost: list[int], straight: StraightRun) -> Counter[str]:
    """Look films of the dead worker's partitions up through the other, until that owns them itself."""
    alive = pair.other(dead)
    rows = {key: value for held in straight.rows("predictions").values() for key, value in held.items()}
    keys = [key for key in sorted(rows) if partition_of(key, PARTITIONS) in lost]
    found: Counter[str] = Counter()
    give_up = time.monotonic() + GENEROUS
    while set(await assigned(alive)) != set(range(PARTITIONS)):
        assert time.monotonic() < give_up, "nobody takes over"
        status, said, headers = await alive.get(f"/films/{keys[found.total() % len(keys)].decode()}/prediction")
        if status == 200:
            # Ratings flow meanwhile, so only that somebody answers can be told, not what.
            found["answered"] += 1
        else:
            found[judged(b"{}", status, said, headers)] += 1
        await asyncio.sleep(0.05)
    return found


async def test_two_workers_answer_right_and_either_may_die_without_loss(
    on_kafka: Servers, seed: int, report: Report
) -> None:
    pair, crowd = Pair(on_kafka), Crowd(seed)
    async with Feeder(on_kafka) as feeder:
        straight = await start_both(pair, feeder, crowd, seed)
        for worker in pair.both:
            found = await look_up(straight, worker)
            assert found == {"right": LOOKUPS}
            report(f"two workers: {found['right']} of {LOOKUPS} look-ups right from {worker.name}")
        async with flowing(feeder, crowd):
            await taken_over(pair, straight, report)
            await back_itself(pair, report)
            await woken_late(pair, report)
        await drained(on_kafka, *pair.both)
    for worker in pair.both:
        assert await worker.stop() == 0
    verdict = await Verdict.of(on_kafka, APP, PARTITIONS)
    report(f"two workers, one killed twice, seed {seed}: {len(feeder.must)} ratings")
    await verdict.check(feeder, pair.first.data, pair.snapshots, report)


async def taken_over(pair: Pair, straight: StraightRun, report: Report) -> None:
    """The owner of the models dies and stays away: the other has everything soon."""
    dead = await pair.owner()
    alive, lost = pair.other(dead), await assigned(dead)
    await dead.kill9()
    died = time.monotonic()
    found = await while_dead(pair, dead, lost, straight)
    assert found["wrong"] == 0
    assert found["put off"] > 0
    await alive.ready(GENEROUS)
    answering = time.monotonic() - died

    async def owned() -> bool:
        return await owns_models(alive)

    await until(owned, "the model has moved", alive, patience=GENEROUS)
    report(
        f"  killed and left dead: the other answers for all partitions after {answering:.1f} s and owns the models "
        f"after {time.monotonic() - died:.1f} s; meanwhile {found['put off']} look-ups put off with 503, 0 wrong"
    )
    dead.start()
    await pair.shared()


async def woken_late(pair: Pair, report: Report) -> None:
    """A worker is frozen until the other has its partitions, and wakes up in the middle of what it did."""
    frozen = await pair.owner()
    other = pair.other(frozen)
    frozen.signal(signal.SIGSTOP)

    async def taken() -> bool:
        return await assigned(other) == list(range(PARTITIONS)) and await owns_models(other)

    await until(taken, "the other has everything", other, patience=GENEROUS)
    await asyncio.sleep(2.0)
    frozen.signal(signal.SIGCONT)
    await pair.shared()
    report(f"  frozen until the other had everything: both work again, partitions {await assigned(frozen)} here")


async def back_itself(pair: Pair, report: Report) -> None:
    """A worker dies and is started again at once under its name: it has its partitions back."""
    dead = await pair.owner()
    held = await assigned(dead)
    await dead.kill9()
    died = time.monotonic()
    dead.start()
    await dead.ready(GENEROUS)
    back = time.monotonic() - died
    await pair.shared()
    report(
        f"  killed and started again: back after {back:.1f} s with partitions {await assigned(dead)} "
        f"(before: {held}), the survivor kept {await assigned(pair.other(dead))}"
    )

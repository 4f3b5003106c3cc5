"""Workers join, leave and die while events flow: nothing is lost, effects happen once, and the marks move along."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

from app.delivery.producer import partition_of
from tests.kafka.lab import Lab, running, wait_for
from tests.kafka_server import KafkaServer

pytestmark = pytest.mark.kafka

REBALANCES: Final = int(os.environ.get("MARQUEE_REBALANCES", "5"))
AT_ONCE: Final = 2
PARTITIONS: Final = 4
WAITING: Final = 2_000
ARRIVING: Final = 50
"""Events that arrive every half second meanwhile."""

Report = Callable[[str], None]


class Pair:
    """Two workers of one application; both count, in batches, and keep."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.first, self.second = (lab.worker(name, pause=0.001, keep_pause=0.2) for name in ("w1", "w2"))

    async def until(self, condition: Callable[[], bool], missing: str) -> None:
        """Wait for something that these two should come to."""
        await wait_for(condition, lambda: f"{missing}: {self.first.status} {self.second.status}")

    async def live(self, rng: random.Random, takes_over: bool) -> None:
        """One joins the other and is killed in mid-batch; the other takes over or it is back; the other restarts."""
        self.first.start()
        await self.until(lambda: self.first.applied > 200, "w1 does not start")
        self.second.start()
        await self.until(lambda: self.second.applied > 0, "w2 gets no partition")
        await asyncio.sleep(rng.uniform(0.0, 1.0))
        await self.second.kill()
        if takes_over:
            await self.until(lambda: len(self.first.marks) == PARTITIONS, "w1 does not take over")
        self.second.start()
        await self.until(lambda: self.second.applied > 0, "w2 does not come back")
        await asyncio.sleep(rng.uniform(0.0, 1.0))
        await self.first.stop()
        self.first.start()
        await self.until(lambda: self.first.applied > 0, "w1 does not come back")

    async def finish(self) -> None:
        """Wait until everything is counted and kept."""
        wanted = self.lab.ends
        await self.until(lambda: self.marks == {p: end - 1 for p, end in wanted.items()}, f"not all counted, {wanted}")
        await self.until(lambda: self.kept >= self.lab.places, "not all kept")

    @property
    def marks(self) -> dict[int, int | None]:
        """The last counted offset of each partition, from whoever owns it."""
        return self.first.marks | self.second.marks

    @property
    def kept(self) -> set[object]:
        """Where everything stands that either kept."""
        return set(self.first.kept) | set(self.second.kept)


@asynccontextmanager
async def feeding(lab: Lab) -> AsyncIterator[None]:
    """Events arrive all the while."""

    enough = asyncio.Event()

    async def feed() -> None:
        while not enough.is_set():
            await lab.tick(ARRIVING)
            with suppress(TimeoutError):
                await asyncio.wait_for(enough.wait(), 0.5)

    task = asyncio.create_task(feed())
    try:
        yield
    finally:
        # Never cut off in the middle: what was sent must be known.
        enough.set()
        await task


async def rebalanced(lab: Lab, seed: int) -> str:
    """One round of a pair's lives, and what must be true after it. Returns its figures."""
    await lab.prepare(0)
    await lab.tick(WAITING)
    pair = Pair(lab)
    async with running(pair.first, pair.second):
        async with feeding(lab):
            await pair.live(random.Random(seed), takes_over=bool(seed % 2))
        await pair.finish()
        await _check(lab, pair)
        gaps = sum(worker.status["gaps"] for worker in (pair.first, pair.second))
        again = sum(worker.status["duplicates"] for worker in (pair.first, pair.second))
    return f"{len(lab.places)} events, 0 lost, {again:.0f} seen again and passed over, {gaps:.0f} gaps closed"


async def _check(lab: Lab, pair: Pair) -> None:
    tocks = await lab.tocks()
    assert tocks.keys() == lab.places
    assert {place: values for place, values in tocks.items() if len(values) > 1} == {}
    counts, marks = await lab.stored()
    assert counts == lab.totals
    assert marks == {partition: end - 1 for partition, end in lab.ends.items()}
    assert not pair.first.marks.keys() & pair.second.marks.keys()
    # What each worker reads from its own tables is what a worker that starts with nothing would recover.
    for worker in (pair.first, pair.second):
        for partition, rows in worker.status["rows"].items():
            mine = {name: n for name, n in counts.items() if partition_of(name.encode(), PARTITIONS) == int(partition)}
            assert rows == mine


async def test_rebalances_with_a_kill_lose_nothing_and_count_every_event_once(
    kafka: KafkaServer, tmp_path: Path, report: Report
) -> None:
    at_once = asyncio.Semaphore(AT_ONCE)

    async def one(seed: int) -> None:
        async with at_once:
            report(
                f"rebalance {seed}: "
                + await rebalanced(Lab(kafka.bootstrap, tmp_path, f"pair-{seed}", PARTITIONS), seed)
            )

    await asyncio.gather(*map(one, range(REBALANCES)))

"""A worker is killed ten times while ratings stream in; what is left equals a run that nobody disturbed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any, Final

import pytest

from tests.crash.crowd import Crowd, Feeder, facts
from tests.crash.judge import Remains, Verdict, check_lookups, drained
from tests.crash.servers import Servers
from tests.crash.worker import WorkerProcess, until

RATINGS: Final = 10_000
KILLS: Final = 10
SNAPSHOT_LESSONS: Final = 500

Report = Callable[[str], None]


class Storm:
    """Feeds in portions and kills in between, some time after the worker has got further, or while it starts."""

    def __init__(self, worker: WorkerProcess, seed: int) -> None:
        self.worker = worker
        self.rng = random.Random(f"storm {seed}")
        self.in_start = set(self.rng.sample(range(KILLS), KILLS // 5))
        """Which lives end before they have done anything."""
        self.lives = 0

    async def predictions(self) -> int:
        """How many predictions lie on the broker."""
        ends = await self.worker.servers.log().ends({"rating-predictions": self.worker.partitions})
        return sum(ends.values())

    async def life(self, feeding: Callable[[], Any]) -> None:
        """One start, and its violent end."""
        before = await self.predictions()
        self.worker.start()
        fed = asyncio.create_task(feeding())
        if self.lives in self.in_start:
            await asyncio.sleep(self.rng.uniform(1.0, 6.0))
        else:

            async def further() -> bool:
                return await self.predictions() > before

            await until(further, "predicts again", self.worker, every=0.05)
            await asyncio.sleep(self.rng.uniform(0.0, 1.5))
        await self.worker.kill9()
        self.lives += 1
        await fed


async def survives(servers: Servers, app: str, partitions: int, seed: int, report: Report) -> Remains:
    """Kill a worker ten times in 10,000 ratings, then compare everything with a straight run."""
    snapshots = servers.directory / "snapshots"
    worker = WorkerProcess(
        servers,
        app,
        partitions=partitions,
        storage__snapshots=snapshots,
        learning__snapshot_lessons=SNAPSHOT_LESSONS,
        # The embedded broker lets a member of the same name back in only when the old one's session is over.
        broker__session_timeout=3 if servers.embedded else 10,
    )
    storm, crowd = Storm(worker, seed), Crowd(seed)
    worker.start()
    await worker.ready()
    async with Feeder(servers) as feeder:
        await feeder.send(facts(seed))
        await drained(servers, worker)
        await worker.kill9()
        for _ in range(KILLS):
            portion = crowd.give(RATINGS // KILLS)
            await storm.life(lambda portion=portion: feeder.pace(portion, storm.rng.uniform(300, 2000)))
    worker.start()
    await drained(servers, worker)
    verdict = await Verdict.of(servers, app, partitions)
    answered = await check_lookups(verdict.straight, worker)
    assert await worker.stop() == 0
    from_snapshot, from_start = worker.recoveries()
    report(
        f"kill test, {'embedded broker' if servers.embedded else 'Apache Kafka'}, seed {seed}: {RATINGS} ratings, "
        f"{KILLS} kills ({len(storm.in_start)} while it started), {from_snapshot} recoveries from a snapshot, "
        f"{from_start} from the start of the log, {answered} look-ups right"
    )
    await verdict.check(feeder, worker.data, snapshots, report)
    assert from_snapshot > 0
    return await Remains.of(servers, app, partitions, snapshots)


@pytest.mark.kafka
@pytest.mark.timeout(900)
async def test_ten_kills_on_apache_kafka_lose_nothing_and_leave_what_a_straight_run_leaves(
    on_kafka: Servers, seed: int, report: Report
) -> None:
    await survives(on_kafka, "crash-kill", 4, seed, report)


@pytest.mark.embedded
@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_ten_kills_on_the_embedded_broker_leave_what_a_worker_leaves_that_nobody_disturbs(
    on_embedded: Servers, beside: Servers, seed: int, report: Report
) -> None:
    # One partition: the order in which the model learns is then that of the ratings, in this run and in the other.
    stormy = await survives(on_embedded, "crash-kill", 1, seed, report)
    calm = await undisturbed(beside, "crash-kill", seed)
    assert calm.rows == stormy.rows
    assert calm.documents == stormy.documents
    assert calm.models == stormy.models
    report(f"  an undisturbed worker leaves the same: {calm}")


async def undisturbed(servers: Servers, app: str, seed: int) -> Remains:
    """What a worker leaves that is given the same ratings in one go."""
    snapshots = servers.directory / "snapshots"
    worker = WorkerProcess(servers, app, partitions=1, storage__snapshots=snapshots)
    worker.start()
    await worker.ready()
    async with Feeder(servers) as feeder:
        await feeder.send(facts(seed))
        await drained(servers, worker)
        await feeder.send(Crowd(seed).give(RATINGS))
        await drained(servers, worker)
    assert await worker.stop() == 0
    return await Remains.of(servers, app, 1, snapshots)

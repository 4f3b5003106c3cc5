"""Each server goes away for a while as ratings stream in: nothing is lost, and the worker comes back by itself."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from app.embedded.mlflow import Mlflow
from app.embedded.mongo import Mongo
from app.embedded.ports import PortBook
from app.embedded.process import Child
from app.embedded.servers import start_server
from tests.crash.crowd import Crowd, Feeder, facts
from tests.crash.judge import Verdict, drained
from tests.crash.servers import Servers, emptied
from tests.crash.worker import WorkerProcess, until
from tests.kafka_server import KafkaServer

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(900)]

AWAY: Final = float(os.environ.get("MARQUEE_OUTAGE_SECONDS", "30"))
RATE: Final = 50.0
APP: Final = "crash-outage"
GENEROUS: Final = 180.0

Report = Callable[[str], None]


class Crowded:
    """Ratings that never stop, whatever is away; what could not be sent is sent as soon as it can be."""

    def __init__(self, feeder: Feeder, crowd: Crowd) -> None:
        self.feeder = feeder
        self.crowd = crowd
        self.given = 0
        self._stopping = asyncio.Event()

    @asynccontextmanager
    async def flowing(self) -> AsyncIterator[None]:
        """While the block lasts."""
        task = asyncio.create_task(self._feed())
        try:
            yield
        finally:
            self._stopping.set()
            await task

    async def _feed(self) -> None:
        begun = time.monotonic()
        while not self._stopping.is_set():
            due = int((time.monotonic() - begun) * RATE) - self.given
            if due > 0:
                await self.feeder.send(self.crowd.give(due))
                self.given += due
            await asyncio.sleep(0.1)


@dataclass(frozen=True)
class Outage:
    """Something that goes away: which check of `/readyz` tells, and whether readiness depends on it."""

    name: str
    check: str
    needed: bool
    leave: Callable[[], Awaitable[None]]
    come_back: Callable[[], Awaitable[None]]


class Machines:
    """Three servers that can be paused, killed and started again where they were."""

    def __init__(self, kafka: KafkaServer, mongo: Mongo, mlflow: Mlflow) -> None:
        self._kafka, self._mongo, self._mlflow = kafka, mongo, mlflow

    def outages(self) -> list[Outage]:
        """Every way for every server."""
        kafka, mongo, mlflow = self._kafka, self._mongo, self._mlflow
        return [
            Outage("MLflow paused", "mlflow", False, _pause(mlflow.child), _resume(mlflow.child)),
            Outage("MongoDB paused", "mongo", True, _pause(mongo.child), _resume(mongo.child)),
            Outage("Kafka paused", "kafka", True, _soon(kafka.pause), _soon(kafka.resume)),
            Outage("MLflow killed", "mlflow", False, mlflow.child.kill, _start(mlflow)),
            Outage("MongoDB killed", "mongo", True, mongo.child.kill, _start(mongo)),
            Outage("Kafka killed", "kafka", True, kafka.kill9, kafka.start),
        ]


def _pause(child: Child) -> Callable[[], Awaitable[None]]:
    return _soon(lambda: child.signal(signal.SIGSTOP))


def _resume(child: Child) -> Callable[[], Awaitable[None]]:
    return _soon(lambda: child.signal(signal.SIGCONT))


def _soon(act: Callable[[], None]) -> Callable[[], Awaitable[None]]:
    async def do() -> None:
        act()

    return do


def _start(server: Mongo | Mlflow) -> Callable[[], Awaitable[None]]:
    async def do() -> None:
        server.child.start()
        await server.child.wait_ready(server.answers, 120.0)

    return do


@pytest.fixture
async def machines(kafka: KafkaServer, tmp_path: Path) -> AsyncIterator[tuple[Machines, Servers]]:
    """A database and an MLflow of this test's own beside Apache Kafka."""
    await emptied(kafka.bootstrap)
    ports = PortBook(tmp_path / "ports.json")
    mongo = await start_server(Mongo, tmp_path, ports, Mongo.name)
    mlflow = await start_server(Mlflow, tmp_path, ports, Mlflow.name)
    yield Machines(kafka, mongo, mlflow), Servers(kafka.bootstrap, mongo.url, tmp_path, False, mlflow.url)
    kafka.resume()
    for child in (mlflow.child, mongo.child):
        child.signal(signal.SIGCONT)
        await child.stop()


async def test_each_server_may_be_away_for_a_while(
    machines: tuple[Machines, Servers], seed: int, report: Report
) -> None:
    there, servers = machines
    worker = WorkerProcess(
        servers,
        APP,
        storage__snapshots=servers.directory / "snapshots",
        learning__snapshot_lessons=500,
        mlflow__metrics_every=2,
    )
    worker.start()
    await worker.ready()
    pid = worker.pid
    async with Feeder(servers) as feeder:
        await feeder.send(facts(seed))
        await drained(servers, worker)
        crowded = Crowded(feeder, Crowd(seed, always_named=True))
        async with crowded.flowing():
            report(f"outages of {AWAY:g} s at {RATE:g} ratings a second, seed {seed}")
            for outage in there.outages():
                await _endure(outage, worker, servers, report)
        await drained(servers, worker, patience=GENEROUS)
    assert worker.pid == pid, "the worker was restarted"
    assert await worker.stop() == 0
    verdict = await Verdict.of(servers, APP, worker.partitions)
    report(f"outages: {crowded.given} ratings, the worker was never restarted")
    await verdict.check(feeder, worker.data, servers.directory / "snapshots", report)


async def _endure(outage: Outage, worker: WorkerProcess, servers: Servers, report: Report) -> None:
    """One outage: readiness tells the truth while it lasts, and events flow again after it."""
    await worker.ready(GENEROUS)
    before = await _predicted(servers, worker) if outage.check != "kafka" else 0
    await outage.leave()
    left = time.monotonic()

    async def told() -> bool:
        status, said, _ = await worker.get("/readyz")
        return status == (503 if outage.needed else 200) and said["checks"][outage.check]["ok"] is False

    await until(told, f"/readyz says that {outage.check} is away", worker, patience=AWAY)
    noticed = time.monotonic() - left
    while time.monotonic() - left < AWAY:
        assert await told(), f"/readyz changed its mind about {outage.check}: {await worker.get('/readyz')}"
        await asyncio.sleep(1.0)
    meanwhile = await _predicted(servers, worker) - before if outage.check != "kafka" else 0
    await outage.come_back()
    back = time.monotonic()
    ready = await worker.ready(GENEROUS)
    await _caught_up(servers, worker)
    if not outage.needed:
        assert meanwhile > AWAY * RATE / 2, f"only {meanwhile} predictions while MLflow was away"
    report(
        f"  {outage.name}: told after {noticed:.1f} s, {meanwhile} predictions meanwhile, "
        f"ready again after {ready:.1f} s, caught up after {time.monotonic() - back:.1f} s"
    )


async def _predicted(servers: Servers, worker: WorkerProcess) -> int:
    return sum((await servers.log().ends({"rating-predictions": worker.partitions})).values())


async def _caught_up(servers: Servers, worker: WorkerProcess) -> None:
    """Return once no more waits than what has just arrived."""

    async def little() -> bool:
        status, said, _ = await worker.get("/statusz")
        lags: dict[str, Any] = said["lag"] if status == 200 else {}
        return bool(lags) and sum(lags.values()) < RATE

    await until(little, "caught up", worker, patience=GENEROUS)

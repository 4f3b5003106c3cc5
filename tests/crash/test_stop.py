"""A worker that is told to stop does so in order; one that is started before Kafka waits for it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from app.embedded.broker import Broker
from app.embedded.ports import PortBook
from app.embedded.servers import start_server
from tests.crash.crowd import Crowd, Feeder
from tests.crash.judge import Verdict, drained
from tests.crash.servers import Servers, cut
from tests.crash.worker import WorkerProcess, until

pytestmark = [pytest.mark.embedded, pytest.mark.timeout(300)]

Report = Callable[[str], None]


async def test_sigterm_under_load_ends_with_zero_and_nothing_is_done_again(
    on_embedded: Servers, seed: int, report: Report
) -> None:
    servers, crowd = on_embedded, Crowd(seed)
    worker = WorkerProcess(
        servers,
        "crash-stop",
        partitions=1,
        storage__snapshots=servers.directory / "snapshots",
        broker__session_timeout=3,
    )
    worker.start()
    await worker.ready()
    async with Feeder(servers) as feeder:
        feeding = asyncio.create_task(feeder.pace(crowd.give(3000), 600))

        async def busy() -> bool:
            return sum((await servers.log().ends({"rating-predictions": 1})).values()) > 500

        await until(busy, "predictions", worker)
        loop = asyncio.get_running_loop()
        told = loop.time()
        assert await worker.stop() == 0
        took = loop.time() - told
        await feeding
        worker.start()
        await drained(servers, worker)
        assert await worker.stop() == 0
    verdict = await Verdict.of(servers, "crash-stop", 1)
    repeats = await repeated(servers)
    report(f"SIGTERM under load: exit 0 after {took:.1f} s, repeated records on derived topics: {repeats}")
    assert repeats == {}
    await verdict.check(feeder, worker.data, servers.directory / "snapshots", report)


async def repeated(servers: Servers) -> dict[str, int]:
    """How many records of each derived topic have an id that another has too."""
    found = {}
    for topic in ("film-submissions", "films-registered", "training-ratings", "rating-predictions"):
        ids = Counter(dict(raw.headers)["ce_id"] for raw in await servers.log().read(topic, cut(1)[topic]))
        if len(ids) < ids.total():
            found[topic] = ids.total() - len(ids)
    return found


async def test_a_worker_that_is_started_before_kafka_waits_and_says_so(mongo: str, tmp_path: Path, seed: int) -> None:
    ports = PortBook(tmp_path / "ports.json")
    servers = Servers(f"127.0.0.1:{ports.port(Broker.name)}", mongo, tmp_path, embedded=True)
    worker = WorkerProcess(servers, "crash-early", partitions=1, broker__session_timeout=3)
    worker.start()

    async def waits() -> bool:
        status, said, _ = await worker.get("/readyz")
        return status == 503 and said["checks"]["kafka"]["ok"] is False and "waiting for Kafka" in worker.printed()

    await until(waits, "says that it waits", worker)
    broker = await start_server(Broker, tmp_path, ports, Broker.name)
    assert broker.bootstrap == servers.bootstrap
    try:
        await worker.ready()
        async with Feeder(servers) as feeder:
            await feeder.send(Crowd(seed).give(50))
            await drained(servers, worker)
        assert await worker.stop() == 0
    finally:
        await worker.kill9()
        await broker.child.stop()


async def test_a_worker_that_waits_for_kafka_can_be_stopped(mongo: str, tmp_path: Path) -> None:
    port = PortBook(tmp_path / "ports.json").port("nobody")
    worker = WorkerProcess(Servers(f"127.0.0.1:{port}", mongo, tmp_path, embedded=True), "crash-alone", partitions=1)
    worker.start()

    async def waits() -> bool:
        return "waiting for Kafka" in worker.printed()

    await until(waits, "says that it waits", worker)
    try:
        assert await worker.stop() in (0, 1)
    finally:
        await worker.kill9()

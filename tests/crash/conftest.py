"""Brokers and databases with nothing on them, and a place for the figures of these tests."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from app.embedded.broker import Broker
from app.embedded.mongo import Mongo
from app.embedded.ports import PortBook
from app.embedded.servers import start_server
from tests.crash.servers import Servers, emptied
from tests.kafka_server import KafkaServer

_figures: list[str] = []

Report = Callable[[str], None]


@pytest.fixture
def report() -> Report:
    """Says a figure at the end of the run, and at once where output is shown."""

    def say(line: str) -> None:
        print(line)  # noqa: T201
        _figures.append(line)

    return say


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures, whether or not the tests passed."""
    if _figures:
        terminalreporter.section("crash tests: what was measured")
        for line in _figures:
            terminalreporter.line(line)


@pytest.fixture
def seed() -> int:
    """What every random choice of these tests follows from; MARQUEE_SEED tries another."""
    return int(os.environ.get("MARQUEE_SEED", "20"))


@pytest.fixture
async def on_kafka(kafka: KafkaServer, mongo: str, tmp_path: Path) -> AsyncIterator[Servers]:
    """Apache Kafka without Marquee's topics, before and after, and an empty database."""
    await emptied(kafka.bootstrap)
    yield Servers(kafka.bootstrap, mongo, tmp_path, embedded=False)
    # The topics have Marquee's own names, and other tests on this broker make them anew.
    await emptied(kafka.bootstrap)


@pytest.fixture
async def on_embedded(mongo: str, tmp_path: Path) -> AsyncIterator[Servers]:
    """An embedded broker of this test's own, and an empty database."""
    async with _embedded(mongo, tmp_path) as servers:
        yield servers


@pytest.fixture
async def beside(mongo_server: Mongo, tmp_path: Path) -> AsyncIterator[Servers]:
    """Another embedded broker and another empty database."""
    async with _embedded(f"{mongo_server.url.rpartition('/')[0]}/beside_{uuid4().hex[:12]}", tmp_path / "beside") as it:
        yield it


@asynccontextmanager
async def _embedded(mongo: str, directory: Path) -> AsyncIterator[Servers]:
    broker = await start_server(Broker, directory, PortBook(directory / "ports.json"), Broker.name)
    try:
        yield Servers(broker.bootstrap, mongo, directory, embedded=True)
    finally:
        await broker.child.stop()

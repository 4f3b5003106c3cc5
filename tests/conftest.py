"""Servers that tests share: started once a run, on free loopback ports, gone when it ends.

Ask for them by argument, not by `getfixturevalue` from an async fixture: they start in a loop of their own.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.embedded.broker import Broker
from app.embedded.mlflow import Mlflow
from app.embedded.mongo import Mongo
from app.embedded.ports import PortBook
from app.embedded.servers import ServerT, start_server
from app.learning.registry import connect
from tests.kafka_server import KafkaMissingError, KafkaServer

REQUIRE_KAFKA = "MARQUEE_REQUIRE_KAFKA"


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A real Apache Kafka; topics of one run share it, so give them names of their own."""
    try:
        server = KafkaServer(tmp_path_factory.mktemp("kafka"))
    except KafkaMissingError as missing:
        if os.environ.get(REQUIRE_KAFKA) == "1":
            pytest.fail(f"{REQUIRE_KAFKA}=1, but {missing}")
        pytest.skip(f"NO REAL KAFKA: {missing}")
    asyncio.run(server.start())
    yield server
    asyncio.run(server.stop())


@pytest.fixture(scope="session")
def tansu(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """The embedded broker; topics of one run share it, so give them names of their own."""
    yield from _server(Broker, tmp_path_factory.mktemp("tansu"))


@pytest.fixture(scope="session")
def mongo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongo]:
    """The embedded database."""
    yield from _server(Mongo, tmp_path_factory.mktemp("mongo"))


@pytest.fixture
def mongo(mongo_server: Mongo) -> str:
    """The address of an empty database."""
    return mongo_server.url.rpartition("/")[0] + f"/test_{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mlflow]:
    """The embedded MLflow."""
    yield from _server(Mlflow, tmp_path_factory.mktemp("mlflow"))


@pytest.fixture
def mlflow(mlflow_server: Mlflow) -> Mlflow:
    """The same with nothing registered; its experiments stay, so give yours a name of its own."""
    client = connect(mlflow_server.url)
    for model in client.search_registered_models():
        client.delete_registered_model(model.name)
    return mlflow_server


def _server(kind: type[ServerT], directory: Path) -> Iterator[ServerT]:
    server = asyncio.run(start_server(kind, directory, PortBook(directory / "ports.json"), kind.name))
    yield server
    asyncio.run(server.child.stop())

"""Reads and writes topics beside the command line."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer

from app.cli.kafka import read_all
from app.delivery.guard import dead_letter
from app.delivery.raw import Raw
from app.embedded.broker import Broker
from app.settings import Broker as BrokerSettings
from app.settings import Settings
from schemas.base import Rejected


def settings(broker: Broker) -> Settings:
    """Settings that reach a broker."""
    return Settings(broker=BrokerSettings(url=broker.url, embedded=True))


def on_topic(broker: Broker, topic: str) -> list[Raw]:
    """Everything on a topic."""

    async def read() -> list[Raw]:
        return [raw async for raw in read_all(settings(broker), topic)]

    return asyncio.run(read())


def put(
    broker: Broker,
    topic: str,
    value: bytes | None,
    key: bytes | None = None,
    partition: int = 0,
    headers: Sequence[tuple[str, bytes]] = (),
) -> int:
    """Put one record on a topic; its offset."""

    async def send() -> int:
        async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap) as producer:
            return int((await producer.send_and_wait(topic, value, key, partition=partition, headers=headers)).offset)

    return asyncio.run(send())


def put_dead_letter(
    broker: Broker,
    value: bytes | None,
    *,
    offset: int,
    topic: str = "ratings",
    partition: int = 1,
    key: bytes | None = b"tt1",
    headers: Sequence[tuple[str, bytes]] = (),
    stage: str = "clean",
) -> str:
    """Put a dead letter away as the guard does; its id."""
    raw = Raw(topic, partition, offset, 1_700_000_000_000, key, value, list(headers))
    letter = dead_letter(raw, stage, "rejected", Rejected("value: 9 is outside its scale"), 1)
    put(broker, letter.topic, letter.value, letter.key)
    return letter.key.decode()

"""The parts that talk to a broker themselves, against the embedded one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka.errors import KafkaError

from app.delivery.producer import Outgoing, Producer
from app.delivery.topics import partitions
from app.embedded.broker import Broker
from app.settings import Settings
from app.web.probes import KafkaPing
from app.web.tail import PER_PARTITION, Tail
from schemas.catalogue import encode
from schemas.events import FilmRegistered

pytestmark = pytest.mark.embedded

COUNTS = partitions(Settings())


def film(title: str) -> Outgoing:
    record = FilmRegistered(film_id="tt0000001", title=title)
    return Outgoing(record.topic, record.key.encode(), encode(record), [])


async def look_until(tail: Tail, title: str) -> list[dict[str, Any]]:
    seen: list[dict[str, Any]] = []
    async with asyncio.timeout(60):
        while not seen or seen[-1]["title"] != title:
            seen += [shown for kind, shown in await tail.look() if kind == "film"]
    return seen


async def test_the_tail_shows_the_newest_records_and_passes_over_the_rest(tansu: Broker) -> None:
    producer, tail = Producer([tansu.bootstrap], COUNTS), Tail([tansu.bootstrap], COUNTS)
    await producer.start()
    try:
        await producer.send([film(f"before {n}") for n in range(50)])
        await tail.look()
        await producer.send([Outgoing("films-registered", b"tt0000001", b"no JSON", []), film("one")])
        assert [shown["title"] for shown in await look_until(tail, "one")][-1] == "one"
        await producer.send([film(f"many {n}") for n in range(2000)])
        seen = await look_until(tail, "many 1999")
        assert len(seen) <= 20 * PER_PARTITION
        await tail.close()
        assert [shown for kind, shown in await tail.look() if kind == "film"] == []
        await producer.send([film("after")])
        assert [shown["title"] for shown in await look_until(tail, "after")] == ["after"]
    finally:
        await tail.close()
        await producer.stop()


async def test_the_ping_answers_while_the_broker_does(tansu: Broker) -> None:
    ping = KafkaPing([tansu.bootstrap])
    await ping()
    await ping()
    await ping.close()


async def test_the_ping_fails_where_no_broker_is(unused_port: int) -> None:
    ping = KafkaPing([f"127.0.0.1:{unused_port}"])
    with pytest.raises(KafkaError):
        await ping()
    await ping.close()

"""What a stage made is not written once its partitions may be another's, however late that comes to light."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.protocol.produce import ProduceRequest

from app.delivery.contiguity import KafkaLogReader
from app.delivery.fencing import NEVER, Fence, NotAMemberError
from app.delivery.fetching import RawConsumer
from app.delivery.membership import Abandoned, Membership
from app.delivery.producer import Fenced, Outgoing, Producer
from app.embedded.broker import Broker
from tests.delivery.conftest import Clock

LOST, DOUBTED = "fenced-lost", "fenced-doubted"


class Client:
    """Stands in for aiokafka's client: prepares a request where that one writes it, and says what was written."""

    def __init__(self) -> None:
        self.written: list[Any] = []

    async def send(self, node: int, request: ProduceRequest) -> None:
        await asyncio.sleep(0)
        request.prepare({0: (0, 8)})
        self.written.append(request._topics)


def request(*topics: str) -> ProduceRequest:
    return ProduceRequest(None, -1, 1000, [(topic, [(0, b"")]) for topic in topics])


async def test_a_request_is_written_while_all_in_it_is_of_the_place_that_this_worker_has(
    clock: Clock, membership: Membership
) -> None:
    fence, client = Fence(membership), Client()
    fence.install(client)
    with fence.holds("ratings", 0, fence.place):
        await client.send(0, request("ratings"))
        clock.now += 8.0
        with pytest.raises(NotAMemberError):
            await client.send(0, request("facts", "ratings"))
        await client.send(0, request("facts"))
        membership.lose()
        membership.joined()
        assert membership.known
        with pytest.raises(NotAMemberError):
            await client.send(0, request("ratings"))
    await client.send(0, request("ratings"))
    assert [[topic for topic, _ in each] for each in client.written] == [["ratings"], ["facts"], ["ratings"]]


async def test_what_needs_no_place_waits_for_nothing_but_its_neighbours(membership: Membership) -> None:
    fence = Fence(membership)
    membership.lose()
    with fence.holds("ratings", 0, NEVER):
        assert fence._open([("ratings", [(0, b"")])])
    await fence.passed(NEVER, asyncio.Event())


@pytest.fixture
async def producer(tansu: Broker, membership: Membership) -> Any:
    found = Producer([tansu.bootstrap], {LOST: 1, DOUBTED: 1}, membership)
    await found.start()
    yield found
    await found.stop()


def rows(topic: str, *values: bytes) -> list[Outgoing]:
    return [Outgoing(topic, b"k", value, []) for value in values]


def frozen(producer: Producer, monkeypatch: pytest.MonkeyPatch, wakes: Any) -> None:
    """Have the next batch wait to be written until `wakes` was called."""
    send_batch = producer._producer.send_batch

    async def late(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(producer._producer, "send_batch", send_batch)
        future = await send_batch(*args, **kwargs)
        wakes()
        return future

    monkeypatch.setattr(producer._producer, "send_batch", late)


async def values(tansu: Broker, topic: str) -> list[bytes | None]:
    consumer = RawConsumer(bootstrap_servers=[tansu.bootstrap], enable_auto_commit=False)
    await consumer.start()
    try:
        target = TopicPartition(topic, 0)
        [end] = (await consumer.end_offsets([target])).values()
    finally:
        await consumer.stop()
    return [raw.value for raw in await KafkaLogReader([tansu.bootstrap]).read(topic, 0, 0, end)]


@pytest.mark.embedded
async def test_a_worker_that_is_frozen_between_the_look_and_the_write_writes_nothing_when_it_has_lost_its_place(
    tansu: Broker, producer: Producer, membership: Membership, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Fenced(producer)
    await stage.send(rows(LOST, b"before"))

    def wakes() -> None:
        clock.now += 60.0
        asyncio.get_running_loop().call_later(0.1, membership.lose)

    frozen(producer, monkeypatch, wakes)
    with pytest.raises(Abandoned):
        await stage.send(rows(LOST, b"of another place"))
    membership.joined()
    await stage.send(rows(LOST, b"after"))
    assert await values(tansu, LOST) == [b"before", b"after"]


@pytest.mark.embedded
async def test_a_worker_whose_place_was_only_in_doubt_goes_on_where_it_was(
    tansu: Broker, producer: Producer, membership: Membership, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wakes() -> None:
        clock.now += 60.0
        asyncio.get_running_loop().call_later(0.2, membership.answered, clock.now)

    frozen(producer, monkeypatch, wakes)
    await Fenced(producer).send(rows(DOUBTED, b"one", b"two"))
    clock.now += 60.0
    await producer.send(rows(DOUBTED, b"of no place"))
    assert await values(tansu, DOUBTED) == [b"one", b"two", b"of no place"]

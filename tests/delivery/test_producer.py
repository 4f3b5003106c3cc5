"""The way out: where records go, how many at a time, in which order, and what is tried again."""

from __future__ import annotations

import asyncio
from typing import Any

import aiokafka
import pytest
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    NotEnoughReplicasError,
    RequestTimedOutError,
)
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.structs import RecordMetadata
from hypothesis import given
from hypothesis import strategies as st

from app.delivery import producer as module
from app.delivery.guard import dead_letter
from app.delivery.producer import MAX_BATCH_BYTES, MAX_REQUEST_BYTES, Outgoing, Producer, partition_of
from app.delivery.raw import Raw
from schemas.base import Rejected
from schemas.catalogue import decode
from schemas.events import DeadLettered

Sent = tuple[str, int, list[bytes | None]]


class Broker:
    """Stands in for aiokafka's producer: keeps what is sent, and refuses what it is told to."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self.refusals: list[KafkaError | None] = []
        self.tries: list[Sent] = []
        self.logs: dict[tuple[str, int], list[bytes | None]] = {}
        self.running = False
        self.refused = asyncio.Event()

    async def start(self) -> None:
        self.running = True

    async def stop(self) -> None:
        self.running = False

    def create_batch(self) -> BatchBuilder:
        return BatchBuilder(self.settings["max_batch_size"], 0)

    async def send_batch(self, batch: BatchBuilder, topic: str, *, partition: int) -> asyncio.Future[RecordMetadata]:
        records = [record.value for record in DefaultRecordBatch(bytes(batch._build()))]
        self.tries.append((topic, partition, records))
        future: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()
        refusal = self.refusals.pop(0) if self.refusals else None
        if refusal is not None:
            future.set_exception(refusal)
            self.refused.set()
            return future
        log = self.logs.setdefault((topic, partition), [])
        future.set_result(RecordMetadata(topic, partition, None, len(log), 0, 0, 0))
        log += records
        return future


@pytest.fixture
async def producer(monkeypatch: pytest.MonkeyPatch) -> Producer:
    monkeypatch.setattr(module, "AIOKafkaProducer", Broker)
    monkeypatch.setattr(module, "RETRY_SECONDS", (0.0,))
    found = Producer(["127.0.0.1:1"], {"ratings": 4, "training-ratings": 1})
    await found.start()
    return found


def broker(producer: Producer) -> Any:
    return producer._producer


def record(topic: str, key: str, value: bytes) -> Outgoing:
    return Outgoing(topic, key.encode(), value, [])


@pytest.mark.parametrize(
    ("key", "murmur2"),
    [
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        ("abc", 479470107),
    ],
)
def test_a_key_goes_where_the_java_client_sends_it(key: str, murmur2: int) -> None:
    assert partition_of(key.encode(), 1000) == (murmur2 & 0x7FFFFFFF) % 1000


@given(st.binary(max_size=60), st.integers(1, 64))
def test_a_key_goes_where_the_default_partitioner_sends_it(key: bytes, partitions: int) -> None:
    everything = list(range(partitions))
    assert partition_of(key, partitions) == DefaultPartitioner()(key, everything, everything)


async def test_the_brokers_must_have_every_record_in_all_replicas_in_sync(producer: Producer) -> None:
    assert broker(producer).settings["acks"] == "all"


async def test_records_of_one_partition_travel_in_one_batch(producer: Producer) -> None:
    await producer.send([record("training-ratings", f"tt{n:07d}", b"%d" % n) for n in range(100)])
    assert broker(producer).tries == [("training-ratings", 0, [b"%d" % n for n in range(100)])]


async def test_each_record_goes_to_the_partition_of_its_key(producer: Producer) -> None:
    keys = [f"tt{n:07d}" for n in range(50)]
    await producer.send([record("ratings", key, key.encode()) for key in keys])
    for (_, partition), values in broker(producer).logs.items():
        assert values == [key.encode() for key in keys if partition_of(key.encode(), 4) == partition]
    assert sum(map(len, broker(producer).logs.values())) == 50


async def test_keys_values_and_headers_arrive_as_they_were(producer: Producer, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Any] = []

    async def keep(batch: BatchBuilder, topic: str, *, partition: int) -> Any:
        built.extend(DefaultRecordBatch(bytes(batch._build())))
        return await send_batch(batch, topic, partition=partition)

    send_batch = broker(producer).send_batch
    monkeypatch.setattr(broker(producer), "send_batch", keep)
    await producer.send([Outgoing("training-ratings", b"k", None, [("ce_id", b"1")])])
    assert [(r.key, r.value, r.headers) for r in built] == [(b"k", None, [("ce_id", b"1")])]


async def test_more_than_a_megabyte_is_cut_into_batches_that_a_broker_takes(producer: Producer) -> None:
    values = [bytes([n]) * 300_000 for n in range(10)]
    await producer.send([record("training-ratings", "k", value) for value in values])
    sizes = [sum(map(len, sent[2])) for sent in broker(producer).tries]
    assert len(sizes) == 4
    assert max(sizes) <= MAX_BATCH_BYTES
    assert broker(producer).logs["training-ratings", 0] == values


async def test_a_record_larger_than_a_batch_travels_alone(producer: Producer) -> None:
    small, large = b"s", b"l" * (MAX_REQUEST_BYTES - 10_000)
    await producer.send([record("training-ratings", "k", value) for value in (small, large, small)])
    assert [sent[2] for sent in broker(producer).tries] == [[small], [large], [small]]


async def test_the_offset_of_the_last_row_is_told(producer: Producer) -> None:
    assert await producer.send_to("changelog", 2, [(b"a", b"1"), (b"b", None)]) == 1
    assert await producer.send_to("changelog", 2, [(b"c", b"x" * 900_000), (b"d", b"y" * 900_000)]) == 3


@pytest.mark.parametrize(
    "error", [RequestTimedOutError, NotEnoughReplicasError, KafkaConnectionError, KafkaTimeoutError]
)
async def test_what_the_brokers_refuse_for_now_is_sent_again(producer: Producer, error: type[KafkaError]) -> None:
    broker(producer).refusals = [error(), error(), error()]
    await producer.send([record("training-ratings", "k", b"1")])
    assert broker(producer).logs == {("training-ratings", 0): [b"1"]}
    assert len(broker(producer).tries) == 4


async def test_a_batch_that_is_sent_again_stays_in_front_of_the_next(producer: Producer) -> None:
    values = [bytes([n]) * 600_000 for n in range(4)]
    broker(producer).refusals = [None, KafkaTimeoutError(), None, KafkaTimeoutError()]
    await producer.send([record("training-ratings", "k", value) for value in values])
    assert broker(producer).logs["training-ratings", 0] == values


async def test_what_the_brokers_refuse_for_good_is_raised(producer: Producer) -> None:
    broker(producer).refusals = [MessageSizeTooLargeError()]
    with pytest.raises(MessageSizeTooLargeError):
        await producer.send([record("training-ratings", "k", b"1")])


class Narrow(Broker):
    """Takes no batch of more values than `room` bytes."""

    room = 300

    async def send_batch(self, batch: BatchBuilder, topic: str, *, partition: int) -> asyncio.Future[RecordMetadata]:
        size = sum(len(record.value or b"") for record in DefaultRecordBatch(bytes(batch._build())))
        self.refusals = [MessageSizeTooLargeError()] if size > self.room else []
        return await super().send_batch(batch, topic, partition=partition)


@pytest.fixture
async def narrow(monkeypatch: pytest.MonkeyPatch) -> Producer:
    monkeypatch.setattr(module, "AIOKafkaProducer", Narrow)
    found = Producer(["127.0.0.1:1"], {"training-ratings": 1, "dead-letters": 1})
    await found.start()
    return found


def letter(size: int, header: int = 1, offset: int = 7) -> Outgoing:
    """The dead letter of a record of so many bytes with a header of so many."""
    raw = Raw("ratings", 1, offset, 0, b"tt1", b"v" * size, [("h", b"h" * header)])
    return dead_letter(raw, "clean", "rejected", Rejected("no"), 1)


async def test_a_batch_that_is_too_large_for_its_topic_goes_in_smaller_ones(narrow: Producer) -> None:
    values = [bytes([65 + n]) * 90 for n in range(11)]
    last = await narrow.send_to("training-ratings", 0, [(b"k", value) for value in values])
    assert broker(narrow).logs["training-ratings", 0] == values
    assert last == len(values) - 1


async def test_one_record_that_is_too_large_for_its_topic_is_still_raised(narrow: Producer) -> None:
    with pytest.raises(MessageSizeTooLargeError):
        await narrow.send([record("training-ratings", "k", b"x" * 301)])


@pytest.mark.parametrize(
    ("header", "room", "left_out", "headers"), [(1, 560, "value", 1), (5000, 600, "key and headers", 0)]
)
async def test_a_dead_letter_that_is_too_large_for_its_topic_is_cut_and_says_so(
    narrow: Producer, header: int, room: int, left_out: str, headers: int
) -> None:
    broker(narrow).room = room
    await narrow.send([letter(3000, header), letter(2, offset=8)])
    first, second = (decode(value, (DeadLettered,)) for value in broker(narrow).logs["dead-letters", 0])
    assert isinstance(first, DeadLettered)
    assert isinstance(second, DeadLettered)
    assert (first.value_base64, first.value_bytes, first.origin_offset) == (None, 3000, 7)
    assert first.error.startswith("Rejected: no")
    assert first.error.endswith(f"left out here: {left_out}]")
    assert len(first.headers) == headers
    assert (second.error, second.value_base64) == ("Rejected: no", "dnY=")


async def test_the_repeating_ends_when_told_to(producer: Producer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", (3600.0,))
    broker(producer).refusals = [KafkaConnectionError()]
    sending = asyncio.create_task(producer.send([record("training-ratings", "k", b"1")]))
    await asyncio.wait_for(broker(producer).refused.wait(), 60)
    producer.give_up()
    with pytest.raises(KafkaConnectionError):
        await asyncio.wait_for(sending, 60)
    assert broker(producer).running
    # What is accepted at once still goes out.
    await producer.send([record("training-ratings", "k", b"2")])
    await producer.stop()
    assert not broker(producer).running
    assert broker(producer).logs == {("training-ratings", 0): [b"2"]}


def test_the_fake_stands_in_for_what_aiokafka_has() -> None:
    for name in ("start", "stop", "create_batch", "send_batch"):
        assert callable(getattr(aiokafka.AIOKafkaProducer, name))

"""Reading a stretch of a partition again, on the embedded broker."""

from __future__ import annotations

import uuid

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaConnectionError
from tenacity import RetryCallState, stop_after_attempt, wait_none

from app.delivery.contiguity import KafkaLogReader
from app.delivery.producer import Producer
from app.embedded.broker import Broker
from app.embedded.ports import free_port

pytestmark = pytest.mark.embedded


@pytest.fixture
async def topic(tansu: Broker) -> str:
    """A topic of two partitions, 300 records in the second, in batches of 100."""
    name = f"stretch-{uuid.uuid4().hex[:8]}"
    admin = AIOKafkaAdminClient(bootstrap_servers=tansu.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(name, 2, 1)])
    await admin.close()
    producer = Producer([tansu.bootstrap], {name: 2})
    await producer.start()
    for start in (0, 100, 200):
        rows = [(b"k", b"%d" % n, [("ce_id", b"%d" % n)]) for n in range(start, start + 100)]
        await producer._deliver(name, 1, rows)
    await producer.stop()
    return name


async def test_a_stretch_is_read_from_its_start_to_before_its_end(tansu: Broker, topic: str) -> None:
    found = await KafkaLogReader([tansu.bootstrap]).read(topic, 1, 37, 251)
    assert [raw.offset for raw in found] == list(range(37, 251))
    first = found[0]
    assert (first.topic, first.partition, first.key, first.value) == (topic, 1, b"k", b"37")
    assert first.headers == [("ce_id", b"37")]
    assert first.timestamp > 1_700_000_000_000


async def test_the_last_record_can_be_read(tansu: Broker, topic: str) -> None:
    found = await KafkaLogReader([tansu.bootstrap]).read(topic, 1, 299, 300)
    assert [raw.value for raw in found] == [b"299"]


async def test_a_partition_begins_where_it_begins(tansu: Broker, topic: str) -> None:
    reader = KafkaLogReader([tansu.bootstrap])
    assert await reader.beginning(topic, 0) == 0
    assert await reader.beginning(topic, 1) == 0


async def test_reading_again_moves_nobodys_offsets(tansu: Broker, topic: str) -> None:
    target = TopicPartition(topic, 1)
    consumer = AIOKafkaConsumer(bootstrap_servers=tansu.bootstrap, group_id=topic, enable_auto_commit=False)
    await consumer.start()
    consumer.assign([target])
    await consumer.commit({target: 5})
    await KafkaLogReader([tansu.bootstrap]).read(topic, 1, 0, 300)
    assert await consumer.committed(target) == 5
    await consumer.stop()


async def test_a_broker_that_is_away_is_asked_again(tansu: Broker, topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = KafkaLogReader([f"127.0.0.1:{free_port()}"])

    def come_back(state: RetryCallState) -> None:
        reader._servers = [tansu.bootstrap]

    retrying = KafkaLogReader.read.retry  # type: ignore[attr-defined]
    monkeypatch.setattr(retrying, "wait", wait_none())
    monkeypatch.setattr(retrying, "before_sleep", come_back)
    assert len(await reader.read(topic, 1, 0, 300)) == 300


async def test_a_broker_that_stays_away_is_given_up_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    retrying = KafkaLogReader.beginning.retry  # type: ignore[attr-defined]
    monkeypatch.setattr(retrying, "wait", wait_none())
    monkeypatch.setattr(retrying, "stop", stop_after_attempt(3))
    with pytest.raises(KafkaConnectionError):
        await KafkaLogReader([f"127.0.0.1:{free_port()}"]).beginning("ratings", 0)

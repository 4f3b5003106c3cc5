"""The real Apache Kafka that tests use: it keeps its data over a restart and a kill, and can be frozen."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from app.embedded.ends import group_less_consumer, look
from tests.kafka_server import KafkaMissingError, KafkaServer, kafka_jars

pytestmark = pytest.mark.kafka


async def end(server: KafkaServer) -> int:
    consumer = group_less_consumer(server.bootstrap)
    await consumer.start()
    partition = TopicPartition("kept", 0)
    found = (await look(consumer, {partition: 0}, 60))[partition].end
    await consumer.stop()
    return found


async def send(server: KafkaServer) -> None:
    async with AIOKafkaProducer(bootstrap_servers=server.bootstrap, acks="all") as producer:
        await producer.send_and_wait("kept", b"v")


async def test_records_outlive_a_restart_and_a_kill_and_a_frozen_server_answers_later(tmp_path: Path) -> None:
    server = KafkaServer(tmp_path)
    await server.start()
    admin = AIOKafkaAdminClient(bootstrap_servers=server.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic("kept", 1, 1)])
    await admin.close()
    await send(server)
    await server.restart()
    assert await end(server) == 1
    await send(server)
    await server.kill9()
    await server.start()
    assert await end(server) == 2
    server.pause()
    sending = asyncio.create_task(send(server))
    await asyncio.sleep(0.5)
    assert not sending.done()
    server.resume()
    await sending
    assert await end(server) == 3
    await server.stop()
    assert server.pid is None


def test_a_folder_without_jars_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARQUEE_KAFKA_JARS", str(tmp_path))
    with pytest.raises(KafkaMissingError, match="holds no Kafka jars"):
        kafka_jars()

"""The command line knows whether workers run that it has no address of."""

from __future__ import annotations

import pytest
from aiokafka import AIOKafkaConsumer

from app.cli.kafka import members
from app.delivery.topics import declare
from app.settings import Broker, Settings, Worker
from tests.kafka_server import KafkaServer

pytestmark = [pytest.mark.kafka]


async def test_workers_are_counted_by_the_group_that_they_share(kafka: KafkaServer) -> None:
    settings = Settings(broker=Broker(url=kafka.url), worker=Worker(app="counted"))
    await declare(settings)
    assert await members(settings) == 0
    consumer = AIOKafkaConsumer("ratings", bootstrap_servers=kafka.bootstrap, group_id="counted")
    await consumer.start()
    try:
        assert await members(settings) == 1
        assert await members(Settings(broker=settings.broker)) == 0
    finally:
        await consumer.stop()
    assert await members(settings) == 0

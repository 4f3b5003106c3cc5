"""Topics that were there before Marquee keep what they have for as long as the settings say."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from app.delivery.retention import DAY_MS, _configs, keep_as_long
from app.delivery.topics import declare
from app.settings import Broker, Settings, Topics
from tests.crash.servers import emptied
from tests.kafka_server import KafkaServer

pytestmark = [pytest.mark.kafka]


@pytest.fixture
async def bootstrap(kafka: KafkaServer) -> AsyncIterator[str]:
    """A broker without Marquee's topics."""
    await emptied(kafka.bootstrap)
    yield kafka.bootstrap
    await emptied(kafka.bootstrap)


async def test_a_topic_with_another_retention_is_given_the_one_of_the_settings_and_keeps_the_rest(
    bootstrap: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(broker=Broker(url=f"kafka://{bootstrap}"), topics=Topics(retention_days=2.0))
    before = {"retention.ms": "-1", "max.message.bytes": "7000000", "segment.ms": "777000"}
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic("images-found", 4, 1, topic_configs=before)])
        await declare(settings)
        with caplog.at_level(logging.WARNING):
            assert await keep_as_long(settings) == ["images-found"]
        assert "retention.ms: -1, now 172800000" in caplog.text
        # A broker that is asked hears of it from the controller a little later.
        while await keep_as_long(settings):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        found = await _configs(admin, ["images-found", "ratings", "images-kept"])
        assert found["images-found"] == before | {"cleanup.policy": "delete", "retention.ms": "172800000"}
        assert found["ratings"]["retention.ms"] == "-1"
        assert found["images-kept"]["retention.ms"] == "172800000"
    finally:
        await admin.close()


async def test_a_topic_that_would_lose_records_or_has_no_room_for_dead_letters_is_mended(bootstrap: str) -> None:
    settings = Settings(broker=Broker(url=f"kafka://{bootstrap}"))
    thrifty = {"cleanup.policy": "compact,delete", "retention.bytes": "100000000"}
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics(
            [
                NewTopic("ratings", 4, 1, topic_configs=thrifty),
                NewTopic("dead-letters", 1, 1),
                NewTopic("reviews", 4, 1),
            ]
        )
        await declare(settings)
        assert await keep_as_long(settings) == ["dead-letters", "ratings", "reviews"]
        while await keep_as_long(settings):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        found = await _configs(admin, ["dead-letters", "ratings", "reviews", "training-ratings"])
        for topic in ("ratings", "reviews"):
            assert found[topic] == {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
        for topic in ("dead-letters", "training-ratings"):
            assert int(found[topic]["max.message.bytes"]) == 16 << 20
    finally:
        await admin.close()


async def test_who_bounds_what_sources_let_be_stored_for_so_long_only_is_let_do_so(bootstrap: str) -> None:
    settings = Settings(broker=Broker(url=f"kafka://{bootstrap}"))
    six_days = {"cleanup.policy": "delete", "retention.ms": str(6 * DAY_MS), "retention.bytes": "-1"}
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, 4, 1, topic_configs=six_days) for name in ("ratings", "reviews")])
        await declare(settings)
        assert await keep_as_long(settings, 6) == []
        assert (await _configs(admin, ["ratings"]))["ratings"] == six_days
        assert await keep_as_long(settings, 7) == ["ratings", "reviews"], "shorter than any source asks for"
        while await keep_as_long(settings):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        assert (await _configs(admin, ["ratings"]))["ratings"]["retention.ms"] == "-1"
    finally:
        await admin.close()

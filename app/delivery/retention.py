"""Holds topics that were there before to how long the settings let them remember; what is forgotten must expire."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError, for_code

from app.delivery.topics import partitions, retention_of
from app.settings import Settings

log = logging.getLogger(__name__)

RETENTION: Final = "retention.ms"
TRIES: Final = 20
_OF_THE_TOPIC: Final = 1
"""Where the value of a setting comes from: the topic itself, and not a default."""

Configs = dict[str, str]


async def keep_as_long(settings: Settings) -> list[str]:
    """Give Marquee's topics the retention of the settings; which topics had another.

    Where the brokers do not let that be done, the log says which topics keep what they have. The embedded broker is
    left alone: it forgets all at its end, and what was put back on it is as old as it is.
    """
    if settings.broker.embedded:
        return []
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.servers, request_timeout_ms=30_000)
    try:
        await admin.start()
        found = await _patiently(admin, list(partitions(settings)))
        wanted = {topic: retention_of(topic, settings) for topic in found}
        others = {topic: own for topic, own in found.items() if own.get(RETENTION) != wanted[topic]}
        if others:
            # Whatever is not named falls back to its default.
            await _alter(admin, {topic: own | {RETENTION: wanted[topic]} for topic, own in others.items()})
    except (KafkaError, OSError, TimeoutError) as error:
        log.warning("topics keep the retention that they have: %r", error)
        return []
    finally:
        await admin.close()
    if others:
        told = ", ".join(f"{topic} ({own.get(RETENTION, 'none')})" for topic, own in sorted(others.items()))
        log.warning("retention.ms of these topics was another than the settings say, and is changed: %s", told)
    return sorted(others)


async def _patiently(admin: AIOKafkaAdminClient, topics: list[str]) -> dict[str, Configs]:
    """As `_configs`; a topic that was declared a moment ago is not known to every broker yet."""
    for _ in range(TRIES - 1):
        with suppress(UnknownTopicOrPartitionError):
            return await _configs(admin, topics)
        await asyncio.sleep(0.5)
    return await _configs(admin, topics)


async def _configs(admin: AIOKafkaAdminClient, topics: list[str]) -> dict[str, Configs]:
    """What is set on each topic. Raises KafkaError."""
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic) for topic in topics])
    found: dict[str, Configs] = {}
    for code, message, _, topic, entries in _resources(answers):
        if code:
            raise for_code(code)(f"{topic}: {message}")
        found[topic] = {name: value for name, value, _, source, *_ in entries if source == _OF_THE_TOPIC}
    return found


async def _alter(admin: AIOKafkaAdminClient, configs: Mapping[str, Configs]) -> None:
    asked = [ConfigResource(ConfigResourceType.TOPIC, topic, dict(own)) for topic, own in configs.items()]
    for code, message, _, topic in _resources(await admin.alter_configs(asked)):
        if code:
            raise for_code(code)(f"{topic}: {message}")


def _resources(answers: Any) -> list[Any]:
    return [resource for answer in answers for resource in answer.resources]

"""Holds topics that were there before to what they are for.

What is forgotten must expire, what nothing else tells must stay, and a dead letter must find room.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError, for_code

from app.delivery.producer import MAX_REQUEST_BYTES
from app.delivery.topics import FOR_EVER, LARGEST, ROOMY, keeping, partitions
from app.embedded.expire import LIMITED
from app.settings import Settings

log = logging.getLogger(__name__)

RETENTION: Final = "retention.ms"
DAY_MS: Final = 86_400_000
TRIES: Final = 20
_OF_THE_TOPIC: Final = 1
"""Where the value of a setting comes from: the topic itself, and not a default."""

Configs = dict[str, str]


async def keep_as_long(settings: Settings, days_stored: int | None = None) -> list[str]:
    """Give Marquee's topics the settings that say what they keep; which topics had others.

    `days_stored`: for how long the strictest source lets its data be stored. Whoever gave topics with such data that
    retention, or a longer one, meant it so.
    Where the brokers do not let that be done, the log says which topics keep what they have. The embedded broker is
    left alone: it forgets all at its end, and what was put back on it is as old as it is.
    """
    if settings.broker.embedded:
        return []
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.servers, request_timeout_ms=30_000)
    try:
        await admin.start()
        found = await _patiently(admin, list(partitions(settings)))
        # Whatever is not named falls back to its default.
        wanted = {
            topic: own | keeping(topic, settings) | _room(topic, own) | _bound(topic, own, days_stored)
            for topic, own in found.items()
        }
        others = {topic: own for topic, own in found.items() if own != wanted[topic]}
        if others:
            await _alter(admin, {topic: wanted[topic] for topic in others})
    except (KafkaError, OSError, TimeoutError) as error:
        log.warning("topics keep the settings that they have: %r", error)
        return []
    finally:
        await admin.close()
    if others:
        told = "; ".join(f"{topic} ({_changes(own, wanted[topic])})" for topic, own in sorted(others.items()))
        log.warning("settings of these topics contradict what they are for, and are changed: %s", told)
    return sorted(others)


def _room(topic: str, own: Configs) -> Configs:
    """What holds other records may be larger than they: where it finds no room, the worker cannot go on."""
    lacking = topic in ROOMY and int(own.get(LARGEST, "0")) < MAX_REQUEST_BYTES
    return {LARGEST: str(MAX_REQUEST_BYTES)} if lacking else {}


def _bound(topic: str, own: Configs, days_stored: int | None) -> Configs:
    """The retention that a topic has, which stays for ever otherwise, where sources limit how long that may be."""
    if days_stored is None or topic not in LIMITED.intersection(FOR_EVER):
        return {}
    long_enough = int(own.get(RETENTION, "-1")) >= days_stored * DAY_MS
    return {RETENTION: own[RETENTION]} if long_enough else {}


def _changes(own: Configs, wanted: Configs) -> str:
    changed = {name: value for name, value in wanted.items() if own.get(name) != value}
    return ", ".join(f"{name}: {own.get(name, 'not set')}, now {value}" for name, value in changed.items())


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

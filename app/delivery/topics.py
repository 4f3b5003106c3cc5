"""Declare every topic at start, with the partitions that the tables are cut to."""

from __future__ import annotations

import asyncio
import itertools
import logging
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.errors import InvalidPartitionsError, KafkaError, TopicAlreadyExistsError, for_code

from agents.errors import MustStopError
from app.delivery.producer import MAX_REQUEST_BYTES
from app.settings import Settings
from schemas.catalogue import SOURCE_TOPICS, partition_counts

log = logging.getLogger(__name__)

PERSONAL: Final = ("input", "images-found", "images-fetched", "scrape-requests", "scrape-runs", "dead-letters")
"""What tells of people expires even where it is the truth: a log cannot be made to forget one person.

Compaction would need a key a record: a ruling, a withdrawal and what they are about share theirs, and their order is
what the claims and the face model are made of.
"""
_FILMS: Final = tuple(topic for topic in SOURCE_TOPICS if topic not in PERSONAL)
FOR_EVER: Final = ("training-ratings", "training-reviews", *_FILMS)
"""The truth of films, and the order that models learnt in: neither can be derived again, so neither expires."""
ROOMY: Final = ("dead-letters", "training-ratings", "training-reviews")
"""Topics whose records hold others: a whole record that was refused, a rating with the facts of its film."""
TAKES_ANYTHING: Final = (*ROOMY, *SOURCE_TOPICS)
"""Topics that must accept oversized records; those of the sources, so that these can be refused with a reason."""
LARGEST: Final = "max.message.bytes"
GROWTH_TRIES: Final = 10
GROWTH_SECONDS: Final = 0.5


def partitions(settings: Settings) -> dict[str, int]:
    """How many partitions each topic has."""
    return partition_counts(settings.topics.partitions)


async def wait_for_kafka(settings: Settings, stopping: asyncio.Event) -> bool:
    """True once a broker answers, False where the worker stops before; the log says what is waited for."""
    for attempt in itertools.count():
        admin = AIOKafkaAdminClient(bootstrap_servers=settings.servers, request_timeout_ms=5_000)
        try:
            await admin.start()
        except (KafkaError, OSError) as error:
            if attempt % 10 == 0:
                log.warning("waiting for Kafka at %s (%s)", settings.broker.url, error)
        else:
            return True
        finally:
            await admin.close()
        try:
            await asyncio.wait_for(stopping.wait(), 0.5)
        except TimeoutError:
            continue
        break
    return False


async def declare(settings: Settings) -> None:
    """Create what is missing. Raises MustStopError where a topic is cut in a way that cannot be used."""
    wanted = partitions(settings)
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.servers, request_timeout_ms=30_000)
    await admin.start()
    try:
        existing = set(await admin.list_topics())
        await _create(admin, [_new(topic, wanted[topic], settings) for topic in wanted if topic not in existing])
        if wanted.keys() & existing:
            await _check(admin, {topic: wanted[topic] for topic in wanted if topic in existing}, existing, settings)
    finally:
        await admin.close()


def retention_of(topic: str, settings: Settings) -> str:
    """How long a topic keeps what it has, in ms, as brokers write it; -1 is for ever."""
    return "-1" if topic in FOR_EVER else str(int(settings.topics.retention_days * 86_400_000))


def keeping(topic: str, settings: Settings) -> dict[str, str]:
    """The settings of a topic that say what it keeps: no compaction, no other limit where it keeps all for ever."""
    configs = {"cleanup.policy": "delete", "retention.ms": retention_of(topic, settings)}
    return configs | {"retention.bytes": "-1"} if topic in FOR_EVER else configs


def _new(topic: str, count: int, settings: Settings) -> NewTopic:
    configs = keeping(topic, settings)
    if topic in TAKES_ANYTHING:
        configs[LARGEST] = str(MAX_REQUEST_BYTES)
    return NewTopic(topic, count, settings.broker.replication, topic_configs=configs)


async def _create(admin: AIOKafkaAdminClient, missing: list[NewTopic]) -> None:
    if not missing:
        return
    response = await admin.create_topics(missing)
    for topic, code, *rest in response.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise MustStopError(f"topic {topic} cannot be created: {error.__name__} {rest[0] if rest else ''}")


async def _check(admin: AIOKafkaAdminClient, wanted: dict[str, int], existing: set[str], settings: Settings) -> None:
    """Topics that somebody else made first: add partitions while nothing is cut to them yet, else refuse."""
    in_use = any(topic.startswith(f"{settings.worker.app}-") and topic.endswith("-changelog") for topic in existing)
    for tries_left in reversed(range(GROWTH_TRIES)):
        grow = await _lacking(admin, wanted, in_use)
        if not grow:
            return
        try:
            await admin.create_partitions(grow)
        except InvalidPartitionsError:
            # A worker that starts at the same time was faster, with this topic at least.
            if not tries_left:
                raise
            await asyncio.sleep(GROWTH_SECONDS)
        else:
            return


async def _lacking(admin: AIOKafkaAdminClient, wanted: dict[str, int], in_use: bool) -> dict[str, NewPartitions]:
    """How far topics have to grow. Raises MustStopError where that cannot be done."""
    found = {entry["topic"]: len(entry["partitions"]) for entry in await admin.describe_topics(list(wanted))}
    grow: dict[str, NewPartitions] = {}
    for topic, count in wanted.items():
        if found.get(topic, count) > count or (found.get(topic, count) < count and in_use):
            raise MustStopError(
                f"topic {topic} has {found[topic]} partitions, {count} are needed: "
                + ("set [topics] partitions to that" if count > 1 else "delete it, one order needs one partition")
            )
        if found.get(topic, count) < count:
            log.warning("topic %s has %d partitions, adding some to make %d", topic, found[topic], count)
            grow[topic] = NewPartitions(count)
    return grow

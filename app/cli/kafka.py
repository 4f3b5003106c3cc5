"""How commands reach Kafka: topics that are there, a producer that knows how they are cut, a whole topic read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Final

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError

from app.cli.call import CliError
from app.delivery.fetching import RawConsumer
from app.delivery.producer import Producer
from app.delivery.raw import Raw
from app.delivery.topics import declare
from app.delivery.transport import true_ends
from app.embedded.lock import is_locked
from app.embedded.reserve import no_room
from app.settings import Settings

ANSWER_SECONDS: Final = 15.0


async def cut(settings: Settings) -> dict[str, int]:
    """How many partitions each topic on the broker has. Raises CliError where no broker answers."""
    # Asked about all at once: a look at a topic by its name can create it with the broker's own default.
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.servers, request_timeout_ms=5_000)
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await admin.start()
            listed = await admin.describe_topics()
    except (KafkaError, OSError, TimeoutError) as error:
        if is_locked(settings.data_dir):
            raise CliError(
                f"no Kafka answers at {settings.broker.url}, though a Marquee runs in {settings.data_dir}: it starts "
                "or stops, or the broker is away; try again in a moment"
            ) from error
        raise CliError(
            f"no Kafka answers at {settings.broker.url}: start one (`marquee up --embedded`), name its directory with "
            "--data-dir, or set [broker] url"
        ) from error
    finally:
        await admin.close()
    return {entry["topic"]: len(entry["partitions"]) for entry in listed if entry["partitions"]}


async def members(settings: Settings) -> int:
    """How many workers the brokers know, those among them that ended a moment ago. Raises CliError, as `cut` does."""
    await cut(settings)
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.servers, request_timeout_ms=5_000)
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await admin.start()
            answers = await admin.describe_consumer_groups([settings.worker.app])
    except GroupCoordinatorNotAvailableError:
        # Brokers on which nobody has ever joined a group.
        return 0
    finally:
        await admin.close()
    return sum(len(group[-1]) for answer in answers for group in answer.groups)


@asynccontextmanager
async def producer_for(settings: Settings, topics: Iterable[str]) -> AsyncIterator[Producer]:
    """A producer for these topics, which are declared first where they are missing. Raises CliError."""
    found = await cut(settings)
    if is_locked(settings.data_dir) and (why := no_room(settings.data_dir)):
        raise CliError(why)
    if set(topics) - found.keys():
        await declare(settings)
        found = await cut(settings)
    producer = Producer(settings.servers, found)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def read_all(settings: Settings, topic: str) -> AsyncIterator[Raw]:
    """Every record of a topic, partition by partition, to the ends that it has now. Nothing where it is missing."""
    count = (await cut(settings)).get(topic, 0)
    targets = [TopicPartition(topic, n) for n in range(count)]
    if not targets:
        return
    consumer = RawConsumer(bootstrap_servers=settings.servers, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        starts = await consumer.beginning_offsets(targets)
        ends = await true_ends(settings.servers, await consumer.end_offsets(targets))
        for target in targets:
            consumer.assign([target])
            consumer.seek(target, starts[target])
            # By position: compaction may have taken the last records.
            while await consumer.position(target) < ends.get(target, 0):
                for record in (await consumer.getmany(target, timeout_ms=500)).get(target, ()):
                    yield record
    finally:
        await consumer.stop()

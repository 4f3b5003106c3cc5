"""Whether everything that was asked of a Marquee is done, so that its documents need not be written again."""

from __future__ import annotations

from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from app.delivery.topics import partitions
from app.embedded.ends import group_less_consumer, look
from app.settings import Settings
from app.storage.documents import SNAPSHOTS
from app.storage.store import Store
from app.topology import Kind, film_topology

_ASK_SECONDS: Final = 15.0


async def settled(bootstrap: str, settings: Settings, store: Store) -> bool:
    """Whether all stages have committed the ends of their topics and the models' snapshots hold every lesson.

    Ask when no worker runs. Raises TimeoutError, KafkaError or Unavailable where a server does not answer.
    """
    counts = partitions(settings)
    stages = film_topology().stages
    lessons = {stage.topic for stage in stages if stage.kind is Kind.LEARN}
    places = {TopicPartition(topic, n) for topic in {stage.topic for stage in stages} for n in range(counts[topic])}
    ends = await _ends(bootstrap, places)
    by_stages = {
        place for stage in stages if stage.kind is not Kind.LEARN for place in places if place[0] == stage.topic
    }
    if not await _committed(bootstrap, settings.worker.app, {place: ends[place] for place in by_stages}):
        return False
    # No snapshot is ahead of its topic, so that the sums are equal only where each is.
    pointers = await store.documents[SNAPSHOTS].find({})
    learnt = sum(pointer["applied_offset"] + 1 for pointer in pointers)
    return bool(learnt == sum(end for place, end in ends.items() if place.topic in lessons))


async def _ends(bootstrap: str, places: set[TopicPartition]) -> dict[TopicPartition, int]:
    consumer = group_less_consumer(bootstrap)
    await consumer.start()
    try:
        return {
            place: seen.end for place, seen in (await look(consumer, dict.fromkeys(places, 0), _ASK_SECONDS)).items()
        }
    finally:
        await consumer.stop()


async def _committed(bootstrap: str, group: str, ends: dict[TopicPartition, int]) -> bool:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign(list(ends))
        for place, end in ends.items():
            if end and (await consumer.committed(place) or 0) < end:
                return False
        return True
    finally:
        await consumer.stop()

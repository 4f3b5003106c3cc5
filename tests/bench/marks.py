"""How far stages have come, read from their marks on the changelogs: exact, and free for the worker."""

from __future__ import annotations

import time
from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition

from app.delivery.table import MARK_PREFIX
from schemas.events import RatingCleaned, RatingPredicted
from tests.bench.queues import STALL_SECONDS, Stalled


async def projected(bootstrap: str, app: str, partitions: int, goal: int) -> None:
    """Return once `goal` ratings and their predictions are in the database. Raises Stalled."""
    tables = {"project-ratings": (RatingCleaned.topic, 1), "project-predictions": (RatingPredicted.topic, partitions)}
    await applied(bootstrap, app, tables, goal)


async def applied(bootstrap: str, app: str, tables: Mapping[str, tuple[str, int]], goal: int) -> None:
    """Return once the tables have `goal` records of their source topic, given with its partitions, behind them.

    Raises Stalled.
    """
    places = {
        TopicPartition(f"{app}-{name}-changelog", n): f"{MARK_PREFIX}{topic}".encode()
        for name, (topic, count) in tables.items()
        for n in range(count)
    }
    ends: dict[TopicPartition, int] = dict.fromkeys(places, 0)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    moved = time.monotonic()
    try:
        consumer.assign(list(places))
        while any(_behind(ends, f"{app}-{name}-changelog") < goal for name in tables):
            for place, records in (await consumer.getmany(timeout_ms=100)).items():
                ends[place] = max([ends[place], *(int(r.value) + 1 for r in records if r.key == places[place])])
                moved = time.monotonic()
            if time.monotonic() - moved > STALL_SECONDS:
                raise Stalled(f"the tables stopped at {sorted(ends.values())} of {goal:,}")
    finally:
        await consumer.stop()


def _behind(ends: Mapping[TopicPartition, int], topic: str) -> int:
    return sum(end for place, end in ends.items() if place.topic == topic)

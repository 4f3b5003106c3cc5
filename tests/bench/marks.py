"""How far the projections have come, read from their marks on the changelogs: exact, and free for the worker."""

from __future__ import annotations

import time
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from app.delivery.table import MARK_PREFIX
from schemas.events import RatingCleaned, RatingPredicted
from tests.bench.queues import STALL_SECONDS, Stalled

_STAGES: Final = {"project-ratings": RatingCleaned.topic, "project-predictions": RatingPredicted.topic}


async def projected(bootstrap: str, app: str, partitions: int, goal: int) -> None:
    """Return once `goal` ratings and their predictions are in the database. Raises Stalled."""
    counts = {"project-ratings": 1, "project-predictions": partitions}
    places = {
        TopicPartition(f"{app}-{stage}-changelog", n): stage for stage, count in counts.items() for n in range(count)
    }
    applied: dict[TopicPartition, int] = dict.fromkeys(places, 0)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    moved = time.monotonic()
    try:
        consumer.assign(list(places))
        while any(sum(applied[p] for p, s in places.items() if s == stage) < goal for stage in counts):
            for place, records in (await consumer.getmany(timeout_ms=100)).items():
                mark = f"{MARK_PREFIX}{_STAGES[places[place]]}".encode()
                applied[place] = max([applied[place], *(int(r.value) + 1 for r in records if r.key == mark)])
                moved = time.monotonic()
            if time.monotonic() - moved > STALL_SECONDS:
                raise Stalled(f"the projections stopped at {sorted(applied.values())} of {goal:,}")
    finally:
        await consumer.stop()

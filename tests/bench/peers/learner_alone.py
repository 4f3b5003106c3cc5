"""Marquee's learner service without the stages; arguments: broker, group, folder.

It reads training-ratings and writes rating-predictions. Service, producer and snapshots are the worker's own; only
the pointers to the snapshots lie in memory.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from app.delivery.guard import Reader
from app.delivery.producer import Producer
from app.delivery.topics import partitions
from app.learning.service import LearnerService
from app.learning.snapshots import SnapshotKeeper
from app.settings import Settings
from schemas.events import RatingPredicted
from tests.bench.model import rating_model


class NoPointers:
    """Pointers that nobody will follow."""

    async def advance(self, model: str, applied_offset: int, digest: str, facts: dict[str, Any]) -> bool:
        """Taken, and forgotten."""
        return True

    async def recent(self, model: str) -> list[Any]:
        """Nothing to recover."""
        return []


async def run(bootstrap: str, group: str, directory: str) -> None:
    """Run until killed."""
    settings = Settings()
    learning = settings.learning
    producer = Producer([bootstrap], {**partitions(settings), RatingPredicted.topic: 1})
    await producer.start()
    keeper = SnapshotKeeper(
        Path(directory), NoPointers(), learning.snapshot_lessons, learning.snapshot_seconds, learning.keep_snapshots
    )
    spec = rating_model()
    reader = Reader(spec.types, 1, settings.delivery.max_value * 2, placed=False)
    ended = asyncio.get_running_loop().create_future()

    async def crash(error: BaseException) -> None:
        ended.set_exception(error)

    service = LearnerService(spec, [bootstrap], producer, keeper, reader, learning.batch, crash)
    service.acquire()
    async with service:
        await ended


if __name__ == "__main__":
    asyncio.run(run(*sys.argv[1:]))

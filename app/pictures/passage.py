"""Knows when all that was under way on the celebrity path has come to its end, so that its documents say everything."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from app.delivery.topics import partitions
from app.embedded.ends import group_less_consumer, look
from app.settings import Settings
from schemas.base import Record
from schemas.pictures import (
    ImageAccepted,
    ImageDiscarded,
    ImageExamined,
    ImageFetched,
    ImageFound,
    ImageKept,
    ImageRejected,
)

STEPS: Final[tuple[tuple[type[Record], ...], ...]] = (
    (ImageFound,),
    (ImageFetched,),
    (ImageAccepted, ImageRejected),
    (ImageExamined,),
    (ImageKept, ImageDiscarded),
)
"""Every event of the path with those that come of the step before; what comes of the last is documents."""
_ASK_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 1.0


class Passage:
    """Asks the brokers how far the whole group of workers is; whoever waits gives up after `patience` seconds."""

    def __init__(
        self, settings: Settings, patience: float = 600.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._patience = patience
        self._clock = clock

    async def __call__(self) -> bool:
        """Return once whatever lay on the path at the call, and whatever came of it, is through; whether it is.

        Raises KafkaError, TimeoutError.
        """
        give_up = self._clock() + self._patience
        counts = partitions(self._settings)
        group = AIOKafkaConsumer(
            bootstrap_servers=self._settings.servers, group_id=self._settings.worker.app, enable_auto_commit=False
        )
        await group.start()
        try:
            for step in STEPS:
                ends = await self._ends([TopicPartition(r.topic, n) for r in step for n in range(counts[r.topic])])
                # Offsets are committed once every stage has made its effects durable.
                while not await _committed(group, ends):
                    if self._clock() > give_up:
                        return False
                    await asyncio.sleep(_POLL_SECONDS)
        finally:
            await group.stop()
        return True

    async def _ends(self, places: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        consumer = group_less_consumer(self._settings.servers)
        await consumer.start()
        try:
            return {tp: seen.end for tp, seen in (await look(consumer, dict.fromkeys(places, 0), _ASK_SECONDS)).items()}
        finally:
            await consumer.stop()


async def _committed(group: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> bool:
    for tp, end in ends.items():
        if end and (await group.committed(tp) or 0) < end:
            return False
    return True

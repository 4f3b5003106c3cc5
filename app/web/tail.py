"""The newest records of a few topics, read only while somebody watches and never more than a handful a second."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from schemas.base import Record, Rejected
from schemas.catalogue import decode, topics
from schemas.events import DeadLettered, FilmRegistered, RatingPredicted

log = logging.getLogger(__name__)

SHOWN: Final[dict[type[Record], str]] = {
    FilmRegistered: "film",
    RatingPredicted: "prediction",
    DeadLettered: "dead-letter",
}
PER_PARTITION: Final = 3
FETCH_BYTES: Final = 32 << 10
POLL_MS: Final = 300


class Tail:
    """A consumer of no group that jumps to the end of its partitions before every look."""

    def __init__(self, servers: list[str], partitions: dict[str, int]) -> None:
        self._servers = servers
        self._targets = [TopicPartition(record.topic, n) for record in SHOWN for n in range(partitions[record.topic])]
        self._consumer: AIOKafkaConsumer | None = None
        self._seen: dict[TopicPartition, int] = {}

    async def look(self) -> list[tuple[str, dict[str, Any]]]:
        """(kind, what to show) of the newest records since the last look.

        Raises KafkaError, OSError or TimeoutError.
        """
        try:
            async with asyncio.timeout(5):
                consumer = self._consumer or await self._open()
                consumer.resume(*self._targets)
                found = await consumer.getmany(*self._targets, timeout_ms=POLL_MS)
                newest = [row for rows in found.values() for row in rows[-PER_PARTITION:]]
                await self._jump(consumer)
        except (KafkaError, OSError, TimeoutError):
            await self.close()
            raise
        return [shown for row in newest if (shown := _shown(row.topic, row.value)) is not None]

    async def close(self) -> None:
        """Disconnect; the next look goes on where this one ended."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    async def _open(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._servers,
            enable_auto_commit=False,
            auto_offset_reset="latest",
            max_partition_fetch_bytes=FETCH_BYTES,
            fetch_max_wait_ms=200,
        )
        self._consumer = consumer
        await consumer.start()
        consumer.assign(self._targets)
        for target, offset in self._seen.items():
            consumer.seek(target, offset)
        fresh = [target for target in self._targets if target not in self._seen]
        if fresh:
            # aiokafka takes no partition at all for every partition.
            await consumer.seek_to_end(*fresh)
        return consumer

    async def _jump(self, consumer: AIOKafkaConsumer) -> None:
        """Pass over what came meanwhile, all but the last few; what was seen once is never shown again."""
        for target in self._targets:
            end, position = consumer.highwater(target), await consumer.position(target)
            if end is not None and end - position > PER_PARTITION:
                position = end - PER_PARTITION
                consumer.seek(target, position)
            self._seen[target] = position
        consumer.pause(*self._targets)


def _shown(topic: str, value: bytes | None) -> tuple[str, dict[str, Any]] | None:
    types = topics()[topic]
    try:
        record = decode(value or b"", types)
    except Rejected:
        return None
    return SHOWN[type(record)], _fields(record)


def _fields(record: Record) -> dict[str, Any]:
    if isinstance(record, RatingPredicted):
        names: Iterable[str] = ("film_id", "predicted", "current_mean", "n_ratings", "predicted_at")
    elif isinstance(record, DeadLettered):
        names = ("id", "stage", "reason", "error", "origin_topic", "failed_at")
    else:
        names = ("film_id", "title", "year")
    return {name: getattr(record, name) for name in names}

"""One partition filled by hand: large batches in order, and the offsets that are expected of the broker."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from aiokafka import AIOKafkaProducer

from app.embedded.segment import ArchiveError

BATCH_BYTES: Final = 512 << 10
MAX_REQUEST: Final = 64 << 20


def bulk_producer(bootstrap: str | list[str]) -> AIOKafkaProducer:
    """A producer for large batches that are made by hand."""
    return AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", max_batch_size=BATCH_BYTES, max_request_size=MAX_REQUEST
    )


class Lane:
    """Sends one partition in order and holds the broker's offsets against those that are expected."""

    def __init__(self, producer: AIOKafkaProducer, topic: str, partition: int, end: int, *, alone: bool = True) -> None:
        self.end = end
        """The offset of the next record."""
        self._producer, self._topic, self._partition = producer, topic, partition
        self._batch: Any = producer.create_batch()
        self._base = end
        self._alone = alone
        self._sent: asyncio.Future[None] | None = None

    async def add(self, timestamp: int, key: bytes | None, value: bytes | None, headers: Sequence[Any]) -> None:
        """Put a record behind the others; it travels with its batch."""
        fields = {"timestamp": timestamp, "key": key, "value": value, "headers": list(headers)}
        if self._batch.append(**fields) is None:
            await self.flush()
            self._batch.append(**fields)
        self.end += 1

    async def flush(self) -> None:
        """Hand the batch over while the one before it travels; at most one is on its way."""
        await self.arrived()
        if self._batch.record_count():
            self._batch.close()
            answer = await self._producer.send_batch(self._batch, self._topic, partition=self._partition)
            self._sent = asyncio.ensure_future(self._check(answer, self._base))
        self._batch = self._producer.create_batch()
        self._base = self.end

    async def arrived(self) -> None:
        """Return once the broker has what was handed over. Raises ArchiveError."""
        if self._sent is not None:
            await self._sent
            self._sent = None

    async def _check(self, answer: asyncio.Future[Any], expected: int) -> None:
        offset = (await answer).offset
        if self._alone and offset != expected:
            raise ArchiveError(
                f"{self._topic}/{self._partition}: the broker gave offset {offset} where {expected} was expected: "
                "something else writes to it"
            )

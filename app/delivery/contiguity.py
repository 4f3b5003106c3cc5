"""The second line against lost events: read again what delivery skipped."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from app.delivery.raw import Raw, of_aiokafka

log = logging.getLogger(__name__)

TIMEOUT_SECONDS: Final = 60.0


class KafkaLogReader:
    """Reads stretches of partitions with a consumer of no group, so that nobody's offsets move."""

    def __init__(self, servers: list[str]) -> None:
        self._servers = servers

    async def beginning(self, topic: str, partition: int) -> int:
        """The first offset that the partition still has."""
        target = TopicPartition(topic, partition)
        async with self._consumer(target) as consumer:
            offsets = await asyncio.wait_for(consumer.beginning_offsets([target]), TIMEOUT_SECONDS)
        return int(offsets[target])

    async def read(self, topic: str, partition: int, start: int, stop: int) -> Sequence[Raw]:
        """What stands at `start` to `stop` - 1; ends by position, since compaction leaves holes.

        Raises TimeoutError where the broker does not deliver the stretch.
        """
        target = TopicPartition(topic, partition)
        found: list[Raw] = []
        async with self._consumer(target) as consumer, asyncio.timeout(TIMEOUT_SECONDS):
            consumer.seek(target, start)
            while await consumer.position(target) < stop:
                for record in (await consumer.getmany(target, timeout_ms=500)).get(target, ()):
                    if record.offset < stop:
                        found.append(of_aiokafka(record))
        return found

    @asynccontextmanager
    async def _consumer(self, target: TopicPartition) -> AsyncIterator[AIOKafkaConsumer]:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._servers, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            consumer.assign([target])
            yield consumer
        finally:
            await consumer.stop()

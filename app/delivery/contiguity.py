"""The second line against lost events: read again what delivery skipped."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from tenacity import before_sleep_log, retry, retry_if_exception_type, stop_after_delay, wait_exponential

from app.delivery.fetching import RawConsumer
from app.delivery.raw import Raw

log = logging.getLogger(__name__)

TIMEOUT_SECONDS: Final = 60.0

# The stage that waits for an answer holds its events, so a broker that is away for a while costs time and nothing else.
_patiently = retry(
    retry=retry_if_exception_type((KafkaError, TimeoutError)),
    wait=wait_exponential(multiplier=0.2, max=5.0),
    stop=stop_after_delay(2 * TIMEOUT_SECONDS),
    before_sleep=before_sleep_log(log, logging.WARNING),
    reraise=True,
)


class KafkaLogReader:
    """Reads stretches of partitions with a consumer of no group, so that nobody's offsets move."""

    def __init__(self, servers: list[str]) -> None:
        self._servers = servers

    @_patiently
    async def beginning(self, topic: str, partition: int) -> int:
        """The first offset that the partition still has."""
        target = TopicPartition(topic, partition)
        async with self._consumer(target) as consumer:
            offsets = await asyncio.wait_for(consumer.beginning_offsets([target]), TIMEOUT_SECONDS)
        return int(offsets[target])

    @_patiently
    async def read(self, topic: str, partition: int, start: int, stop: int) -> Sequence[Raw]:
        """What stands at `start` to `stop` - 1; ends by position, since compaction leaves holes.

        Raises TimeoutError where the broker delivers nothing for a minute, several times over.
        """
        target = TopicPartition(topic, partition)
        found: list[Raw] = []
        clock = asyncio.get_running_loop().time
        async with self._consumer(target) as consumer, asyncio.timeout(TIMEOUT_SECONDS) as patience:
            consumer.seek(target, start)
            while await consumer.position(target) < stop:
                records = (await consumer.getmany(target, timeout_ms=500)).get(target, ())
                found += [record for record in records if record.offset < stop]
                if records:
                    patience.reschedule(clock() + TIMEOUT_SECONDS)
        return found

    @asynccontextmanager
    async def _consumer(self, target: TopicPartition) -> AsyncIterator[RawConsumer]:
        consumer = RawConsumer(bootstrap_servers=self._servers, enable_auto_commit=False, auto_offset_reset="earliest")
        try:
            await consumer.start()
            consumer.assign([target])
            yield consumer
        finally:
            await consumer.stop()

"""The way out: batches of records, each awaited until the brokers have it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2

log = logging.getLogger(__name__)

MAX_BATCH_BYTES: Final = 1 << 20
MAX_REQUEST_BYTES: Final = 16 << 20
RETRY_SECONDS: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Outgoing(NamedTuple):
    """One record on its way to a topic."""

    topic: str
    key: bytes
    value: bytes | None
    headers: list[tuple[str, bytes]]


@lru_cache(maxsize=1 << 17)
def partition_of(key: bytes, partitions: int) -> int:
    """The partition that Kafka's default partitioner gives a key."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)


class Producer:
    """Sends whole batches and waits for all in-sync replicas.

    A send that the broker refuses for now is repeated until it succeeds or `stop` is called: the ids of events are
    deterministic, so a record that arrives twice is harmless, and one that is given up would be lost.
    """

    def __init__(self, servers: list[str], partitions: dict[str, int]) -> None:
        self._partitions = partitions
        self._servers = servers
        self._producer: AIOKafkaProducer | None = None
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Connect to the brokers."""
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._servers,
            acks="all",
            linger_ms=0,
            max_batch_size=MAX_BATCH_BYTES,
            max_request_size=MAX_REQUEST_BYTES,
            request_timeout_ms=10_000,
            metadata_max_age_ms=60_000,
        )
        await self._producer.start()

    async def stop(self) -> None:
        """Give up what is being retried and disconnect."""
        self._stopping.set()
        if self._producer is not None:
            await self._producer.stop()

    def partition_for(self, topic: str, key: bytes) -> int:
        """Where a record with this key belongs."""
        count = self._partitions[topic]
        return 0 if count == 1 else partition_of(key, count)

    async def send(self, records: Iterable[Outgoing]) -> None:
        """Send records to wherever their keys belong; returns when the brokers have all of them."""
        by_partition: dict[tuple[str, int], list[Outgoing]] = {}
        for record in records:
            target = (record.topic, self.partition_for(record.topic, record.key))
            by_partition.setdefault(target, []).append(record)
        await asyncio.gather(
            *(self._deliver(topic, partition, rows) for (topic, partition), rows in by_partition.items())
        )

    async def send_to(self, topic: str, partition: int, rows: Iterable[tuple[bytes, bytes | None]]) -> int:
        """Send key-value rows to one partition; the offset of the last."""
        return await self._deliver(topic, partition, [Outgoing(topic, key, value, []) for key, value in rows])

    async def _deliver(self, topic: str, partition: int, rows: list[Outgoing]) -> int:
        for attempt in range(1_000_000):
            try:
                return await self._attempt(topic, partition, rows)
            except KafkaError as error:
                if not getattr(error, "retriable", False) and not _transient(error):
                    raise
                log.warning("%s-%s does not take records (%r), trying again", topic, partition, error)
                pause = RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)]
                try:
                    await asyncio.wait_for(self._stopping.wait(), pause)
                except TimeoutError:
                    continue
                raise
        raise AssertionError("unreachable")

    async def _attempt(self, topic: str, partition: int, rows: list[Outgoing]) -> int:
        assert self._producer is not None, "start() comes first"
        futures: list[tuple[Any, int]] = []
        batch = self._producer.create_batch()
        for row in rows:
            if self._append(batch, row) is None:
                if batch.record_count():
                    futures.append((await self._dispatch(batch, topic, partition), batch.record_count()))
                    batch = self._producer.create_batch()
                if self._append(batch, row) is None:
                    raise ValueError(f"a record of {len(row.value or b'')} bytes does not fit in a batch")
        futures.append((await self._dispatch(batch, topic, partition), batch.record_count()))
        last = -1
        for future, count in futures:
            metadata = await future
            last = metadata.offset + count - 1
        return last

    @staticmethod
    def _append(batch: Any, row: Outgoing) -> Any:
        return batch.append(key=row.key, value=row.value, timestamp=None, headers=row.headers)

    async def _dispatch(self, batch: Any, topic: str, partition: int) -> Any:
        assert self._producer is not None
        batch.close()
        return await self._producer.send_batch(batch, topic, partition=partition)


def _transient(error: KafkaError) -> bool:
    # aiokafka marks neither of these as retriable, yet both only say that no broker answered in time.
    return type(error).__name__ in {"KafkaTimeoutError", "KafkaConnectionError", "RequestTimedOutError"}

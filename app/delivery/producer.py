"""The way out: batches of records, each awaited until the brokers have it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, Final, Protocol

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError, RecordListTooLargeError
from aiokafka.partitioner import murmur2

from app.delivery.fencing import NEVER, Fence, NotAMemberError
from app.delivery.membership import Membership
from app.delivery.shortening import shorter

log = logging.getLogger(__name__)

MAX_BATCH_BYTES: Final = 1 << 20
MAX_REQUEST_BYTES: Final = 16 << 20
TOO_LARGE: Final = (MessageSizeTooLargeError, RecordListTooLargeError)
RETRY_SECONDS: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """One record on its way to a topic."""

    topic: str
    key: bytes
    value: bytes | None
    headers: list[tuple[str, bytes]]


Row = tuple[bytes, bytes | None, list[tuple[str, bytes]]]
"""Key, value and headers of a record whose topic and partition are known."""


@lru_cache(maxsize=1 << 17)
def partition_of(key: bytes, partitions: int) -> int:
    """The partition that Kafka's default partitioner gives a key."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)


class Sender(Protocol):
    """Where events go; returns when they are safe."""

    async def send(self, records: Iterable[Outgoing]) -> None:
        """Send records to wherever their keys belong."""


class Producer:
    """Sends whole batches and waits for all in-sync replicas.

    A send that the broker refuses for now is repeated until it succeeds or `stop` is called: the ids of events are
    deterministic, so a record that arrives twice is harmless, and one that is given up would be lost.
    With a membership, what is sent through `Fenced` is written only while that holds.
    """

    def __init__(self, servers: list[str], partitions: dict[str, int], membership: Membership | None = None) -> None:
        self._partitions = partitions
        self._fence = None if membership is None else Fence(membership)
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
        if self._fence is not None:
            self._fence.install(self._producer.client)
        await self._producer.start()

    def give_up(self) -> None:
        """Repeat nothing any more: what is refused is raised, so that a worker can stop while the broker is away."""
        self._stopping.set()

    async def stop(self) -> None:
        """Give up what is being retried and disconnect."""
        self.give_up()
        if self._producer is not None:
            await self._producer.stop()

    def partition_for(self, topic: str, key: bytes) -> int:
        """Where a record with this key belongs."""
        count = self._partitions[topic]
        return 0 if count == 1 else partition_of(key, count)

    async def send(self, records: Iterable[Outgoing], fenced: bool = False) -> None:
        """Send records to wherever their keys belong; returns when the brokers have all of them."""
        by_partition: dict[tuple[str, int], list[Row]] = {}
        for record in records:
            key = record.key
            target = (record.topic, self.partition_for(record.topic, key))
            rows = by_partition.get(target)
            if rows is None:
                rows = by_partition[target] = []
            rows.append((key, record.value, record.headers))
        await asyncio.gather(
            *(self._deliver(topic, partition, rows, fenced) for (topic, partition), rows in by_partition.items())
        )

    async def send_to(
        self, topic: str, partition: int, rows: Iterable[tuple[bytes, bytes | None]], fenced: bool = False
    ) -> int:
        """Send key-value rows to one partition; the offset of the last."""
        return await self._deliver(topic, partition, [(key, value, []) for key, value in rows], fenced)

    async def _deliver(self, topic: str, partition: int, rows: Sequence[Row], fenced: bool = False) -> int:
        """One batch after the other: a batch that has to be repeated must not end up behind the next one.

        A topic's limit holds for a whole batch: one that is too large goes in halves, and a dead letter is cut.
        """
        assert self._producer is not None, "start() comes first"
        done, last, attempt, most = 0, -1, 0, len(rows)
        place = self._fence.place if fenced and self._fence is not None else NEVER
        while done < len(rows):
            batch, count = self._fill(rows, done, most)
            try:
                metadata = await self._write(batch, topic, partition, place)
            except TOO_LARGE as error:
                most = max(count // 2, 1)
                if count == 1:
                    rows = _cut(topic, rows, done, error)
            except NotAMemberError:
                assert self._fence is not None
                await self._fence.passed(place, self._stopping)
            except KafkaError as error:
                if not await self._may_repeat(error, attempt):
                    raise
                log.warning("%s-%s did not take records (%r), trying again", topic, partition, error)
                attempt += 1
            else:
                done, last, attempt = done + count, metadata.offset + count - 1, 0
        return last

    async def _write(self, batch: Any, topic: str, partition: int, place: int) -> Any:
        assert self._producer is not None
        if self._fence is None:
            return await (await self._producer.send_batch(batch, topic, partition=partition))
        with self._fence.holds(topic, partition, place):
            return await (await self._producer.send_batch(batch, topic, partition=partition))

    def _fill(self, rows: Sequence[Row], start: int, most: int) -> tuple[Any, int]:
        """A batch of the rows from `start` on, as many as fit and `most` at most, and how many those are."""
        assert self._producer is not None
        batch = self._producer.create_batch()
        for key, value, headers in islice(rows, start, start + most):
            if batch.append(key=key, value=value, timestamp=None, headers=headers) is None:
                break
        batch.close()
        return batch, batch.record_count()

    async def _may_repeat(self, error: KafkaError, attempt: int) -> bool:
        """Whether to try again, after a pause that `stop` cuts short."""
        if not getattr(error, "retriable", False) and not isinstance(error, KafkaTimeoutError):
            return False
        pause = RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)]
        try:
            await asyncio.wait_for(self._stopping.wait(), pause)
        except TimeoutError:
            return True
        return False


class Fenced:
    """The way out of what is made of this worker's partitions: nothing of it is written once they may be another's.

    Calls raise Abandoned then.
    """

    def __init__(self, producer: Producer) -> None:
        self._producer = producer

    async def send(self, records: Iterable[Outgoing]) -> None:
        """As the producer's."""
        await self._producer.send(records, fenced=True)

    async def send_to(self, topic: str, partition: int, rows: Iterable[tuple[bytes, bytes | None]]) -> int:
        """As the producer's."""
        return await self._producer.send_to(topic, partition, rows, fenced=True)


def _cut(topic: str, rows: Sequence[Row], place: int, error: KafkaError) -> Sequence[Row]:
    """The rows with less in the one at a place. Raises `error` where that cannot be."""
    key, value, headers = rows[place]
    less = shorter(topic, value)
    if less is None:
        raise error
    log.warning("%s: the brokers take no record of %d bytes, it is cut to %d", topic, len(value or b""), len(less))
    return [*rows[:place], (key, less, headers), *rows[place + 1 :]]

"""Fill topics before a measurement, and watch from outside how far the output has come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Final, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from app.delivery.producer import Outgoing, partition_of
from app.embedded.ends import look
from tests.bench.processes import Measured, Moment
from tests.bench.report import progress

_BATCH_BYTES: Final = 16 << 10
"""What librdkafka, the JVM client and aiokafka send at most by default: the queue looks as if they had filled it."""
START_SECONDS: Final = 120.0
STALL_SECONDS: Final = 60.0


class Stalled(Exception):  # noqa: N818  a finding about what is measured
    """The process stopped making progress; the text says how far it came."""


async def fill(bootstrap: str, records: Sequence[Outgoing], counts: Mapping[str, int]) -> None:
    """Put records on their topics, keyed as Kafka's default partitioner would."""
    lanes: dict[tuple[str, int], list[Outgoing]] = {}
    for record in records:
        lanes.setdefault((record.topic, partition_of(record.key, counts[record.topic])), []).append(record)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", max_batch_size=_BATCH_BYTES)
    await producer.start()
    try:
        await asyncio.gather(*(_fill_lane(producer, *lane, rows) for lane, rows in lanes.items()))
    finally:
        await producer.stop()


async def _fill_lane(producer: AIOKafkaProducer, topic: str, partition: int, rows: Sequence[Outgoing]) -> None:
    batch = producer.create_batch()
    for row in rows:
        fields = {"key": row.key, "value": row.value, "timestamp": None, "headers": row.headers}
        if batch.append(**fields) is None:
            batch.close()
            await producer.send_batch(batch, topic, partition=partition)
            batch = producer.create_batch()
            batch.append(**fields)
    batch.close()
    await (await producer.send_batch(batch, topic, partition=partition))


class Ends:
    """How many records a topic has, asked by fetches: the embedded broker answers other questions wrongly."""

    def __init__(self, bootstrap: str, topic: str, partitions: int) -> None:
        self._places = [TopicPartition(topic, n) for n in range(partitions)]
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=20,
            # A fetch is only made for the high watermark that comes with it.
            max_partition_fetch_bytes=1,
        )

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        await look(self._consumer, dict.fromkeys(self._places, 0), 30.0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._consumer.stop()

    async def total(self) -> int:
        """Records in all partitions; returns as soon as there are more, or after 20 ms."""
        await self._consumer.getmany(timeout_ms=20)
        found = 0
        for place in self._places:
            end = self._consumer.highwater(place) or 0
            self._consumer.seek(place, end)
            found += end
        return found


async def first_and_last(
    ends: Ends,
    process: Measured,
    goal: int,
    servers: Callable[[], tuple[float, ...]] = tuple,
    each: Callable[[int], None] | None = None,
) -> tuple[Moment, Moment]:
    """When the first output was seen, with how many there were by then, and when the last of `goal`.

    `servers` reads the processor time of the servers; `each` is told whenever there is more output.
    Raises Stalled, RuntimeError where the process ends.
    """
    first: Moment | None = None
    best, moved, limit = 0, time.monotonic(), START_SECONDS
    while True:
        found = await ends.total()
        if found > best:
            best, moved, limit = found, time.monotonic(), STALL_SECONDS
            if each is not None:
                each(found)
        pid = process.pid
        if found and first is None:
            process.toggle_samples()
            first = Moment.now(pid, found, servers())
        if first is not None and found >= goal:
            last = Moment.now(pid, found, servers())
            process.toggle_samples()
            return first, last
        if time.monotonic() - moved > limit:
            progress(f"no progress: {process.log()[-2000:]}")
            raise Stalled(f"stopped at {best:,} of {goal:,}")

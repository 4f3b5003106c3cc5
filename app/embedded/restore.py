"""Puts archived topics back on an empty broker: same partitions, offsets, times, keys and headers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.producer.message_accumulator import BatchBuilder

from app.embedded.compact import Compaction, compact
from app.embedded.ends import group_less_consumer, look, partitions_of
from app.embedded.fillers import filler
from app.embedded.partition_log import PartitionLog, archived_topics, partition_count, read_records
from app.embedded.segment import ArchivedRecord, ArchiveError
from app.embedded.survey import survey

BATCH_BYTES: Final = 512 << 10
_MAX_REQUEST: Final = 64 << 20
_HANDOVER_RECORDS: Final = 2000
_TOPIC_EXISTS: Final = 36
_ASK_SECONDS: Final = 30.0
# Restored records keep their times: with Kafka's default of seven days most would be deleted within minutes.
_KEEP_ALL: Final = {"retention.ms": "-1"}

Progress = Callable[[int, int], None]


class RestoreReport(msgspec.Struct, frozen=True):
    """What a restore did; `fillers` are records in place of offsets that the archive has no record for."""

    records: int
    fillers: int
    compactions: list[Compaction]


async def restore(
    bootstrap: str, directory: Path, partitions: Mapping[str, int], progress: Progress | None = None
) -> RestoreReport:
    """Create the topics, with these numbers of partitions and no retention limit, and send what is archived of them.

    The training topics come back compacted (see `current_lessons`), all others offset by offset.
    `progress` is called with the records sent so far and in total. Raises ArchiveError where a topic has
    records already, has other partitions in the archive, or lands on other offsets; ArchiveDamagedError.
    """
    compactions = await asyncio.to_thread(_prepare, directory, partitions)
    await _create_empty(bootstrap, partitions)
    archived = [topic for topic in archived_topics(directory) if topic in partitions]
    total = sum(part.records for part in await asyncio.to_thread(survey, directory) if part.topic in archived)
    tally = _Tally(total, progress)
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", max_batch_size=BATCH_BYTES, max_request_size=_MAX_REQUEST
    )
    await producer.start()
    try:
        for topic in archived:
            await _send_topic([_Sender(producer, topic, n, tally) for n in range(partitions[topic])], directory)
    finally:
        await producer.stop()
    return RestoreReport(tally.records, tally.fillers, compactions)


def _prepare(directory: Path, partitions: Mapping[str, int]) -> list[Compaction]:
    for topic in archived_topics(directory):
        known = partition_count(directory, topic) or 0
        if topic in partitions and known != partitions[topic]:
            raise ArchiveError(
                f"topic {topic} is archived with {known} partitions; set that number instead of {partitions[topic]}"
            )
        for partition in range(known):
            PartitionLog(directory, topic, partition).close()  # cuts off what a power cut left half written
    return compact(directory)


async def _create_empty(bootstrap: str, partitions: Mapping[str, int]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        answer = await admin.create_topics(
            [NewTopic(topic, count, 1, topic_configs=_KEEP_ALL) for topic, count in partitions.items()]
        )
    finally:
        await admin.close()
    for topic, code, *_ in answer.topic_errors:
        if code not in (0, _TOPIC_EXISTS):
            raise ArchiveError(f"the broker refused to create the topic {topic} (error {code})")
    found = await partitions_of(bootstrap, partitions, _ASK_SECONDS)
    for topic, count in partitions.items():
        if found[topic] != count:
            raise ArchiveError(f"topic {topic} exists already, with {found[topic]} partitions instead of {count}")
    await _refuse_records(bootstrap, partitions)


async def _refuse_records(bootstrap: str, partitions: Mapping[str, int]) -> None:
    consumer = group_less_consumer(bootstrap)
    await consumer.start()
    try:
        beginning = {TopicPartition(topic, n): 0 for topic, count in partitions.items() for n in range(count)}
        for tp, found in (await look(consumer, beginning, _ASK_SECONDS)).items():
            if found.end:
                raise ArchiveError(f"{tp.topic}/{tp.partition} has {found.end} records already: nothing was restored")
    finally:
        await consumer.stop()


class _Tally:
    """Counts for the report and the progress display."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self.records = self.fillers = 0
        self._total, self._progress = total, progress

    def add(self, records: int) -> None:
        self.records += records
        if self._progress is not None:
            self._progress(self.records, self._total)


class _Sender:
    """Sends one partition in order and holds the broker's offsets against the archive's."""

    def __init__(self, producer: AIOKafkaProducer, topic: str, partition: int, tally: _Tally) -> None:
        self._producer, self._topic, self._partition, self._tally = producer, topic, partition, tally
        self._batch: BatchBuilder = producer.create_batch()
        self._next = 0
        self._batch_base = 0
        self._sent: asyncio.Future[None] | None = None

    async def send_all(self, directory: Path) -> None:
        """Send every archived record, with fillers in the gaps; returns when the broker has all of them."""
        chunks = _chunks(read_records(directory, self._topic, self._partition))
        while chunk := await asyncio.to_thread(next, chunks, None):
            for record in chunk:
                while self._next < record.offset:
                    await self._add(filler(self._next, record.timestamp))
                    self._tally.fillers += 1
                await self._add(record)
            self._tally.add(len(chunk))
        await self._flush()
        await self._await_sent()

    async def _add(self, record: ArchivedRecord) -> None:
        fields = {"timestamp": record.timestamp, "key": record.key, "value": record.value}
        if self._batch.append(**fields, headers=list(record.headers)) is None:
            await self._flush()
            self._batch.append(**fields, headers=list(record.headers))
        self._next = record.offset + 1

    async def _flush(self) -> None:
        """Hand the batch over while the one before it travels; at most one is on its way."""
        await self._await_sent()
        if self._batch.record_count():
            self._batch.close()
            answer = await self._producer.send_batch(self._batch, self._topic, partition=self._partition)
            self._sent = asyncio.ensure_future(self._check(answer, self._batch_base))
        self._batch = self._producer.create_batch()
        self._batch_base = self._next

    async def _await_sent(self) -> None:
        if self._sent is not None:
            await self._sent
            self._sent = None

    async def _check(self, answer: asyncio.Future[Any], expected: int) -> None:
        offset = (await answer).offset
        if offset != expected:
            raise ArchiveError(
                f"{self._topic}/{self._partition}: the broker gave offset {offset} where the archive has {expected}: "
                "something else writes to it"
            )


async def _send_topic(senders: list[_Sender], directory: Path) -> None:
    try:
        async with asyncio.TaskGroup() as sends:
            for sender in senders:
                sends.create_task(sender.send_all(directory))
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from failed


def _chunks(frames: Iterator[list[ArchivedRecord]]) -> Iterator[list[ArchivedRecord]]:
    """Frames joined to chunks that are worth a change of thread."""
    chunk: list[ArchivedRecord] = []
    for records in frames:
        chunk.extend(records)
        if len(chunk) >= _HANDOVER_RECORDS:
            yield chunk
            chunk = []
    if chunk:
        yield chunk

"""Puts archived topics back on an empty broker: same partitions, offsets, times, keys and headers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from app.embedded.compact import Compaction, compact
from app.embedded.ends import group_less_consumer, look, partitions_of
from app.embedded.fillers import filler
from app.embedded.lane import Lane, bulk_producer
from app.embedded.partition_log import PartitionLog, archived_topics, partition_count, read_records
from app.embedded.segment import ArchivedRecord, ArchiveError
from app.embedded.survey import survey

_HANDOVER_RECORDS: Final = 2000
_TOPIC_EXISTS: Final = 36
_ASK_SECONDS: Final = 30.0
# Restored records keep their times: with Kafka's default of seven days most would be deleted within minutes.
KEEP_ALL: Final = {"retention.ms": "-1"}

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
    compactions = await asyncio.to_thread(prepare, directory, partitions)
    await create_empty(bootstrap, partitions)
    tally = await send_archived(bootstrap, directory, partitions, progress)
    return RestoreReport(tally.records, tally.fillers, compactions)


def prepare(directory: Path, partitions: Mapping[str, int]) -> list[Compaction]:
    """Cut off what a power cut left half written, and compact the training topics.

    Raises ArchiveError where a topic has other partitions in the archive, ArchiveDamagedError.
    """
    for topic in archived_topics(directory):
        known = partition_count(directory, topic) or 0
        if topic in partitions and known != partitions[topic]:
            raise ArchiveError(
                f"topic {topic} is archived with {known} partitions; set that number instead of {partitions[topic]}"
            )
        for partition in range(known):
            PartitionLog(directory, topic, partition).close()
    return compact(directory)


async def send_archived(
    bootstrap: str, directory: Path, partitions: Mapping[str, int], progress: Progress | None = None
) -> Tally:
    """Send what is archived of these topics, which are there and empty, of a prepared archive. Raises ArchiveError."""
    archived = [topic for topic in archived_topics(directory) if topic in partitions]
    total = sum(part.records for part in await asyncio.to_thread(survey, directory) if part.topic in archived)
    tally = Tally(total, progress)
    producer = bulk_producer(bootstrap)
    await producer.start()
    try:
        for topic in archived:
            await _send_topic(producer, directory, topic, partitions[topic], tally)
    finally:
        await producer.stop()
    return tally


async def create_empty(bootstrap: str, partitions: Mapping[str, int], configs: Mapping[str, str] = KEEP_ALL) -> None:
    """Create topics. Raises ArchiveError where one is there with other partitions, or with records in it."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        answer = await admin.create_topics(
            [NewTopic(topic, count, 1, topic_configs=dict(configs)) for topic, count in partitions.items()]
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


class Tally:
    """Counts for the report and the progress display."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self.records = self.fillers = 0
        self._total, self._progress = total, progress

    def add(self, records: int) -> None:
        """So many more are back."""
        self.records += records
        if self._progress is not None:
            self._progress(self.records, self._total)


async def _send(lane: Lane, records: Iterator[list[ArchivedRecord]], tally: Tally) -> None:
    """Send every archived record of a partition, with fillers in the gaps; returns when the broker has all of them."""
    chunks = _chunks(records)
    while chunk := await asyncio.to_thread(next, chunks, None):
        for record in chunk:
            while lane.end < record.offset:
                await _add(lane, filler(lane.end, record.timestamp))
                tally.fillers += 1
            await _add(lane, record)
        tally.add(len(chunk))
    await lane.flush()
    await lane.arrived()


async def _add(lane: Lane, record: ArchivedRecord) -> None:
    await lane.add(record.timestamp, record.key, record.value, record.headers)


async def _send_topic(producer: AIOKafkaProducer, directory: Path, topic: str, count: int, tally: Tally) -> None:
    try:
        async with asyncio.TaskGroup() as sends:
            for n in range(count):
                lane = Lane(producer, topic, n, 0)
                sends.create_task(_send(lane, read_records(directory, topic, n), tally))
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

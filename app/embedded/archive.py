"""Keeps the topics that everything else is derived from, in files, past what the broker remembers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from agents.messages import rfc3339
from app.embedded.ends import ArchiveDivergedError, check_continues, group_less_consumer, look, partitions_of
from app.embedded.erase import FORGETS, Eraser
from app.embedded.expire import LIMITED, Limits
from app.embedded.fillers import is_filler
from app.embedded.forgettable import PEOPLE
from app.embedded.partition_log import SEGMENT_BYTES, PartitionLog, write_partition_count
from app.embedded.reserve import Reserve
from app.embedded.restore import restore
from app.embedded.segment import ArchivedRecord, ArchiveError
from app.embedded.survey import survey, verify

__all__ = ["ArchiveDivergedError", "ArchiveStatus", "Archiver", "is_filler", "restore", "survey", "verify"]

log = logging.getLogger(__name__)

_MAX_RECORDS: Final = 5000
_POLL_MS: Final = 200
_LINGER_BELOW: Final = 500
_LINGER_SECONDS: Final = 0.02
_ASK_SECONDS: Final = 30.0
_EXPIRE_SECONDS: Final = 3600.0


class PartitionStatus(msgspec.Struct, frozen=True):
    """How far one partition is archived; `lag` is the number of offsets that the broker is ahead."""

    topic: str
    partition: int
    end: int
    lag: int | None


class ArchiveStatus(msgspec.Struct, frozen=True):
    """What an archiver has done since it started, and where it stands."""

    running: bool
    records: int
    seconds_since_sync: float | None
    partitions: list[PartitionStatus]


class Archiver:
    """Follows topics from where their archive ends, on any Kafka.

    `run`, once an archiver, returns after `stop`; it raises ArchiveError where the broker's log does not
    continue the archive, KafkaError where the broker cannot be reached at first, and OSError where the disk
    does not take the records, nor with the room of the `reserve`.
    """

    def __init__(
        self,
        bootstrap: str,
        directory: Path,
        topics: Iterable[str],
        *,
        segment_bytes: int = SEGMENT_BYTES,
        sync_seconds: float = 1.0,
        now: Callable[[], float] = time.time,
        reserve: Reserve | None = None,
    ) -> None:
        self._bootstrap = bootstrap
        self._directory = directory
        self._topics = tuple(topics)
        self._segment_bytes = segment_bytes
        self._sync_seconds = sync_seconds
        self._now = now
        self._reserve = reserve
        self._logs: dict[TopicPartition, PartitionLog] = {}
        self._ends: dict[TopicPartition, int | None] = {}
        self._goal: Mapping[TopicPartition, int] | None = None
        self._position: dict[TopicPartition, int] = {}
        self._records = 0
        self._eraser = Eraser(directory)
        self._limits = Limits(directory)
        self._expire_at = 0.0
        self._erasing: asyncio.Task[int] | None = None
        self._running = False
        self._synced: float | None = None
        self._following = asyncio.Event()
        self._done = asyncio.Event()

    async def run(self) -> None:
        """Archive until `stop` is called."""
        self._running = True
        self._done.clear()
        consumer = group_less_consumer(self._bootstrap)
        try:
            await consumer.start()
            await self._open(consumer)
            self._following.set()
            await self._follow(consumer)
        finally:
            self._running = False
            await self._erased()
            await asyncio.to_thread(self._close_logs)
            await consumer.stop()
            self._done.set()

    async def following(self) -> None:
        """Return once every partition has been opened and its continuity checked.

        Raises ArchiveError where `run` ended before that; the reason is what `run` raised.
        """
        await _first_of(self._following, self._done)
        if not self._following.is_set():
            raise ArchiveError("the archiver ended before it could follow the topics")

    async def stop(self, drain: bool = True) -> None:
        """End `run`; with `drain`, not before everything on the broker at this moment is archived.

        Raises ArchiveError where that could not be finished, TimeoutError where the broker does not answer.
        """
        if drain:
            if self._running:
                await _first_of(self._following, self._done)
            self._goal = goal = await self._present_ends()
            if self._running:
                await self._done.wait()
            short = [f"{tp.topic}/{tp.partition}" for tp, end in goal.items() if self._position[tp] < end]
            if short or not self._following.is_set():
                raise ArchiveError(
                    f"stopped before all of it was archived: {', '.join(sorted(short)) or 'nothing was'}"
                )
        else:
            self._goal = {}
            if self._running:
                await self._done.wait()

    def status(self) -> ArchiveStatus:
        """Where the archive stands."""
        partitions = [
            PartitionStatus(
                tp.topic,
                tp.partition,
                part.end,
                None if end is None else max(0, end - self._position.get(tp, part.end)),
            )
            for tp, part in sorted(self._logs.items())
            for end in (self._ends.get(tp),)
        ]
        age = None if self._synced is None else time.monotonic() - self._synced
        return ArchiveStatus(self._running, self._records, age, partitions)

    async def _open(self, consumer: AIOKafkaConsumer) -> None:
        """Open the logs, check that the broker's log continues them, and seek behind what is archived."""
        counts = await partitions_of(self._bootstrap, self._topics, _ASK_SECONDS)
        await asyncio.to_thread(self._open_logs, counts)
        await asyncio.to_thread(self._eraser.catch_up)
        # One before the end: that record must be the one archived last.
        at = {tp: max(0, part.end - 1) for tp, part in self._logs.items()}
        for tp, found in (await look(consumer, at, _ASK_SECONDS)).items():
            part = self._logs[tp]
            check_continues(part, found)
            if found.start > part.end:
                log.warning("%s/%d: offsets %d to %d were gone before they were archived", *tp, part.end, found.start)
            self._position[tp] = max(part.end, found.start)
            consumer.seek(tp, self._position[tp])

    def _open_logs(self, counts: Mapping[str, int]) -> None:
        for topic, count in counts.items():
            write_partition_count(self._directory, topic, count)
            for partition in range(count):
                part = PartitionLog(self._directory, topic, partition, self._segment_bytes)
                self._logs[TopicPartition(topic, partition)] = part

    def _close_logs(self) -> None:
        for part in self._logs.values():
            part.close()

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        while not self._reached():
            fetched = await self._fetch(consumer)
            await asyncio.to_thread(self._keep, fetched)
            await self._erase()
            for tp in self._logs:
                self._ends[tp] = consumer.highwater(tp)
                # Where compaction or a transaction took the last offsets, no record will ever come for them.
                self._position[tp] = max(self._position[tp], await consumer.position(tp))
            if 0 < sum(map(len, fetched.values())) < _LINGER_BELOW:
                await asyncio.sleep(_LINGER_SECONDS)

    async def _fetch(self, consumer: AIOKafkaConsumer) -> dict[TopicPartition, list[ConsumerRecord]]:
        try:
            return dict(await consumer.getmany(timeout_ms=_POLL_MS, max_records=_MAX_RECORDS))
        except OffsetOutOfRangeError as error:
            for tp, start in (await consumer.beginning_offsets(list(error.args[0]))).items():
                part = self._logs[tp]
                if start <= part.end:
                    raise ArchiveDivergedError(
                        f"{tp.topic}/{tp.partition}: the log was cut while it was archived"
                    ) from error
                log.error("%s/%d: offsets %d to %d were gone before they were archived", *tp, part.end, start)
                consumer.seek(tp, start)
            return {}

    def _keep(self, fetched: Mapping[TopicPartition, list[ConsumerRecord]]) -> None:
        if self._reserve is not None:
            self._reserve.make_room(fetched.values())
        for tp, records in fetched.items():
            kept = [
                ArchivedRecord(record.offset, record.timestamp, record.key, record.value, tuple(record.headers))
                for record in records
                if not is_filler(record.headers)
            ]
            self._limits.note(tp.topic, kept)
            self._write(partial(self._eraser.expect, tp.topic, kept))
            self._write(partial(self._logs[tp].append, self._eraser.without(tp.topic, kept)))
            if tp.topic == FORGETS:
                # Only what is archived counts: a command that is lost with the broker is lost altogether.
                self._logs[tp].sync()
                self._eraser.note(kept)
            self._records += len(kept)
        now = time.monotonic()
        if self._synced is None or now - self._synced >= self._sync_seconds:
            for part in self._logs.values():
                part.sync()
            self._synced = now

    def _write(self, write: Callable[[], None]) -> None:
        if self._reserve is None:
            write()
        else:
            self._reserve.write(write)

    async def _erase(self) -> None:
        """Let records of people who are forgotten, and those that are over, be erased beside the archiving.

        Raises what that raised before.
        """
        if self._erasing is not None and self._erasing.done():
            await self._erased()
        if self._erasing is not None:
            return
        if self._eraser.pending:
            await asyncio.to_thread(self._rotate, PEOPLE)
            self._erasing = asyncio.create_task(asyncio.to_thread(self._eraser.erase))
        elif time.monotonic() >= self._expire_at:
            self._expire_at = time.monotonic() + _EXPIRE_SECONDS
            now = rfc3339(int(self._now() * 1000))
            if self._limits.due(now):
                await asyncio.to_thread(self._rotate, LIMITED)
                # Found before anything is appended again: a segment in use must not be replaced.
                places = self._limits.places(now)
                self._erasing = asyncio.create_task(asyncio.to_thread(self._limits.expire, places, now))

    async def _erased(self) -> None:
        erasing, self._erasing = self._erasing, None
        if erasing is not None:
            await erasing

    def _rotate(self, topics: Collection[str]) -> None:
        for tp, part in self._logs.items():
            if tp.topic in topics:
                part.rotate()

    def _reached(self) -> bool:
        return self._goal is not None and all(self._position[tp] >= end for tp, end in self._goal.items())

    async def _present_ends(self) -> dict[TopicPartition, int]:
        # A consumer of its own: the other one's last answer may be older than this question.
        consumer = group_less_consumer(self._bootstrap)
        await consumer.start()
        try:
            found = await look(consumer, dict(self._position), _ASK_SECONDS)
        finally:
            await consumer.stop()
        return {tp: seen.end for tp, seen in found.items()}


async def _first_of(*events: asyncio.Event) -> None:
    waits = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()

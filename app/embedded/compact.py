"""What of a derived topic is worth restoring: nothing ahead of its source, and nothing twice."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from app.embedded.files import sync_folder
from app.embedded.partition_log import (
    PartitionLog,
    archived_topics,
    partition_count,
    read_records,
    write_partition_count,
)
from app.embedded.segment import UNREADABLE, ArchivedRecord

TRAINING_SOURCES: Final[Mapping[str, str]] = {"training-ratings": "ratings", "training-reviews": "reviews"}
"""Each training topic and the topic whose positions its records carry."""

_WRITE_RECORDS: Final = 5000
_BUILDING: Final = ".building"
_READY: Final = ".ready"


class _Origin(msgspec.Struct, frozen=True):
    partition: int
    offset: int


class Compaction(NamedTuple):
    """What compacting one topic came to."""

    topic: str
    kept: int
    dropped: int


_origin_decoder = msgspec.json.Decoder(_Origin)


def current_lessons(records: Iterable[ArchivedRecord], source_ends: Mapping[int, int]) -> Iterator[ArchivedRecord]:
    """The training records to keep, in order.

    Dropped: a record whose source offset is at or beyond its partition's end in `source_ends` (the source record was
    lost, a new one will take that offset, and the learner's watermark would make it skip it), and one whose
    source offset is not above every earlier one of that partition (said again after a restart). Records
    that carry no readable position are kept: what reads the topic decides about them.
    """
    seen: dict[int, int] = {}
    for record in records:
        try:
            origin = _origin_decoder.decode(record.value or b"")
        except UNREADABLE:
            yield record
            continue
        if seen.get(origin.partition, -1) < origin.offset < source_ends.get(origin.partition, 0):
            seen[origin.partition] = origin.offset
            yield record


def compact(directory: Path) -> list[Compaction]:
    """Rewrite the training topics of an archive that have something to drop; offsets are counted anew from 0.

    No archiver may run on the directory meanwhile. Raises ArchiveDamagedError.
    """
    for topic in TRAINING_SOURCES:
        _finish(directory, topic)
    present = set(archived_topics(directory))
    return [_compact_topic(directory, topic, source) for topic, source in TRAINING_SOURCES.items() if topic in present]


def _compact_topic(directory: Path, topic: str, source: str) -> Compaction:
    partitions = range(partition_count(directory, topic) or 0)
    ends = _archived_ends(directory, source)
    total = kept = 0
    in_place = True
    for partition in partitions:
        for expected, record in enumerate(_lessons(directory, topic, partition, ends)):
            kept += 1
            in_place = in_place and record.offset == expected
        total += sum(len(records) for records in read_records(directory, topic, partition))
    if kept != total or not in_place:
        _rewrite(directory, topic, ends)
    return Compaction(topic, kept, total - kept)


def _lessons(directory: Path, topic: str, partition: int, ends: Mapping[int, int]) -> Iterator[ArchivedRecord]:
    return current_lessons(chain.from_iterable(read_records(directory, topic, partition)), ends)


def _archived_ends(directory: Path, topic: str) -> dict[int, int]:
    ends = {}
    for partition in range(partition_count(directory, topic) or 0):
        part = PartitionLog(directory, topic, partition)
        ends[partition] = part.end
        part.close()
    return ends


def _rewrite(directory: Path, topic: str, ends: Mapping[int, int]) -> None:
    building = directory / _BUILDING
    shutil.rmtree(building, ignore_errors=True)
    count = partition_count(directory, topic) or 0
    write_partition_count(building, topic, count)
    for partition in range(count):
        part = PartitionLog(building, topic, partition)
        lessons = _lessons(directory, topic, partition, ends)
        while batch := list(islice(lessons, _WRITE_RECORDS)):
            first = part.end
            part.append([_renumbered(record, first + n) for n, record in enumerate(batch)])
        part.close()
    (directory / _READY).mkdir(exist_ok=True)
    (building / topic).rename(directory / _READY / topic)
    sync_folder(directory / _READY)
    _finish(directory, topic)


def _finish(directory: Path, topic: str) -> None:
    """Put a completely rewritten topic in the old one's place, also where a kill came in between."""
    ready = directory / _READY / topic
    if ready.exists():
        shutil.rmtree(directory / topic, ignore_errors=True)
        ready.rename(directory / topic)
        sync_folder(directory)


def _renumbered(record: ArchivedRecord, offset: int) -> ArchivedRecord:
    return ArchivedRecord(offset, record.timestamp, record.key, record.value, record.headers)

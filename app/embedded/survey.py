"""What an archive holds, and whether every byte of it is still what was written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from app.embedded.partition_log import archived_topics, partition_count, read_records, segment_files
from app.embedded.segment import ArchiveDamagedError, Torn, read_frames, read_prologue


class PartitionSurvey(msgspec.Struct, frozen=True):
    """One partition of an archive: `first` and `end` offsets (end: after the last), sizes in bytes.

    `torn_bytes` are at the end of the last segment: an archiver is writing them or was killed while it did.
    """

    topic: str
    partition: int
    segments: int
    bytes: int
    records: int
    first: int | None
    end: int
    torn_bytes: int


class VerifyReport(msgspec.Struct, frozen=True):
    """What `verify` found; an archive is sound when `damage` is empty."""

    records: int
    bytes: int
    partitions: list[PartitionSurvey]
    damage: list[str]


def survey(directory: Path) -> list[PartitionSurvey]:
    """What is in an archive, by its frames' checksums and counts. Raises ArchiveDamagedError."""
    return [_survey(directory, topic, partition) for topic, partition in _archived(directory)]


def verify(directory: Path) -> VerifyReport:
    """Read everything in an archive and name all that is damaged."""
    partitions, damage = [], []
    for topic, partition in _archived(directory):
        try:
            for _ in read_records(directory, topic, partition):
                pass
            partitions.append(_survey(directory, topic, partition))
        except ArchiveDamagedError as found:
            damage.append(str(found))
    records, size = sum(p.records for p in partitions), sum(p.bytes for p in partitions)
    return VerifyReport(records, size, partitions, damage)


def _archived(directory: Path) -> Iterator[tuple[str, int]]:
    for topic in archived_topics(directory):
        for partition in range(partition_count(directory, topic) or 0):
            yield topic, partition


def _survey(directory: Path, topic: str, partition: int) -> PartitionSurvey:
    files = segment_files(directory, topic, partition)
    records = end = torn = 0
    first: int | None = None
    for path in files:
        with path.open("rb") as file:
            if read_prologue(file, path, topic, partition) is None:
                torn = path.stat().st_size
                continue
            for found in read_frames(file, path):
                if isinstance(found, Torn):
                    torn = path.stat().st_size - found.start
                    continue
                first = found.first if first is None else first
                records += found.records
                end = found.last + 1
    size = sum(path.stat().st_size for path in files)
    return PartitionSurvey(topic, partition, len(files), size, records, first, end, torn)

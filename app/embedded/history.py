"""Archived records as the stages read them: a whole topic in the order in which its records came."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Any

from app.delivery.raw import Raw
from app.embedded.partition_log import PartitionLog, partition_count, read_records


def archive_dir(data_dir: Path) -> Path:
    """Where the archive of a data directory lies."""
    return data_dir / "archive"


def ends(directory: Path, topic: str) -> dict[int, int]:
    """The offset after the last one of each partition. Cuts off what a power cut left half written."""
    found = {}
    for partition in range(partition_count(directory, topic) or 0):
        part = PartitionLog(directory, topic, partition)
        found[partition] = part.end
        part.close()
    return found


def records(directory: Path, topic: str) -> Iterator[Raw]:
    """Every record, each partition in its order and the partitions merged by time. Raises ArchiveDamagedError."""
    lanes = [_lane(directory, topic, n) for n in range(partition_count(directory, topic) or 0)]
    if len(lanes) == 1:
        return lanes[0]
    # A lane whose clock went back keeps its order: merging looks at the head of each lane only.
    return heapq.merge(*lanes, key=attrgetter("timestamp"))


def chunks(directory: Path, topic: str, size: int) -> Iterator[list[Raw]]:
    """The records of a topic, `size` at a time."""
    found = records(directory, topic)
    while chunk := list(islice(found, size)):
        yield chunk


def _lane(directory: Path, topic: str, partition: int) -> Iterator[Raw]:
    for frame in read_records(directory, topic, partition):
        for found in frame:
            headers: Any = list(found.headers)
            yield Raw(topic, partition, found.offset, found.timestamp, found.key, found.value, headers)

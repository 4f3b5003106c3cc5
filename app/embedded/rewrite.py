"""Puts other records into the place of some of an archive's, segment by segment, so that every offset stays."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

from app.embedded.files import sync_folder
from app.embedded.segment import (
    ArchiveDamagedError,
    ArchivedRecord,
    Torn,
    frame_bytes,
    prologue_bytes,
    read_frames,
    read_prologue,
    unpack,
)

Change = Callable[[ArchivedRecord], ArchivedRecord]
"""What is to stand in the place of a record: the very same one where nothing changes."""


def rewrite_segment(path: Path, topic: str, partition: int, change: Change) -> int:
    """Replace a segment that nobody appends to; how many records changed. The old or the new one stays.

    Raises ArchiveDamagedError and OSError.
    """
    temporary = path.with_name(f".{path.name}.erased")
    temporary.unlink(missing_ok=True)
    count = sum(old is not new for old, new in chain.from_iterable(_pairs(path, topic, partition, change)))
    if not count:
        return 0
    with path.open("rb") as file, temporary.open("wb") as out:
        prologue = read_prologue(file, path, topic, partition)
        assert prologue is not None
        out.write(prologue_bytes(topic, partition, prologue))
        for frame in _pairs(path, topic, partition, change):
            out.write(frame_bytes([new for _, new in frame]))
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(path)
    sync_folder(path.parent)
    return count


def _pairs(
    path: Path, topic: str, partition: int, change: Change
) -> Iterator[list[tuple[ArchivedRecord, ArchivedRecord]]]:
    """Each frame's records as they are, and as they are to be."""
    with path.open("rb") as file:
        read_prologue(file, path, topic, partition)
        for frame in read_frames(file, path):
            if isinstance(frame, Torn):
                raise ArchiveDamagedError(f"{path}: damaged records at byte {frame.start}")
            yield [(record, change(record)) for record in unpack(frame, path)]

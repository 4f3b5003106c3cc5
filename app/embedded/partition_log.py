"""The archive of one partition: a folder of segments that is appended to, rotated, read and mended."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from app.embedded.files import sync_folder, write_atomically
from app.embedded.segment import (
    SUFFIX,
    ArchiveDamagedError,
    ArchivedRecord,
    ArchiveError,
    Frame,
    Prologue,
    Torn,
    frame_bytes,
    prologue_bytes,
    read_frames,
    read_prologue,
    unpack,
)

log = logging.getLogger(__name__)

SEGMENT_BYTES: Final = 64 << 20
_TOPIC_FILE: Final = "topic.json"


def partition_folder(directory: Path, topic: str, partition: int) -> Path:
    """Where the segments of a partition lie."""
    return directory / topic / str(partition)


def segment_files(directory: Path, topic: str, partition: int) -> list[Path]:
    """The segments of a partition, oldest first."""
    return sorted(partition_folder(directory, topic, partition).glob(f"*{SUFFIX}"))


def write_partition_count(directory: Path, topic: str, count: int) -> None:
    """Note how many partitions a topic has. Raises ArchiveError where the archive has it with another number."""
    known = partition_count(directory, topic)
    if known is None:
        write_atomically(directory / topic / _TOPIC_FILE, msgspec.json.encode({"partitions": count}))
    elif known != count:
        raise ArchiveError(f"topic {topic} has {count} partitions, but {known} in the archive {directory}")


def partition_count(directory: Path, topic: str) -> int | None:
    """How many partitions an archived topic has; None where it is not archived."""
    try:
        raw = (directory / topic / _TOPIC_FILE).read_bytes()
    except FileNotFoundError:
        return None
    return msgspec.json.decode(raw, type=dict[str, int])["partitions"]


def archived_topics(directory: Path) -> list[str]:
    """The topics in an archive, in order."""
    return sorted(path.parent.name for path in directory.glob(f"*/{_TOPIC_FILE}"))


def read_records(directory: Path, topic: str, partition: int) -> Iterator[list[ArchivedRecord]]:
    """Every record of a partition, a frame at a time; stops before a torn end. Raises ArchiveDamagedError."""
    expected = -1
    files = segment_files(directory, topic, partition)
    for path in files:
        with path.open("rb") as file:
            prologue = read_prologue(file, path, topic, partition)
            if prologue is None:
                if path != files[-1]:
                    raise ArchiveDamagedError(f"{path}: ends within its beginning")
                return
            if prologue.previous_end != expected:
                raise ArchiveDamagedError(f"{path}: the segment before it is missing or ends elsewhere")
            expected = prologue.base
            for found in read_frames(file, path):
                if isinstance(found, Torn):
                    if found.whole or path != files[-1]:
                        raise ArchiveDamagedError(f"{path}: damaged records at byte {found.start}")
                    return
                if found.first < expected:
                    raise ArchiveDamagedError(f"{path}: offsets out of order at byte {found.start}")
                yield unpack(found, path)
                expected = found.last + 1


class PartitionLog:
    """Appends to the archive of one partition. One writer at a time.

    Opening it cuts a torn end off the last segment (the tail that was not synced when the power went), so
    `end` is the offset after the last record that is really there.
    """

    def __init__(self, directory: Path, topic: str, partition: int, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.topic, self.partition = topic, partition
        self.end = 0
        self.last: ArchivedRecord | None = None
        self._directory = directory
        self._folder = partition_folder(directory, topic, partition)
        self._segment_bytes = segment_bytes
        self._file: BinaryIO | None = None
        self._size = 0
        self._dirty = False
        self._folder.mkdir(parents=True, exist_ok=True)
        self._recover()

    def append(self, records: Sequence[ArchivedRecord]) -> None:
        """Write records as one frame; a process that is killed afterwards has not lost them.

        Raises ArchiveError where they do not follow what is there, OSError where the disk does not take them.
        """
        if not records:
            return
        if records[0].offset < self.end:
            raise ArchiveError(
                f"{self.topic}/{self.partition}: offset {records[0].offset} is archived already (end {self.end})"
            )
        if self._file is None or self._size >= self._segment_bytes:
            self._begin_segment(records[0].offset)
        self._write(frame_bytes(records))
        self.last = records[-1]
        self.end = self.last.offset + 1

    def sync(self) -> None:
        """Make everything appended last through a power cut."""
        if self._dirty and self._file is not None:
            os.fsync(self._file.fileno())
            self._dirty = False

    def rotate(self) -> None:
        """Begin a segment of its own with the next record, so that those before may be rewritten."""
        self.close()

    def close(self) -> None:
        """Sync and let go of the file."""
        self.sync()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, content: bytes) -> None:
        assert self._file is not None
        try:
            written = self._file.write(content)
            if written != len(content):
                # Where some were taken and not the rest, there is no room for them.
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._file.name)
        except OSError:
            # Half a frame must not stay in front of the next one.
            os.ftruncate(self._file.fileno(), self._size)
            raise
        self._size += len(content)
        self._dirty = True

    def _begin_segment(self, base: int) -> None:
        previous_end = self.end if segment_files(self._directory, self.topic, self.partition) else -1
        self.close()
        path = self._folder / f"{base:020d}{SUFFIX}"
        self._file = path.open("ab", buffering=0)
        self._size = 0
        try:
            # The chain is by the end of the segment before; a gap between the two is Kafka's own.
            self._write(prologue_bytes(self.topic, self.partition, Prologue(base, previous_end)))
            self.sync()
        except OSError:
            # Nothing may be appended to a segment that has no beginning.
            self._file.close()
            self._file = None
            path.unlink()
            raise
        sync_folder(self._folder)

    def _recover(self) -> None:
        files = segment_files(self._directory, self.topic, self.partition)
        while files:
            path = files.pop()
            if self._adopt(path):
                return
            log.warning("%s: nothing whole in it, removed", path)
            path.unlink()

    def _adopt(self, path: Path) -> bool:
        """Go on with this last segment; False where not even one record of it is whole."""
        with path.open("rb") as file:
            prologue = read_prologue(file, path, self.topic, self.partition)
            if prologue is None:
                return False
            good, last = file.tell(), None
            for found in read_frames(file, path):
                if isinstance(found, Torn):
                    log.warning("%s: cut the torn end off, from byte %d", path, found.start)
                    break
                good, last = found.end, found
        if last is None:
            return False
        self._go_on(path, good, last)
        return True

    def _go_on(self, path: Path, size: int, last: Frame) -> None:
        self.last = unpack(last, path)[-1]
        self.end = last.last + 1
        self._file = path.open("ab", buffering=0)
        os.ftruncate(self._file.fileno(), size)
        self._size = size
        self._dirty = True
        self.sync()

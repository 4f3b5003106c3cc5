"""Room on disk that is kept for the archive, so that what was acknowledged can be archived when the disk is full."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Final

from aiokafka import ConsumerRecord

from app.embedded.history import archive_dir
from app.embedded.process import EmbeddedError

RESERVE_BYTES: Final = 64 << 20
LOW_BYTES: Final = 64 << 20
"""Bytes left, besides the reserve, below which nothing new is taken in."""
MOST_AT_ONCE: Final = 64 << 20
"""More bytes than one fetch of the archiver has."""
SPARE_BYTES: Final = 1 << 20
"""Beyond what is to be written: blocks, folders, and others who write at the same time."""
_POLL_SECONDS: Final = 0.2
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class DiskFullError(EmbeddedError):
    """Marquee has to stop while there is room for what it has; the text says what to do."""


def no_room(data_dir: Path, low: int = LOW_BYTES) -> str | None:
    """Why nothing new is taken in by the embedded Marquee of a data directory; None where there is room, or none is."""
    try:
        left = shutil.disk_usage(archive_dir(data_dir)).free
    except OSError:
        return None
    if left >= low:
        return None
    return (
        f"the disk of {data_dir} is nearly full ({left >> 20} MiB left, {low >> 20} are needed): make room there first"
    )


class Reserve:
    """A file of allocated blocks, given back piece by piece once nothing else is left for the archive."""

    def __init__(self, data_dir: Path, size: int = RESERVE_BYTES) -> None:
        self.used = False
        """Whether the archive had to live on it."""
        self._data_dir = data_dir
        self._path = data_dir / "run" / "reserve"
        self._size = size

    def allocate(self) -> None:
        """Take what is missing of it. Raises DiskFullError."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as file:
                _allocate(file.fileno(), self._size)
        except OSError as error:
            self.release()
            raise DiskFullError(
                f"no room for the {self._size >> 20} MiB that are kept for the archive in {self._data_dir} "
                f"({error.strerror}): make room on that disk and start again; nothing that was accepted is lost"
            ) from error

    def make_room(self, coming: Iterable[Sequence[ConsumerRecord]]) -> None:
        """Give back as much as is missing for these records to be archived."""
        left = shutil.disk_usage(self._data_dir).free
        if left >= MOST_AT_ONCE:
            return
        size = sum(map(_size, chain.from_iterable(coming)))
        missing = size + SPARE_BYTES - left
        if not size or missing <= 0:
            return
        self._give_back(missing)

    def write(self, append: Callable[[], None]) -> None:
        """Write something, with more given back as often as another process was quicker to take it.

        Raises OSError where the disk does not take it though nothing is left to give.
        """
        while True:
            try:
                return append()
            except OSError as error:
                if error.errno not in _FULL or not self._give_back(SPARE_BYTES):
                    raise

    def full(self) -> DiskFullError | None:
        """What to say, where no room is left or the archive lives on what was kept for it."""
        roomy = not self.used and shutil.disk_usage(self._data_dir).free >= SPARE_BYTES
        return None if roomy else self._error()

    def release(self) -> None:
        """Give all of it back."""
        self._path.unlink(missing_ok=True)

    async def watch(self) -> None:
        """Raises DiskFullError once the archive lives on it: stopping at once leaves room for all that was accepted."""
        while not self.used:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_SECONDS)
        raise self._error()

    def _error(self) -> DiskFullError:
        return DiskFullError(
            f"the disk of {self._data_dir} is full: Marquee stops while what it accepted can still be archived; "
            "make room on that disk and start again"
        )

    def _give_back(self, missing: int) -> bool:
        """Whether there was something to give."""
        self.used = True
        try:
            size = self._path.stat().st_size
            os.truncate(self._path, max(0, size - missing))
        except FileNotFoundError:
            return False
        return size > 0


def _size(record: ConsumerRecord) -> int:
    """Bytes in the archive at most."""
    headers = sum(len(name) + len(value or b"") + 16 for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers + 64


def _allocate(descriptor: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
        return
    # Not everywhere: bytes that are written take blocks as well.
    missing = size - os.fstat(descriptor).st_size
    for start in range(0, missing, 1 << 20):
        os.write(descriptor, b"\0" * min(1 << 20, missing - start))

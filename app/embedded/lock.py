"""One Marquee a data directory: a lock that the system lets go of when its holder dies."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from app.embedded.process import EmbeddedError

LOCK_NAME: Final = "marquee.lock"


def make_directory(data_dir: Path) -> None:
    """Make the data directory where it is not there. Raises EmbeddedError where none can be."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = "a file, not a directory" if data_dir.exists() else error.strerror
        raise EmbeddedError(
            f"{data_dir}: {why}; name another data directory with --data-dir or [storage] data"
        ) from error


class DirectoryLock:
    """An exclusive lock on a data directory."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / LOCK_NAME
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock. Raises EmbeddedError where another process holds it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        if not _try_lock(descriptor):
            holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise EmbeddedError(
                f"another Marquee (pid {holder}) uses {self._path.parent}: stop it, or give this one another --data-dir"
            )
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Let go of the lock. The file stays: removing it would let two holders lock two files."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def is_locked(data_dir: Path) -> bool:
    """Whether a Marquee holds this data directory now."""
    try:
        descriptor = os.open(data_dir / LOCK_NAME, os.O_RDWR)
    except OSError:
        return False
    try:
        return not _try_lock(descriptor)
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    # Imported here: the module is missing on Windows, where embedded mode must still say what to do instead.
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

"""Makes files last through a power cut, all that wait for it at once."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from agents.errors import Unavailable
from app.embedded.files import sync_folder

_OPEN: Final = 64
"""Files that are open at once."""


class Syncer:
    """One flight at a time, in a thread: whoever asks meanwhile goes with the next.

    A disk takes as long for one file as for many, since each call writes the file system's journal; a process that
    decodes would be idle for more than half of its time.
    """

    def __init__(self) -> None:
        self._waiting: dict[Path, list[asyncio.Future[None]]] = {}
        self._flight: asyncio.Task[None] | None = None

    async def sync(self, path: Path) -> None:
        """Return once a file, and its name, are on the disk; one that is gone is done with.

        Raises Unavailable where the disk does not take it.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(path, []).append(future)
        if self._flight is None:
            self._flight = asyncio.create_task(self._fly())
        await future

    async def _fly(self) -> None:
        while self._waiting:
            flying, self._waiting = self._waiting, {}
            error: Exception | None = None
            try:
                await asyncio.to_thread(sync_files, list(flying))
            except OSError as failed:
                error = Unavailable(f"the pictures' folder: {failed}")
            for future in (future for futures in flying.values() for future in futures):
                if future.done():
                    continue
                if error is None:
                    future.set_result(None)
                else:
                    future.set_exception(error)
        self._flight = None


def sync_files(paths: Iterable[Path]) -> None:
    """Files first, then the folders that name them, then those that name the folders. Raises OSError."""
    left = list(paths)
    for start in range(0, len(left), _OPEN):
        _sync_some(left[start : start + _OPEN])
    folders = dict.fromkeys((*(path.parent for path in left), *(path.parent.parent for path in left)))
    for folder in folders:
        with suppress(FileNotFoundError):
            sync_folder(folder)


def _sync_some(paths: Iterable[Path]) -> None:
    with ExitStack() as closing:
        descriptors = []
        for path in paths:
            with suppress(FileNotFoundError):
                descriptor = os.open(path, os.O_RDONLY)
                closing.callback(os.close, descriptor)
                _begin(descriptor)
                descriptors.append(descriptor)
        for descriptor in descriptors:
            os.fsync(descriptor)


def _begin(descriptor: int) -> None:
    """Have the system write a file without waiting, where it can: only then do many share a write of the journal."""
    if sys.platform == "linux":
        # What is being written does not leave the memory, whatever the name of the advice says.
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

"""Makes files last through a power cut, all that wait for it at once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from agents.errors import Unavailable
from app.embedded.files import sync_folder


class Syncer:
    """One flight at a time, in a thread: whoever asks meanwhile goes with the next.

    A disk takes as long for one file as for many, since each call writes the file system's journal; a process that
    decodes would be idle for more than half of its time.
    """

    def __init__(self) -> None:
        self._waiting: dict[Path, list[asyncio.Future[None]]] = {}
        self._flight: asyncio.Task[None] | None = None

    async def sync(self, *paths: Path) -> None:
        """Return once these files, and their names, are on the disk; one that is gone is done with.

        Raises Unavailable where the disk does not take them.
        """
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in paths]
        for path, future in zip(paths, futures, strict=True):
            self._waiting.setdefault(path, []).append(future)
        if self._flight is None:
            self._flight = asyncio.create_task(self._fly())
        await asyncio.gather(*futures)

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
    folders: set[Path] = set()
    for path in paths:
        folders |= {path.parent, path.parent.parent}
        with suppress(FileNotFoundError), path.open("rb", buffering=0) as file:
            os.fsync(file.fileno())
    for folder in folders:
        with suppress(FileNotFoundError):
            sync_folder(folder)

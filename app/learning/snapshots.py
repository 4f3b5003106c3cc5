"""Snapshots of models: content-addressed files, and a pointer that only moves forward."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, Self, TypeVar

from app.observe import metrics
from app.settings import Settings
from models.snapshot import Snapshot, SnapshotCorrupt, SnapshotIncompatible, digest_of, pack, unpack

log = logging.getLogger(__name__)

L = TypeVar("L")

FORGOTTEN: Final = "forgotten_up_to"
"""Among a pointer's facts: the last forgetting that its snapshot is from after; 0 for models that know nobody."""


class Pointer(Protocol):
    """Which snapshot of a model is the newest."""

    applied_offset: int
    digest: str


class Pointers(Protocol):
    """Where the pointers lie. Calls raise agents.errors.Unavailable while the store does not answer."""

    async def advance(self, model: str, applied_offset: int, digest: str, facts: dict[str, Any]) -> bool:
        """Point at a newer snapshot; False where the pointer already stands as far or further."""

    async def recent(self, model: str) -> list[Any]:
        """Pointers of a model, newest first."""

    async def drop(self, model: str, pointers: Sequence[Any]) -> None:
        """Take former pointers of a model away."""


class SnapshotKeeper:
    """Writes, finds and thins out the snapshots of all models."""

    def __init__(
        self,
        directory: Path,
        pointers: Pointers,
        every_lessons: int,
        every_seconds: float,
        keep: int,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._directory = directory
        self._pointers = pointers
        self._every_lessons = every_lessons
        self._every_seconds = every_seconds
        self._keep = keep
        self._now = now
        self.newest_at: dict[str, float] = {}
        """When the newest snapshot of each model was made, in seconds since 1970."""

    @classmethod
    def of(cls, settings: Settings, pointers: Pointers) -> Self:
        """The one that settings ask for."""
        learning = settings.learning
        often = learning.snapshot_lessons, learning.snapshot_seconds
        return cls(settings.snapshot_dir, pointers, *often, learning.keep_snapshots)

    def due(self, lessons: int, seconds: float) -> bool:
        """Whether a model that learnt `lessons` in `seconds` since its last snapshot needs another."""
        return lessons >= self._every_lessons or (lessons > 0 and seconds >= self._every_seconds)

    async def newest(self, model: str, load: Callable[[bytes], L]) -> tuple[L, int] | None:
        """The model of the newest snapshot that can be read, and the offset applied to it; None where there is none.

        Raises Unavailable while the pointers cannot be read.
        """
        for pointer in await self._pointers.recent(model):
            path = self._path(model, pointer.digest)
            try:
                snapshot = unpack(await asyncio.to_thread(path.read_bytes))
                found = load(snapshot.state), snapshot.applied_offset
            except (OSError, SnapshotCorrupt, SnapshotIncompatible) as error:
                log.error("%s: snapshot %s cannot be used, trying the one before: %s", model, path, error)
                continue
            self.newest_at[model] = path.stat().st_mtime
            return found
        return None

    async def put(self, model: str, topic: str, learner: Any, applied_offset: int) -> str:
        """Write the model's state and move the pointer; the snapshot's digest.

        Raises Unavailable where the pointer cannot be moved; the file is there all the same.
        """
        snapshot = Snapshot.of(learner, topic=topic, applied_offset=applied_offset, created_at=self._now())
        digest = await asyncio.to_thread(self._write, model, snapshot)
        metrics.SNAPSHOTS.labels(model).inc()
        facts = {
            "lessons": snapshot.counts,
            "metrics": snapshot.metrics,
            "created_at": snapshot.created_at,
            FORGOTTEN: int(getattr(learner, "forgotten_up_to", 0)),
        }
        await self._pointers.advance(model, applied_offset, digest, facts)
        self.newest_at[model] = self._now()
        await asyncio.to_thread(self._thin_out, model)
        return digest

    async def stale(self, model: str, forgotten_up_to: int) -> tuple[list[Any], list[Path]]:
        """Pointers and files of snapshots that were made before somebody was forgotten. Raises Unavailable."""
        pointers = await self._pointers.recent(model)
        older = [pointer for pointer in pointers if _forgotten_up_to(pointer) < forgotten_up_to]
        fresh = {self._path(model, pointer.digest) for pointer in pointers if pointer not in older}
        files = await asyncio.to_thread(lambda: list((self._directory / model).glob("*.*")))
        return older, [path for path in files if path not in fresh]

    async def erase_stale(self, model: str, forgotten_up_to: int) -> None:
        """Delete those, but for the pointer in force, which only a newer snapshot replaces. Raises Unavailable."""
        pointers, files = await self.stale(model, forgotten_up_to)
        # First the files: a pointer without one is passed over, and says that this has to be done again.
        await asyncio.to_thread(_delete, files)
        await self._pointers.drop(model, pointers)

    def _path(self, model: str, digest: str) -> Path:
        return self._directory / model / f"{digest}.snapshot"

    def _write(self, model: str, snapshot: Snapshot) -> str:
        blob = pack(snapshot)
        digest = digest_of(blob)
        path = self._path(model, digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}.tmp")
        with draft.open("wb") as file:
            file.write(blob)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        return digest

    def _thin_out(self, model: str) -> None:
        found = sorted((self._directory / model).glob("*.snapshot"), key=lambda path: path.stat().st_mtime)
        for path in found[: -self._keep]:
            path.unlink(missing_ok=True)


def _forgotten_up_to(pointer: Any) -> int:
    return int(pointer.facts.get(FORGOTTEN, 0))


def _delete(files: Sequence[Path]) -> None:
    for path in files:
        path.unlink(missing_ok=True)

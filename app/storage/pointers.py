"""Which snapshot of a model is the newest: a pointer that only moves forward, and those before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from app.storage.documents import FORMER_SNAPSHOTS, SNAPSHOTS, Documents, joined

KEPT: Final = 50


class Pointer(msgspec.Struct, frozen=True):
    """A snapshot that holds everything up to `applied_offset` of the training topic; `facts` are for people."""

    model: str
    applied_offset: int
    digest: str
    facts: dict[str, Any] = {}


class SnapshotPointers:
    """The pointers of all models. Calls raise Unavailable while the store does not answer."""

    def __init__(self, documents: Documents, kept: int = KEPT) -> None:
        self._current = documents[SNAPSHOTS]
        self._former = documents[FORMER_SNAPSHOTS]
        self._kept = kept

    async def advance(self, model: str, applied_offset: int, digest: str, facts: dict[str, Any]) -> bool:
        """Point at a newer snapshot; False where the pointer already stands as far or further."""
        present = await self.latest(model)
        if present is not None:
            if present.applied_offset >= applied_offset:
                return False
            # Before the pointer moves, so that a crash between the two leaves no gap in the list.
            identity = joined(model, f"{present.applied_offset:020d}")
            await self._former.add([{"_id": identity, **msgspec.structs.asdict(present)}])
        moved = {"_id": model, "model": model, "applied_offset": applied_offset, "digest": digest, "facts": facts}
        # Two owners of a model may meet here for a moment: the guard lets the further one win.
        reached = await self._current.replace([moved], guard="applied_offset")
        await self._thin_out(model)
        return reached > 0

    async def latest(self, model: str) -> Pointer | None:
        """The newest pointer of a model."""
        found = await self._current.get([model])
        return msgspec.convert(found[0], Pointer) if found else None

    async def recent(self, model: str) -> list[Pointer]:
        """Pointers of a model, newest first, no more than are kept."""
        latest = await self.latest(model)
        if latest is None:
            return []
        before = {"model": model, "applied_offset": {"$lt": latest.applied_offset}}
        former = await self._former.find(before, [("applied_offset", -1)], self._kept - 1)
        return [latest, *(msgspec.convert(document, Pointer) for document in former)]

    async def drop(self, model: str, pointers: Sequence[Pointer]) -> None:
        """Take former pointers of a model away, whose snapshots are not to be used any more."""
        await self._former.remove([joined(model, f"{pointer.applied_offset:020d}") for pointer in pointers])

    async def forget(self, model: str) -> None:
        """Take a model's pointers away, before it is learnt anew from the start of the log."""
        former = await self._former.find({"model": model}, fields=["model"])
        await self._former.remove([document["_id"] for document in former])
        await self._current.remove([model])

    async def _thin_out(self, model: str) -> None:
        # One more than is shown: a pointer that has just moved stands in both collections for a moment.
        newest = await self._former.find({"model": model}, [("applied_offset", -1)], fields=["model"])
        await self._former.remove([document["_id"] for document in newest[self._kept :]])

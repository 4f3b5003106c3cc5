"""Has pictures ruled out and their files removed when their source no longer lets them be stored."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from agents.fetch import FOUND_TOO_LATE
from app.storage.documents import IMAGES, Change, Document, Documents
from app.storage.parts import FileName, field_naming, files_of
from app.storage.pictures import PENDING, REJECTED
from schemas.base import Record
from schemas.pictures import RuleImage

AT_ONCE: Final = 200
PATIENCE: Final = timedelta(days=1)
"""So long after its end a claimed picture waits for its judgement; it may never come of one that is a dead letter."""

Tell = Callable[[Sequence[Record]], Awaitable[None]]
Erase = Callable[[Sequence[FileName]], Awaitable[None]]


class PictureExpiry:
    """Looks for pictures that have to go. Calls raise Unavailable; a sweep that is cut is made good by the next.

    An address keeps its document, now of a picture that is ruled out, so that nobody asks for it again. A source that
    still shows the picture moves its end on.
    """

    def __init__(self, documents: Documents) -> None:
        self._items = documents[IMAGES]

    async def sweep(self, at: str, tell: Tell, erase: Erase) -> int:
        """Let go of what might be stored until `at` (RFC 3339, UTC) at the latest; how many pictures.

        `tell` hears the rulings by which claims, verdicts and the face model let go of them too.
        """
        count, last = 0, ""
        late = (datetime.fromisoformat(at) - PATIENCE).isoformat()
        while found := await self._due(at, last):
            last = found[-1]["item_id"]
            # What is still under way will have files, and keeps its term until there is something to let go of.
            over = [item for item in found if not _is_under_way(item, late)]
            # Where nothing was fetched there is nothing to rule on.
            await tell([_ruling(item) for item in over if item["claim"]])
            await erase(await self._own_files(over))
            await self._items.merge([Change(item["_id"], {"expires_at": None}) for item in over])
            count += len(over)
        return count

    async def _due(self, at: str, after: str) -> list[Document]:
        where = {"expires_at": {"$lte": at}, "item_id": {"$gt": after}}
        return await self._items.find(where, [("item_id", 1)], AT_ONCE)

    async def _own_files(self, items: list[Document]) -> list[FileName]:
        """The files that these items name, and no other."""
        names = {item["_id"] for item in items}
        found = sorted({file for item in items for file in files_of(item)})
        return [file for file in found if not await self._named_by_others(file, names)]

    async def _named_by_others(self, file: FileName, items: set[str]) -> bool:
        where = {field_naming(file): file[1], "verdict": {"$ne": REJECTED}}
        others = await self._items.find(where, fields=["item_id"])
        return any(other["_id"] not in items for other in others)


def _is_under_way(item: Document, late: str) -> bool:
    """Whether a picture is yet to be fetched, claimed or judged; not for ever where it ended (RFC 3339) by `late`."""
    if item["claim"]:
        return item["verdict"] == PENDING and not item["judged"] and bool(item["expires_at"] > late)
    found, refused = item["found"], item["fetch"]
    if not refused:
        return True
    # What was refused for good is not asked for again, however often it is found.
    final = refused["verdict"] == REJECTED and not refused["reason"].startswith(FOUND_TOO_LATE)
    return not final and bool(found) and found["at"] > refused["at"]


def _ruling(item: Document) -> RuleImage:
    return RuleImage(
        item_id=item["item_id"],
        celebrity_id=item["celebrity_id"],
        decision="reject",
        note=f"its source lets it be stored until {item['expires_at']}",
        over=True,
    )

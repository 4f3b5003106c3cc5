"""Has pictures ruled out and their files removed when their source no longer lets them be stored."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from app.storage.documents import IMAGES, Change, Document, Documents
from app.storage.parts import FileName, files_of
from schemas.base import Record
from schemas.pictures import RuleImage

AT_ONCE: Final = 200

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
        count = 0
        while found := await self._items.find({"expires_at": {"$lte": at}}, limit=AT_ONCE):
            # What was never claimed was never fetched: there is nothing to rule on.
            await tell([_ruling(item) for item in found if item["claim"]])
            await erase(await self._own_files(found))
            await self._items.merge([Change(item["_id"], {"expires_at": None}) for item in found])
            count += len(found)
        return count

    async def _own_files(self, items: list[Document]) -> list[FileName]:
        """The files that these items name, and no other."""
        names = {item["_id"] for item in items}
        found = sorted({file for item in items for file in files_of(item)})
        return [file for file in found if not await self._named_by_others(file, names)]

    async def _named_by_others(self, file: FileName, items: set[str]) -> bool:
        area, sha256 = file
        field = "claim.image_id" if area == "original" else "clean"
        others = await self._items.find({field: sha256, "verdict": {"$ne": "rejected"}}, fields=["item_id"])
        return any(other["_id"] not in items for other in others)


def _ruling(item: Document) -> RuleImage:
    return RuleImage(
        item_id=item["item_id"],
        celebrity_id=item["celebrity_id"],
        decision="reject",
        note=f"its source lets it be stored until {item['expires_at']}",
        over=True,
    )

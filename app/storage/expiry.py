"""Removes documents whose source no longer lets them be stored, with what was made of them.

An index with a time to live would do without this, but not take along the predictions and sentiments of what it
removes, tell the tables, count, or keep to an injected clock.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from app.storage.documents import (
    MENTIONS,
    PREDICTIONS,
    RATINGS,
    REVIEWS,
    REVISIONS,
    SENTIMENTS,
    Collection,
    Document,
    Documents,
    joined,
)
from schemas.base import Record
from schemas.mentions import ResolveMention
from schemas.terms import SourceTerms

AT_ONCE: Final = 500
FOLLOWERS: Final = {RATINGS: PREDICTIONS, REVISIONS: PREDICTIONS, REVIEWS: SENTIMENTS}
"""What is limited, and what was said because of it."""

Tell = Callable[[Sequence[Record]], Awaitable[None]]


def limits(terms: SourceTerms | None) -> Document:
    """The fields that say until when a document may be stored and what must be shown with it; none where none hold."""
    if terms is None:
        return {}
    known = {"expires_at": terms.expires_at, "attribution": terms.attribution}
    return {name: value for name, value in known.items() if value}


class Expiry:
    """Looks for what has to go. Calls raise Unavailable; a sweep that is cut is made good by the next."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def sweep(self, at: str, tell: Tell) -> dict[str, int]:
        """Remove what might be stored until `at` (RFC 3339, UTC) at the latest; how many documents, by collection.

        `tell` hears first of mentions that go: their text also stands in a table.
        """
        gone = await self.remove(at)
        gone[MENTIONS] = await self._mentions(at, tell)
        return gone

    async def remove(self, at: str) -> dict[str, int]:
        """The ratings and reviews among what a sweep removes; nobody needs to hear of them."""
        return {name: await self._collection(name, follower, at) for name, follower in FOLLOWERS.items()}

    async def due(self, at: str) -> int:
        """How many documents there are that a sweep would remove, not counting what goes with them."""
        names = (*FOLLOWERS, MENTIONS)
        return sum([await self._documents[name].count({"expires_at": {"$lte": at}}) for name in names])

    async def _collection(self, name: str, follower: str, at: str) -> int:
        collection, count = self._documents[name], 0
        while found := await _due(collection, at, "film_id", "cause_id"):
            # These first: without the rating, a sweep that was cut would not find its prediction again.
            said = [joined(document["film_id"], document["cause_id"]) for document in found]
            await self._documents[follower].remove(said)
            await _remove(collection, found, at)
            count += len(found)
        return count

    async def _mentions(self, at: str, tell: Tell) -> int:
        collection, count = self._documents[MENTIONS], 0
        while found := await _due(collection, at, "expires_at"):
            await tell([ResolveMention(mention_id=each["_id"], expired=each["expires_at"]) for each in found])
            await _remove(collection, found, at)
            count += len(found)
        return count


async def _due(collection: Collection, at: str, *fields: str) -> list[Document]:
    return await collection.find({"expires_at": {"$lte": at}}, limit=AT_ONCE, fields=fields)


async def _remove(collection: Collection, found: list[Document], at: str) -> None:
    # What was renewed since it was found stays.
    await collection.remove([document["_id"] for document in found], {"expires_at": {"$lte": at}})

"""The read side of people and their pictures, from the documents that the projections wrote."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final, get_args

import msgspec

from agents.messages import rfc3339
from app.storage.documents import CELEBRITIES, FORGOTTEN, IMAGES, Document, Documents, Filter, value_at
from app.storage.paging import (
    BadQueryError,
    Order,
    Page,
    Position,
    checked_limit,
    decode_cursor,
    encode_cursor,
    order_of,
    position_of,
    rows_behind,
    words_filter,
)
from app.storage.parts import FileName, field_naming, files_of, holds_claim
from app.storage.picture_views import (
    CelebrityRow,
    CelebrityView,
    Forgotten,
    ItemView,
    PeopleCounts,
    SourceTally,
    Verdict,
)
from app.storage.pictures import CONFLICT, KEPT
from app.storage.same_person import same_person
from app.storage.tombstones import Tombstone, by_person

VERDICTS: Final[tuple[Verdict, ...]] = get_args(Verdict)
PEOPLE_ORDERS: Final = {
    "name": Order("name_key", 1, text=True, id="celebrity_id"),
    "registered": Order("registered_at", -1, text=True, id="celebrity_id"),
}
"""What people can be sorted by, in the direction that is looked for first; a minus in front turns it round."""

OF_OTHERS: Final = "images of others that name the person"

_AT_ONCE: Final = 16

# Of several items with the same picture, the one that people mean: the claimed one before its copies.
_MEANT: Final = ("kept", "pending", "quarantined", "conflict", "rejected", "failed", "duplicate")


class ItemPosition(msgspec.Struct, frozen=True, array_like=True):
    """The last item of a page of one person's items with one verdict."""

    celebrity_id: str
    verdict: str | None
    item_id: str


class PictureQueries:
    """Questions about people and pictures.

    Calls raise Unavailable while the store does not answer, BadQueryError for nonsense.
    """

    def __init__(self, documents: Documents) -> None:
        self._people = documents[CELEBRITIES]
        self._items = documents[IMAGES]
        self._forgotten = documents[FORGOTTEN]

    async def celebrities(
        self, search: str | None = None, sort: str = "name", limit: int = 50, cursor: str | None = None
    ) -> Page[CelebrityRow]:
        """People whose name holds every word of `search`, whatever case and accents, in a stable order."""
        order = order_of(sort, PEOPLE_ORDERS)
        position = position_of(cursor, sort, order)
        checked_limit(limit)
        where = words_filter("name_key", search)
        if where is None:
            return Page([])
        found = await rows_behind(self._people, order, position, where, limit + 1)
        rows = found[:limit]
        counts = await asyncio.gather(*(self._by_verdict(row["_id"]) for row in rows))
        others = await asyncio.gather(*(same_person(self._people, row) for row in rows))
        items = [_row(row, images, same) for row, images, same in zip(rows, counts, others, strict=True)]
        if len(found) <= limit:
            return Page(items)
        last = Position(sort, value_at(rows[-1], order.field), rows[-1]["celebrity_id"])
        return Page(items, encode_cursor(last))

    async def celebrity(self, celebrity_id: str) -> CelebrityView | None:
        """All that is known of a person, who may be known by pictures alone; None where nothing is."""
        (found, images, sources) = await asyncio.gather(
            self._people.get([celebrity_id]), self._by_verdict(celebrity_id), self._by_source(celebrity_id)
        )
        if not found and not images:
            return None
        document = found[0] if found else {"celebrity_id": celebrity_id}
        row = _row(document, images, await same_person(self._people, document))
        return CelebrityView(**msgspec.structs.asdict(row), sources=sources)

    async def same_person(self, celebrity_id: str) -> dict[str, str]:
        """People with other ids who are the same person, and by what, in words; also of somebody unknown."""
        found = await self._people.get([celebrity_id])
        return await same_person(self._people, found[0] if found else {"celebrity_id": celebrity_id})

    async def images(
        self, celebrity_id: str, verdict: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[ItemView]:
        """A person's items, one an address, only those with a verdict where one is named; in an order that stays."""
        if verdict is not None and verdict not in VERDICTS:
            raise BadQueryError(f"verdict: {verdict!r} is none of {', '.join(VERDICTS)}")
        checked_limit(limit)
        where: dict[str, Any] = {"celebrity_id": celebrity_id} | ({"verdict": verdict} if verdict else {})
        if cursor is not None:
            where["item_id"] = {"$gt": _behind(cursor, celebrity_id, verdict)}
        found = await self._items.find(where, [("item_id", 1)], limit + 1)
        items = [_item(document) for document in found[:limit]]
        more = len(found) > limit
        return Page(items, encode_cursor(ItemPosition(celebrity_id, verdict, items[-1].item_id)) if more else None)

    async def item(self, celebrity_id: str, name: str) -> ItemView | None:
        """A person's item by its own id or by its picture's; where several have the picture, the one that claims it."""
        found = [one for one in await self._items.get([name]) if one["celebrity_id"] == celebrity_id]
        for part in ("claim", "judged", "fetch"):
            found = found or await self._items.find({"celebrity_id": celebrity_id, f"{part}.image_id": name})
        return min(
            (_item(one) for one in found), key=lambda one: (_MEANT.index(one.verdict), one.item_id), default=None
        )

    async def contenders(self, image_id: str) -> list[ItemView]:
        """Items of other people that a label conflict keeps from the picture `image_id`."""
        found = await self._items.find({"claim.duplicate_of": image_id, "verdict": CONFLICT}, [("item_id", 1)])
        return [_item(document) for document in found]

    async def claimed(self, image_id: str) -> list[ItemView]:
        """Items, whosever they are, that hold the picture `image_id` or are kept from it by a label conflict."""
        found = await self._items.find({"claim.image_id": image_id}, [("item_id", 1)])
        return [_item(one) for one in found if one["verdict"] == CONFLICT or holds_claim(one)]

    async def cleaned(self, digest: str) -> str | None:
        """The SHA-256 of the cleaned file that a document names by it or by the picture's id; None where none does."""
        for field in ("clean", "claim.image_id"):
            found = await self._items.find({field: digest}, fields=["clean"])
            if names := sorted(item["clean"] for item in found if item["clean"]):
                return str(names[0])
        return None

    async def named(self, names: Collection[FileName]) -> set[FileName]:
        """Which of these files any document names; what was refused as it was fetched was never put away."""
        fields = {name: field_naming(name) for name in names}
        found: set[FileName] = set()
        every = list(fields)
        for some in (every[start : start + _AT_ONCE] for start in range(0, len(every), _AT_ONCE)):
            asked = (self._items.find({fields[name]: name[1]}, limit=1, fields=["item_id"]) for name in some)
            answers = await asyncio.gather(*asked)
            found |= {name for name, items in zip(some, answers, strict=True) if items}
        return found

    async def naming(self, name: FileName) -> set[str]:
        """The people whose documents name a file."""
        found = await self._items.find({field_naming(name): name[1]}, fields=["celebrity_id"])
        return {item["celebrity_id"] for item in found}

    async def tombstones(self, people: Collection[str]) -> dict[str, Tombstone]:
        """Those of these people who were ever forgotten, or found without being wanted."""
        return by_person(await self._forgotten.get(list(people)))

    async def counts(self) -> PeopleCounts:
        """How much there is."""
        people, images, kept, conflicts, first = await asyncio.gather(
            self._people.count({}),
            self._items.count({}),
            self._items.count({"verdict": KEPT}),
            self._items.count({"verdict": CONFLICT}),
            self._items.find({"verdict": CONFLICT}, limit=1, fields=["celebrity_id"]),
        )
        of = first[0]["celebrity_id"] if first else None
        return PeopleCounts(celebrities=people, images=images, kept=kept, conflicts=conflicts, conflict_of=of)

    async def known(self, celebrity_ids: list[str]) -> set[str]:
        """Which of these people are registered."""
        return {found["_id"] for found in await self._people.get(celebrity_ids)}

    async def forgotten(self, celebrity_id: str) -> Forgotten | None:
        """That a person was forgotten, the last time that it happened."""
        found = await self._forgotten.get([celebrity_id])
        if not found:
            return None
        return Forgotten(order=found[0]["order"], event_id=found[0]["cause_id"], at=rfc3339(found[0]["at"]))

    async def graves(self) -> dict[str, int]:
        """Everybody who was ever forgotten, with the decision by which that was the last time."""
        found = await self._forgotten.find({}, fields=["order"])
        return {document["_id"]: document["order"] for document in found if document["order"]}

    async def last_forgotten(self) -> tuple[str, int] | None:
        """Who was forgotten last, and by which decision; None where nobody was."""
        found = await self._forgotten.find({}, [("order", -1)], 1)
        return (found[0]["_id"], found[0]["order"]) if found else None

    async def left(self, celebrity_id: str) -> tuple[dict[str, int], set[FileName]]:
        """How many documents still tell of a person, by kind, and the files that they name."""
        people, items, rivals, faces = await asyncio.gather(
            self._people.get([celebrity_id]),
            self._items.find({"celebrity_id": celebrity_id}),
            self._items.count({"verdict": CONFLICT, "claim.conflict_with": celebrity_id}),
            self._items.count({"celebrity_id": {"$ne": celebrity_id}, "face.recognised": celebrity_id}),
        )
        files = {name for item in items for name in files_of(item)}
        counts = {CELEBRITIES: len(people), IMAGES: len(items), OF_OTHERS: rivals + faces}
        return counts, files

    async def _by_verdict(self, celebrity_id: str) -> dict[Verdict, int]:
        totals = await self._items.totals({"celebrity_id": celebrity_id}, by="verdict", of="place")
        counts = {name: count for name, count, _ in totals}
        return {verdict: counts[verdict] for verdict in VERDICTS if verdict in counts}

    async def _by_source(self, celebrity_id: str) -> list[SourceTally]:
        where: Filter = {"celebrity_id": celebrity_id, "found.source": {"$gte": ""}}
        found = await self._items.totals(where, by="found.source", of="place")
        kept = await self._items.totals({**where, "verdict": KEPT}, by="found.source", of="place")
        stays = {source: count for source, count, _ in kept}
        return [SourceTally(source, count, stays.get(source, 0)) for source, count, _ in found]


def _behind(cursor: str, celebrity_id: str, verdict: str | None) -> str:
    position = decode_cursor(cursor, ItemPosition)
    if (position.celebrity_id, position.verdict) != (celebrity_id, verdict):
        raise BadQueryError("cursor: belongs to another list of pictures")
    return position.item_id


def _row(document: Document, images: dict[Verdict, int], others: Iterable[str]) -> CelebrityRow:
    return msgspec.convert(document | {"images": images, "same_as": sorted(others)}, CelebrityRow)


def _item(document: Document) -> ItemView:
    """What the latest parts say, the later ones over the earlier ones."""
    told: dict[str, Any] = {}
    for part in (document["found"], document["claim"] or document["fetch"], document["judged"], document["face"]):
        told |= part if isinstance(part, Mapping) else {}
    whole = {name: document[name] for name in ("item_id", "celebrity_id", "verdict", "place")}
    return msgspec.convert(told | whole | {"url": document.get("url", ""), "sha256": document["clean"]}, ItemView)

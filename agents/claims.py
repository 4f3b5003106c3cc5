"""The claimed pictures as one event finds and changes them: the table's rows, and the index that follows the rows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol, TypeVar

from models.hash_index import Hashes, HashIndex
from schemas.base import Entity
from schemas.entities import Claim, ClaimedItem
from schemas.ids import derived_id
from schemas.pictures import ImageFetched

V = TypeVar("V", bound=Entity)


class Rows(Protocol[V]):
    """A table's rows of one kind, which can also be listed by the beginning of their keys."""

    def get(self, key: str, default: Any = None) -> Any:
        """The row of `key`, or `default`."""

    def __setitem__(self, key: str, value: V) -> None: ...

    def __delitem__(self, key: str) -> None: ...

    def under(self, prefix: str) -> Iterator[tuple[str, V]]:
        """The rows whose keys begin with `prefix`, in order of their keys."""


class ClaimsRevision(Entity, kw_only=True, array_like=True):
    """Which claims a table holds: a digest over every change so far, by which a cache knows whether it is theirs."""

    digest: str


class ClaimIndex:
    """A cache of the hashes of all claims, which any table's events may use in turn.

    It is made anew from the rows whenever the table is not at the revision at which the cache was left: after another
    worker had the partition, after an event was undone, after a batch was abandoned.
    """

    def __init__(self) -> None:
        self.rebuilds = 0
        self._hashes = HashIndex()
        self._revision: str | None = None

    def __len__(self) -> int:
        return len(self._hashes)

    async def follow(self, images: Rows[Claim], revision: str) -> HashIndex:
        """The hashes of exactly the claims in `images`, which are at `revision`."""
        if revision != self._revision:
            self._revision = None
            # A million rows take seconds, in which the worker must go on saying that it lives.
            self._hashes = await asyncio.to_thread(_read, images)
            self._revision = revision
            self.rebuilds += 1
        return self._hashes

    def put(self, image_id: str, claim: Claim, revision: str) -> None:
        """A claim was written, which brought the table to `revision`."""
        self._revision = None
        self._hashes.add(image_id, hashes_of(claim))
        self._revision = revision

    def drop(self, image_id: str, claim: Claim, revision: str) -> None:
        """A claim was deleted, which brought the table to `revision`."""
        self._revision = None
        self._hashes.remove(image_id, hashes_of(claim))
        self._revision = revision


class Copy(NamedTuple):
    """A claimed picture that another one is a copy of, and who holds it."""

    image_id: str
    celebrity_id: str
    distance: int


class Claims:
    """The table's rows and the index under one event, whose decisions bear the number `order`.

    Rows of `items` are keyed by person and item. A conflict also stands under the person whom it is with, so that all
    rows that name a person lie together. Rows of `images` are keyed by image; where a ruling gave an image to further
    items, each has a row of its own behind it, keyed by image and item.
    """

    def __init__(
        self,
        items: Rows[ClaimedItem],
        images: Rows[Claim],
        revisions: Rows[ClaimsRevision],
        index: ClaimIndex,
        order: int,
    ) -> None:
        self._items = items
        self._images = images
        self._revisions = revisions
        self._index = index
        self.order = order
        stored: ClaimsRevision | None = revisions.get("")
        self._revision = stored.digest if stored else ""

    async def opened(self) -> Claims:
        """With an index that is in step; nothing else may be asked or written before."""
        self._hashes = await self._index.follow(self._images, self._revision)
        return self

    def item(self, celebrity_id: str, item_id: str) -> ClaimedItem | None:
        """What was decided on an item."""
        found: ClaimedItem | None = self._items.get(f"{celebrity_id}|{item_id}")
        return found

    def items_naming(self, celebrity_id: str) -> list[ClaimedItem]:
        """Every item of a person, and every item of others that was refused because of theirs."""
        return [item for _, item in self._items.under(f"{celebrity_id}|")]

    def put(self, item: ClaimedItem) -> None:
        """Write down what was decided."""
        self.erase(item)
        for key in _keys(item):
            self._items[key] = item

    def erase(self, item: ClaimedItem) -> None:
        """Delete every row of an item."""
        before = self.item(item.fetched.celebrity_id, item.fetched.item_id)
        for key in _keys(before) if before else ():
            del self._items[key]

    def copy_of(self, fetched: ImageFetched) -> Copy | None:
        """The claimed picture that this one is a copy of: the nearest of its own person's, else of anybody's.

        Of several at the same distance it is the one whose item was decided on first.
        """
        same: Claim | None = self._images.get(fetched.image_id)
        if same is not None and same.celebrity_id == fetched.celebrity_id:
            return Copy(fetched.image_id, same.celebrity_id, 0)
        near = dict(self._hashes.near(hashes_of(fetched)))
        if same is not None:
            near[fetched.image_id] = 0
        holders = {image_id: self._holder(image_id, fetched.celebrity_id) for image_id in near}
        own = [image_id for image_id, holder in holders.items() if holder.celebrity_id == fetched.celebrity_id]
        pool = own or list(near)
        least = min((near[image_id] for image_id in pool), default=0)
        nearest = [image_id for image_id in pool if near[image_id] == least]
        if not nearest:
            return None
        first = min(nearest, key=lambda found: self._age(holders[found])) if len(nearest) > 1 else nearest[0]
        return Copy(first, holders[first].celebrity_id, least)

    def _holder(self, image_id: str, celebrity_id: str) -> Claim:
        """The claim by which a person holds an image, or else the first that there is."""
        claim: Claim = self._images.get(image_id)
        if claim.celebrity_id == celebrity_id:
            return claim
        shares = (share for _, share in self._images.under(f"{image_id}|"))
        return next((share for share in shares if share.celebrity_id == celebrity_id), claim)

    def holds(self, celebrity_id: str | None, image_id: str | None) -> bool:
        """Whether a person's claim to an image stands, alone or shared."""
        if celebrity_id is None or image_id is None or self._images.get(image_id) is None:
            return False
        return self._holder(image_id, celebrity_id).celebrity_id == celebrity_id

    def take(self, fetched: ImageFetched) -> None:
        """Claim an image for an item, or let the item share in it where another holds it."""
        claim = Claim(
            celebrity_id=fetched.celebrity_id,
            item_id=fetched.item_id,
            phash64=fetched.phash64,
            dhash64=fetched.dhash64,
            phash256=fetched.phash256,
            pipeline=fetched.pipeline,
        )
        held: Claim | None = self._images.get(fetched.image_id)
        if held is None:
            self._claim(fetched.image_id, claim)
        elif held.item_id != fetched.item_id:
            self._images[f"{fetched.image_id}|{fetched.item_id}"] = claim

    def free(self, fetched: ImageFetched) -> None:
        """Give up an item's claim; the first of those that share in the image has it then."""
        image_id = fetched.image_id
        held: Claim | None = self._images.get(image_id)
        if held is None or held.item_id != fetched.item_id:
            del self._images[f"{image_id}|{fetched.item_id}"]
            return
        shares = [share for _, share in self._images.under(f"{image_id}|")]
        self._unclaim(image_id, held)
        if shares:
            heir = min(shares, key=self._age)
            del self._images[f"{image_id}|{heir.item_id}"]
            self._claim(image_id, heir)

    def _claim(self, image_id: str, claim: Claim) -> None:
        self._images[image_id] = claim
        self._index.put(image_id, claim, self._moved(f"+{image_id}"))

    def _unclaim(self, image_id: str, claim: Claim) -> None:
        del self._images[image_id]
        self._index.drop(image_id, claim, self._moved(f"-{image_id}"))

    def _moved(self, change: str) -> str:
        """The table's revision after a change."""
        self._revision = derived_id(self._revision, change, self.order)
        self._revisions[""] = ClaimsRevision(digest=self._revision)
        return self._revision

    def _age(self, claim: Claim) -> tuple[int, str]:
        item = self.item(claim.celebrity_id, claim.item_id)
        return (item.order if item else 0, claim.item_id)


def _read(images: Rows[Claim]) -> HashIndex:
    hashes = HashIndex()
    # What has a second part in its key shares in an image that stands under the first.
    hashes.extend((key, hashes_of(claim)) for key, claim in images.under("") if "|" not in key)
    return hashes


def hashes_of(claim: Claim | ImageFetched) -> Hashes:
    """What copies of a picture are recognised by."""
    return Hashes(claim.phash64, claim.dhash64, claim.phash256, claim.pipeline)


def _keys(item: ClaimedItem) -> list[str]:
    people = [item.fetched.celebrity_id, *([item.conflict_with] if item.conflict_with else [])]
    return [f"{person}|{item.fetched.item_id}" for person in people]

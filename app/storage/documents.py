"""What storage needs of a document database, small enough that a dictionary in memory can stand in for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

Document = dict[str, Any]
Filter = Mapping[str, Any]
"""A MongoDB filter of equality, `$eq`, `$ne`, `$gt`, `$gte`, `$lt`, `$lte`, `$and` and `$regex` (letters, digits,
groups of alternatives).

Other operators are left out because the embedded server answers some of them wrongly.
"""
Sort = Sequence[tuple[str, int]]
"""Fields, the first counts most; 1 is ascending, -1 descending."""

FILMS: Final = "films"
RATINGS: Final = "ratings"
REVISIONS: Final = "revisions"
PREDICTIONS: Final = "predictions"
REVIEWS: Final = "reviews"
SENTIMENTS: Final = "sentiments"
CELEBRITIES: Final = "celebrities"
IMAGES: Final = "images"
FORGOTTEN: Final = "forgotten"
RUNS: Final = "runs"
CONNECTORS: Final = "connectors"
MENTIONS: Final = "mentions"
SNAPSHOTS: Final = "snapshots"
FORMER_SNAPSHOTS: Final = "former_snapshots"
INSTALLATION: Final = "installation"

PROJECTIONS: Final = (
    FILMS,
    RATINGS,
    REVISIONS,
    PREDICTIONS,
    REVIEWS,
    SENTIMENTS,
    CELEBRITIES,
    IMAGES,
    FORGOTTEN,
    RUNS,
    CONNECTORS,
    MENTIONS,
)
"""What can be made again from the events."""

INDEXES: Final[dict[str, tuple[Sort, ...]]] = {
    # Predictions need none: they are looked up by id. Each index of `films` is paid for with every prediction.
    FILMS: ([("title_key", 1), ("film_id", 1)], [("n_ratings", 1), ("film_id", 1)]),
    RATINGS: ([("film_id", 1), ("offset", 1)],),
    REVISIONS: ([("film_id", 1), ("offset", 1)],),
    REVIEWS: ([("film_id", 1), ("offset", 1)],),
    SENTIMENTS: ([("film_id", 1)],),
    CELEBRITIES: (
        [("name_key", 1), ("celebrity_id", 1)],
        [("registered_at", 1), ("celebrity_id", 1)],
        [("wikidata", 1)],
        [("imdb", 1)],
        [("tmdb", 1)],
    ),
    IMAGES: (
        [("celebrity_id", 1), ("item_id", 1)],
        [("celebrity_id", 1), ("verdict", 1), ("item_id", 1)],
        [("verdict", 1)],
        [("clean", 1)],
        [("claim.image_id", 1)],
        [("claim.duplicate_of", 1)],
    ),
    RUNS: ([("connector", 1), ("asked", 1)],),
    MENTIONS: ([("open", 1), ("mention_id", 1)],),
    FORMER_SNAPSHOTS: ([("model", 1), ("applied_offset", 1)],),
}
"""None is unique but `_id`: every identity that must not stand twice is the `_id` itself."""

SPARSE: Final[dict[str, tuple[Sort, ...]]] = dict.fromkeys(
    (RATINGS, REVISIONS, REVIEWS, MENTIONS, IMAGES), ([("expires_at", 1)],)
)
"""Indexes that documents which may be stored for ever are not paid for in."""


class Change(msgspec.Struct, frozen=True):
    """Fields to write over a document, which is made from them and `initial` where it is not there yet.

    Where both name a field, `fields` has the say.
    `guard` names one of the fields: a document that holds a larger value there stays as it is.
    """

    id: str
    fields: Document
    initial: Document = {}
    guard: str | None = None


class Collection(Protocol):
    """One kind of document. Every write may be repeated, and every call raises Unavailable while nothing answers."""

    async def add(self, documents: Sequence[Document]) -> None:
        """Insert the documents whose `_id` is not there yet; the others stay as they are."""

    async def replace(self, documents: Sequence[Document], guard: str) -> int:
        """Put whole documents in place, each `_id` once, unless one with a larger `guard` is there; how many were."""

    async def merge(self, changes: Sequence[Change]) -> int:
        """Apply changes, each id once, in any order; how many were let through by their guard."""

    async def get(self, ids: Sequence[str]) -> list[Document]:
        """The documents of these ids, in any order; unknown ids are left out."""

    async def find(
        self, where: Filter, sort: Sort = (), limit: int | None = None, fields: Sequence[str] = ()
    ) -> list[Document]:
        """The documents that match, with these fields only where some are named."""

    async def totals(self, where: Filter, by: str, of: str) -> list[tuple[str, int, float]]:
        """For each value of the field `by`, in order: how many documents match, and the sum of `of` over them."""

    async def count(self, where: Filter) -> int:
        """How many documents match."""

    async def remove(self, ids: Sequence[str], where: Filter | None = None) -> None:
        """Take the documents of these ids away; only those that match `where`, if it is given."""

    async def clear(self) -> None:
        """Take every document away."""

    async def index(self, keys: Sequence[Sort], sparse: bool = False) -> None:
        """See to it that these indexes exist; `sparse` ones leave out documents without the field."""


class Documents(Protocol):
    """A database."""

    def __getitem__(self, name: str) -> Collection:
        """One of its collections."""

    async def ping(self) -> None:
        """Return if the database answers."""

    def close(self) -> None:
        """Disconnect."""


def value_at(document: Document, path: str) -> Any:
    """The value under a field, or under a path such as `outlook.predicted`; None where there is none."""
    value: Any = document
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def joined(*parts: str) -> str:
    """An id of several parts; different parts give different ids, whatever characters they hold."""
    return "|".join(part.replace("%", "%25").replace("|", "%7C") for part in parts)

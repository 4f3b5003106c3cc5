"""The read side: films, their ratings, predictions and moods, from the documents that the projections wrote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from app.storage.documents import (
    FILMS,
    PREDICTIONS,
    RATINGS,
    REVIEWS,
    REVISIONS,
    SENTIMENTS,
    Document,
    Documents,
    Filter,
    joined,
    value_at,
)
from app.storage.paging import (
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
from app.storage.projections import APPROVAL, identified
from app.storage.views import Counts, FilmRow, FilmView, HistoryPoint, Mood, RatingView, SourceSummary
from schemas.entities import Prediction
from schemas.events import Count

ORDERS: Final = {
    "title": Order("title_key", 1, text=True),
    "year": Order("year", -1),
    "n_ratings": Order("n_ratings", -1),
    "predicted": Order("outlook.predicted", -1),
    "current_mean": Order("outlook.current_mean", -1),
    "updated": Order("outlook.predicted_at", -1, text=True),
}
"""What films can be sorted by, in the direction that people look for first; a minus in front turns it round."""

FAVOURABLE_FROM: Final = 0.5


class HistoryPosition(msgspec.Struct, frozen=True, array_like=True):
    """The place of the last point of a page in the log of ratings."""

    offset: Count


class FilmQueries:
    """Questions about films. Calls raise Unavailable while the store does not answer, BadQueryError for nonsense."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def films(
        self, search: str | None = None, sort: str = "title", limit: int = 50, cursor: str | None = None
    ) -> Page[FilmRow]:
        """Films whose title holds every word of `search`, whatever case and accents, in a stable order."""
        order = order_of(sort, ORDERS)
        position = position_of(cursor, sort, order)
        checked_limit(limit)
        where = words_filter("title_key", search)
        if where is None:
            return Page([])
        rows = await rows_behind(self._documents[FILMS], order, position, where, limit + 1)
        items = [_row(row) for row in rows[:limit]]
        more = len(rows) > limit
        last = rows[limit - 1] if more else {}
        return Page(
            items, encode_cursor(Position(sort, value_at(last, order.field), last["film_id"])) if more else None
        )

    async def film(self, film_id: str, ratings: int = 20) -> FilmView | None:
        """All that is known of a film, with its latest ratings; None where nothing is."""
        found = await self._documents[FILMS].get([film_id])
        if not found:
            return None
        in_force: Filter = {"film_id": film_id}
        latest = await self._documents[RATINGS].find(in_force, [("offset", -1)], checked_limit(ratings))
        return FilmView(
            film=_row(found[0]),
            prediction=_prediction(found[0]),
            sources=await self._by_source({**in_force, "kind": {"$ne": APPROVAL}}),
            approvals=await self._by_source({**in_force, "kind": APPROVAL}),
            ratings=[msgspec.convert(document, RatingView) for document in latest],
            reviews=await self._mood(film_id),
            attributions=await self._attributions(film_id),
        )

    async def history(
        self, film_id: str, limit: int = 200, cursor: str | None = None, newest_first: bool = False
    ) -> Page[HistoryPoint]:
        """A film's ratings in the order in which they came in, changed ones too, each with its prediction."""
        checked_limit(limit)
        where: dict[str, Any] = {"film_id": film_id}
        if cursor is not None:
            where["offset"] = {"$lt" if newest_first else "$gt": decode_cursor(cursor, HistoryPosition).offset}
        versions: dict[int, Document] = {}
        for name in (RATINGS, REVISIONS):
            found = await self._documents[name].find(where, [("offset", -1 if newest_first else 1)], limit + 1)
            # A changed rating's newest version stands in both.
            versions |= {int(document["offset"]): document for document in found}
        offsets = sorted(versions, reverse=newest_first)
        points = await self._points([versions[offset] for offset in offsets[:limit]])
        return Page(points, encode_cursor(HistoryPosition(offsets[limit - 1])) if len(offsets) > limit else None)

    async def known(self, film_ids: Sequence[str]) -> set[str]:
        """Which of these films there is something of."""
        return {found["_id"] for found in await self._documents[FILMS].get(film_ids)}

    async def titles(self, film_ids: Sequence[str]) -> dict[str, str]:
        """What these films are called, those that have a title."""
        found = await self._documents[FILMS].get(film_ids)
        return {film["_id"]: film["title"] for film in found if film.get("title")}

    async def counts(self) -> Counts:
        """How much there is."""
        return Counts(
            films=await self._documents[FILMS].count({}),
            ratings=await self._documents[RATINGS].count({"kind": {"$ne": APPROVAL}}),
            predictions=await self._documents[PREDICTIONS].count({}),
            reviews=await self._documents[REVIEWS].count({}),
        )

    async def _by_source(self, where: Filter) -> list[SourceSummary]:
        totals = await self._documents[RATINGS].totals(where, by="source", of="score")
        return [SourceSummary(source, n, total / n) for source, n, total in totals]

    async def _attributions(self, film_id: str) -> list[str]:
        where: Filter = {"film_id": film_id, "attribution": {"$gt": ""}}
        named = [
            await self._documents[name].totals(where, by="attribution", of="offset") for name in (RATINGS, REVIEWS)
        ]
        return sorted({sentence for totals in named for sentence, _, _ in totals})

    async def _mood(self, film_id: str) -> Mood:
        # A sentiment names the version of the review that it read, so those of older versions find no partner here.
        where: Filter = {"film_id": film_id}
        reviews = await self._documents[REVIEWS].find(where, fields=["cause_id"])
        read = await self._documents[SENTIMENTS].find(where, fields=["positive"])
        positive = {document["_id"]: document["positive"] for document in read}
        judged = [
            positive[name]
            for review in reviews
            if (name := joined(film_id, review["cause_id"])) in positive
        ]  # fmt: skip
        return Mood(
            reviews=len(reviews),
            judged=len(judged),
            favourable=sum(probability >= FAVOURABLE_FROM for probability in judged),
            positive=sum(judged) / len(judged) if judged else None,
        )

    async def _points(self, ratings: list[Document]) -> list[HistoryPoint]:
        names = [joined(rating["film_id"], rating["cause_id"]) for rating in ratings]
        said = {document["_id"]: document for document in await self._documents[PREDICTIONS].get(names)}
        return [
            msgspec.convert({**said.get(name, {}), **rating}, HistoryPoint)
            for name, rating in zip(names, ratings, strict=True)
        ]


def _row(document: Document) -> FilmRow:
    outlook = document.get("outlook", {})
    return msgspec.convert(identified(document) | outlook | {"updated": outlook.get("predicted_at")}, FilmRow)


def _prediction(document: Document) -> Prediction | None:
    return msgspec.convert(document | document["outlook"], Prediction) if "outlook" in document else None

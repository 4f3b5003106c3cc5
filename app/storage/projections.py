"""Write events as documents, so that writing them again, in any overlap, changes nothing.

Events that are never rewritten (predictions, sentiments, first ratings) are inserted once under their identity.
What can be replaced (a rating or review in force, a film's latest prediction) is guarded by its place in the order.
Nothing that a crash repeats differently, such as offsets of derived topics or the time of writing, is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from agents.messages import Message
from app.storage.documents import (
    FILMS,
    PREDICTIONS,
    RATINGS,
    REVIEWS,
    REVISIONS,
    SENTIMENTS,
    Change,
    Document,
    Documents,
    joined,
)
from app.storage.expiry import limits
from schemas.events import FilmRegistered, RatingCleaned, RatingPredicted, ReviewCleaned, SentimentPredicted
from schemas.ids import normalised_title, said_by_film_id

APPROVAL: Final = "approval"


class DocumentProjections:
    """`agents.ports.Projections` over a document database."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def put_films(self, films: Sequence[Message[FilmRegistered]]) -> None:
        """What is known of each film's identity; knowledge only grows, so all of it is merged in any order."""
        fields: dict[str, Document] = {}
        for message in films:
            fields.setdefault(message.data.film_id, {}).update(_identity(message.data))
        # A film without ratings has counted none, which is also what the guard of its prediction compares with.
        changes = [Change(film_id, known, {"n_ratings": 0}) for film_id, known in fields.items()]
        await self._documents[FILMS].merge(changes)

    async def put_ratings(self, ratings: Sequence[Message[RatingCleaned]]) -> None:
        """The rating in force of each source record, and every version of those that changed."""
        first = [_rating(message.data) for message in ratings if message.data.replaces is None]
        changed = [_rating(message.data) for message in ratings if message.data.replaces is not None]
        # What stands under a first version's id is that version or a newer one, so inserting needs no guard.
        await self._documents[RATINGS].add(first)
        if changed:
            await self._revise(changed)

    async def put_predictions(self, predictions: Sequence[Message[RatingPredicted]]) -> None:
        """Each prediction once, and the latest of each film: the last one said after the most ratings."""
        latest: dict[str, RatingPredicted] = {}
        for message in predictions:
            before = latest.get(message.data.film_id)
            if before is None or message.data.n_ratings >= before.n_ratings:
                latest[message.data.film_id] = message.data
        await self._documents[PREDICTIONS].add([_prediction(message.data) for message in predictions])
        changes = [Change(film_id, _outlook(said), guard="n_ratings") for film_id, said in latest.items()]
        await self._documents[FILMS].merge(changes)

    async def put_reviews(self, reviews: Sequence[Message[ReviewCleaned]]) -> None:
        """The review in force of each source record."""
        await self._documents[REVIEWS].replace(_newest(_review(message.data) for message in reviews), "offset")

    async def put_sentiments(self, sentiments: Sequence[Message[SentimentPredicted]]) -> None:
        """How favourable each version of a review reads, once."""
        await self._documents[SENTIMENTS].add([_sentiment(message.data) for message in sentiments])

    async def _revise(self, changed: list[Document]) -> None:
        """Keep every version of a changed rating for the history, then put the newest in force."""
        present = await self._documents[RATINGS].get(list({document["_id"] for document in changed}))
        await self._documents[REVISIONS].add([*_limited(present, changed), *map(_revision, changed)])
        await self._documents[RATINGS].replace(_newest(changed), "offset")


def _newest(documents: Iterable[Document]) -> list[Document]:
    """The last document of each id in the order of the source."""
    newest: dict[str, Document] = {}
    for document in documents:
        before = newest.get(document["_id"])
        if before is None or document["offset"] >= before["offset"]:
            newest[document["_id"]] = document
    return list(newest.values())


def _identity(film: FilmRegistered) -> Document:
    fields: Document = {"film_id": film.film_id}
    for name in ("year", "imdb", "wikidata", "tmdb"):
        value = getattr(film, name)
        if value is not None:
            fields[name] = value
    if film.title is None:
        # Only whoever gives the title says for sure what it is; kept apart, so that the order does not matter.
        fields["presumed_kind"] = film.kind
    else:
        fields |= {"title": film.title, "title_key": title_key(film.title), "kind": film.kind}
    return fields


def identified(film: Document) -> Document:
    """A film's document with its kind and with the ids of catalogues that its own id is or says."""
    kind = film.get("kind") or film.get("presumed_kind") or "movie"
    return film | {"kind": kind} | said_by_film_id(film["film_id"])


def title_key(title: str) -> str:
    """What titles are searched and sorted by."""
    return normalised_title(title) or title.casefold()


def _rating(rating: RatingCleaned) -> Document:
    parts = [rating.film_id, rating.source, rating.source_record_id]
    document: Document = {
        "_id": joined(*parts, APPROVAL) if rating.kind == APPROVAL else joined(*parts),
        "film_id": rating.film_id,
        "source": rating.source,
        "source_record_id": rating.source_record_id,
        "score": rating.score,
        "kind": rating.kind,
        "ordinal": rating.ordinal,
        "offset": rating.offset,
        "cause_id": rating.cause_id,
        "received_at": rating.received_at,
    }
    if rating.replaces is not None:
        document["replaces"] = rating.replaces
    if rating.terms is not None:
        document |= limits(rating.terms)
    return _with(document, author=rating.author, observed_at=rating.observed_at, url=rating.url, votes=rating.votes)


def _revision(rating: Document) -> Document:
    return {**rating, "_id": f"{rating['_id']}|{rating['offset']}"}


def _limited(present: list[Document], changed: list[Document]) -> list[Document]:
    """Former versions; what was stored without a limit gets the one that its source states now."""
    ends = {document["_id"]: document.get("expires_at") for document in changed}
    return [_revision(_with(document, expires_at=document.get("expires_at") or ends[document["_id"]]))
            for document in present]  # fmt: skip


def _prediction(said: RatingPredicted) -> Document:
    identity = {"_id": joined(said.film_id, said.cause_id), "film_id": said.film_id, "n_ratings": said.n_ratings}
    return identity | _said(said)


def _outlook(said: RatingPredicted) -> Document:
    # Nested, because the embedded server cuts a bare number to 15 digits where it sets one in a present document.
    return {"film_id": said.film_id, "n_ratings": said.n_ratings, "outlook": _said(said)}


def _said(said: RatingPredicted) -> Document:
    return {
        "predicted": said.predicted,
        "current_mean": said.current_mean,
        "model": said.model,
        "model_version": said.model_version,
        "predicted_at": said.predicted_at,
        "event_id": said.event_id,
    }


def _review(review: ReviewCleaned) -> Document:
    document: Document = {
        "_id": joined(review.film_id, review.source, review.source_record_id),
        "film_id": review.film_id,
        "source": review.source,
        "source_record_id": review.source_record_id,
        "text": review.text,
        "offset": review.offset,
        "cause_id": review.cause_id,
        "received_at": review.received_at,
    }
    known = {name: getattr(review, name) for name in ("score", "lang", "author", "observed_at", "url")}
    return _with(document | limits(review.terms), **known)


def _sentiment(read: SentimentPredicted) -> Document:
    return {
        "_id": joined(read.film_id, read.cause_id),
        "film_id": read.film_id,
        "positive": read.positive,
        "model": read.model,
        "model_version": read.model_version,
        "predicted_at": read.predicted_at,
    }


def _with(document: Document, **optional: Any) -> Document:
    """The document with what is known; half of its bytes would be nulls otherwise."""
    document.update({name: value for name, value in optional.items() if value is not None})
    return document

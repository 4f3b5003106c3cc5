"""Events as stages hand them over, short to write."""

from __future__ import annotations

from typing import Any, TypeVar

from agents.messages import Message, rfc3339
from schemas.base import Record
from schemas.envelope import Envelope
from schemas.events import FilmRegistered, RatingCleaned, RatingPredicted, ReviewCleaned, SentimentPredicted

R = TypeVar("R", bound=Record)

FILM = "tt1375666"
START = 1_700_000_000_000


def message(data: R, offset: int = 0) -> Message[R]:
    """A record at a place of its own topic, which documents must not depend on."""
    return Message(data, Envelope(id=f"e{offset}", correlation_id="c"), data.topic, 0, offset, START + offset)


def film(film_id: str = FILM, title: str | None = None, **fields: Any) -> Message[FilmRegistered]:
    return message(FilmRegistered(film_id=film_id, title=title, **fields))


def rating(offset: int, record: str = "u1", score: float = 8.0, **fields: Any) -> Message[RatingCleaned]:
    """The rating that stands at `offset` of its partition of `ratings`."""
    base: dict[str, Any] = {
        "film_id": FILM,
        "source": "movielens",
        "kind": "single",
        "ordinal": offset + 1,
        "cause_id": f"ratings-0-{offset}",
    } | fields
    cleaned = RatingCleaned(
        source_record_id=record, score=score, partition=0, offset=offset, received_at=rfc3339(START + offset), **base
    )
    return message(cleaned, offset)


def prediction(offset: int, n: int, predicted: float = 7.0, **fields: Any) -> Message[RatingPredicted]:
    """What was said after the rating at `offset`."""
    base: dict[str, Any] = {"film_id": FILM, "cause_id": f"ratings-0-{offset}", "current_mean": 8.0} | fields
    said = RatingPredicted(
        event_id=f"p-{base['film_id']}-{offset}",
        predicted=predicted,
        n_ratings=n,
        model="future-rating",
        model_version="v1",
        predicted_at=rfc3339(START + offset),
        **base,
    )
    return message(said, offset)


def review(offset: int, record: str = "r1", text: str = "A fine film.", **fields: Any) -> Message[ReviewCleaned]:
    base: dict[str, Any] = {"film_id": FILM, "source": "guardian", "cause_id": f"reviews-0-{offset}"} | fields
    cleaned = ReviewCleaned(
        source_record_id=record, text=text, partition=0, offset=offset, received_at=rfc3339(START + offset), **base
    )
    return message(cleaned, offset)


def sentiment(offset: int, positive: float, record: str = "r1", **fields: Any) -> Message[SentimentPredicted]:
    base: dict[str, Any] = {"film_id": FILM, "cause_id": f"reviews-0-{offset}"} | fields
    read = SentimentPredicted(
        event_id=f"s-{offset}",
        source_record_id=record,
        positive=positive,
        model="sentiment",
        model_version="v1",
        predicted_at=rfc3339(START + offset),
        **base,
    )
    return message(read, offset)

"""Clean reviews: one text, one order, no repeats, and a label where the author's own score gives one."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, MutableMapping
from typing import Final

from agents.clean import check_film
from agents.messages import Message, readable_moment
from agents.terms import renews, until
from schemas.base import Record, Rejected
from schemas.commands import SubmitFilm
from schemas.entities import SeenReview
from schemas.events import ReviewCleaned, ReviewObserved
from schemas.ids import fenced
from schemas.scores import score_of
from schemas.terms import may_train

POSITIVE_FROM: Final = 6.0
NEGATIVE_BELOW: Final = 5.0
"""A score between the two says neither, so it teaches nothing."""


async def clean_review(
    message: Message[ReviewObserved], seen: MutableMapping[str, SeenReview]
) -> AsyncIterator[Record]:
    """ReviewCleaned for what is new or changed, nothing for a repeat; SubmitFilm so that the film is known.

    A repeat that lets the review be stored for longer, or lets models learn what they could not, is told; a text that
    they were given before comes without a label then. Raises Rejected for a malformed film id or moment, an empty text
    or a rating outside its scale.
    """
    review = message.data
    check_film(review.film_id)
    observed_at = readable_moment("observed_at", review.observed_at)
    text = " ".join(review.text.split())
    if not text:
        raise Rejected("text: is empty")
    score = None if review.rating is None else score_of(review.rating, review.best, review.worst)
    key = f"{review.film_id}|{fenced(review.source)}|{review.source_record_id}"
    digest = hashlib.blake2b(f"{text}|{score!r}".encode(), digest_size=8).hexdigest()
    row = _row(message, digest, seen.get(key))
    if row is None:
        return
    seen[key] = row
    yield SubmitFilm(film_id=review.film_id)
    yield ReviewCleaned(
        film_id=review.film_id,
        source=review.source,
        source_record_id=review.source_record_id,
        text=text,
        partition=message.partition,
        offset=message.offset,
        cause_id=message.envelope.id,
        received_at=message.received_at,
        score=score,
        positive=None if row.renewed else _label(score),
        lang=review.lang,
        author=review.author,
        observed_at=observed_at,
        url=review.url,
        terms=review.terms,
    )


def _row(message: Message[ReviewObserved], digest: str, before: SeenReview | None) -> SeenReview | None:
    """What to remember of this record now; None for a duplicate."""
    if before is not None and before.offset == message.offset:
        return before
    terms = message.data.terms
    learnt, expires_at = may_train(terms), until(terms)
    if before is None or (before.digest != digest and message.offset > before.offset):
        return SeenReview(offset=message.offset, digest=digest, expires_at=expires_at, learnt=learnt)
    news = (learnt and not before.learnt) or renews(before.expires_at, terms, message.timestamp)
    if message.offset < before.offset or not news:
        return None
    return SeenReview(
        offset=message.offset,
        digest=digest,
        expires_at=expires_at,
        learnt=learnt or before.learnt,
        renewed=before.learnt or not learnt,
    )


def _label(score: float | None) -> bool | None:
    if score is None or NEGATIVE_BELOW <= score < POSITIVE_FROM:
        return None
    return score >= POSITIVE_FROM

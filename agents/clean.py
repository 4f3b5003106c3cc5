"""Bring ratings onto one scale and into one order; drop what was said before, refuse what makes no sense."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, MutableMapping

from agents.messages import Message, readable_moment
from agents.terms import renews, until
from schemas.base import Record, Rejected
from schemas.commands import SubmitFilm
from schemas.entities import FilmFacts, FilmTally, SeenRating
from schemas.events import RatingCleaned, RatingObserved
from schemas.ids import FILM_ID_FORMS, fenced, is_film_id
from schemas.scores import score_of
from schemas.terms import may_train


async def clean_rating(
    message: Message[RatingObserved],
    seen: MutableMapping[str, SeenRating],
    tallies: MutableMapping[str, FilmTally],
    facts: Mapping[str, FilmFacts],
) -> AsyncIterator[Record]:
    """RatingCleaned for what is new or changed, nothing for a repeat; SubmitFilm with a film's first rating.

    Safe to repeat: the row of a record names the offset that it came from, so that a redelivered rating makes the
    same event again while a true duplicate (same source, record id and content, other offset) makes none, unless it
    lets the record be stored for longer. What its source keeps from training is passed on, but not counted among the
    film's ratings, and leaves the film's facts to the next one that is.
    Raises Rejected for a malformed film id or moment, or a value outside its scale.
    """
    rating = message.data
    score = score_of(rating.value, rating.best, rating.worst)
    check_film(rating.film_id)
    _check_source(rating.source)
    observed_at = readable_moment("observed_at", rating.observed_at)
    tally = tallies.get(rating.film_id) or FilmTally()
    key = row_of(rating)
    before = seen.get(key)
    row = _row(message, score, before, tally.counted)
    if row is None:
        return
    seen[key] = row
    known = facts.get(rating.film_id)
    news = known if known is not None and known.digest != tally.facts_sent else None
    # The larger count wins, so that repeating an old rating after a crash never takes the tally back.
    sent = news.digest if news and may_train(rating.terms) else tally.facts_sent
    tallies[rating.film_id] = FilmTally(counted=max(tally.counted, row.ordinal), facts_sent=sent)
    if row.ordinal <= 1 and row.replaces is None:
        yield SubmitFilm(film_id=rating.film_id)
    yield RatingCleaned(
        film_id=rating.film_id,
        source=rating.source,
        source_record_id=rating.source_record_id,
        score=score,
        kind=rating.kind or "single",
        ordinal=row.ordinal,
        partition=message.partition,
        offset=message.offset,
        cause_id=message.envelope.id,
        received_at=message.received_at,
        replaces=row.replaces,
        author=rating.author,
        observed_at=observed_at,
        url=rating.url,
        votes=rating.votes,
        facts=news.facts if news else None,
        terms=rating.terms,
        joins=row.joins,
    )


def row_of(rating: RatingObserved) -> str:
    """Under which key the stage remembers a source record."""
    # An approval is no rating of the film's mean: it never replaces one, even under the same record id.
    group = "approval" if rating.kind == "approval" else "rating"
    return f"{rating.film_id}|{group}|{fenced(rating.source)}|{rating.source_record_id}"


def check_film(film_id: str) -> None:
    """Raises Rejected for an id that is none."""
    if not is_film_id(film_id):
        raise Rejected(f"film_id: {film_id!r} is none of the known forms: {FILM_ID_FORMS}")


def _check_source(source: str) -> None:
    # The schemas of what comes less often say so; a pattern takes as long as all else of reading a rating.
    if "\0" in source:
        raise Rejected("source: a zero byte is no part of a name")


def _row(message: Message[RatingObserved], score: float, before: SeenRating | None, counted: int) -> SeenRating | None:
    """What to remember of this record now; None for a duplicate."""
    if before is not None and before.offset == message.offset:
        return before
    votes, terms = message.data.votes, message.data.terms
    approval, taught = message.data.kind == "approval", may_train(terms)
    if before is None:
        ordinal = counted if approval else counted + 1 if taught else 0
        return SeenRating(offset=message.offset, score=score, votes=votes, ordinal=ordinal, expires_at=until(terms))
    if message.offset < before.offset:
        return None
    joins = taught and not approval and not before.ordinal
    same = before.score == score and before.votes == votes
    if same and not joins and not renews(before.expires_at, terms, message.timestamp):
        return None
    # A version that is kept from training ends what was counted: a later one that is not is counted anew.
    ordinal = counted + 1 if joins else before.ordinal if taught or approval or same else 0
    return SeenRating(
        offset=message.offset,
        score=score,
        votes=votes,
        ordinal=ordinal,
        replaces=before.score,
        expires_at=until(terms),
        joins=joins,
    )

"""What a source allows travels with what it states, and decides what is counted, kept and said again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from agents.clean import clean_rating
from agents.facts import merge_facts
from agents.messages import Message
from agents.reviews import clean_review
from agents.terms import renews
from schemas.base import Record, Rejected
from schemas.catalogue import decode, encode
from schemas.entities import FilmFacts, FilmTally, SeenRating, SeenReview
from schemas.envelope import Envelope
from schemas.events import (
    Facts,
    FactsObserved,
    RatingCleaned,
    RatingObserved,
    ReviewCleaned,
    ReviewObserved,
)
from schemas.terms import SourceTerms

FILM = "tt1375666"
DAY = 86_400_000
NOON = 1_795_348_800_000
"""2026-11-22T12:00:00Z in milliseconds since 1970."""
FORBIDDEN = SourceTerms(train=False, attribution="Shown with it.")


def at(day: float) -> str:
    """A moment so many days after noon of the 22nd."""
    hours = round(12 + day * 24)
    return f"2026-11-{22 + hours // 24:02d}T{hours % 24:02d}:00:00.000Z"


def limited(day: float, **fields: Any) -> SourceTerms:
    return SourceTerms(expires_at=at(day), **fields)


def message(data: Any, offset: int, day: float = 0) -> Message[Any]:
    return Message(data, Envelope(f"e{offset}", "c"), data.topic, 0, offset, NOON + round(day * DAY))


async def said(events: AsyncIterator[Record], kind: type[Record]) -> list[Any]:
    return [event async for event in events if isinstance(event, kind)]


class Ratings:
    """The stage with its tables."""

    def __init__(self) -> None:
        self.seen: dict[str, SeenRating] = {}
        self.tallies: dict[str, FilmTally] = {}
        self.facts: dict[str, FilmFacts] = {}
        self.offset = -1

    async def state(self, value: float, record: str = "1", day: float = 0, **fields: Any) -> RatingCleaned | None:
        """What comes of the next record."""
        self.offset += 1
        return await self.deliver(self.offset, value, record, day, **fields)

    async def deliver(self, offset: int, value: float, record: str, day: float, **fields: Any) -> RatingCleaned | None:
        observed = RatingObserved(film_id=FILM, source="s", source_record_id=record, value=value, **fields)
        made = await said(
            clean_rating(message(observed, offset, day), self.seen, self.tallies, self.facts), RatingCleaned
        )
        return made[0] if made else None


@pytest.mark.parametrize(
    ("before", "after", "day", "renewed"),
    [
        (None, None, 0, False),
        (at(1), at(1), 0, False),
        (None, at(3), 0, True),
        (at(3), None, 0, True),
        (at(4), at(5), 1, False),
        (at(4), at(6), 2, True),
        (at(4), at(8), 4, True),
        (at(4), at(8), 5, True),
        (at(4), at(3), 0, False),
    ],
)
def test_a_term_is_renewed_once_half_of_it_is_over_and_never_shortened(
    before: str | None, after: str | None, day: float, renewed: bool
) -> None:
    assert renews(before, SourceTerms(expires_at=after), NOON + round(day * DAY)) is renewed


def test_terms_are_read_in_the_one_form_whose_order_is_that_of_time() -> None:
    good = RatingObserved(film_id=FILM, source="s", source_record_id="1", value=7, terms=limited(1, train=False))
    assert decode(encode(good), (RatingObserved,)) == good
    with pytest.raises(Rejected, match="expires_at"):
        decode(encode(good).replace(b"12:00:00.000Z", b"12:00:00+02:00"), (RatingObserved,))


def test_a_record_of_before_terms_is_read_as_one_without_any() -> None:
    old = b'{"film_id":"tt1","source":"s","source_record_id":"1","value":7}'
    read = decode(old, (RatingObserved,))
    assert isinstance(read, RatingObserved)
    assert read.terms is None


async def test_a_rating_keeps_its_terms() -> None:
    cleaned = await Ratings().state(7, terms=limited(1, attribution="Shown with it."))
    assert cleaned is not None
    assert cleaned.terms == limited(1, attribution="Shown with it.")
    assert cleaned.ordinal == 1


async def test_what_is_kept_from_training_takes_no_ordinal() -> None:
    stage = Ratings()
    made = [await stage.state(n, str(n), terms=FORBIDDEN if n % 2 else None) for n in range(1, 7)]
    assert [each.ordinal for each in made if each] == [0, 1, 0, 2, 0, 3]


async def test_facts_wait_for_a_rating_that_may_be_learnt_but_come_with_those_before_it() -> None:
    stage = Ratings()
    stage.facts[FILM] = FilmFacts(facts=Facts(title="Inception"), digest="d")
    made = [await stage.state(n, str(n), terms=terms) for n, terms in enumerate((FORBIDDEN, FORBIDDEN, None, None))]
    assert [each is not None and each.facts is not None for each in made] == [True, True, True, False]


async def test_a_repeat_is_told_only_where_it_lets_the_rating_be_stored_longer() -> None:
    stage = Ratings()
    await stage.state(7, terms=limited(4))
    assert await stage.state(7, day=1, terms=limited(5)) is None
    renewed = await stage.state(7, day=3, terms=limited(7))
    assert renewed is not None
    assert (renewed.ordinal, renewed.replaces, renewed.joins) == (1, 7.0, False)
    assert await stage.state(7, day=3, terms=limited(7)) is None
    assert (await stage.state(8, "2", day=3) or renewed).ordinal == 2


async def test_a_redelivered_renewal_makes_the_same_event_again() -> None:
    stage = Ratings()
    await stage.state(7, terms=limited(4))
    first = await stage.state(7, day=4, terms=limited(8))
    assert first is not None
    assert await stage.deliver(1, 7, "1", 4, terms=limited(8)) == first


async def test_a_rating_that_may_be_learnt_at_last_is_counted_as_new() -> None:
    stage = Ratings()
    await stage.state(5, "other")
    await stage.state(7, terms=FORBIDDEN)
    joined = await stage.state(7)
    assert joined is not None
    assert (joined.ordinal, joined.replaces, joined.joins) == (2, 7.0, True)
    changed = await stage.state(8)
    assert changed is not None
    assert (changed.ordinal, changed.replaces, changed.joins) == (2, 7.0, False)
    # It was learnt, and is not any more: what comes later is not taken for a change of what models know.
    assert (await stage.state(9, terms=FORBIDDEN) or joined).ordinal == 0
    again = await stage.state(6)
    assert again is not None
    assert (again.ordinal, again.joins) == (3, True)


async def state_review(seen: dict[str, SeenReview], offset: int, day: float = 0, **fields: Any) -> ReviewCleaned | None:
    base: dict[str, Any] = {"text": "Splendid.", "rating": 9.0, "best": 10.0} | fields
    review = ReviewObserved(film_id=FILM, source="s", source_record_id="1", **base)
    made = await said(clean_review(message(review, offset, day), seen), ReviewCleaned)
    return made[0] if made else None


async def test_a_renewed_review_has_no_label_for_it_was_learnt_before() -> None:
    seen: dict[str, SeenReview] = {}
    first = await state_review(seen, 0, terms=limited(4))
    assert first is not None
    assert (first.positive, first.terms) == (True, limited(4))
    assert await state_review(seen, 1, day=1, terms=limited(5)) is None
    renewed = await state_review(seen, 2, day=4, terms=limited(8))
    assert renewed is not None
    assert (renewed.positive, renewed.score, renewed.terms) == (None, 9.0, limited(8))
    assert await state_review(seen, 2, day=4, terms=limited(8)) == renewed
    changed = await state_review(seen, 3, day=4, text="Dreadful.", rating=1.0, terms=limited(8))
    assert changed is not None
    assert changed.positive is False


async def test_a_review_that_may_be_learnt_at_last_comes_with_its_label_once() -> None:
    seen: dict[str, SeenReview] = {}
    assert await state_review(seen, 0, terms=FORBIDDEN) is not None
    learnable = await state_review(seen, 1)
    assert learnable is not None
    assert learnable.positive is True
    assert await state_review(seen, 2) is None


async def test_facts_are_not_kept_where_models_may_not_learn_nor_their_text_where_it_has_to_go() -> None:
    known: dict[str, FilmFacts] = {}

    async def state(offset: int, **fields: Any) -> int:
        facts = FactsObserved(film_id=FILM, source="s", **fields)
        return len([event async for event in merge_facts(message(facts, offset), known)])

    assert await state(0, title="Inception", plot="A thief.", terms=FORBIDDEN) == 1
    assert known == {}
    assert await state(1, title="Inception", plot="A thief.", year=2010, terms=limited(3)) == 1
    assert known[FILM].facts == Facts(title="Inception", year=2010)
    assert await state(2, plot="A thief.") == 1
    assert known[FILM].facts.plot == "A thief."

"""Ratings and reviews on the one scale, whatever scale and clock whoever sent them has."""

from __future__ import annotations

import math

import pytest

from agents.clean import clean_rating
from agents.messages import Message, rfc3339
from agents.reviews import clean_review
from schemas.base import Rejected
from schemas.catalogue import decode, encode
from schemas.envelope import Envelope
from schemas.events import RatingCleaned, RatingObserved, ReviewCleaned, ReviewObserved
from schemas.scores import score_of

FILM = "tt1375666"


def message(data: RatingObserved | ReviewObserved, timestamp: int = 0) -> Message:  # type: ignore[type-arg]
    return Message(data, Envelope("e", "c"), data.topic, 0, 0, timestamp)


@pytest.mark.parametrize("best", [0.49, 0.81, 0.98, 1.0, 3.67, 5.0, 6.48, 12.96, 1e9, 5e-324])
async def test_full_marks_on_any_scale_are_a_score_that_every_stage_reads(best: float) -> None:
    rating = RatingObserved(film_id=FILM, source="s", source_record_id="1", value=best, best=best)
    review = ReviewObserved(film_id=FILM, source="s", source_record_id="1", text="Fine.", rating=best, best=best)
    made = [event async for event in clean_rating(message(rating), {}, {}, {})][-1]
    read = [event async for event in clean_review(message(review), {})][-1]
    assert isinstance(made, RatingCleaned)
    assert isinstance(read, ReviewCleaned)
    assert decode(encode(made), (RatingCleaned,)) == made
    assert decode(encode(read), (ReviewCleaned,)) == read
    assert made.score == read.score == pytest.approx(10.0)


def test_nothing_of_a_scale_is_zero_without_a_sign() -> None:
    assert math.copysign(1.0, score_of(-0.0, 5.0, None)) == 1.0


@pytest.mark.parametrize("timestamp", [1_700_000_000_000_000, 253_402_300_800_000, -62_135_596_800_001, 2**63 - 1])
async def test_a_clock_that_no_calendar_has_is_refused_in_words(timestamp: int) -> None:
    rating = RatingObserved(film_id=FILM, source="s", source_record_id="1", value=5)
    with pytest.raises(Rejected, match=rf"timestamp: {timestamp} .* milliseconds since 1970"):
        [event async for event in clean_rating(message(rating, timestamp), {}, {}, {})]


def test_moments_of_early_years_have_four_digits_of_a_year() -> None:
    assert rfc3339(-62_135_596_800_000) == "0001-01-01T00:00:00.000Z"
    assert rfc3339(-5) == "1969-12-31T23:59:59.995Z"
    assert rfc3339(1_795_348_800_007) == "2026-11-22T12:00:00.007Z"


async def test_a_source_with_a_zero_byte_is_refused_which_databases_take_for_another() -> None:
    rating = RatingObserved(film_id=FILM, source="a\0b", source_record_id="1", value=5)
    with pytest.raises(Rejected, match="source: a zero byte"):
        [event async for event in clean_rating(message(rating), {}, {}, {})]

"""Ratings whose records left the log, since their source's terms are over, do not spoil what is said of the others."""

from __future__ import annotations

import random
from typing import Any

import pytest

from models.rating_learner import RatingLearner
from schemas.events import RatingCleaned, RatingPredicted
from tests.models.ratings import audience, rating


def last_of(records: list[RatingCleaned]) -> RatingPredicted:
    learner = RatingLearner()
    said = [learner.observe(record) for record in records][-1]
    assert said is not None
    assert RatingLearner.from_bytes(learner.to_bytes()).to_bytes() == learner.to_bytes()
    return said


def test_a_rating_that_changes_is_taken_out_of_the_mean_at_its_own_former_score() -> None:
    kept = [rating("tt1", 4.0, 1, ordinal=2), rating("tt1", 6.0, 2, ordinal=3)]
    said = last_of([*kept, rating("tt1", 1.0, 3, ordinal=3, replaces=6.0)])
    assert said.current_mean == pytest.approx(2.5)


def test_a_later_version_of_a_rating_whose_first_one_is_gone_is_counted() -> None:
    kept = [rating("tt1", 4.0, 1, ordinal=2), rating("tt1", 6.0, 2, ordinal=3)]
    later = rating("tt1", 8.0, 3, ordinal=1, replaces=2.0)
    assert last_of([*kept, later]).current_mean == pytest.approx(6.0)
    assert last_of([later]).current_mean == 8.0
    again = rating("tt1", 2.0, 4, ordinal=1, replaces=8.0)
    assert last_of([*kept, later, again]).current_mean == pytest.approx(4.0)


def test_the_number_of_ratings_never_falls_behind_what_was_said_before() -> None:
    """By it, newer predictions are told from older ones."""
    kept = [rating("tt1", 4.0, 5, ordinal=6), rating("tt1", 6.0, 8, ordinal=9), rating("tt1", 6.0, 9, ordinal=10)]
    assert [last_of(kept[:count]).n_ratings for count in (1, 2, 3)] == [6, 9, 10]


@pytest.mark.parametrize("seed", range(5))
def test_what_is_left_of_a_log_gives_the_means_of_what_is_left(seed: int) -> None:
    chance = random.Random(seed)
    records = audience(1500, seed)
    gone = {(one.film_id, one.ordinal) for one in records if one.kind != "approval" and chance.random() < 0.3}
    left = [one for one in records if one.kind == "approval" or (one.film_id, one.ordinal) not in gone]
    learner, scores = RatingLearner(), dict[str, dict[Any, float]]()
    for record in left:
        said = learner.observe(record)
        assert said is not None
        known = scores.setdefault(record.film_id, {})
        if record.kind != "approval":
            known[record.ordinal] = record.score
        wanted = pytest.approx(sum(known.values()) / len(known)) if known else None
        assert said.current_mean == wanted
        assert said.n_ratings == max(known, default=0)

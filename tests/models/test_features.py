"""What is known of a film, as bounded numbers."""

from __future__ import annotations

import math

import msgspec
import pytest

from models.features import film_features
from schemas.events import Facts


def test_nothing_known_gives_no_features() -> None:
    assert film_features(Facts()) == {}


def test_the_order_and_case_of_genres_do_not_matter() -> None:
    one, other = Facts(genres=("Drama", "War ")), Facts(genres=("war", "DRAMA", ""))
    assert film_features(one) == film_features(other) != {}


@pytest.mark.parametrize("field", ["title", "plot"])
def test_words_are_hashed_to_a_group_of_length_one(field: str) -> None:
    features = film_features(msgspec.convert({field: "The long road to the far mountains"}, Facts))
    assert math.fsum(value * value for value in features.values()) == pytest.approx(1.0)


def test_hostile_facts_stay_small() -> None:
    words = " ".join(f"word{n}" for n in range(30_000))
    genres = tuple(f"g{n}" for n in range(500))
    facts = Facts(title=words, plot=words, genres=genres, year=2200, budget=1e13, runtime_minutes=1e5)
    features = film_features(facts)
    assert len(features) <= 44
    assert max(features) < 8 + 4096
    assert all(-3.0 <= value <= 3.0 for value in features.values())

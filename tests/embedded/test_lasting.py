"""What an archive holds: whatever cannot be derived again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agents.register import register_film
from app.embedded.lasting import lasting
from app.topology import Kind, Stage, Topology, film_topology
from schemas.base import Record
from schemas.commands import PushFilm, SubmitFilm
from schemas.events import FilmRegistered, RatingCleaned, RatingObserved, RatingPredicted


def made(reads: type[Record], emits: type[Record], kind: Kind = Kind.DECIDE) -> frozenset[str]:
    """What lasts where one stage is all there is."""
    run: Callable[..., Any] = register_film
    return lasting(Topology((Stage("one", (reads,), kind, run, (emits,)),)))


def test_what_comes_from_outside_lasts_and_so_does_every_order_that_only_time_decided() -> None:
    found = lasting()
    assert found >= {"input", "ratings", "reviews", "facts", "dead-letters"}
    assert found >= {"film-submissions", "training-ratings", "training-reviews"}
    assert found >= {"images-found", "images-fetched", "images-examined", "film-mentions", "scrape-runs"}


def test_what_follows_from_one_partition_is_made_again() -> None:
    assert lasting().isdisjoint({"films-registered", "rating-predictions", "review-sentiments", "control"})
    assert FilmRegistered.topic not in made(SubmitFilm, FilmRegistered)
    assert RatingPredicted.topic not in made(RatingCleaned, RatingPredicted)


@pytest.mark.parametrize(
    ("reads", "emits", "kind"),
    [
        (RatingObserved, RatingCleaned, Kind.DECIDE),  # several partitions meet in one
        (PushFilm, SubmitFilm, Kind.DECIDE),  # another key brings other partitions together
        (SubmitFilm, FilmRegistered, Kind.REACH),  # the world's answer
    ],
)
def test_where_the_order_of_one_partition_does_not_say_it_all_the_topic_lasts(
    reads: type[Record], emits: type[Record], kind: Kind
) -> None:
    assert emits.topic in made(reads, emits, kind)


def test_every_model_learns_from_a_topic_that_lasts_or_follows_from_one() -> None:
    stages = film_topology().stages
    for stage in stages:
        if stage.kind is Kind.LEARN and stage.topic not in lasting():
            (maker,) = (other for other in stages if any(record.topic == stage.topic for record in other.emits))
            assert maker.topic in lasting()

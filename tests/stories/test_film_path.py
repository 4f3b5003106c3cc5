"""From a pushed film to a prediction that learns, in memory."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.commands import PushFilm
from schemas.events import FactsObserved, RatingObserved, ReviewObserved
from tests.stories.conftest import Story

INCEPTION = "tt1375666"


def values(story: Story, topic: str) -> list[dict[str, Any]]:
    return [json.loads(raw.value or b"null") for raw in story.log.records(topic)]


def known_ids(film: dict[str, Any]) -> set[str]:
    return {name for name in ("imdb", "wikidata", "tmdb") if film.get(name) is not None}


async def test_a_pushed_film_is_registered_once_under_its_canonical_id(story: Story) -> None:
    for _ in range(2):
        story.runner.push(PushFilm(title="Inception", year=2010, imdb=INCEPTION))
        await story.runner.settle()
    registered = values(story, "films-registered")
    assert [film["film_id"] for film in registered] == [INCEPTION]
    assert registered[0]["title"] == "Inception"


async def test_one_rating_gives_one_prediction_that_names_its_cause(story: Story) -> None:
    await story.rate(INCEPTION, "1", 4.0)
    (prediction,) = values(story, "rating-predictions")
    (raw,) = story.log.records("ratings")
    assert prediction["cause_id"] == raw.position
    assert prediction["film_id"] == INCEPTION
    assert prediction["current_mean"] == 8.0
    assert prediction["n_ratings"] == 1
    assert prediction["horizon"] == 10


async def test_the_cause_of_a_prediction_is_the_id_that_the_rating_brought(story: Story) -> None:
    story.runner.push(RatingObserved(film_id=INCEPTION, source="x", source_record_id="1", value=7.0), ce_id="mine")
    await story.runner.settle()
    assert values(story, "rating-predictions")[0]["cause_id"] == "mine"


async def test_a_rating_of_an_unknown_film_registers_it_by_its_id(story: Story) -> None:
    await story.rate("tt0111161", "1", 5.0)
    assert [film["film_id"] for film in values(story, "films-registered")] == ["tt0111161"]


@pytest.mark.parametrize(
    ("film", "says"),
    [
        ("tt0944947", ("movie", "tt0944947", None, None)),
        ("Q23572", ("movie", None, "Q23572", None)),
        ("tmdb:tv/1399", ("tv", None, None, 1399)),
        ("tmdb:movie/27205", ("movie", None, None, 27205)),
    ],
)
async def test_a_film_of_which_only_the_id_is_known_shows_what_that_says(
    story: Story, film: str, says: tuple[object, ...]
) -> None:
    await story.rate(film, "1", 5.0)
    view = await story.store.films.film(film)
    assert view is not None
    assert (view.film.kind, view.film.imdb, view.film.wikidata, view.film.tmdb) == says
    (listed,) = (await story.store.films.films()).items
    assert listed == view.film
    assert [each["kind"] for each in values(story, "films-registered")] == [says[0]]
    # No more is told than was said: an id alone neither gives other catalogues' ids another film nor has it looked for.
    assert [known_ids(each) for each in values(story, "films-registered")] == [set()]
    assert story.log.records("scrape-requests") == []


async def test_a_programme_that_is_named_later_stays_one(story: Story) -> None:
    programme = "tmdb:tv/1399"
    await story.rate(programme, "1", 5.0)
    story.runner.push(FactsObserved(film_id=programme, source="ml", title="Game of Thrones (facts)"))
    await story.runner.settle()
    assert values(story, "films-registered")[-1]["kind"] == "tv"
    story.runner.push(PushFilm(title="Game of Thrones", kind="tv", year=2011, tmdb=1399))
    await story.runner.settle()
    view = await story.store.films.film(programme)
    assert view is not None
    assert (view.film.title, view.film.kind, view.film.year, view.film.tmdb) == (
        "Game of Thrones (facts)", "tv", 2011, 1399
    )  # fmt: skip


async def test_a_duplicate_rating_gives_no_prediction(story: Story) -> None:
    await story.rate(INCEPTION, "1", 4.0)
    await story.rate(INCEPTION, "1", 4.0)
    assert len(values(story, "rating-predictions")) == 1


async def test_a_changed_rating_replaces_the_old_one_in_the_mean(story: Story) -> None:
    await story.rate(INCEPTION, "1", 4.0)
    await story.rate(INCEPTION, "2", 2.0)
    await story.rate(INCEPTION, "1", 1.0)
    last = values(story, "rating-predictions")[-1]
    assert last["current_mean"] == 3.0
    assert last["n_ratings"] == 2


async def test_the_latest_prediction_follows_a_change_that_a_slower_clock_sent(story: Story) -> None:
    await story.rate(INCEPTION, "1", 1.0)
    await story.rate(INCEPTION, "2", 1.0)
    story.now -= 3_600_000
    await story.rate(INCEPTION, "1", 5.0)
    last = values(story, "rating-predictions")[-1]
    assert (last["n_ratings"], last["current_mean"]) == (2, 6.0)
    assert story.latest(INCEPTION).event_id == last["event_id"]
    film = await story.store.films.film(INCEPTION)
    assert film is not None
    assert film.prediction is not None
    assert film.prediction.event_id == last["event_id"]


async def test_predictions_that_are_said_again_leave_the_latest_as_it_was(story: Story) -> None:
    for record, value in (("1", 1.0), ("2", 2.0), ("1", 4.0), ("3", 3.0), ("3", 5.0)):
        await story.rate(INCEPTION, record, value)
    told, latest = story.log.records("rating-predictions"), story.latest(INCEPTION)
    for start in range(len(told)):
        for raw in told[start:]:
            story.log.append(raw.topic, raw.key, raw.value, raw.headers)
            await story.runner.settle()
            assert story.latest(INCEPTION).n_ratings == 3
        assert story.latest(INCEPTION) == latest


async def test_records_of_sources_with_a_bar_in_their_names_are_told_apart(story: Story) -> None:
    for source, record, value in (("a|b", "c", 1.0), ("a", "b|c", 2.0), ("a", "b", 3.0)):
        await story.rate(INCEPTION, record, value, source=source)
        text = f"{value} stars"
        story.runner.push(ReviewObserved(film_id=INCEPTION, source=source, source_record_id=record, text=text))
        await story.runner.settle()
    last = values(story, "rating-predictions")[-1]
    assert (last["n_ratings"], last["current_mean"]) == (3, 4.0)
    film = await story.store.films.film(INCEPTION)
    assert film is not None
    assert len(film.ratings) == film.reviews.reviews == 3
    await story.rate(INCEPTION, "c", 4.0, source="a|b")
    assert values(story, "rating-predictions")[-1]["current_mean"] == 6.0


async def test_the_rows_of_records_without_a_bar_in_their_sources_name_keep_their_keys(story: Story) -> None:
    await story.rate(INCEPTION, "1|2", 1.0, source="100%")
    story.runner.push(ReviewObserved(film_id=INCEPTION, source="100%", source_record_id="1|2", text="Dazzling."))
    await story.runner.settle()
    keys = [key for name in ("cleaned-ratings", "cleaned-reviews") for key in story.keys(name)]
    assert keys == [f"film|{INCEPTION}", f"rating|{INCEPTION}|rating|100%|1|2", f"{INCEPTION}|100%|1|2"]


async def test_a_malformed_film_id_becomes_a_dead_letter_with_a_reason(story: Story) -> None:
    await story.rate("inception", "1", 4.0)
    (letter,) = values(story, "dead-letters")
    assert letter["origin_topic"] == "ratings"
    assert "none of the known forms" in letter["error"]
    assert values(story, "rating-predictions") == []


async def test_a_moment_that_is_none_becomes_a_dead_letter_with_a_reason(story: Story) -> None:
    for n, moment in enumerate(("garbage", "2026-13-45", "")):
        await story.rate(INCEPTION, str(n), 4.0, observed_at=moment)
    assert [letter["error"][:22] for letter in values(story, "dead-letters")] == ["Rejected: observed_at:"] * 3
    for n, moment in enumerate(("2026-01-31", "2026-01-31T12:00:00Z", "2026-01-31T12:00:00.123+01:00", None), 3):
        await story.rate(INCEPTION, str(n), 4.0, observed_at=moment)
    assert len(values(story, "rating-predictions")) == 4


async def test_moments_of_rfc_3339_that_few_readers_take_are_told_in_a_form_that_all_do(story: Story) -> None:
    await story.rate(INCEPTION, "1", 4.0, observed_at="2016-12-31T23:59:60Z")
    at = "2026-01-01t00:00:00z"
    story.runner.push(
        ReviewObserved(film_id=INCEPTION, source="x", source_record_id="1", text="Dazzling.", observed_at=at)
    )
    await story.runner.settle()
    assert [each["observed_at"] for each in values(story, "training-ratings")] == ["2017-01-01T00:00:00Z"]
    assert [each["observed_at"] for each in values(story, "training-reviews")] == ["2026-01-01T00:00:00Z"]


async def test_a_rating_in_the_wrong_partition_is_sent_to_the_right_one_and_keeps_its_identity(story: Story) -> None:
    value = json.dumps({"film_id": INCEPTION, "source": "x", "source_record_id": "1", "value": 7}).encode()
    home = story.log.append("ratings", INCEPTION.encode(), value, [])
    story.log.topics["ratings"][home.partition].clear()
    away = (home.partition + 1) % 4
    story.log.append("ratings", None, value, [], partition=away)
    await story.runner.settle()
    (prediction,) = values(story, "rating-predictions")
    assert prediction["cause_id"] == f"ratings-{away}-0"

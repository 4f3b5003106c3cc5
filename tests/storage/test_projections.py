"""What the documents say after events, whatever order crashes and restarts bring them in."""

from __future__ import annotations

import pytest

from app.storage.store import Store
from schemas.entities import Prediction
from tests.storage.events import FILM, film, message, prediction, rating, review, sentiment


async def test_a_film_with_all_that_is_known_of_it(store: Store) -> None:
    await store.projections.put_films([film(title="Inception", year=2010, imdb=FILM)])
    await store.projections.put_ratings(
        [
            rating(0, "u1", 8.0),
            rating(1, "u2", 9.0, source="imdb", kind="mean", votes=2_000_000),
            rating(2, "u3", 4.0),
            rating(3, "u1", 9.5, kind="approval"),
        ]
    )
    await store.projections.put_predictions([prediction(0, 1, 7.1), prediction(2, 3, 7.3)])
    await store.projections.put_reviews([review(0, "r1"), review(1, "r2"), review(2, "r3")])
    await store.projections.put_sentiments([sentiment(0, 0.9, "r1"), sentiment(1, 0.3, "r2")])
    found = await store.films.film(FILM)
    assert found is not None
    assert (found.film.title, found.film.year, found.film.imdb) == ("Inception", 2010, FILM)
    assert found.prediction == Prediction(
        film_id=FILM,
        predicted=7.3,
        current_mean=8.0,
        n_ratings=3,
        model_version="v1",
        predicted_at="2023-11-14T22:13:20.002Z",
        event_id=f"p-{FILM}-2",
    )
    assert [(s.source, s.n, s.mean) for s in found.sources] == [("imdb", 1, 9.0), ("movielens", 2, 6.0)]
    assert [(s.source, s.n, s.mean) for s in found.approvals] == [("movielens", 1, 9.5)]
    assert [r.source_record_id for r in found.ratings] == ["u1", "u3", "u2", "u1"]
    assert found.ratings[2].votes == 2_000_000
    assert (found.reviews.reviews, found.reviews.judged, found.reviews.favourable) == (3, 2, 1)
    assert found.reviews.positive == pytest.approx(0.6)


async def test_an_unknown_film_is_none(store: Store) -> None:
    assert await store.films.film(FILM) is None


async def test_a_film_without_ratings_has_no_prediction_and_a_mood_of_nothing(store: Store) -> None:
    await store.projections.put_films([film(title="Inception")])
    found = await store.films.film(FILM)
    assert found is not None
    assert (found.prediction, found.sources, found.film.n_ratings) == (None, [], 0)
    assert (found.reviews.reviews, found.reviews.positive) == (0, None)


async def test_a_prediction_before_the_registration_is_not_lost(store: Store) -> None:
    await store.projections.put_predictions([prediction(0, 1)])
    await store.projections.put_films([film(title="Inception")])
    found = await store.films.film(FILM)
    assert found is not None
    assert found.film.title == "Inception"
    assert found.film.n_ratings == 1


async def test_a_prediction_after_the_registration_is_not_lost(store: Store) -> None:
    await store.projections.put_films([film(title="Inception")])
    await store.projections.put_predictions([prediction(0, 1, 6.5)])
    found = await store.films.film(FILM)
    assert found is not None
    assert found.film.predicted == 6.5


async def test_an_older_registration_takes_nothing_away(store: Store) -> None:
    bare, full = film(), film(title="Dark", kind="tv", year=2017, wikidata="Q1")
    for order in ([bare, full], [full, bare], [bare], [full], [bare, full, bare]):
        await store.projections.put_films(order)
    found = await store.films.film(FILM)
    assert found is not None
    assert (found.film.title, found.film.kind, found.film.year, found.film.wikidata) == ("Dark", "tv", 2017, "Q1")


async def test_a_film_that_nobody_named_has_the_kind_it_was_registered_with(store: Store) -> None:
    await store.projections.put_films([film(kind="tv")])
    found = await store.films.film(FILM)
    assert found is not None
    assert found.film.kind == "tv"


@pytest.mark.parametrize("together", [True, False])
async def test_a_changed_rating_replaces_the_old_one_and_stays_in_the_history(store: Store, together: bool) -> None:
    versions = [
        rating(0, score=8.0, author="Ann"),
        rating(1, score=6.0, replaces=8.0, ordinal=1),
        rating(2, score=2.0, replaces=6.0, ordinal=1),
    ]
    for batch in [versions] if together else [[version] for version in versions]:
        await store.projections.put_ratings(batch)
    await store.projections.put_predictions([prediction(0, 1, 7.8), prediction(1, 1, 6.8), prediction(2, 1, 5.8)])
    found = await store.films.film(FILM)
    assert found is not None
    assert [(s.n, s.mean) for s in found.sources] == [(1, 2.0)]
    assert [(r.score, r.replaces, r.author) for r in found.ratings] == [(2.0, 6.0, None)]
    history = (await store.films.history(FILM)).items
    assert [(p.score, p.replaces, p.predicted) for p in history] == [(8.0, None, 7.8), (6.0, 8.0, 6.8), (2.0, 6.0, 5.8)]
    assert found.prediction is not None
    assert found.prediction.predicted == 5.8


async def test_a_redelivered_older_rating_does_not_come_back_in_force(store: Store) -> None:
    versions = [rating(0, score=8.0), rating(1, score=6.0, replaces=8.0), rating(2, score=2.0, replaces=6.0)]
    await store.projections.put_films([film()])
    await store.projections.put_ratings(versions)
    for version in versions[:2]:
        await store.projections.put_ratings([version])
    found = await store.films.film(FILM)
    assert found is not None
    assert [r.score for r in found.ratings] == [2.0]
    assert len((await store.films.history(FILM)).items) == 3


async def test_an_older_prediction_never_overwrites_a_newer_one(store: Store) -> None:
    await store.projections.put_predictions([prediction(5, 6, 7.5)])
    await store.projections.put_predictions([prediction(4, 5, 1.0)])
    found = await store.films.film(FILM)
    assert found is not None
    assert found.prediction is not None
    assert found.prediction.predicted == 7.5


async def test_the_last_prediction_of_a_batch_counts_even_if_an_older_one_is_repeated_in_it(store: Store) -> None:
    await store.projections.put_predictions([prediction(0, 1, 5.0), prediction(1, 2, 6.0), prediction(0, 1, 5.0)])
    found = await store.films.film(FILM)
    assert found is not None
    assert found.prediction is not None
    assert found.prediction.predicted == 6.0


async def test_a_changed_review_loses_the_mood_of_its_older_version(store: Store) -> None:
    await store.projections.put_films([film()])
    await store.projections.put_reviews([review(0, text="Dull.", score=2.0)])
    await store.projections.put_sentiments([sentiment(0, 0.1), sentiment(1, 0.9)])
    await store.projections.put_reviews([review(1, text="Better the second time.")])
    await store.projections.put_reviews([review(0, text="Dull.", score=2.0)])
    found = await store.films.film(FILM)
    assert found is not None
    assert (found.reviews.reviews, found.reviews.judged, found.reviews.positive) == (1, 1, 0.9)


async def test_records_of_the_same_name_at_two_films_or_sources_are_two_ratings(store: Store) -> None:
    other = "tt0111161"
    await store.projections.put_ratings(
        [
            rating(0, "1|2", source="a"),
            rating(1, "2", source="a|1"),
            rating(2, "1|2", source="a", film_id=other, cause_id="ratings-0-0"),
        ]
    )
    assert (await store.films.counts()).ratings == 3
    assert len((await store.films.history(FILM)).items) == 2


async def test_documents_hold_neither_places_on_derived_topics_nor_times_of_writing(store: Store) -> None:
    dumps = []
    for place in (3, 77):
        await store.clear_projections()
        put = store.projections
        await put.put_films([message(film(title="A").data, place)])
        await put.put_predictions([message(prediction(0, 1).data, place)])
        await put.put_ratings([message(rating(0).data, place)])
        await put.put_reviews([message(review(0).data, place)])
        dumps.append([await store.documents[name].find({}) for name in ("films", "predictions", "ratings", "reviews")])
    assert dumps[0] == dumps[1]
    assert all(dumps[0])


async def test_clearing_forgets_documents_and_keeps_pointers(store: Store) -> None:
    await store.projections.put_films([film(title="A")])
    await store.projections.put_ratings([rating(0), rating(1, replaces=8.0)])
    await store.projections.put_predictions([prediction(0, 1)])
    await store.pointers.advance("m", 5, "d", {})
    await store.clear_projections()
    counts = await store.films.counts()
    assert (counts.films, counts.ratings, counts.predictions, counts.reviews) == (0, 0, 0, 0)
    assert (await store.films.history(FILM)).items == []
    assert await store.pointers.latest("m") is not None

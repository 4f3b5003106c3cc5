"""Films over HTTP, from documents and from the tables."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.terms import SourceTerms
from tests.storage.events import rating
from tests.web.conftest import Running, Start
from tests.web.stand_ins import fill, make_worker

HTML = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.fixture
async def stocked(start: Start) -> Running:
    """A service over three films."""
    worker = make_worker()
    await fill(worker.store, "tt1375666", "Inception", [8.0, 9.0, 7.0] * 10, year=2010)
    await fill(worker.store, "tmdb:movie/27205", "Star Wars", [6.0], year=1977)
    await fill(worker.store, "Q25188", "Star Trek", [5.0, 6.0], year=1979)
    return await start(worker)


async def answer(running: Running, path: str, status: int = 200, **options: Any) -> Any:
    async with running.get(path, **options) as response:
        body = await response.json(content_type=None)
        assert response.status == status, body
        assert response.content_type == ("application/json" if status == 200 else "application/problem+json")
        return body


async def test_films_are_listed_searched_sorted_and_paged(stocked: Running) -> None:
    everything = await answer(stocked, "/films")
    assert [film["title"] for film in everything["items"]] == ["Inception", "Star Trek", "Star Wars"]
    found = await answer(stocked, "/films?search=STAR&sort=-year&limit=1")
    assert [film["film_id"] for film in found["items"]] == ["tmdb:movie/27205"]
    following = await answer(stocked, "/films?search=STAR&sort=-year&limit=1", params={"cursor": found["next"]})
    assert [film["film_id"] for film in following["items"]] == ["Q25188"]
    assert following["next"] is None


@pytest.mark.parametrize(
    "query",
    ["sort=colour", "limit=0", "limit=-1", "limit=2e3", "limit=99999999999", "limit=x", "cursor=%00", "cursor=e30"],
)
async def test_a_senseless_query_gets_400_with_what_is_allowed(stocked: Running, query: str) -> None:
    problem = await answer(stocked, f"/films?{query}", 400)
    assert problem["detail"].split(":")[0] in {"sort", "limit", "cursor"}


async def test_one_film_shows_sources_ratings_mood_and_prediction(stocked: Running) -> None:
    film = await answer(stocked, "/films/tt1375666")
    assert (film["film_id"], film["title"], film["n_ratings"]) == ("tt1375666", "Inception", 30)
    assert film["sources"] == [{"source": "test", "n": 30, "mean": 8.0}]
    assert film["prediction"]["predicted"] == pytest.approx(8.1)
    assert len(film["ratings"]) == 20
    assert film["reviews"]["reviews"] == 0


@pytest.mark.parametrize("written", ["tmdb:movie/27205", "tmdb:movie%2F27205", "tmdb%3Amovie%2F27205"])
async def test_an_id_with_a_slash_may_be_escaped_or_not(stocked: Running, written: str) -> None:
    from yarl import URL

    for rest in ("", "/history", "/similar"):
        async with stocked.client.get(URL(f"{stocked.url}/films/{written}{rest}", encoded=True)) as response:
            assert response.status == 200
    stocked.worker.predict("tmdb:movie/27205", 6.5)
    async with stocked.client.get(URL(f"{stocked.url}/films/{written}/prediction", encoded=True)) as response:
        assert (await response.json())["film_id"] == "tmdb:movie/27205"


async def test_a_prediction_comes_from_the_table(stocked: Running) -> None:
    stocked.worker.predict("tt1375666", 8.25)
    assert await answer(stocked, "/films/tt1375666/prediction") == {
        "film_id": "tt1375666",
        "predicted": 8.25,
        "current_mean": 7.5,
        "n_ratings": 12,
        "model_version": "fr10-test",
        "predicted_at": "2026-01-01T00:00:00.000Z",
    }


@pytest.mark.parametrize("rest", ["", "/prediction", "/history", "/similar"])
@pytest.mark.parametrize("film", ["tt9999999", "nonsense", "..%2F..%2Fetc%2Fpasswd", "%00", "tt1375666%20", "x" * 3000])
async def test_an_unknown_film_gets_404(stocked: Running, film: str, rest: str) -> None:
    await answer(stocked, f"/films/{film}{rest}", 404)


async def test_history_pairs_each_rating_with_what_was_predicted_after_it(stocked: Running) -> None:
    page = await answer(stocked, "/films/tt1375666/history?limit=3")
    assert [point["score"] for point in page["items"]] == [8.0, 9.0, 7.0]
    assert [point["current_mean"] for point in page["items"]] == [8.0, 8.5, 8.0]
    newest = await answer(stocked, "/films/tt1375666/history?limit=1&order=newest")
    assert newest["items"][0]["source_record_id"] == "29"
    for wrong in ("cursor=nonsense", "cursor=WzExODA1OTE2MjA3MTc0MTEzMDM0MjRd", "order=sideways", "limit=0"):
        problem = await answer(stocked, f"/films/tt1375666/history?{wrong}", 400)
        assert problem["detail"].startswith(wrong.partition("=")[0])
    oldest = await answer(stocked, "/films/tt1375666/history?limit=3&order=oldest")
    assert oldest == page


async def test_the_nearest_film_shares_words_and_decade(stocked: Running) -> None:
    found = await answer(stocked, "/films/Q25188/similar")
    assert found["items"][0]["film_id"] == "tmdb:movie/27205"
    assert 0 < found["items"][0]["similarity"] <= 1
    assert "Q25188" not in [film["film_id"] for film in found["items"]]


async def test_browsers_get_pages_and_programs_get_json(stocked: Running) -> None:
    for path in ("/films", "/films/tt1375666", "/models"):
        async with stocked.get(path, headers=HTML) as response:
            assert response.content_type == "text/html"
            assert response.headers["Vary"] == "Accept"
        for accept in ("*/*", "application/json", "application/json, text/html;q=0.5", ""):
            async with stocked.get(path, headers={"Accept": accept}) as response:
                assert response.content_type == "application/json", accept


async def test_while_the_store_is_away_films_get_503_and_when_to_come_back(stocked: Running) -> None:
    from agents.errors import Unavailable

    async def away(*_: Any) -> None:
        raise Unavailable("mongodb://user:secret@host is away")

    stocked.worker.store.films.films = away
    stocked.worker.store.films.film = away
    for path in ("/films", "/films/tt1375666"):
        async with stocked.get(path) as response:
            assert response.status == 503
            assert "Retry-After" in response.headers
            assert "secret" not in await response.text()


async def test_a_film_is_shown_with_what_its_sources_ask_for(stocked: Running) -> None:
    terms = SourceTerms(expires_at="2027-01-01T00:00:00.000Z", attribution="From <the> source.")
    store = stocked.service.site.worker.store
    await store.projections.put_ratings([rating(900, "guarded", film_id="Q25188", terms=terms)])
    film = await answer(stocked, "/films/Q25188")
    assert film["attributions"] == ["From <the> source."]
    told = [(each["source_record_id"], each["attribution"], each["expires_at"]) for each in film["ratings"]]
    assert told[0] == ("guarded", "From <the> source.", "2027-01-01T00:00:00.000Z")
    assert {each[1:] for each in told[1:]} == {(None, None)}
    async with stocked.get("/films/Q25188", headers=HTML) as response:
        assert "From &lt;the&gt; source." in await response.text()
    assert (await answer(stocked, "/films/tt1375666"))["attributions"] == []

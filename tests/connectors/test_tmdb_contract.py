"""The `tmdb` connector against a server with the fields, paging and errors of TMDB's documentation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from app.connectors.base import FilmTarget, PersonTarget, Request
from app.connectors.cache import AnswerCache
from app.connectors.registry import config_of
from app.connectors.tmdb_payloads import Profile, Review, parse_review, scaled
from tests.connectors.service import Service, instead, serving, status
from tests.connectors.suite import DAY, FILMS, NAME, PEOPLE, Broker, ConnectorSuite, FakeClock

REVIEWS_A_PAGE = 2
INVALID_KEY = {
    "status_code": 7,
    "status_message": "Invalid API key.",
    "success": False,
}
NOT_FOUND = {"status_code": 34, "status_message": "The resource you requested could not be found.", "success": False}
FINDS = {
    "nm0000138": ("person", 6193),
    "Q200534": ("person", 3063),
    "tt1375666": ("movie", 27205),
    "Q171048": ("movie", 862),
}
REVIEWS = {27205: 5, 603: 2, 862: 0}


def configuration() -> dict[str, Any]:
    """As /configuration answers."""
    return {
        "images": {
            "base_url": "http://image.tmdb.org/t/p/",
            "secure_base_url": "https://image.tmdb.org/t/p/",
            "backdrop_sizes": ["w300", "w780", "w1280", "original"],
            "logo_sizes": ["w45", "original"],
            "poster_sizes": ["w92", "w154", "original"],
            "profile_sizes": ["w45", "w185", "h632", "original"],
            "still_sizes": ["w92", "w185", "w300", "original"],
        },
        "change_keys": ["adult", "images"],
    }


def person(number: int) -> dict[str, Any]:
    """As /person/{id}?append_to_response=images,external_ids answers."""
    return {
        "adult": False, "also_known_as": ["Somebody"], "biography": "…", "birthday": "1960-11-05", "deathday": None,
        "gender": 1, "homepage": None, "id": number, "imdb_id": f"nm{number:07}", "known_for_department": "Acting",
        "name": f"Person {number}", "place_of_birth": "London", "popularity": 41.3, "profile_path": "/a.jpg",
        "images": {
            "profiles": [
                {"aspect_ratio": 0.667, "height": 819, "iso_639_1": None, "file_path": f"/p{number}-{n}.jpg",
                 "vote_average": 5.3125, "vote_count": 1, "width": 546}
                for n in range(3)
            ]
        },
        "external_ids": {
            "freebase_mid": None, "freebase_id": None, "imdb_id": f"nm{number:07}", "tvrage_id": None,
            "wikidata_id": f"Q{number}", "facebook_id": "", "instagram_id": "", "twitter_id": "", "youtube_id": None,
        },
    }  # fmt: skip


def film(number: int) -> dict[str, Any]:
    """As /movie/{id}?append_to_response=external_ids answers."""
    return {
        "adult": False, "backdrop_path": "/b.jpg", "belongs_to_collection": None, "budget": 160000000,
        "genres": [{"id": 28, "name": "Action"}, {"id": 878, "name": "Science Fiction"}], "homepage": "", "id": number,
        "imdb_id": f"tt{number:07}", "original_language": "en", "original_title": "Inception", "overview": "Cobb …",
        "popularity": 83.9, "poster_path": "/p.jpg", "release_date": "2010-07-15", "revenue": 825532764,
        "runtime": 148, "status": "Released", "tagline": "", "title": "Inception", "video": False,
        "vote_average": 8.364, "vote_count": 34495,
        "external_ids": {"imdb_id": f"tt{number:07}", "wikidata_id": "Q25188", "facebook_id": None},
    }  # fmt: skip


def reviews(number: int, page: int) -> dict[str, Any]:
    """As /movie/{id}/reviews answers."""
    total = REVIEWS[number]
    pages = -(-total // REVIEWS_A_PAGE)
    first = (page - 1) * REVIEWS_A_PAGE
    return {
        "id": number, "page": page, "total_pages": pages, "total_results": total,
        "results": [
            {"author": f"Reviewer {n}", "content": f"Review {n} of {number}.", "id": f"58a231c5{number}{n}",
             "author_details": {"name": "", "username": f"user{n}", "avatar_path": None,
                                "rating": None if n % 2 else 9.0},
             "created_at": "2017-02-13T22:23:01.268Z", "updated_at": "2021-06-23T15:57:50.602Z",
             "url": f"https://www.themoviedb.org/review/58a231c5{number}{n}"}
            for n in range(first, min(first + REVIEWS_A_PAGE, total))
        ],
    }  # fmt: skip


class Tmdb(Service):
    """TMDB's API, version 3."""

    async def answer(self, request: web.Request) -> web.Response:
        """Whatever is asked for, by whom has a key."""
        keyed = request.query.get("api_key") or request.headers.get("Authorization", "").startswith("Bearer eyJ")
        if not keyed:
            return web.json_response(INVALID_KEY, status=401)
        found = self.find(request)
        return web.json_response(NOT_FOUND, status=404) if found is None else web.json_response(found)

    def find(self, request: web.Request) -> dict[str, Any] | None:
        """The answer's body."""
        match request.path.strip("/").split("/"):
            case ["configuration"]:
                return configuration()
            case ["find", text]:
                assert request.query["external_source"] == ("wikidata_id" if text.startswith("Q") else "imdb_id")
                kind, number = FINDS.get(text, ("", 0))
                kinds = ("movie", "person", "tv", "tv_episode", "tv_season")
                return {f"{each}_results": [{"id": number}] if each == kind else [] for each in kinds}
            case ["person", number] if int(number) < 10_000:
                return person(int(number))
            case ["movie", number] if int(number) in REVIEWS:
                return film(int(number))
            case ["movie", number, "reviews"] if int(number) in REVIEWS:
                return reviews(int(number), int(request.query["page"]))
        return None


class TestTmdb(ConnectorSuite):
    """People and films in one run."""

    kind = "tmdb"
    records = 3 * (1 + 3) + 3 * 3 + 7
    topics = {"celebrity-submissions", "images-found", "film-submissions", "facts", "ratings", "reviews"}  # noqa: RUF012
    pages = 13
    secret = "MARQUEE_TMDB_TOKEN"
    auth = staticmethod(status(401, msgspec.json.encode(INVALID_KEY)))
    inside_200 = staticmethod(
        instead('{"success":false,"status_code":11,"status_message":"Internal error"}', "application/json")
    )
    inside_200_reaction = "retry"
    inside_200_says = "Internal error"

    def service(self) -> Service:
        """TMDB."""
        return Tmdb()


class TestTmdbWithALongToken(TestTmdb):
    """The tokens of version 4 go into a header."""

    def environ(self) -> dict[str, str]:
        """A token of version 4."""
        return {"MARQUEE_TMDB_TOKEN": "eyJhbGciOiJIUzI1NiJ9.s3cr3t.va1ue"}

    async def test_what_is_known_of_films_is_not_sent_again_and_people_are(
        self, site: Service, tmp_path: Path, clock: FakeClock
    ) -> None:
        await self.run(site, tmp_path, clock, Broker())
        broker = Broker()
        report = await self.run(site, tmp_path, clock, broker)
        assert (report.status, report.not_modified) == ("success", report.requests)
        assert {each[0] for each in broker.sent()} == {"celebrity-submissions", "images-found"}

    async def test_films_are_read_again_in_time_to_be_stored_for_longer(
        self, site: Service, tmp_path: Path, clock: FakeClock
    ) -> None:
        for days, unchanged in ((0, 0), (89, 8), (2, 0), (1, 8)):
            clock.time += days * DAY
            # In a new process: three films with three pages, one and none of reviews are known from the disk.
            self.cache = AnswerCache()
            report = await self.run(site, tmp_path, clock, Broker())
            assert report.not_modified == unchanged


@pytest.fixture
def suite() -> TestTmdb:
    """The machinery of the contract, for what goes beyond it."""
    return TestTmdb()


async def _records(suite: TestTmdb, folder: Path, request: Request, **keys: Any) -> tuple[Broker, Any]:
    async with serving(suite.service()) as site:
        suite.request = lambda: request  # type: ignore[method-assign]
        broker = Broker()
        return broker, await suite.run(site, folder, FakeClock(), broker, **keys)


async def test_people_gain_the_ids_of_other_catalogues_and_keep_their_own(suite: TestTmdb, tmp_path: Path) -> None:
    broker, _ = await _records(suite, tmp_path, Request(NAME, people=PEOPLE))
    found = {each["celebrity_id"]: each for each in broker.records("celebrity-submissions")}
    assert found["Q38111"]["imdb"] == "nm0000138"
    assert (found["Q200534"]["tmdb"], found["Q200534"]["imdb"]) == (3063, "nm0003063")
    assert (found["tmdb:person/3896"]["wikidata"], found["tmdb:person/3896"]["tmdb"]) == ("Q3896", 3896)


async def test_pictures_have_the_address_and_size_that_was_asked_for(suite: TestTmdb, tmp_path: Path) -> None:
    broker, _ = await _records(suite, tmp_path, Request(NAME, people=PEOPLE[:1]), size="h632")
    first = broker.records("images-found")[0]
    assert first["url"] == "https://image.tmdb.org/t/p/h632/p6193-0.jpg"
    assert (first["width"], first["height"]) == (421, 632)
    assert first["context_url"] == "https://www.themoviedb.org/person/6193"


async def test_a_size_that_is_not_on_offer_is_refused_before_anything_is_read(suite: TestTmdb, tmp_path: Path) -> None:
    broker, report = await _records(suite, tmp_path, Request(NAME, people=PEOPLE), size="w500")
    assert "TMDB has w45, w185, h632, original, not w500" in report.error
    assert broker.sent() == []


async def test_a_film_gives_facts_a_mean_and_reviews_of_nameless_authors(suite: TestTmdb, tmp_path: Path) -> None:
    broker, _ = await _records(suite, tmp_path, Request(NAME, films=FILMS[:1]))
    (facts,), (rating,) = broker.records("facts"), broker.records("ratings")
    assert (facts["year"], facts["runtime_minutes"], facts["budget"]) == (2010, 148, 160000000)
    assert facts["genres"] == ["Action", "Science Fiction"]
    assert (rating["value"], rating["best"], rating["votes"], rating["kind"]) == (8.364, 10, 34495, "mean")
    reviews = broker.records("reviews")
    assert [each.get("rating") for each in reviews] == [9.0, None, 9.0, None, 9.0]
    assert not any("user0" in str(each) or "Reviewer" in str(each) for each in reviews)
    assert reviews[0]["observed_at"] == "2021-06-23T15:57:50.602Z"


async def test_whom_it_does_not_know_it_does_not_guess(suite: TestTmdb, tmp_path: Path) -> None:
    people = (
        PersonTarget(celebrity_id="local:1", name="Tilda Swinton"),
        PersonTarget(celebrity_id="Q1", name="Nobody", wikidata="Q1"),
        PersonTarget(celebrity_id="tmdb:person/99999", name="Gone", tmdb=99999),
        PEOPLE[0],
    )
    broker, report = await _records(suite, tmp_path, Request(NAME, people=people))
    assert report.status == "success"
    assert [each["celebrity_id"] for each in broker.records("celebrity-submissions")] == ["Q38111"]
    assert len(report.notes) == 3
    assert any("could not be found" in note for note in report.notes)


def test_a_review_without_text_is_none() -> None:
    assert parse_review(Review(id="1", content="  "), FilmTarget(film_id="tt1"), "tmdb") is None


@pytest.mark.parametrize(("size", "pixels"), [("original", (546, 819)), ("w185", (185, 278)), ("h632", (421, 632))])
def test_sizes_in_pixels(size: str, pixels: tuple[int, int]) -> None:
    assert scaled(Profile("/a.jpg", 546, 819), size) == pixels


def test_its_terms_can_be_set_one_by_one() -> None:
    config = config_of("t", {"kind": "tmdb", "terms": {"ttl_days": 30}})
    assert (config.terms.ttl_days, config.terms.train_allowed) == (30, False)

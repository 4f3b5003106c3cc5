"""Mentions find their film by id, address, other catalogues' ids or title; what two films may be meant by waits."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from agents.match import Films, list_film, match_mention
from app.memory import MemoryLog, MemoryRunner
from app.stage import Kind, Stage, TableSpec, Topology
from schemas.base import Record
from schemas.entities import FilmAlias, ListedFilm, ListRevision, OpenMention
from schemas.events import FilmRegistered
from schemas.mentions import FilmListed, FilmMentioned, ResolveMention
from schemas.terms import SourceTerms

SECTIONS = {"film|": ListedFilm, "alias|": FilmAlias, "mention|": OpenMention, "revision|": ListRevision}
CATALOGUE = (
    {"film_id": "tt1375666", "title": "Inception", "year": 2010, "imdb": "tt1375666", "wikidata": "Q25188"},
    {"film_id": "tt0133093", "title": "The Matrix", "year": 1999, "tmdb": 603},
    {"film_id": "tt0054215", "title": "Psycho", "year": 1960},
    {"film_id": "tt0155975", "title": "Psycho", "year": 1998},
    {"film_id": "tt0114709", "title": "Toy Story", "year": 1995},
    {"film_id": "tt0120363", "title": "Toy Story 2", "year": 1999},
    {"film_id": "tt9999999"},
)


class Desk:
    """The two stages over a log in memory, which know the catalogue."""

    def __init__(self) -> None:
        self.index = Films()
        run = self._match
        stages = (
            Stage("list-films", (FilmRegistered,), Kind.DECIDE, list_film, (), TableSpec("listed", {})),
            Stage("match", (FilmListed, FilmMentioned, ResolveMention), Kind.DECIDE, run, (), TableSpec("m", SECTIONS)),
        )
        self.log = MemoryLog(2)
        self.runner = MemoryRunner(Topology(stages), (), self.log)

    def _match(self, message: Any, *sections: Any) -> Any:
        return match_mention(message, *sections, index=self.index)

    async def say(self, *records: Record) -> None:
        for record in records:
            self.runner.push(record)
        await self.runner.settle()

    def told(self, topic: str) -> list[dict[str, Any]]:
        return [json.loads(raw.value or b"") for raw in self.log.records(topic)]


@pytest.fixture
async def desk() -> Desk:
    desk = Desk()
    await desk.say(*(msgspec.convert(film, FilmRegistered) for film in CATALOGUE))
    return desk


def mention(n: int = 1, **fields: Any) -> FilmMentioned:
    base = {"mention_id": f"m{n}", "source": "blog", "source_record_id": str(n)}
    return FilmMentioned(**(base | ({"value": 8.0, "best": 10.0} if "text" not in fields else {}) | fields))


@pytest.mark.parametrize(
    ("fields", "film", "how"),
    [
        ({"imdb": "tt1375666"}, "tt1375666", "id"),
        ({"imdb": "tt7654321"}, "tt7654321", "id"),
        ({"wikidata": "Q25188"}, "tt1375666", "crosswalk"),
        ({"tmdb": 603}, "tt0133093", "crosswalk"),
        ({"url": "https://www.imdb.com/title/tt0133093/reviews"}, "tt0133093", "address"),
        ({"addresses": ("https://www.wikidata.org/wiki/Q25188",)}, "tt1375666", "address"),
        ({"text": "seen https://www.themoviedb.org/movie/603-the-matrix, loved it"}, "tt0133093", "address"),
        ({"title": "Matrix, The", "year": 1999}, "tt0133093", "title"),
        ({"title": "the matirx", "year": 1999}, None, None),
        ({"title": "inception"}, "tt1375666", "title"),
        ({"title": "Psycho", "year": 1998}, "tt0155975", "title"),
        ({"title": "Toy Story II", "year": 2000}, "tt0120363", "title"),
        ({"text": "Tonight: Psycho (1960), still the best"}, "tt0054215", "title"),
        (
            {"text": "it was in the end, after all that was said of it, on a Sunday Toy Story (1995)"},
            "tt0114709",
            "title",
        ),
        ({"text": "“Inception” (2010)"}, "tt1375666", "title"),
        ({"text": "toy story (1995)"}, "tt0114709", "title"),
        ({"imdb": "tt1375666", "title": "The Matrix", "year": 1999}, "tt1375666", "id"),
        ({"title": "Psycho", "year": 1998, "addresses": ("tt1375666", "tt0054215")}, "tt0155975", "title"),
    ],
)
async def test_a_mention_finds_its_film(desk, fields, film, how):
    await desk.say(mention(**fields))
    matched = desk.told("mentions-matched")
    if film is None:
        assert matched == []
        return
    assert [(one["film_id"], one["how"]) for one in matched] == [(film, how)]
    said = desk.told("reviews") if "text" in fields else desk.told("ratings")
    assert [one["film_id"] for one in said] == [film]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"title": "Psycho"}, "2 films are called so, and the mention names no year"),
        ({"title": "Psycho", "year": 1979}, "no known film"),
        ({"title": "Toy Story 3", "year": 1999}, "no known film of those years"),
        ({"title": "Heat", "year": 1995}, "no known film of those years"),
        ({"text": "Psycho (1960) or The Matrix (1999)?"}, "several films"),
        ({"text": "tt1375666 and tt0054215 are both great, see them"}, "several films"),
        ({"text": "https://www.imdb.com/title/tt1375666/ or …/title/tt7654321/ ? 8/10"}, "several films"),
        ({"title": "Heat", "year": 1995, "addresses": ("imdb.com/title/tt0054215", "tt1375666")}, "several films"),
        ({"text": "Inceptoin (2010) 7/10"}, "no known film of those years"),
        ({"text": "Nosuchfilm (1999) - B+"}, "no known film of those years"),
        ({"text": "nosuchfilm (1999): 3/5"}, "no known film of those years"),
        ({"text": "We saw «Никто» (2021)"}, "no known film of those years"),
        ({"text": "Psycho (1979)"}, "no known film of those years"),
    ],
)
async def test_what_is_not_certain_is_left_open_with_what_it_may_be(desk, fields, reason):
    await desk.say(mention(**fields))
    (open_one,) = desk.told("match-unresolved")
    assert reason in open_one["reason"]
    assert desk.told("mentions-matched") == desk.told("ratings") == desk.told("reviews") == []


async def test_what_is_left_open_comes_with_every_film_that_was_meant_perhaps(desk):
    await desk.say(mention(1, text="tt1375666 and tt7654321 are both great"))
    await desk.say(mention(2, text="Inceptoin (2010) 7/10, or in french Inceptoin (2010)"))
    await desk.say(mention(3, text="Nosuchfilm (1999) - B+"))
    # An id that no film has been registered under stands for its title, too.
    told = {one["mention_id"]: one["candidates"] for one in desk.told("match-unresolved")}
    assert {of: [(film["film_id"], film["title"]) for film in films] for of, films in told.items()} == {
        "m1": [("tt1375666", "Inception"), ("tt7654321", "tt7654321")],
        "m2": [("tt1375666", "Inception")],
        "m3": [],
    }
    await desk.say(ResolveMention(mention_id="m3", film_id="tt0133093"))
    assert [(one["film_id"], one["source_record_id"]) for one in desk.told("reviews")] == [("tt0133093", "3")]


@pytest.mark.parametrize("text", ["Good morning everyone", "Nothing like last summer (2010)", "(1999)"])
async def test_a_text_that_shows_no_sign_of_a_film_is_passed_over(desk, text):
    await desk.say(mention(text=text))
    assert desk.told("match-unresolved") == desk.told("mentions-matched") == desk.told("dead-letters") == []


async def test_a_word_by_hand_resolves_a_mention_and_its_later_versions(desk):
    await desk.say(mention(title="Psycho"))
    await desk.say(ResolveMention(mention_id="m1", film_id="tt0054215"))
    await desk.say(mention(title="Psycho", value=9.0))
    assert [one["how"] for one in desk.told("mentions-matched")] == ["hand"]
    assert [(one["film_id"], one["value"]) for one in desk.told("ratings")] == [("tt0054215", 8.0), ("tt0054215", 9.0)]


async def test_a_word_that_it_is_of_no_film_closes_a_mention(desk):
    await desk.say(mention(title="Psycho"))
    await desk.say(ResolveMention(mention_id="m1"))
    await desk.say(mention(title="Psycho", value=9.0))
    assert len(desk.told("match-unresolved")) == 1
    assert [one["film_id"] for one in desk.told("mentions-matched")] == [None]
    assert desk.told("ratings") == []


@pytest.mark.parametrize("word", [ResolveMention(mention_id="nobody"), ResolveMention(mention_id="m1", film_id="x")])
async def test_a_word_that_cannot_be_followed_is_a_dead_letter(desk, word):
    await desk.say(mention(title="Psycho"))
    await desk.say(word)
    assert len(desk.told("dead-letters")) == 1


async def test_a_score_in_the_text_becomes_the_reviews_rating(desk):
    await desk.say(mention(imdb="tt1375666", text="Dreams within dreams. 9/10"))
    (review,) = desk.told("reviews")
    assert (review["rating"], review["best"], review["worst"]) == (9.0, 10.0, 0.0)


async def test_a_cache_of_another_life_is_made_anew(desk):
    desk.index.put(ListedFilm(film_id="tt1", title="Heat", year=1995, kind="movie"), "of another table")
    await desk.say(mention(title="Heat", year=1995))
    assert desk.told("mentions-matched") == []


ENDS, LATER = "2026-11-23T12:00:00.000Z", "2026-12-23T12:00:00.000Z"


def rows(desk: Desk) -> str:
    """Everything that the table says of mentions."""
    (stored,) = desk.runner.tables["m"].stored.values()
    return "".join(value.decode(errors="replace") for key, value in stored.items() if b"mention|" in key)


async def test_what_a_mention_says_comes_under_its_terms(desk: Desk) -> None:
    terms = {"train": False, "expires_at": ENDS, "attribution": "Blog"}
    given = SourceTerms(**terms)
    await desk.say(mention(1, imdb="tt1375666", terms=given), mention(2, imdb="tt1375666", text="Fine", terms=given))
    await desk.say(mention(3, title="Psycho", terms=given))
    assert [desk.told(topic)[0]["terms"] for topic in ("ratings", "reviews", "match-unresolved")] == [terms] * 3


async def test_a_mention_that_may_not_be_stored_any_longer_is_dropped_from_the_table(desk: Desk) -> None:
    await desk.say(mention(title="Psycho", text="Very frightening.", terms=SourceTerms(expires_at=ENDS)))
    assert "frightening" in rows(desk)
    await desk.say(*[ResolveMention(mention_id="m1", expired=ENDS)] * 2)
    assert rows(desk) == ""
    assert desk.told("dead-letters") == desk.told("mentions-matched") == []
    # It may be stated again.
    await desk.say(mention(title="Psycho", text="Very frightening.", terms=SourceTerms(expires_at=LATER)))
    assert len(desk.told("match-unresolved")) == 2


async def test_a_mention_that_was_renewed_meanwhile_stays(desk: Desk) -> None:
    await desk.say(mention(title="Psycho", text="Very frightening.", terms=SourceTerms(expires_at=ENDS)))
    await desk.say(mention(title="Psycho", text="Very frightening.", terms=SourceTerms(expires_at=LATER)))
    await desk.say(ResolveMention(mention_id="m1", expired=ENDS))
    assert "frightening" in rows(desk)


async def test_of_a_resolved_mention_only_the_film_stays_known(desk: Desk) -> None:
    await desk.say(mention(title="Psycho", text="Very frightening.", terms=SourceTerms(expires_at=ENDS)))
    await desk.say(ResolveMention(mention_id="m1", film_id="tt0054215"))
    await desk.say(ResolveMention(mention_id="m1", expired=ENDS))
    assert "frightening" not in rows(desk)
    await desk.say(mention(title="Psycho", text="Still good.", terms=SourceTerms(expires_at=LATER)))
    assert [review["film_id"] for review in desk.told("reviews")] == ["tt0054215"] * 2

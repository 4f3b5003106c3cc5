"""The `wikipedia` connector against a real MediaWiki; what Wikidata and page views say comes from a local server."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
from aiohttp import web

from app.connectors.answers import Answer
from app.connectors.base import FilmTarget, Request
from app.connectors.errors import AuthFailedError, NotFoundError, RetryableError, SourceError
from app.connectors.fetch import Fetcher
from app.connectors.mediawiki import mediawiki_fault
from app.connectors.registry import config_of, make
from app.connectors.runner import CursorStore, Report, run_connector
from tests.connectors.service import Service, serving
from tests.connectors.suite import NAME, Broker, KilledError
from tests.connectors.wiki import EXTRACTS, MediaWikiMissingError, Wiki, mediawiki

pytestmark = [pytest.mark.connectors, pytest.mark.slow]

REQUIRE: Final = "MARQUEE_REQUIRE_CONNECTORS"
BOX: Final = """{{Infobox film
| name     = %(title)s
| released = {{Film date|%(year)d|7|8|[[Odeon]]|%(year)d|7|16|United States}}
| runtime  = %(minutes)d minutes<!-- Theatrical runtime --><ref name="b">120 minutes</ref>
| budget   = $160&nbsp;million<ref>[http://example.org x]</ref>
}}"""
PAGE: Final = (
    "<!-- item %(item)s -->{{Short description|film}}\n"
    + BOX
    + """
'''''%(title)s''''' is a %(year)d film by [[somebody]].

== Plot ==
Cobb and Arthur are [[thief|thieves]].<ref>Not part of it.</ref>

=== Ending ===
A ''top'' spins.

== Reception ==
On the review aggregator website [[Rotten Tomatoes]], 87%% of 366 critics' reviews are positive, with an average \
rating of 8.2/10.<ref>RT</ref> [[Metacritic]], which uses a [[weighted average]], assigned the film a score of 74 out \
of 100, based on 42 critics, indicating "generally favorable" reviews.

== References ==
<references/>
"""
)
FILMS: Final = {
    "Q25188": FilmTarget(film_id="tt1375666", title="Inception", year=2010, imdb="tt1375666", wikidata="Q25188"),
    "Q83495": FilmTarget(film_id="tt0133093", title="The Matrix", year=1999, imdb="tt0133093", wikidata="Q83495"),
}
TITLES: Final = {
    "Q25188": "Inception (film)",  # a redirect to the film's page
    "Q83495": "The Matrix",
    "Q404": "A film that was deleted",
    "Q405": "Mercury",  # a page that lists what the word means
    "Q406": "Going round",  # a redirect to a redirect to itself
    "Q407": "Inception (video game)",  # a redirect to another thing's page
    "Q408": "A [[bad]] title",
    "Q409": "A page of nothing",
}


class Wikidata(Service):
    """Knows which item has which page, and how often each was looked at."""

    async def answer(self, request: web.Request) -> web.Response:
        """As wbgetentities and the REST API answer."""
        if request.path.startswith("/metrics/pageviews/"):
            return web.json_response({"items": [{"views": 40}, {"views": 2}]})
        assert request.query["action"] == "wbgetentities"
        item = request.query["ids"]
        links = {"enwiki": {"site": "enwiki", "title": TITLES[item], "badges": []}} if item in TITLES else {}
        return web.json_response({"entities": {item: {"type": "item", "id": item, "sitelinks": links}}})


@pytest.fixture(scope="module")
def wiki() -> Iterator[Wiki]:
    """It, with pages."""
    try:
        with mediawiki() as wiki:
            _write(wiki)
            yield wiki
    except MediaWikiMissingError as missing:
        if os.environ.get(REQUIRE) == "1":
            pytest.fail(f"{REQUIRE}=1, but {missing}")
        pytest.skip(f"NO MEDIAWIKI: {missing}")


def _write(wiki: Wiki) -> None:
    wiki.edit("Template:Infobox film", '{| class="infobox"\n|-\n| {{{name|}}} || {{{runtime|}}}\n|}')
    wiki.edit("Template:Film date", "{{{1}}}")
    wiki.edit("Template:Short description", "")
    wiki.edit("Inception", PAGE % {"item": "Q25188", "title": "Inception", "year": 2010, "minutes": 148})
    long = "\n".join(f"Sentence {n} says nothing in particular, which makes a page long." for n in range(400))
    matrix = PAGE % {"item": "Q83495", "title": "The Matrix", "year": 1999, "minutes": 136}
    wiki.edit("The Matrix", f"{matrix}\n== Legacy ==\n{long}")
    wiki.edit("Inception (film)", "#REDIRECT [[Inception]]")
    wiki.edit("Inception (video game)", "#REDIRECT [[Inception#Reception]]")
    wiki.edit("Mercury", "<!-- item Q9 -->'''Mercury''' may be:\n* [[Mercury (planet)]]\n* [[Mercury (film)]]")
    wiki.edit("Going round", "#REDIRECT [[Round going]]")
    wiki.edit("Round going", "#REDIRECT [[Going round]]")
    wiki.edit("A page of nothing", "<!-- item Q409 -->")
    wiki.edit("A film that was deleted", "<!-- item Q404 -->")
    wiki.delete("A film that was deleted")


@pytest.fixture(scope="module")
def url(wiki: Wiki) -> Iterator[str]:
    """Its address, as Wikipedia is set up."""
    with wiki.served() as url:
        yield url


@pytest.fixture
async def wikidata() -> AsyncIterator[Service]:
    """What is not in Debian."""
    async with serving(Wikidata()) as service:
        yield service


async def run(url: str, wikidata: Service, folder: Path, broker: Broker, *items: str, **keys: Any) -> Report:
    """One run of the connector about films, by their items."""
    films = [FILMS.get(item) or FilmTarget(film_id=item, title="X", year=2000, wikidata=item) for item in items]
    table = {"kind": "wikipedia", "base_url": url, "wikidata_url": wikidata.url, "views_url": wikidata.url}
    config = config_of(NAME, {**table, "rate": "1000/s", **keys})
    async with Fetcher((url.removeprefix("http://"), *wikidata.allow), 60.0) as fetcher:
        connector = make(config, fetcher, {})
        return await run_connector(NAME, connector, broker, CursorStore(folder), request=Request(NAME, tuple(films)))


def told(broker: Broker) -> tuple[list[Any], list[Any]]:
    """The facts and the scores that were sent, without what tells which film."""
    facts = [[each[key] for key in ("title", "year", "runtime_minutes", "budget", "plot")]
             for each in broker.records("facts")]  # fmt: skip
    scores = [[each[key] for key in ("author", "kind", "value", "best")] for each in broker.records("ratings")]
    return facts, scores


PLOT: Final = "Cobb and Arthur are thieves.\nA top spins."
SCORES: Final = [
    ["Rotten Tomatoes", "approval", 87, 100],
    ["Rotten Tomatoes", "mean", 8.2, 10],
    ["Metacritic", "mean", 74, 100],
]


async def test_a_check_names_the_wiki(url: str) -> None:
    async with Fetcher((url.removeprefix("http://"),), 60.0) as fetcher:
        said = await make(config_of(NAME, {"kind": "wikipedia", "base_url": url}), fetcher, {}).check()
    assert said.startswith("Films of a test, MediaWiki 1.")


async def test_pages_give_facts_plots_and_scores(url: str, wikidata: Service, tmp_path: Path) -> None:
    broker = Broker()
    report = await run(url, wikidata, tmp_path, broker, *FILMS, views=True)
    assert (report.status, report.error, report.refused) == ("success", None, 0)
    facts, scores = told(broker)
    assert facts == [["The Matrix", 1999, 136, 1.6e8, PLOT], ["Inception", 2010, 148, 1.6e8, PLOT]]
    assert scores == SCORES * 2
    assert [note.partition(": ")[2] for note in report.notes] == [
        "'The Matrix' was looked at 42 times in 30 days",
        "'Inception' was looked at 42 times in 30 days",
    ]


async def test_a_page_that_comes_in_parts_is_put_together(wiki: Wiki, wikidata: Service, tmp_path: Path) -> None:
    with wiki.served(f"{EXTRACTS}$wgAPIMaxResultSize = 40000;") as url:
        broker = Broker()
        report = await run(url, wikidata, tmp_path, broker, "Q83495")
    assert report.requests == 4, "the item, the page, its text, its source"
    assert told(broker) == ([["The Matrix", 1999, 136, 1.6e8, PLOT]], SCORES)


async def test_only_pages_that_changed_are_read_again(wiki: Wiki, url: str, wikidata: Service, tmp_path: Path) -> None:
    await run(url, wikidata, tmp_path, Broker(), *FILMS)
    broker = Broker()
    again = await run(url, wikidata, tmp_path, broker, *FILMS)
    assert (again.status, broker.sent(), again.requests) == ("success", [], 4)
    wiki.edit("Inception", PAGE % {"item": "Q25188", "title": "Inception", "year": 2010, "minutes": 150})
    try:
        await run(url, wikidata, tmp_path, broker, *FILMS)
        assert [each["runtime_minutes"] for each in broker.records("facts")] == [150]
    finally:
        wiki.edit("Inception", PAGE % {"item": "Q25188", "title": "Inception", "year": 2010, "minutes": 148})


async def test_a_killed_run_is_gone_on_with(url: str, wikidata: Service, tmp_path: Path) -> None:
    whole, first, rest = Broker(), Broker(dies_at=1), Broker()
    await run(url, wikidata, tmp_path / "whole", whole, *FILMS)
    with pytest.raises(KilledError):
        await run(url, wikidata, tmp_path, first, *FILMS)
    report = await run(url, wikidata, tmp_path, rest, *FILMS)
    assert report.requests == 3
    assert first.sent() + rest.sent() == whole.sent()


@pytest.mark.parametrize(
    ("item", "why"),
    [
        ("Q404", "there is no page 'A film that was deleted'"),
        ("Q405", "leads to 'Mercury', which is not Q405's page"),
        ("Q406", "there is no page 'Going round'"),
        ("Q407", "leads to 'Inception', which is not Q407's page"),
        ("Q408", "there is no page 'A [[bad]] title'"),
        ("Q499", "Q499 has no page here"),
    ],
)
async def test_what_is_no_page_of_the_film_is_noted(
    url: str, wikidata: Service, tmp_path: Path, item: str, why: str
) -> None:
    broker = Broker()
    report = await run(url, wikidata, tmp_path, broker, item)
    assert (report.status, broker.sent()) == ("success", [])
    (note,) = report.notes
    assert why in note


async def test_an_empty_page_gives_nothing(url: str, wikidata: Service, tmp_path: Path) -> None:
    broker = Broker()
    report = await run(url, wikidata, tmp_path, broker, "Q409")
    assert (report.status, broker.sent(), report.notes) == ("success", [], [])


async def test_many_films_and_none_of_them_there_is_a_wrong_address(
    url: str, wikidata: Service, tmp_path: Path
) -> None:
    report = await run(url, wikidata, tmp_path, Broker(), "Q404", "Q406", "Q408")
    assert (report.status, report.error_class) == ("failed", "NotFound")


async def test_a_wiki_without_text_extracts_gives_the_same(wiki: Wiki, wikidata: Service, tmp_path: Path) -> None:
    with wiki.served(more="") as url:
        broker = Broker()
        report = await run(url, wikidata, tmp_path, broker, "Q25188")
    assert report.status == "success"
    assert told(broker) == ([["Inception", 2010, 148, 1.6e8, PLOT]], SCORES)
    assert "no TextExtracts" in report.notes[0]


async def test_a_search_that_knows_no_intitle_finds_nothing_and_guesses_nothing(
    url: str, wikidata: Service, tmp_path: Path
) -> None:
    nameless = FilmTarget(film_id="tt1375666", title="Inception", year=2010, imdb="tt1375666")
    config = config_of(NAME, {"kind": "wikipedia", "base_url": url, "wikidata_url": wikidata.url})
    async with Fetcher((url.removeprefix("http://"),), 60.0) as fetcher:
        report = await run_connector(
            NAME, make(config, fetcher, {}), Broker(), CursorStore(tmp_path), request=Request(NAME, (nameless,))
        )
    assert (report.status, report.records) == ("success", 0)
    assert "no item of Wikidata is certainly it" in report.notes[0]


@pytest.mark.parametrize(
    ("settings", "place", "expected"),
    [
        ("$wgGroupPermissions['*']['read'] = false;", "action=query&titles=Inception&prop=info", AuthFailedError),
        ("", "action=wbgetentities&ids=Q1", SourceError),
        ("", "action=parse&page=Nowhere", NotFoundError),
        ("", "action=query&titles=Inception&assert=user", AuthFailedError),
        ("$wgReadOnly = 'being mended';", "action=purge&titles=Inception", RetryableError),
    ],
)
async def test_its_errors_are_understood(wiki: Wiki, settings: str, place: str, expected: type[SourceError]) -> None:
    with wiki.served(EXTRACTS + settings) as url:
        address = f"{url}/w/api.php?format=json&formatversion=2&{place}"
        async with aiohttp.request("POST" if "purge" in place else "GET", address) as answer:
            found = mediawiki_fault(Answer(address, answer.status, answer.headers, await answer.read()))
    assert answer.status == 200
    assert type(found) is expected, found

"""The `wikipedia` connector against a server that answers as Wikimedia's wikis do, and its readers of their texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
from aiohttp import web

from app.connectors.base import FilmTarget, Request
from app.connectors.errors import NotFoundError
from app.connectors.runner import CursorStore, Report
from app.connectors.wiki_pages import (
    WikiPage,
    parse_film_page,
    parse_pages,
    parse_same_film,
    parse_sitelink,
    plot_in,
    scores_in,
    text_of,
    the_page,
)
from schemas.events import FactsObserved
from tests.connectors.service import Service, instead, serving, status
from tests.connectors.suite import FILMS, NAME, Broker, ConnectorSuite, FakeClock

ARTICLES = {"Q25188": "Inception", "Q83495": "The Matrix", "Q171048": "Toy Story"}
IMDB = {"Q25188": "tt1375666", "Q83495": "tt0133093", "Q171048": "tt0114709"}
BOX = """{{Short description|2010 film}}
{{Infobox film
| name     = Inception
| released = {{Film date|2010|7|8|[[Odeon]]|2010|7|16|United States}}
| runtime  = 148 minutes<!-- Theatrical runtime: 147:58 --><ref name="b">{{cite web|title=120 minutes}}</ref>
| budget   = $160&nbsp;million<ref>{{cite web|x}}</ref>
}}
'''''Inception''''' is a film."""
TEXT = """Inception is a 2010 film, which many loved.


== Plot ==
Cobb and Arthur are thieves.


=== Ending ===
A top spins.


== Reception ==
On the review aggregator website Rotten Tomatoes, 87% of 366 critics' reviews are positive, with an average \
rating of 8.2/10. Metacritic, which uses a weighted average, assigned the film a score of 74 out of 100, based on \
42 critics, indicating "generally favorable" reviews.
"""


class Wikis(Service):
    """A Wikipedia, Wikidata and the REST API at one address."""

    def __init__(self) -> None:
        super().__init__()
        self.revision = 7
        self.item: str | None = None
        """The item of all pages, where it is not the one that led there."""

    async def answer(self, request: web.Request) -> web.Response:
        """What the APIs say."""
        if request.path.startswith("/metrics/pageviews/per-article/127.0.0.1/all-access/user/"):
            items = [{"project": "en.wikipedia", "timestamp": "2026110200", "views": 40}, {"views": 2}]
            return web.json_response({"items": items})
        assert request.path == "/w/api.php"
        asked = dict(request.query)
        assert (asked["format"], asked["formatversion"]) == ("json", "2")
        if asked.get("meta") == "siteinfo":
            general = {"sitename": "Wikipedia", "generator": "MediaWiki 1.45.0"}
            return web.json_response({"batchcomplete": True, "query": {"general": general}})
        assert asked["maxlag"] == "5"
        if asked["action"] == "wbgetentities":
            return web.json_response({"entities": {item: self.entity(item, asked) for item in asked["ids"].split("|")}})
        if asked.get("generator") == "search":
            items = [item for item, title in ARTICLES.items() if f'"{title}"' in asked["gsrsearch"]]
            pages = [self.head(item) for item in items] + [{"pageid": 9, "ns": 0, "title": "A list", "index": 9}]
            return web.json_response({"continue": {"gsroffset": 10, "continue": "gsroffset||"},
                                      "query": {"pages": pages}})  # fmt: skip
        return web.json_response(self.page(asked))

    def entity(self, item: str, asked: dict[str, str]) -> dict[str, Any]:
        """As action=wbgetentities answers, whose empty objects are lists."""
        if item not in ARTICLES:
            return {"id": item, "missing": ""}
        if asked["props"] == "sitelinks":
            assert asked["sitefilter"] == "enwiki"
            links = {"enwiki": {"site": "enwiki", "title": ARTICLES[item], "badges": []}}
            return {"type": "item", "id": item, "sitelinks": links}
        snak = {"snaktype": "value", "property": "P345", "datavalue": {"value": IMDB[item], "type": "string"}}
        return {"type": "item", "id": item, "claims": {"P345": [{"mainsnak": snak, "rank": "normal"}]}}

    def head(self, item: str) -> dict[str, Any]:
        """A page without its text."""
        return {
            "pageid": 2, "ns": 0, "title": ARTICLES[item], "contentmodel": "wikitext", "pagelanguage": "en",
            "touched": "2026-11-01T00:00:00Z", "lastrevid": self.revision, "length": 5,
            "fullurl": f"https://en.wikipedia.org/wiki/{ARTICLES[item]}",
            "pageprops": {"wikibase_item": self.item or item, "wikibase-shortdesc": "film"},
        }  # fmt: skip

    def page(self, asked: dict[str, str]) -> dict[str, Any]:
        """As action=query answers: the text and the source of a page come one after the other."""
        item = next((item for item, title in ARTICLES.items() if title == asked["titles"]), None)
        if item is None:
            return {"batchcomplete": True, "query": {"pages": [{"ns": 0, "title": asked["titles"], "missing": True}]}}
        if "extracts" not in asked["prop"]:
            return {"batchcomplete": True, "query": {"pages": [self.head(item)]}}
        slots = {"main": {"contentmodel": "wikitext", "contentformat": "text/x-wiki", "content": BOX}}
        if "rvcontinue" in asked:
            page = {"pageid": 2, "ns": 0, "title": ARTICLES[item], "revisions": [{"slots": slots}]}
            return {"batchcomplete": True, "query": {"pages": [page]}}
        page = {"pageid": 2, "ns": 0, "title": ARTICLES[item], "extract": TEXT}
        return {"continue": {"rvcontinue": "1|2", "continue": "||extracts"}, "query": {"pages": [page]}}


class TestWikipedia(ConnectorSuite):
    """By item: facts and three scores each."""

    kind = "wikipedia"
    records = 12
    topics = {"facts", "ratings"}  # noqa: RUF012
    pages = 12
    inside_200 = staticmethod(
        instead('{"error":{"code":"internal_api_error","info":"[x] Caught exception","docref":""}}', "application/json")
    )
    inside_200_says = "Caught exception"

    def service(self) -> Service:
        """All of them."""
        return Wikis()

    def table(self, site: Service, **keys: Any) -> dict[str, Any]:
        """With all of them at the server's address."""
        return super().table(site, wikidata_url=site.url, views_url=site.url, **keys)


class TestWikipediaWithViews(TestWikipedia):
    """Page views cost a request and bring no records."""

    keys: ClassVar[dict[str, Any]] = {"views": True}
    pages = 15


async def _run(folder: Path, site: Service, *films: FilmTarget, **keys: Any) -> tuple[Broker, Report]:
    suite, broker = TestWikipedia(), Broker()
    suite.request = lambda: Request(NAME, films)  # type: ignore[method-assign]
    return broker, await suite.run(site, folder, FakeClock(), broker, CursorStore(folder), **keys)


async def test_a_film_gives_facts_and_the_scores_that_its_page_states(tmp_path: Path) -> None:
    async with serving(Wikis()) as site:
        broker, _ = await _run(tmp_path, site, FILMS[0])
    (facts,) = broker.records("facts")
    assert (facts["title"], facts["year"], facts["runtime_minutes"], facts["budget"]) == ("Inception", 2010, 148, 1.6e8)
    assert facts["plot"] == "Cobb and Arthur are thieves.\nA top spins."
    ratings = [(each["author"], each["kind"], each["value"], each["best"], each.get("votes")) for each in
               broker.records("ratings")]  # fmt: skip
    assert ratings == [
        ("Rotten Tomatoes", "approval", 87, 100, 366),
        ("Rotten Tomatoes", "mean", 8.2, 10, None),
        ("Metacritic", "mean", 74, 100, 42),
    ]
    assert broker.records("ratings")[0]["source_record_id"] == "Q25188/Rotten Tomatoes/approval"


async def test_a_page_that_did_not_change_is_not_read_again(tmp_path: Path) -> None:
    site = Wikis()
    async with serving(site):
        await _run(tmp_path, site, FILMS[0])
        site.asked.clear()
        again, _ = await _run(tmp_path, site, FILMS[0])
        assert (again.sent(), len(site.asked)) == ([], 2)
        site.revision = 8
        changed, _ = await _run(tmp_path, site, FILMS[0])
    assert len(changed.sent()) == 4


async def test_a_film_without_an_item_is_searched_for_and_known_by_its_imdb_id(tmp_path: Path) -> None:
    film = FilmTarget(film_id="tt0114709", title="Toy Story", year=1995, imdb="tt0114709")
    remake = FilmTarget(film_id="tt9999999", title="Toy Story", year=1995, imdb="tt9999999")
    nameless = FilmTarget(film_id="local:1", title="Toy Story", year=1995)
    async with serving(Wikis()) as site:
        broker, report = await _run(tmp_path, site, film, remake, nameless)
    assert {each["film_id"] for each in broker.records("facts")} == {"tt0114709"}
    assert [note.partition(":")[0] for note in report.notes] == ["local", "tt9999999"]


async def test_a_redirect_to_a_page_about_something_else_gives_nothing(tmp_path: Path) -> None:
    site = Wikis()
    site.item = "Q1"
    async with serving(site):
        broker, report = await _run(tmp_path, site, FILMS[0])
    assert broker.sent() == []
    assert "which is not Q25188's page" in report.notes[0]


async def test_a_film_without_a_page_here_is_noted(tmp_path: Path) -> None:
    async with serving(Wikis()) as site:
        broker, report = await _run(tmp_path, site, FilmTarget(film_id="Q404", title="X", wikidata="Q404"))
    assert (broker.sent(), report.status) == ([], "success")
    assert "Q404 has no page here" in report.notes[0]


async def test_views_are_told_to_people(tmp_path: Path) -> None:
    async with serving(Wikis()) as site:
        _, report = await _run(tmp_path, site, FILMS[1], views=True)
        assert site.asked[-3].path.endswith("/user/The_Matrix/daily/20261004/20261102")
    assert report.notes == ["tt0133093: 'The Matrix' was looked at 42 times in 30 days"]


@pytest.mark.parametrize("code", ["maxlag", "ratelimited"])
async def test_a_wiki_that_wants_a_pause_gets_it(tmp_path: Path, code: str) -> None:
    body = f'{{"error":{{"code":"{code}","info":"Wait."}}}}'
    suite, clock = TestWikipedia(), FakeClock()
    async with serving(suite.service()) as site:
        site.faults.append(status(200, body, {"Retry-After": "5", "Content-Type": "application/json"}))
        report = await suite.run(site, tmp_path, clock, Broker())
    assert (report.status, report.retries, clock.slept) == ("success", 1, [5.0])


def facts(source: str, text: str = "") -> FactsObserved | None:
    """What a page gives of facts."""
    said = {"title": "X (film)", "extract": text, "revisions": [{"slots": {"main": {"content": source}}}]}
    page = msgspec.convert(said, WikiPage)
    found = [each for each in parse_film_page(page, FILMS[0], "wp", ("Plot",)) if isinstance(each, FactsObserved)]
    return found[0] if found else None


@pytest.mark.parametrize(
    ("written", "minutes"),
    [
        ("148 minutes", 148), ("148&nbsp;min.", 148), ("{{Duration|m=148}}", 148), ("{{duration|2|28}}", 148),
        ("{{duration|h=2}}", 120), ("120 minutes (theatrical)<br>145 minutes (director's cut)", None),
        ("90–95 minutes", None), ("two hours", None), ("", None), ("{{plainlist|\n* 101 minutes}}", None),
    ],
)  # fmt: skip
def test_lengths_in_infoboxes(written: str, minutes: float | None) -> None:
    found = facts(f"{{{{Infobox film\n| runtime = {written}\n| country = x}}}}")
    assert found is not None
    assert found.runtime_minutes == minutes


@pytest.mark.parametrize(
    ("written", "budget"),
    [
        ("$160 million", 1.6e8), ("US$1.5 million<ref>x</ref>", 1.5e6), ("{{US$|63 million}}", 6.3e7),
        ("$900,000", 9e5), ("$1.2 billion", 1.2e9), ("$160–165 million", None), ("£10 million", None),
        ("{{INRConvert|100|c}}", None), ("£10 million ($13 million)", None), ("A$20 million", None), ("", None),
    ],
)  # fmt: skip
def test_budgets_are_read_only_where_they_are_one_sum_of_dollars(written: str, budget: float | None) -> None:
    found = facts(f"{{{{infobox film|budget={written}|name=x}}}}")
    assert found is not None
    assert found.budget == budget


def test_years_are_those_of_the_first_showing() -> None:
    for written, year in (("{{Film date|2011|1|2|2010|9|8|Venice}}", 2010), ("16 July 2010", 2010), ("soon", None)):
        found = facts(f"{{{{Infobox film|released={written}}}}}")
        assert found is not None
        assert found.year == year


def test_a_page_without_infobox_or_plot_gives_no_facts() -> None:
    assert facts("Just text.", "Just text.") is None
    assert facts("{{Infobox person|name=x}}", "") is None
    assert facts("{{Infobox film|runtime=", "") is None


def test_plots_end_where_the_next_section_begins() -> None:
    assert plot_in("a\n== Plot ==\nb\n\n=== c ===\nd\n== Cast ==\ne", ("plot",)) == "b\nd"
    assert plot_in("a\n== Plot ==\n== Cast ==\ne", ("Plot",)) is None
    assert plot_in("Plot\nb", ("Plot",)) is None


def test_a_text_is_made_from_the_source_where_the_wiki_makes_none() -> None:
    source = """lead<ref>one<ref>two</ref></ref> {{box|x=y}}

== ''Plot'' ==
Cobb [[thief|steals]].<ref>not this</ref>[[File:x.jpg|thumb|a caption]]

=== Ending ===
A '''top'''<!-- never --> spins.
{|
| a || b<ref>c</ref>
|}
== Cast ==
* Somebody"""
    text = text_of(source)
    assert plot_in(text, ("Plot",)) == "Cobb steals.\nA top spins."
    assert not any(word in text for word in ("one", "box", "not this", "caption", "never", "||"))
    assert (text_of(""), text_of("== a")) == ("", "== a")


async def test_a_wiki_without_extracts_gives_plots_and_scores_all_the_same(tmp_path: Path) -> None:
    class Bare(Wikis):
        def page(self, asked: dict[str, str]) -> dict[str, Any]:
            said = super().page(asked)
            if "extracts" in asked["prop"]:
                del said["query"]["pages"][0]["extract"]
                warning = {"warnings": 'Unrecognized value for parameter "prop": extracts'}
                return {"warnings": {"query": warning}, **super().page({**asked, "rvcontinue": "1|2"})}
            return said

    async with serving(Bare()) as site:
        broker, report = await _run(tmp_path, site, FILMS[0])
    assert len(broker.records("facts")) == 1
    assert "no TextExtracts" in report.notes[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("On Rotten Tomatoes, the film holds an approval rating of 91% based on 1,234 reviews, with an average rating "
         "of 7.9/10.", [("approval", 91.0, 1234), ("mean", 7.9, None)]),
        ("On Rotten Tomatoes, season one has 90% of 20 critics. On Rotten Tomatoes, season two has 80% of 30 critics.",
         []),
        ("Rotten Tomatoes gave it an approval rating of 60%.", [("approval", 60.0, None)]),
        ("Metacritic assigned a score of 74/100 based on 42 critics.", [("mean", 74.0, 42)]),
        ("The film was seen by 87% of 366 people.", []),
        ("Rotten Tomatoes says 120% of 3 critics.", []),
        ("", []),
    ],
)  # fmt: skip
def test_scores_are_read_only_where_a_text_states_them_once(
    text: str, expected: list[tuple[str, float, int | None]]
) -> None:
    assert [(kind, value, votes) for _, kind, value, _, votes in scores_in(text)] == expected


def test_odd_answers_are_read() -> None:
    assert parse_sitelink(b'{"entities":{"Q1":{"sitelinks":[]}}}', "enwiki") is None
    assert parse_same_film(b'{"entities":{"Q1":{"claims":[]},"Q2":{"missing":""}}}', "tt1") == []
    novalue = b'{"entities":{"Q1":{"claims":{"P345":[{"mainsnak":{"snaktype":"novalue"},"rank":"normal"}]}}}}'
    assert parse_same_film(novalue, "tt1") == []
    assert parse_pages(b'{"batchcomplete":true}') == ([], {})
    for body in (b'{"query":{"pages":[{"title":"<","invalid":true}]}}', b'{"batchcomplete":true}'):
        with pytest.raises(NotFoundError):
            the_page(parse_pages(body)[0], "<")

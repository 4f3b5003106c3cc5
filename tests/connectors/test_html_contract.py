"""The `html` connector against a site with pages in every way of writing, and its readers against what pages hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlencode

import pytest
from aiohttp import web

from app.connectors.answers import Answer
from app.connectors.base import FilmTarget, Refused, Request, observed
from app.connectors.errors import BlockedError, IncompleteError, MalformedError, NotFoundError
from app.connectors.film_pages import FilmPage, Subject, minutes_of, score_of, whole_of
from app.connectors.html import slug
from app.connectors.markup import page_text, plain_text
from app.connectors.page_records import Reading, mismatch, parse_page, records_of
from app.connectors.page_selectors import Selectors
from app.connectors.registry import config_of
from app.connectors.runner import Report
from app.settings import ConfigError
from schemas.events import ReviewObserved
from tests.connectors.service import Service, instead, serving, status
from tests.connectors.suite import FILMS, NAME, Broker, ConnectorSuite, FakeClock

FILM = FILMS[0]
FILLED = "<p>Words about films.</p>" * 20


def json_ld(n: int, page: int) -> str:
    """A page with a graph, references and reviews at its end."""
    reviews = ",".join(
        f'{{"@type": "Review", "@id": "#r{page}-{i}", "author": {{"@type": "Person", "name": "Anna {i}"}},'
        f' "datePublished": "2026-11-0{i + 1}", "reviewBody": "Review {i} on page {page} of film {n}.",'
        f' "reviewRating": {{"@type": "Rating", "ratingValue": "{i + 3}"}}}}'
        for i in range(2)
    )
    following = f'<link rel="next" href="?page={page + 1}">' if page < 2 else ""
    return (
        f"<!DOCTYPE html><html><head><title>x</title>{following}</head><body>{FILLED}"
        '<script type="application/ld+json">{"@context": "https://schema.org", "@graph": ['
        '{"@type": "WebSite", "name": "Site"},'
        f'{{"@type": "Movie", "@id": "#film", "name": "Film {n}", "datePublished": "2010-07-16",'
        ' "genre": ["Action", "Drama"], "duration": "PT2H28M", "aggregateRating": {"@id": "#mean"},'
        f' "review": [{reviews}]}},'
        '{"@type": "AggregateRating", "@id": "#mean", "ratingValue": 8.1, "bestRating": 10, "ratingCount": "2,345"}'
        "]}</script></body></html>"
    )


MICRODATA = """<html><body><div itemscope itemtype="https://schema.org/Movie"><h1 itemprop="name">Inception</h1>
<meta itemprop="datePublished" content="2010-07-16"><time itemprop="duration" datetime="PT148M">2 h 28</time>
<div itemprop="aggregateRating" itemscope itemtype="https://schema.org/AggregateRating">
<span itemprop="ratingValue">4,2</span> of <span itemprop="bestRating">5</span> by
<span itemprop="ratingCount">1 234</span></div>
<div itemprop="review" itemscope itemtype="http://schema.org/Review"><span itemprop="author" itemscope
 itemtype="http://schema.org/Person"><b itemprop="name">Bernd</b></span><p itemprop="reviewBody">Good.</p>
<div itemprop="reviewRating" itemscope itemtype="http://schema.org/Rating"><meta itemprop="ratingValue" content="4">
</div></div></div></body></html>"""
PLAIN = """<html><body><h1>Inception <small>(2010)</small></h1><b class="mean" data-value="7.9">*</b><i class="n">1.234
votes</i><span class="time">148 min</span>
<article id="a1"><p>Fine.<br>Really.</p><em>9/10</em><cite>Carla</cite></article>
<article><p></p></article></body></html>"""
SELECTORS = {
    "title": "h1", "year": "h1 small", "value": "b.mean@data-value", "votes": "i.n", "runtime": ".time",
    "review": "article", "review_text": "p", "review_value": "em", "review_author": "cite",
}  # fmt: skip


class Site(Service):
    """A site with pages of films."""

    word = "Review"

    async def answer(self, request: web.Request) -> web.Response:
        """A page of a film."""
        if request.path == "/":
            return web.Response(text="<html>Welcome</html>", content_type="text/html")
        name, page = request.path.rpartition("/")[2], int(request.query.get("page", "1"))
        written = json_ld(int(name.removeprefix("tt")), page)
        if page == 2:
            written = written.replace("Review ", f"{self.word} ")
        return web.Response(text=written, content_type="text/html")


class TestHtml(ConnectorSuite):
    """Pages by IMDb id, each with a second page of reviews."""

    kind = "html"
    keys: ClassVar[dict[str, Any]] = {"url": "film/{imdb}", "most_pages": 5, "robots": False}
    records = 2 * (1 + 1 + 4)
    topics = {"facts", "ratings", "reviews"}  # noqa: RUF012
    pages = 4
    inside_200 = staticmethod(instead("<title>Just a moment...</title>", "text/html"))
    inside_200_says = "proof that a person"

    def service(self) -> Service:
        """The site."""
        return Site()


async def test_a_later_page_that_changed_is_read_though_the_first_one_did_not(tmp_path: Path) -> None:
    suite, clock, broker = TestHtml(), FakeClock(), Broker()
    async with serving(Site()) as site:
        await suite.run(site, tmp_path, clock, Broker())
        site.word = "Opinion"
        report = await suite.run(site, tmp_path, clock, broker)
    assert (report.requests, report.not_modified) == (4, 2)
    assert [each["text"][:16] for each in broker.records("reviews")] == ["Opinion 0 on pag", "Opinion 1 on pag"] * 2
    assert broker.records("facts") == []


async def test_other_settings_read_pages_that_did_not_change(tmp_path: Path) -> None:
    suite, clock, broker = TestHtml(), FakeClock(), Broker()
    async with serving(Site()) as site:
        await suite.run(site, tmp_path, clock, Broker())
        report = await suite.run(site, tmp_path, clock, broker, scale="0:10")
    assert (report.not_modified, report.records) == (0, suite.records)


@pytest.mark.parametrize("broken", ["/film/tt0133093", "/film/tt0133093?page=2"])
async def test_a_page_that_answers_5xx_for_good_costs_only_itself(tmp_path: Path, broken: str) -> None:
    class Breaks(Site):
        """One of its pages never comes."""

        async def answer(self, request: web.Request) -> web.Response:
            """A page of a film, or none."""
            return web.Response(status=503) if request.path_qs == broken else await super().answer(request)

    suite, clock = TestHtml(), FakeClock()
    async with serving(Breaks()) as site:
        first = await suite.run(site, tmp_path, clock, Broker())
        assert (first.status, first.reaction) == ("failed", "retry")
        broker = Broker()
        for _ in ("the next try goes on behind it", "the next round asks for it too"):
            site.asked.clear()
            report = await suite.run(site, tmp_path, clock, broker)
            assert (report.status, report.error) == ("success", None)
            assert any(broken in note and "passed over" in note for note in report.notes)
            paths = {f"{each.path}?{urlencode(each.query)}".rstrip("?") for each in site.asked}
            assert {broken, "/film/tt1375666"} <= paths
    assert "tt1375666" in {each["film_id"] for each in broker.records("facts")}


class Others(Service):
    """A site without JSON-LD, whose addresses have titles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.page = page

    async def answer(self, request: web.Request) -> web.Response:
        """The one page that it has."""
        if request.path in ("/film/inception-2010", "/film/inception"):
            return web.Response(text=self.page, content_type="text/html")
        return web.Response(status=404)


async def _run(folder: Path, page: str, *films: FilmTarget, **keys: Any) -> tuple[Broker, Report]:
    suite, broker = TestHtml(), Broker()
    suite.keys = {"url": "film/{title}-{year}", "robots": False}  # type: ignore[misc]
    suite.request = lambda: Request(NAME, films or (FILM,))  # type: ignore[method-assign]
    async with serving(Others(page)) as site:
        return broker, await suite.run(site, folder, FakeClock(), broker, **keys)


class Closed(Others):
    """A site whose pages of films are not for programs."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """With a robots.txt of its own."""
        if request.path == "/robots.txt":
            return web.Response(text="User-agent: *\nDisallow: /film/\n")
        return await super().handle(request)


async def _check(site: Service, **keys: Any) -> str:
    async with TestHtml().connector(site, FakeClock(), **{"robots": False, **keys}) as connector:
        return await connector.check()


async def test_a_check_obeys_the_robots_txt_that_a_run_would_obey() -> None:
    async with serving(Closed(MICRODATA)) as site:
        for keys in ({"url": "film/{imdb}"}, {"url": "", "pages": [{"url": "film/inception", "film": "tt1375666"}]}):
            with pytest.raises(BlockedError):
                await _check(site, robots=True, **keys)
        assert site.asked == []


async def test_a_check_asks_for_a_page_as_a_run_does_and_not_for_the_root_of_the_site() -> None:
    async with serving(Others(MICRODATA)) as site:
        found = await _check(site, url="", pages=[{"url": "film/inception", "film": "tt1375666"}])
        assert found.endswith(f"/film/inception answers ({len(MICRODATA)} bytes)")
        with pytest.raises(NotFoundError):
            await _check(site, url="", pages=[{"url": "film/gone", "film": "tt1375666"}])
        assert "does not know The Shawshank Redemption" in await _check(site, url="film/{title}-{year}")
        assert [request.path for request in site.asked][-1] == "/film/the-shawshank-redemption-1994"


def page(body: str, **selectors: str) -> FilmPage:
    """What is read of a page."""
    answer = Answer("https://h.example/f", 200, {"Content-Type": "text/html"}, body.encode())
    return parse_page(answer, Reading(Selectors(**selectors), None))[0]


def script(*blocks: str) -> str:
    """A page with blocks of JSON-LD."""
    inside = "".join(f'<script type="application/ld+json">{block}</script>' for block in blocks)
    return f"<html><body>{inside}</body></html>"


async def test_microdata_of_the_film_that_was_asked_for_is_taken(tmp_path: Path) -> None:
    broker, report = await _run(tmp_path, MICRODATA)
    (facts,), (rating,), (review,) = (broker.records(topic) for topic in ("facts", "ratings", "reviews"))
    assert (facts["title"], facts["year"], facts["runtime_minutes"]) == ("Inception", 2010, 148)
    assert (rating["value"], rating["best"], rating["votes"], rating["kind"]) == (4.2, 5, 1234, "mean")
    assert (review["text"], review["rating"], review["best"]) == ("Good.", 4, 5)
    assert "Bernd" not in str(review)
    assert (report.status, rating["url"].endswith("/film/inception-2010")) == ("success", True)


async def test_selectors_read_what_has_no_terms(tmp_path: Path) -> None:
    broker, report = await _run(tmp_path, PLAIN, selectors=SELECTORS, scale="0:10")
    assert report.notes == []
    (facts,), (rating,), (review,) = (broker.records(topic) for topic in ("facts", "ratings", "reviews"))
    assert (facts["year"], facts["runtime_minutes"]) == (2010, 148)
    assert (rating["value"], rating["best"], rating["votes"]) == (7.9, 10, 1234)
    assert (review["text"], review["rating"], review["best"]) == ("Fine.\nReally.", 9, 10)
    assert review["source_record_id"] == "a1"


async def test_a_page_about_another_film_of_the_title_gives_nothing(tmp_path: Path) -> None:
    broker, report = await _run(tmp_path, MICRODATA.replace("2010-07-16", "1987-01-01"))
    assert broker.sent() == []
    assert "is about a film of 1987; nothing is taken" in report.notes[0]


async def test_a_page_that_nothing_was_taken_from_is_read_again_as_a_whole(tmp_path: Path) -> None:
    suite, broker, clock = TestHtml(), Broker(), FakeClock()
    suite.keys = {"url": "film/{title}", "robots": False}  # type: ignore[misc]
    async with serving(Others(MICRODATA)) as site:
        # What is known of the film is mended between the second run and the third.
        for year, taken, unchanged in ((1987, 0, 0), (1987, 0, 0), (2010, 3, 0), (2010, 0, 1)):
            film = FilmTarget(film_id="tt1375666", title="Inception", year=year)
            suite.request = lambda film=film: Request(NAME, (film,))  # type: ignore[method-assign,misc]
            report = await suite.run(site, tmp_path, clock, broker)
            assert (report.records, report.not_modified) == (taken, unchanged)


async def test_a_film_without_what_the_address_needs_is_noted(tmp_path: Path) -> None:
    broker, report = await _run(tmp_path, MICRODATA, FilmTarget(film_id="tt1", title="Inception"))
    assert (broker.sent(), report.requests) == ([], 0)
    assert "has no title or year" in report.notes[0]


async def test_pages_of_a_list_are_believed(tmp_path: Path) -> None:
    listed = [{"url": "film/inception-2010", "film": "tt7654321"}]
    broker, _ = await _run(tmp_path, MICRODATA.replace("Inception", "Something"), url="", pages=listed)
    assert {each["film_id"] for each in broker.records("ratings")} == {"tt7654321"}


@pytest.mark.parametrize(
    ("code", "headers"), [(403, {}), (202, {}), (200, {"cf-mitigated": "challenge"}), (405, {"x-amzn-waf-action": "x"})]
)
async def test_a_wall_against_programs_ends_the_run(tmp_path: Path, code: int, headers: dict[str, str]) -> None:
    suite, broker = TestHtml(), Broker()
    async with serving(Site()) as site:
        site.faults.append(status(code, "", headers))
        report = await suite.run(site, tmp_path, FakeClock(), broker)
    assert (report.error_class, report.reaction, broker.sent()) == ("Blocked", "stop", [])


def test_ids_decide_where_page_and_film_have_them() -> None:
    other = Subject(("Inception",), 2010, imdb="tt0000001")
    assert mismatch(other, FILM, certain=True) == "is about tt0000001"
    assert mismatch(Subject(("Origen",), 2011, imdb="tt1375666"), FILM, certain=False) is None
    assert mismatch(Subject(("Inception, The",), 2011), FILM, certain=False) is None
    assert "does not say of which year" in (mismatch(Subject(("Inception",)), FILM, certain=False) or "")
    assert "does not say which film" in (mismatch(Subject(), FILM, certain=False) or "")
    assert mismatch(Subject(), FILM, certain=True) is None


MOVIE = '{"@type": "Movie", "name": "Inception", "aggregateRating": {"ratingValue": 4}'


@pytest.mark.parametrize(
    "block",
    [
        MOVIE + "}",
        f"[{MOVIE}}}]",
        f"[[{MOVIE}}}]]",
        f"<!--\n{MOVIE}}}\n-->",
        f"//<![CDATA[\n{MOVIE}}}\n//]]>",
        f"/* <![CDATA[ */{MOVIE}}}/* ]]> */",
        MOVIE + ",}",
        MOVIE + "};",
        "\ufeff" + MOVIE + ', "description": "two\nlines"}',
        MOVIE.replace('"', "&quot;") + "}",
        MOVIE.replace('"Movie"', '["Movie", "Product"]') + "}",
        MOVIE.replace('"Movie"', '"https://schema.org/Movie"') + "}",
        MOVIE.replace("4}", '"4", "bestRating": null}') + "}",
        '{"@type": "Review", "reviewBody": "x", "itemReviewed": ' + MOVIE + "}}",
    ],
)
def test_json_ld_is_read_with_what_people_get_wrong(block: str) -> None:
    found = page(script(block))
    assert found.subject.titles == ("Inception",)
    assert found.score is not None
    assert (found.score.value, found.score.best) == (4.0, 5.0)


def test_a_broken_block_leaves_the_others() -> None:
    assert page(script('{"@type": "Movie", "name": ', MOVIE + "}")).subject.titles == ("Inception",)
    with pytest.raises(MalformedError, match="1 blocks of JSON-LD are broken"):
        page(script('{"@type": "Movie", "name": '))


def test_things_that_hold_each_other_or_too_much_do_no_harm() -> None:
    found = page(script('{"@type":"Movie","@id":"#a","name":{"@id":"#a"},"description":"x"}', "[" * 5000))
    assert found.plot == "x"


def test_a_page_about_several_films_is_about_none() -> None:
    lists = f"[{MOVIE}}}, {MOVIE.replace('Inception', 'Tenet')}}}]"
    with pytest.raises(MalformedError, match="speaks of 2 films"):
        page(script(lists))
    related = f'[{MOVIE}}}, {{"@type": "Movie", "name": "Tenet"}}]'
    assert page(script(related)).subject.titles == ("Inception",)


def test_reviews_of_another_film_on_the_page_are_left_out() -> None:
    other = '{"@type": "Review", "reviewBody": "of Tenet", "itemReviewed": {"@type": "Movie", "name": "Tenet"}}'
    own = '{"@type": "Review", "reviewBody": "of this", "itemReviewed": {"@type": "Movie", "name": "Inception"}}'
    assert [review.text for review in page(script(MOVIE + "}", other, own)).reviews] == ["of this"]


def test_a_score_off_its_scale_is_complained_of_and_not_used() -> None:
    found = page(script(MOVIE.replace("4}", "8.8}") + "}"))
    assert found.score is None
    assert found.complaints == ("score 8.8 is outside 1 to 5",)


def test_a_film_that_nobody_voted_on_has_no_score() -> None:
    found = page(script(MOVIE.replace("4}", '0, "ratingCount": 0}') + "}"))
    assert (found.score, found.complaints) == (None, ())


async def test_what_has_no_sense_on_a_page_is_a_dead_letter_and_the_rest_is_taken(tmp_path: Path) -> None:
    broker, report = await _run(tmp_path, MICRODATA.replace("4,2", "42"))
    assert (report.status, report.records, report.refused) == ("partial", 2, 1)
    assert "score 42 is outside 1 to 5" in report.faults[0][1]
    assert broker.records("ratings") == []


def test_half_an_emoji_does_no_harm() -> None:
    (facts,) = records_of(page(script(r'{"@type":"Movie","name":"A \ud83d","description":"x"}')), "tt1", "s", "u", True)
    assert not isinstance(observed(facts), Refused)


def test_half_a_page_is_told_by_half_a_block() -> None:
    answer = Answer("https://h/", 200, {}, script(MOVIE + "}").encode()[:-40])
    with pytest.raises(IncompleteError):
        Reading(Selectors(), None).look_at(answer)


def test_a_review_without_an_id_has_the_same_one_every_time() -> None:
    def ids(body: str) -> list[str]:
        records = records_of(page(body), "tt1", "s", "https://h/f", False)
        return [record.source_record_id for record in records if isinstance(record, ReviewObserved)]

    (first,) = ids(MICRODATA)
    assert ids(MICRODATA.replace("4,2", "4,3")) == [first]
    assert ids(MICRODATA.replace("Good.", "Bad.")) != [first]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("PT2H28M", 148), ("PT148M", 148), ("2h 28m", 148), ("148 min", 148), ("90", 90), ("two hours", None), ("", None),
     ("PT0M", None), ("P0DT1H", 60)],
)  # fmt: skip
def test_durations(text: str, expected: float | None) -> None:
    assert minutes_of(text) == expected


def test_scores_and_counts_in_all_their_spellings() -> None:
    assert [(s.value, s.best) for s in (score_of("8,1", "10"), score_of("81%"), score_of("7 / 10")) if s] == [
        (8.1, 10.0), (81.0, 100.0), (7.0, 10.0),
    ]  # fmt: skip
    assert [whole_of(text) for text in ("2,345,678", "1 234 votes", "1.234", "none", None)] == [
        2345678, 1234, 1234, None, None,
    ]  # fmt: skip
    for bad in ("11/10", "five", "NaN"):
        with pytest.raises(ValueError, match="score"):
            score_of(bad)


@pytest.mark.parametrize(
    ("body", "header"),
    [
        ("Amélie".encode(), ""),
        ("Amélie".encode("cp1252"), ""),
        (b"\xef\xbb\xbf" + "Amélie".encode(), "text/html; charset=iso-8859-1"),
        ("Amélie".encode("utf-16"), ""),
        ("<meta charset=windows-1252>Amélie".encode("cp1252"), "text/html"),
        ("<meta charset=utf-16>Amélie".encode(), "text/html"),
        ("Amélie".encode("cp1252"), "text/html; charset=ISO-8859-1"),
        ("Amélie".encode(), "text/html; charset=nonsense"),
        ("Amélie".encode(), "text/html; charset=zip"),
    ],
)
def test_charsets_are_found_as_browsers_find_them(body: bytes, header: str) -> None:
    assert page_text(body, header).endswith("Amélie")


def test_the_text_of_a_page_is_what_people_read() -> None:
    assert plain_text("<p>A <b>b</b>&nbsp;c</p><script>x</script><ul><li>d<li>e</ul>", "html") == "A b c\nd\ne"


def test_titles_as_addresses_have_them() -> None:
    assert slug("Amélie & the Fast's: 2", "-") == "amelie-and-the-fasts-2"
    assert slug("WALL·E", "_") == "wall_e"


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({}, "is needed"),
        ({"url": "https://h/{name}"}, r"\{name\} is unknown"),
        ({"url": "https://h/films"}, "nothing in it changes"),
        ({"url": "https://h/{imdb"}, r"expected .*connectors\.site\.url"),
        ({"url": "{imdb}"}, "no whole address"),
        ({"pages": [{"url": "https://h/", "film": "x"}]}, "none of tt"),
        ({"url": "https://h/{imdb}", "selectors": {"title": "h1["}}, "no CSS selector"),
        ({"url": "https://h/{imdb}", "selectors": {"review_text": "p"}}, "needs `review`"),
        ({"url": "https://h/{imdb}", "scale": "5:1"}, "no room"),
    ],
)
def test_a_mistake_in_the_configuration_is_named(keys: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        config_of("site", {"kind": "html", **keys})

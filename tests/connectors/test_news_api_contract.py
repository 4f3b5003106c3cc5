"""The `news_api` connector against servers with the fields, paging and errors of the three vendors' documentation."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from app.connectors.base import FilmTarget, Request
from app.connectors.registry import config_of
from tests.connectors.service import Service, instead, serving, status
from tests.connectors.suite import FILMS, NAME, Broker, ConnectorSuite, FakeClock

FIRST = datetime(2026, 10, 1, 12, tzinfo=UTC)
ARTICLES = {"Inception": 5, "The Matrix": 2, "Toy Story": 0}


def asked_title(query: str) -> str | None:
    """The film whose title stands in quotation marks."""
    return query.split('"')[1] if '"' in query else None


def page_of(found: list[Any], number: int, size: int) -> list[Any]:
    """A page, counted from 1."""
    return found[(number - 1) * size : number * size]


class Guardian(Service):
    """The Content API's /search."""

    headlines: tuple[str, ...] = ()

    async def answer(self, request: web.Request) -> web.Response:
        """Articles with the oldest first, as is asked for."""
        query = request.query
        if "api-key" not in query:
            return web.json_response({"message": "Unauthorized"}, status=401)
        assert request.path == "/search"
        assert query["order-by"] == "oldest"
        title = asked_title(query["q"])
        found = list(self.articles(title)) if title in ARTICLES or title is None else []
        found = [each for each in found if each["webPublicationDate"][:10] >= query.get("from-date", "")]
        number, size = int(query["page"]), int(query["page-size"])
        pages = -(-len(found) // size)
        if number > max(pages, 1):
            said = "requested page is beyond the number of available pages"
            beyond = {"status": "error", "message": said, "currentPage": number, "pages": pages}
            return web.json_response({"response": beyond}, status=400)
        return web.json_response(
            {"response": {"status": "ok", "userTier": "developer", "total": len(found), "startIndex": 1,
                          "pageSize": size, "currentPage": number, "pages": pages, "orderBy": "oldest",
                          "results": page_of(found, number, size)}}
        )  # fmt: skip

    def articles(self, title: str | None) -> Iterable[dict[str, Any]]:
        """Reviews, of which the second has no stars, or those with the headlines that a test gave."""
        names = self.headlines or [f"{title} review – take {n}" for n in range(ARTICLES.get(title or "", 0))]
        for n, headline in enumerate(names):
            ident = f"film/2026/oct/{n:02}/{(title or 'any').lower().replace(' ', '-')}-review-{n}"
            yield {
                "id": ident, "type": "article", "sectionId": "film", "sectionName": "Film",
                "webPublicationDate": f"{FIRST + timedelta(days=n):%Y-%m-%dT%H:%M:%SZ}", "webTitle": headline,
                "webUrl": f"https://www.theguardian.com/{ident}", "apiUrl": f"https://content.guardianapis.com/{ident}",
                "fields": {"bodyText": f"What a film, no. {n}.", "byline": "Peter Critic"}
                | ({} if n == 1 else {"starRating": str(n % 6)}),
                "isHosted": False, "pillarId": "pillar/arts", "pillarName": "Arts",
            }  # fmt: skip


class NewsApi(Service):
    """NewsAPI's /v2/everything."""

    most = 100

    async def answer(self, request: web.Request) -> web.Response:
        """The newest first."""
        query = request.query
        if "X-Api-Key" not in request.headers:
            said = {"status": "error", "code": "apiKeyMissing", "message": "Your API key is missing."}
            return web.json_response(said, status=401)
        assert request.path == "/v2/everything"
        number, size = int(query["page"]), int(query["pageSize"])
        if (number - 1) * size >= self.most:
            text = "You have requested too many results. Developer accounts are limited to a max of 100 results."
            return web.json_response({"status": "error", "code": "maximumResultsReached", "message": text}, status=426)
        title = asked_title(query["q"]) or ""
        found = [each for each in self.articles(title) if each["publishedAt"] >= query.get("from", "")]
        return web.json_response({"status": "ok", "totalResults": len(found), "articles": page_of(found, number, size)})

    def articles(self, title: str) -> Iterable[dict[str, Any]]:
        """One of them is withdrawn, one does not name the film in its headline."""
        for n in reversed(range(ARTICLES.get(title, 0))):
            headline = "[Removed]" if n == 2 else "Ten films to see" if n == 3 else f"Why {title} still matters {n}th"
            yield {
                "source": {"id": None, "name": "Variety"}, "author": None if n % 2 else "Ann Author",
                "title": headline, "description": None if n == 1 else "A long look back.",
                "url": f"https://variety.example/{title.replace(' ', '-')}/{n}", "urlToImage": None,
                "publishedAt": f"{FIRST + timedelta(days=n):%Y-%m-%dT%H:%M:%SZ}",
                "content": "It begins in a dream… [+4711 chars]",
            }  # fmt: skip


class Gdelt(Service):
    """GDELT's DOC 2.0, whose answers have no pages."""

    async def answer(self, request: web.Request) -> web.Response:
        """The oldest first, from `startdatetime` on; nothing is an empty object, too little a sentence."""
        query = request.query
        assert request.path == "/api/v2/doc/doc"
        assert (query["mode"], query["format"], query["sort"]) == ("artlist", "json", "dateasc")
        title = asked_title(query["query"]) or ""
        if len(title) < 3 and '"' in query["query"]:
            return web.Response(text="The specified phrase is too short.", content_type="text/html")
        start = query.get("startdatetime", "")
        found = [each for each in self.articles(title) if each["seendate"].replace("T", "")[:14] >= start]
        found = found[: int(query["maxrecords"])]
        return web.json_response({"articles": found} if found else {})

    def articles(self, title: str) -> Iterable[dict[str, Any]]:
        """Two of them are seen in the same quarter of an hour."""
        for n in range(ARTICLES.get(title, 0)):
            yield {
                "url": f"https://{n}.example/{title.replace(' ', '-')}", "url_mobile": "",
                "title": f"{title} : why it' s great , part {n}", "socialimage": "", "domain": f"{n}.example",
                "seendate": f"{FIRST + timedelta(minutes=15 * (n // 2)):%Y%m%dT%H%M%SZ}", "language": "English",
                "sourcecountry": "United States",
            }  # fmt: skip


class TestGuardian(ConnectorSuite):
    """Reviews with stars."""

    kind = "news_api"
    keys = {"profile": "guardian", "page_size": 2}  # noqa: RUF012
    records = 7
    topics = {"reviews"}  # noqa: RUF012
    pages = 5
    secret = "MARQUEE_GUARDIAN_TOKEN"
    auth = staticmethod(status(401, '{"response":{"status":"error","message":"Invalid authentication credentials"}}'))
    quota = staticmethod(status(429, '{"message":"API rate limit exceeded"}', {"X-RateLimit-Remaining-day": "0"}))
    inside_200 = staticmethod(instead('{"response":{"status":"error","message":"Mind the gap"}}', "application/json"))
    inside_200_says = "Mind the gap"

    def service(self) -> Service:
        """The Guardian."""
        return Guardian()


class TestNewsApi(ConnectorSuite):
    """Beginnings of articles."""

    kind = "news_api"
    keys = {"profile": "newsapi", "page_size": 2}  # noqa: RUF012
    records = 5
    topics = {"reviews"}  # noqa: RUF012
    pages = 5
    secret = "MARQUEE_NEWSAPI_TOKEN"
    auth = staticmethod(status(401, '{"status":"error","code":"apiKeyInvalid","message":"Your API key is invalid."}'))
    quota = staticmethod(
        status(
            429,
            '{"status":"error","code":"rateLimited","message":"You have made too many requests recently. Developer '
            'accounts are limited to 100 requests over a 24 hour period."}',
        )
    )
    inside_200 = staticmethod(
        instead('{"status":"error","code":"parameterInvalid","message":"No such language"}', "application/json")
    )
    inside_200_says = "No such language"

    def service(self) -> Service:
        """NewsAPI."""
        return NewsApi()


class TestGdelt(ConnectorSuite):
    """Headlines."""

    kind = "news_api"
    keys = {"profile": "gdelt", "page_size": 3}  # noqa: RUF012
    records = 7
    topics = {"reviews"}  # noqa: RUF012
    pages = 4
    inside_200 = staticmethod(instead("Invalid mode.", "text/html"))
    inside_200_says = "Invalid mode."

    def service(self) -> Service:
        """GDELT."""
        return Gdelt()


async def runs(
    suite: ConnectorSuite, folder: Path, site: Service, *requests: Request, **keys: Any
) -> tuple[list[Broker], list[Any]]:
    """Runs one after another, with what each sent and reported."""
    brokers, reports = [], []
    async with serving(site):
        for request in requests:
            suite.request = lambda request=request: request  # type: ignore[method-assign,misc]
            brokers.append(Broker())
            reports.append(await suite.run(site, folder, FakeClock(), brokers[-1], **keys))
    return brokers, reports


def films(*titles: str) -> Request:
    """A run about films of these titles."""
    return Request(NAME, tuple(FilmTarget(film_id=f"tt000000{n}", title=each) for n, each in enumerate(titles)))


async def test_stars_are_ratings_and_critics_have_no_names(tmp_path: Path) -> None:
    (broker,), _ = await runs(TestGuardian(), tmp_path, Guardian(), Request(NAME, FILMS[:1]))
    found = broker.records("reviews")
    assert [each.get("rating") for each in found] == [0.0, None, 2.0, 3.0, 4.0]
    assert (found[2]["best"], found[2]["worst"], found[2]["film_id"]) == (5.0, 0.0, "tt1375666")
    assert found[2]["text"] == "Inception review – take 2\n\nWhat a film, no. 2."
    assert found[2]["observed_at"] == "2026-10-03T12:00:00.000Z"
    assert found[2]["url"].startswith("https://www.theguardian.com/film/")
    assert "Peter" not in str(found)


async def test_a_review_of_another_film_is_not_taken_for_one_of_this(tmp_path: Path) -> None:
    site = Guardian()
    site.headlines = (
        "The Matrix Resurrections review – back again",
        "The Matrix review – whoa",
        "Inception review – better than The Matrix",
        "Why The Matrix 4 was made",
        "How The Matrix changed cinema",
    )
    (broker,), (report,) = await runs(TestGuardian(), tmp_path, site, Request(NAME, FILMS[1:2]))
    heads = [each["text"].partition("\n")[0] for each in broker.records("reviews")]
    assert heads == ["The Matrix review – whoa", "How The Matrix changed cinema"]
    assert any("3 articles whose headline does not name the film" in note for note in report.notes)


async def test_the_next_round_asks_for_what_is_newer(tmp_path: Path) -> None:
    site, twice = Guardian(), [Request(NAME, FILMS[:1])] * 2
    (_, second), _ = await runs(TestGuardian(), tmp_path, site, *twice)
    assert [asked.query["from-date"] for asked in site.asked] == ["2010-01-01"] * 3 + ["2026-10-05"]
    assert len(second.records("reviews")) == 1


async def test_an_article_that_is_dated_ahead_hides_none_of_those_that_follow(tmp_path: Path) -> None:
    class Ahead(Guardian):
        """A review that is dated in the future, until others are there."""

        more = False

        def articles(self, title: str | None) -> Iterable[dict[str, Any]]:
            """The usual ones but the last, which comes later."""
            *all_, last = super().articles(title)
            yield from (*all_, last) if self.more else all_
            yield {**last, "id": "film/x", "webPublicationDate": "2099-01-01T00:00:00Z"}

    site, suite, clock, late = Ahead(), TestGuardian(), FakeClock(), Broker()
    suite.request = lambda: Request(NAME, FILMS[:1])  # type: ignore[method-assign]
    async with serving(site):
        first = await suite.run(site, tmp_path, clock, Broker())
        site.more = True
        await suite.run(site, tmp_path, clock, late)
    assert first.records == 5
    assert [asked.query["from-date"] for asked in site.asked][-1] == "2026-10-04"
    assert "Inception review – take 4" in {each["text"].partition("\n")[0] for each in late.records("reviews")}


async def test_more_than_a_run_may_read_is_read_by_the_next(tmp_path: Path) -> None:
    site, thrice = Guardian(), [Request(NAME, FILMS[:1])] * 3
    brokers, _ = await runs(TestGuardian(), tmp_path, site, *thrice, pages=1)
    read = [[each["text"].partition("\n")[0][-1] for each in broker.records("reviews")] for broker in brokers]
    assert read == [["0", "1"], ["1", "2"], ["2", "3"]]


async def test_a_page_that_is_gone_ends_the_search_and_no_more(tmp_path: Path) -> None:
    site = Guardian()
    beyond = {"status": "error", "message": "requested page is beyond the number of available pages", "pages": 1}
    site.faults.extend([None, status(400, msgspec.json.encode({"response": beyond}))])
    (broker,), (report,) = await runs(TestGuardian(), tmp_path, site, Request(NAME, FILMS[:1]))
    assert (report.status, len(broker.records("reviews"))) == ("success", 2)


async def test_a_search_about_no_film_in_particular_gives_mentions(tmp_path: Path) -> None:
    site = Guardian()
    site.headlines = ("Dune review – sand", "Ten films for autumn", "Heat (1995) is back in cinemas")
    (broker,), _ = await runs(TestGuardian(), tmp_path, site, Request(NAME, FILMS), query="film")
    found = broker.records("film-mentions")
    assert [each.get("title") for each in found] == ["Dune", None]
    assert (found[0]["value"], found[0]["best"], found[0]["rating_kind"]) == (0.0, 5.0, "single")
    assert "Heat (1995)" in found[1]["text"]


async def test_the_plan_s_last_result_ends_the_search_and_is_told(tmp_path: Path) -> None:
    site = NewsApi()
    site.most = 4
    (broker,), (report,) = await runs(TestNewsApi(), tmp_path, site, Request(NAME, FILMS[:1]))
    assert report.status == "success"
    assert any("maximumResultsReached" in note for note in report.notes)
    assert len(broker.records("reviews")) == 2


async def test_what_newsapi_cuts_and_withdraws_is_not_shown_as_text(tmp_path: Path) -> None:
    (broker,), _ = await runs(TestNewsApi(), tmp_path, NewsApi(), Request(NAME, FILMS[:1]))
    text = str(broker.records("reviews"))
    assert "chars]" not in text
    assert "[Removed]" not in text
    assert "Ten films" not in text


async def test_gdelt_is_asked_once_in_five_seconds(tmp_path: Path) -> None:
    assert config_of("g", {"kind": "news_api", "profile": "gdelt"}).rate == "12/m"
    site = Gdelt()
    clock, suite = FakeClock(), TestGdelt()
    async with serving(site):
        sentence = "Please limit requests to one every 5 seconds or contact kalev@example.org for larger queries."
        site.faults.append(status(429, sentence, {"Content-Type": "text/html"}))
        report = await suite.run(site, tmp_path, clock, Broker())
    assert (report.status, clock.slept) == ("success", [6.0])


async def test_articles_of_one_moment_are_read_once_each(tmp_path: Path) -> None:
    (broker,), _ = await runs(TestGdelt(), tmp_path, Gdelt(), Request(NAME, FILMS[:1]), page_size=2)
    assert len({each["url"] for each in broker.records("reviews")}) == len(broker.records("reviews")) == 5


async def test_a_title_that_gdelt_will_not_search_for_costs_no_other(tmp_path: Path) -> None:
    (broker,), (report,) = await runs(TestGdelt(), tmp_path, Gdelt(), films("It", "Inception"))
    assert (report.status, len(broker.records("reviews"))) == ("success", 5)
    assert any("too short" in note for note in report.notes)


def test_each_vendor_has_low_limits_and_a_variable_of_its_own() -> None:
    said = {each: config_of("n", {"kind": "news_api", "profile": each}) for each in ("guardian", "newsapi", "gdelt")}
    assert [(c.rate, c.quota) for c in said.values()] == [("1/s", "500/d"), ("1/s", "100/d"), ("12/m", None)]
    assert [c.token_env for c in said.values()] == ["MARQUEE_GUARDIAN_TOKEN", "MARQUEE_NEWSAPI_TOKEN", None]
    assert all(c.terms.attribution and not c.terms.train_allowed for c in said.values())
    own = config_of("n", {"kind": "news_api", "profile": "guardian", "rate": "12/s", "terms": {"ttl_days": 1}})
    assert (own.rate, own.terms.ttl_days, own.terms.attribution) == ("12/s", 1, "Powered by the Guardian")


@pytest.mark.parametrize(("keys", "says"), [({"page_size": 200}, "100 articles at most"), ({"language": "xx"}, "xx")])
def test_keys_that_cannot_work_are_refused(keys: dict[str, Any], says: str) -> None:
    with pytest.raises(Exception, match=says):
        config_of("n", {"kind": "news_api", "profile": "newsapi", **keys})

"""The `google_images` connector against servers that answer as Google's own service and SerpApi do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from app.connectors.answers import Answer
from app.connectors.base import PersonTarget
from app.connectors.errors import AuthFailedError, QuotaExhaustedError, RetryableError, SourceError
from app.connectors.google_payloads import cse_fault, parse_cse, parse_serpapi, serpapi_fault
from app.connectors.registry import config_of
from app.settings import ConfigError
from tests.connectors.discovery import document, hold
from tests.connectors.service import Fault, Service, instead, serving, status
from tests.connectors.suite import Broker, ConnectorSuite, FakeClock

FOUND = 14
SOMEBODY = PersonTarget(celebrity_id="Q1", name="Somebody")
BAD_KEY = {
    "error": {
        "code": 400, "message": "API key not valid. Please pass a valid API key.", "status": "INVALID_ARGUMENT",
        "errors": [{"message": "API key not valid.", "domain": "global", "reason": "badRequest"}],
        "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}],
    }
}  # fmt: skip


def quota_error(window: str) -> bytes:
    """Google's 429, whose reason is the same for the minute's and the day's limit."""
    message = f"Quota exceeded for quota metric 'Queries' and limit 'Queries per {window}' of service 'customsearch'."
    reason = {"message": message, "domain": "global", "reason": "rateLimitExceeded"}
    return msgspec.json.encode(
        {"error": {"code": 429, "message": message, "errors": [reason], "status": "RESOURCE_EXHAUSTED"}}
    )


def cse_page(name: str, start: int, engine: str = "engine-1") -> dict[str, Any]:
    """A page of the Custom Search JSON API."""
    query = {
        "title": f"Google Custom Search - {name}", "totalResults": str(FOUND), "searchTerms": name, "count": 10,
        "startIndex": start, "inputEncoding": "utf8", "outputEncoding": "utf8", "safe": "off", "cx": engine,
        "searchType": "image", "imgType": "face",
    }  # fmt: skip
    last = min(start + 9, FOUND)
    following = {"nextPage": [{**query, "startIndex": start + 10}]} if last < FOUND else {}
    return {
        "kind": "customsearch#search",
        "url": {"type": "application/json", "template": "https://www.googleapis.com/customsearch/v1?q={searchTerms}"},
        "queries": {"request": [query], **following},
        "searchInformation": {
            "searchTime": 0.3, "formattedSearchTime": "0.30", "totalResults": str(FOUND),
            "formattedTotalResults": str(FOUND),
        },
        "items": [
            {
                "kind": "customsearch#result", "title": f"{name} {n}", "htmlTitle": f"<b>{name}</b> {n}",
                "link": f"https://pictures.example/{name.replace(' ', '-')}/{n}.jpg", "displayLink": "pictures.example",
                "snippet": "…", "htmlSnippet": "…", "mime": "image/jpeg", "fileFormat": "image/jpeg",
                "image": {"contextLink": f"https://pictures.example/page/{n}", "height": 900, "width": 600,
                          "byteSize": 81234, "thumbnailLink": "https://t.example/1", "thumbnailHeight": 150,
                          "thumbnailWidth": 100},
            }
            for n in range(start, last + 1)
        ],
    }  # fmt: skip


class Cse(Service):
    """Google's Custom Search JSON API."""

    async def answer(self, request: web.Request) -> web.Response:
        """A page, for whom has a key."""
        if not request.query.get("key"):
            return web.json_response(BAD_KEY, status=400)
        assert request.path == "/customsearch/v1"
        assert (request.query["searchType"], request.query["imgType"]) == ("image", "face")
        page = cse_page(request.query["q"], int(request.query["start"]), request.query["cx"])
        return web.json_response(page)


class SerpApi(Service):
    """SerpApi's engine google_images."""

    async def answer(self, request: web.Request) -> web.Response:
        """A hundred results at most, for whom has a key."""
        if not request.query.get("api_key"):
            return web.json_response({"error": "Invalid API key."}, status=401)
        if request.path == "/account.json":
            return web.json_response({"plan_name": "Free", "searches_per_month": 100, "total_searches_left": 93})
        assert (request.path, request.query["engine"]) == ("/search.json", "google_images")
        name = request.query["q"]
        results = [
            {"position": n, "thumbnail": "https://t.example/1.jpg", "source": "example", "title": name,
             "link": f"https://pictures.example/page/{n}", "original": f"https://pictures.example/{name}/{n}.jpg",
             "original_width": 600, "original_height": 900, "is_product": False}
            for n in range(1, FOUND + 1)
        ]  # fmt: skip
        return web.json_response(
            {
                "search_metadata": {"id": "1", "status": "Success"},
                "search_parameters": {"engine": "google_images", "q": name},
                "images_results": results,
            }
        )


class TestGoogleCse(ConnectorSuite):
    """Google's own service."""

    kind = "google_images"
    keys = {"profile": "google_cse", "cx": "engine-1"}  # noqa: RUF012
    records = 3 * FOUND
    topics = {"images-found"}  # noqa: RUF012
    pages = 6
    secret = "MARQUEE_GOOGLE_IMAGES_TOKEN"
    auth = staticmethod(status(400, msgspec.json.encode(BAD_KEY)))
    quota = staticmethod(status(429, quota_error("day")))
    inside_200 = staticmethod(
        instead('{"error": {"code": 500, "message": "Backend error", "errors": []}}', "application/json")
    )
    inside_200_says = "Backend error"
    daily = "America/Los_Angeles"

    def service(self) -> Service:
        """Google."""
        return Cse()


class TestSerpApi(ConnectorSuite):
    """A service that searches Google for others."""

    kind = "google_images"
    keys = {"profile": "serpapi"}  # noqa: RUF012
    records = 3 * FOUND
    topics = {"images-found"}  # noqa: RUF012
    pages = 3
    secret = "MARQUEE_GOOGLE_IMAGES_TOKEN"
    auth = staticmethod(status(401, '{"error": "Invalid API key. Your API key should be here: …"}'))
    quota = staticmethod(status(429, '{"error": "Your account has run out of searches."}'))
    inside_200 = staticmethod(instead('{"error": "Unsupported `xx` country."}', "application/json"))
    inside_200_says = "Unsupported"
    daily = "America/Los_Angeles"

    def service(self) -> Service:
        """SerpApi."""
        return SerpApi()


def test_the_server_answers_as_google_describes_its_service() -> None:
    described = document("customsearch", "v1")
    for start in (1, 11):
        hold(cse_page("Somebody", start), {"$ref": "Search"}, described["schemas"])
    parameters = described["resources"]["cse"]["methods"]["list"]["parameters"]
    assert {"q", "cx", "searchType", "imgType", "num", "start"} <= parameters.keys()
    assert "face" in parameters["imgType"]["enum"]


async def test_no_more_pictures_are_asked_for_than_are_wanted(tmp_path: Path) -> None:
    suite = TestGoogleCse()
    async with serving(suite.service()) as site:
        broker = Broker()
        await suite.run(site, tmp_path, FakeClock(), broker, results=12)
        found = broker.records("images-found")
        assert len(found) == 36
        assert found[0]["width"] == 600
        assert found[0]["context_url"] == "https://pictures.example/page/1"
        assert len(site.asked) == 6


DAY_IS_OVER = b'{"error":{"code":403,"message":"Daily Limit","errors":[{"reason":"dailyLimitExceeded"}]}}'


@pytest.mark.parametrize(
    ("suite", "fault"),
    [
        (TestGoogleCse(), status(429, quota_error("day"))),
        (TestGoogleCse(), status(403, DAY_IS_OVER)),
        (TestSerpApi(), status(429, '{"error": "Your account has run out of searches."}')),
    ],
)
async def test_the_next_run_says_that_it_was_google_who_said_the_quota_is_spent(
    suite: ConnectorSuite, fault: Fault, tmp_path: Path
) -> None:
    async with serving(suite.service()) as site:
        clock = FakeClock()
        site.faults.extend([None, fault])
        assert (await suite.run(site, tmp_path, clock, Broker())).reaction == "wait"
        report = await suite.run(site, tmp_path, clock, Broker())
        assert (report.reaction, report.requests, len(site.asked)) == ("wait", 0, 2)
        assert "the source said that its quota is spent, after 2 of 100 requests from here" in str(report.error)
        assert str(report.retry_at)[:19] in str(report.error)


def _answer(code: int, body: bytes) -> Answer:
    return Answer("https://h/x", code, {"Content-Type": "application/json"}, body)


@pytest.mark.parametrize(
    ("code", "body", "expected"),
    [
        (429, quota_error("day"), QuotaExhaustedError),
        (429, quota_error("minute per user"), RetryableError),
        (403, b'{"error":{"code":403,"message":"x","errors":[{"reason":"dailyLimitExceeded"}]}}', QuotaExhaustedError),
        (403, b'{"error":{"code":403,"message":"x","errors":[{"reason":"userRateLimitExceeded"}]}}', RetryableError),
        (403, b'{"error":{"code":403,"message":"x","errors":[{"reason":"forbidden"}]}}', AuthFailedError),
        (400, b'{"error":{"code":400,"message":"Invalid Value","errors":[{"reason":"invalid"}]}}', SourceError),
        (200, b'{"items":[]}', type(None)),
        (503, b"<html>", type(None)),
        (200, b'{"error":7}', type(None)),
    ],
)
def test_what_google_means_by_an_error(code: int, body: bytes, expected: type) -> None:
    assert type(cse_fault(_answer(code, body))) is expected


@pytest.mark.parametrize(
    ("code", "body", "expected"),
    [
        (429, b'{"error":"Your account has run out of searches."}', QuotaExhaustedError),
        (429, b'{"error":"You are exceeding 100 searches per hour."}', RetryableError),
        (401, b'{"error":"Invalid API key."}', AuthFailedError),
        (200, b'{"error":"Google hasn\'t returned any results for this query."}', type(None)),
        (200, b'{"error":"Unsupported."}', SourceError),
        (200, b"[1]", type(None)),
    ],
)
def test_what_serpapi_means_by_an_error(code: int, body: bytes, expected: type) -> None:
    assert type(serpapi_fault(_answer(code, body))) is expected


def test_addresses_that_are_no_web_addresses_are_left_out() -> None:
    body = b'{"items":[{"link":"data:image/png;base64,AA"},{"link":"x-raw-image:///1"},{"link":"https://h/1.jpg"}]}'
    assert [image.url for image in parse_cse(body, SOMEBODY, "g").found] == ["https://h/1.jpg"]
    body = b'{"images_results":[{"position":1},{"original":"ftp://h/1"},{"original":"https://h/1.jpg"}]}'
    assert [image.url for image in parse_serpapi(body, SOMEBODY, "g").found] == ["https://h/1.jpg"]
    assert parse_serpapi(b'{"error":"Google hasn\'t returned any results for this query."}', SOMEBODY, "g").found == []


async def test_what_runs_tell_of_a_search_is_without_the_name(tmp_path: Path) -> None:
    for suite in (TestGoogleCse(), TestSerpApi()):
        async with serving(suite.service()) as site:
            site.faults.append(instead("[]", "application/json"))
            site.faults.append(status(404))
            report = await suite.run(site, tmp_path / type(suite).__name__, FakeClock(), Broker())
        assert len(report.faults) == 1
        assert len(report.notes) == 1
        told = f"{report.faults}{report.notes}"
        assert not [name for name in ("Tilda", "Leonardo", "Liam") if name in told]


def test_googles_own_service_needs_a_search_engine() -> None:
    with pytest.raises(ConfigError, match=r"google_cse needs the id of a search engine - at `\$\.connectors\.g\.cx`"):
        config_of("g", {"kind": "google_images", "profile": "google_cse"})

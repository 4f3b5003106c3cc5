"""The `youtube` connector against a server whose answers are held to Google's own description of the API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
from aiohttp import web

from app.connectors.answers import Answer
from app.connectors.base import FilmTarget, Request
from app.connectors.errors import AuthFailedError, QuotaExhaustedError, RetryableError, SourceError
from app.connectors.registry import config_of
from app.connectors.runner import CursorStore, Report
from app.connectors.youtube_payloads import (
    CommentsClosedError,
    StalePageError,
    about,
    parse_comments,
    parse_search,
    parse_videos,
    youtube_fault,
)
from app.settings import ConfigError
from tests.connectors.discovery import document, hold
from tests.connectors.service import Service, instead, serving, status
from tests.connectors.suite import FILMS, NAME, Broker, ConnectorSuite, FakeClock

DESCRIBED = document("youtube", "v3")
COUNTS = {"aaaaaaaaaaa": 150, "bbbbbbbbbbb": 3, "ccccccccccc": None, "ddddddddddd": 1}
FOUND = {"Inception": ["aaaaaaaaaaa", "ccccccccccc"], "The Matrix": ["bbbbbbbbbbb"], "Toy Story": ["ddddddddddd"]}
YEARS = {film.title: film.year for film in FILMS}


def refusal(code: int, reason: str, domain: str = "youtube.quota", **more: Any) -> bytes:
    """An error as Google's services write it."""
    said = {"message": f"It is {reason}.", "domain": domain, "reason": reason}
    return msgspec.json.encode({"error": {"code": code, "message": said["message"], "errors": [said], **more}})


BAD_KEY = refusal(
    400, "badRequest", "global", status="INVALID_ARGUMENT",
    details=[{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}],
)  # fmt: skip


def searched(title: str) -> dict[str, Any]:
    """As search.list answers: the film's own videos, and one of something else."""
    own = [(video, f"{title} &#39;Official&#39; Trailer ({YEARS[title]})") for video in FOUND[title]]
    return {
        "kind": "youtube#searchListResponse", "etag": "e", "regionCode": "DE",
        "pageInfo": {"totalResults": 3, "resultsPerPage": 50},
        "items": [
            {"kind": "youtube#searchResult", "etag": "e", "id": {"kind": "youtube#video", "videoId": video},
             "snippet": {"publishedAt": "2010-05-10T12:00:00Z", "channelId": "UC1", "title": name, "description": "…",
                         "thumbnails": {"default": {"url": "https://i.example/1", "width": 120, "height": 90}},
                         "channelTitle": "Trailers", "liveBroadcastContent": "none"}}
            for video, name in (*own, ("zzzzzzzzzzz", "Something else"))
        ],
    }  # fmt: skip


def videos(ids: list[str]) -> dict[str, Any]:
    """As videos.list answers; those that are gone are left out."""
    return {
        "kind": "youtube#videoListResponse", "etag": "e", "pageInfo": {"totalResults": 1, "resultsPerPage": 1},
        "items": [
            {"kind": "youtube#video", "etag": "e", "id": video,
             "snippet": {"publishedAt": "2010-05-10T12:00:00Z", "channelId": "UC1", "title": "Trailer",
                         "description": "…", "thumbnails": {}, "channelTitle": "T", "categoryId": "1"},
             "statistics": {"viewCount": "7920", "likeCount": "185", "favoriteCount": "0"}
             | ({} if COUNTS[video] is None else {"commentCount": str(COUNTS[video])})}
            for video in ids if video in COUNTS
        ],
    }  # fmt: skip


def threads(video: str, first: int, count: int) -> dict[str, Any]:
    """As commentThreads.list answers, newest first."""
    last = min(first + 100, count)
    day = datetime(2026, 11, 1, tzinfo=UTC)
    following = {"nextPageToken": f"T{last}"} if last < count else {}

    def comment(n: int) -> dict[str, Any]:
        when = (day - timedelta(hours=n - count)).isoformat().replace("+00:00", "Z")
        return {
            "kind": "youtube#comment", "etag": "e", "id": f"Ugx{video}{count - n}",
            "snippet": {"channelId": "UC1", "videoId": video, "textDisplay": f"Comment {count - n}",
                        "textOriginal": f"Comment {count - n}", "authorDisplayName": "@anna",
                        "authorProfileImageUrl": "https://i.example/2", "authorChannelUrl": "http://y.example/@anna",
                        "authorChannelId": {"value": "UCanna"}, "canRate": True, "viewerRating": "none",
                        "likeCount": 2, "publishedAt": when, "updatedAt": when},
        }  # fmt: skip

    return {
        "kind": "youtube#commentThreadListResponse", "etag": "e", **following,
        "pageInfo": {"totalResults": last - first, "resultsPerPage": 100},
        "items": [
            {"kind": "youtube#commentThread", "etag": "e", "id": f"Ugx{video}{count - n}",
             "snippet": {"channelId": "UC1", "videoId": video, "topLevelComment": comment(n), "canReply": True,
                         "totalReplyCount": 0, "isPublic": True}}
            for n in range(first, last)
        ],
    }  # fmt: skip


class YouTube(Service):
    """The YouTube Data API, version 3."""

    def __init__(self) -> None:
        super().__init__()
        self.more = 0
        """Comments that came since."""
        self.tokens_are_stale = False

    async def answer(self, request: web.Request) -> web.Response:
        """What is asked for, by whom has a key, in the parameters that there are."""
        method = request.path.removeprefix("/youtube/v3/")
        described = DESCRIBED["resources"][method]["methods"]["list"]
        assert set(request.query) <= {*described["parameters"], "key"}
        if not request.query.get("key"):
            return web.Response(status=400, body=BAD_KEY, content_type="application/json")
        found = self.find(method, request)
        if isinstance(found, dict):
            hold(found, described["response"], DESCRIBED["schemas"])
            return web.json_response(found)
        return found

    def find(self, method: str, request: web.Request) -> dict[str, Any] | web.Response:
        """The answer's body."""
        match method:
            case "i18nLanguages":
                snippet = {"hl": "de", "name": "German"}
                item = {"kind": "youtube#i18nLanguage", "etag": "e", "id": "de", "snippet": snippet}
                return {"kind": "youtube#i18nLanguageListResponse", "etag": "e", "items": [item]}
            case "search":
                title = next(title for title in FOUND if title in request.query["q"])
                return searched(title)
            case "videos":
                return videos(request.query["id"].split(","))
            case _:
                video, token = request.query["videoId"], request.query.get("pageToken", "T0")
                count = COUNTS[video]
                if count is None or (token != "T0" and self.tokens_are_stale):
                    self.tokens_are_stale = False
                    code, reason = (403, "commentsDisabled") if count is None else (400, "invalidPageToken")
                    body = refusal(code, reason, "youtube.commentThread")
                    return web.Response(status=code, body=body, content_type="application/json")
                return threads(video, int(token[1:]), count)


class TestYouTubeListed(ConnectorSuite):
    """Videos that the configuration names: no search is spent."""

    kind = "youtube"
    keys: ClassVar[dict[str, Any]] = {
        "videos": {
            "tt1375666": ["aaaaaaaaaaa", "ccccccccccc"],
            "tt0133093": ["bbbbbbbbbbb"],
            "Q171048": ["ddddddddddd"],
        }
    }
    records = 154
    topics = {"reviews"}  # noqa: RUF012
    pages = 7
    secret = "MARQUEE_YOUTUBE_TOKEN"
    auth = staticmethod(status(400, BAD_KEY))
    quota = staticmethod(status(403, refusal(403, "quotaExceeded")))
    inside_200 = staticmethod(instead(refusal(500, "backendError"), "application/json"))
    inside_200_says = "It is backendError"
    daily = "America/Los_Angeles"

    def service(self) -> Service:
        """YouTube."""
        return YouTube()


class TestYouTube(TestYouTubeListed):
    """Videos are searched for, which has a quota of its own."""

    keys: ClassVar[dict[str, Any]] = {}
    pages = 10

    async def test_a_quota_of_its_own_is_kept_through_restarts_and_renewed_at_midnight(
        self, site: Service, tmp_path: Path, clock: FakeClock
    ) -> None:
        expected, _ = await self.straight(site, tmp_path, clock)
        broker, keys = Broker(), {"searches": "2/d"}
        report = await self.run(site, tmp_path, clock, broker, **keys)
        assert (report.status, report.reaction) == ("failed", "wait")
        assert sum(asked.path.endswith("/search") for asked in site.asked) == 2
        clock.time += 86_400
        assert (await self.run(site, tmp_path, clock, broker, **keys)).status == "success"
        assert sum(asked.path.endswith("/search") for asked in site.asked) == 3
        assert set(broker.sent()) == set(expected)


async def _run(
    folder: Path, site: Service, *films: FilmTarget, clock: FakeClock | None = None, **keys: Any
) -> tuple[Broker, Report]:
    suite, broker = TestYouTube(), Broker()
    suite.request = lambda: Request(NAME, films)  # type: ignore[method-assign]
    return broker, await suite.run(site, folder, clock or FakeClock(), broker, CursorStore(folder), **keys)


async def test_a_film_is_searched_for_once_and_videos_without_new_comments_are_not_read(tmp_path: Path) -> None:
    async with serving(YouTube()) as site:
        first, _ = await _run(tmp_path, site, FILMS[1])
        site.asked.clear()
        second, _ = await _run(tmp_path, site, FILMS[1])
        assert [asked.path.rpartition("/")[2] for asked in site.asked] == ["videos"]
    assert (len(first.sent()), second.sent()) == (3, [])


async def test_only_pages_with_new_comments_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(YouTube()) as site:
        await _run(tmp_path, site, FILMS[0])
        monkeypatch.setitem(COUNTS, "aaaaaaaaaaa", 155)
        site.asked.clear()
        broker, _ = await _run(tmp_path, site, FILMS[0])
        assert [asked.path.rpartition("/")[2] for asked in site.asked] == ["videos", "commentThreads"]
    assert {f"Comment {n}" for n in range(151, 156)} <= {each["text"] for each in broker.records("reviews")}


async def test_no_more_pages_are_read_than_are_wanted(tmp_path: Path) -> None:
    async with serving(YouTube()) as site:
        broker, _ = await _run(tmp_path, site, FILMS[0], most_pages=1)
    assert len(broker.sent()) == 100


async def test_a_page_that_youtube_no_longer_knows_is_asked_for_from_the_first_on(tmp_path: Path) -> None:
    site = YouTube()
    site.tokens_are_stale = True
    async with serving(site):
        broker, report = await _run(tmp_path, site, FILMS[0])
    assert report.status == "success"
    assert len({event_id for _, event_id, _ in broker.sent()}) == 150


async def test_comments_are_reviews_without_names_and_without_scores(tmp_path: Path) -> None:
    async with serving(YouTube()) as site:
        broker, _ = await _run(tmp_path, site, FILMS[2])
    (review,) = broker.records("reviews")
    assert review["url"] == "https://www.youtube.com/watch?v=ddddddddddd&lc=Ugxddddddddddd1"
    assert review["rating"] is None
    assert review["author"]
    assert "anna" not in str(review)


async def test_a_video_that_closes_its_comments_meanwhile_costs_nothing_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = YouTube()
    async with serving(site):
        # The list of videos still has a count while the comments are already closed.
        closed = status(403, refusal(403, "commentsDisabled", "youtube.commentThread"))
        site.faults.extend([None, None, closed])
        broker, report = await _run(tmp_path, site, FILMS[1], FILMS[2])
    assert (report.status, len(broker.sent())) == ("success", 3)
    assert any("commentsDisabled" in note for note in report.notes)


async def test_a_film_without_videos_is_searched_for_again_after_a_month(tmp_path: Path) -> None:
    film, clock = FilmTarget(film_id="tt0000001", title="Toy Story", year=1950), FakeClock()
    async with serving(YouTube()) as site:
        for days, searches in ((0, 1), (1, 1), (30, 2)):
            clock.time += days * 86_400
            _, report = await _run(tmp_path, site, film, clock=clock)
            assert "no video is certainly about it" in report.notes[0]
            assert sum(asked.path.endswith("/search") for asked in site.asked) == searches


@pytest.mark.parametrize(
    ("title", "year", "video", "description", "expected"),
    [
        ("Inception", 2010, "INCEPTION - Official Trailer (2010)", "", True),
        ("Inception", 2010, "Inception Official Trailer", "In cinemas July 2010", False),
        ("Inception", 2010, "Inception trailer", "see imdb.com/title/tt1375666", True),
        ("Inception", 2010, "Inception 2 (2031) trailer", "see imdb.com/title/tt1375666", False),
        ("It", 2017, "Is it good? 2017", "", True),
        ("It", 2017, "Italy 2017", "", False),
        ("The Matrix", 1999, "The Matrix | Trailer 1999", "", True),
        ("The Matrix", 1999, "The Matrix Resurrections (2021)", "", False),
        ("Toy Story", 1995, "Toy Story 4 Trailer 2019", "", False),
        ("Toy Story", 1995, "Toy Story II: since 1995", "", False),
        ("The Dark Knight", 2008, "The Dark Knight Rises - Trailer", "the sequel of 2008", False),
        ("2001: A Space Odyssey", 1968, "2001: A Space Odyssey Trailer", "", False),
        ("2001: A Space Odyssey", 1968, "2001 A Space Odyssey (1968)", "", True),
        ("Amélie", 2001, "Amelie (2001)", "", True),
        ("Two Words", None, "Two Words trailer", "", False),
        ("", 2010, "Anything 2010", "", False),
        ("Inception", 2010, "Something else (2010)", "Inception", False),
    ],
)
def test_a_video_is_taken_only_where_it_is_certainly_about_the_film(
    title: str, year: int | None, video: str, description: str, expected: bool
) -> None:
    film = FilmTarget(film_id="tt1375666", title=title, year=year, imdb="tt1375666")
    assert about(film, video, description) is expected


@pytest.mark.parametrize(
    ("code", "body", "expected"),
    [
        (403, refusal(403, "quotaExceeded"), QuotaExhaustedError),
        (403, refusal(403, "dailyLimitExceeded", "usageLimits"), QuotaExhaustedError),
        (403, refusal(403, "rateLimitExceeded", "usageLimits"), RetryableError),
        (429, refusal(429, "rateLimitExceeded", "global", status="RESOURCE_EXHAUSTED"), RetryableError),
        (403, refusal(403, "commentsDisabled", "youtube.commentThread"), CommentsClosedError),
        (404, refusal(404, "videoNotFound", "youtube.commentThread"), CommentsClosedError),
        (403, refusal(403, "forbidden", "youtube.commentThread"), CommentsClosedError),
        (403, refusal(403, "forbidden", "global"), AuthFailedError),
        (403, refusal(403, "accessNotConfigured", "usageLimits"), AuthFailedError),
        (400, BAD_KEY, AuthFailedError),
        (400, refusal(400, "invalidPageToken", "youtube.commentThread"), StalePageError),
        (400, refusal(400, "invalidParameter", "global"), SourceError),
        (500, refusal(500, "backendError", "global"), type(None)),
        (503, b"<html>", type(None)),
        (200, b'{"items": []}', type(None)),
        (200, b'{"error": [7]}', type(None)),
    ],
)
def test_what_youtube_means_by_an_error(code: int, body: bytes, expected: type) -> None:
    assert type(youtube_fault(Answer("https://h/x", code, {}, body))) is expected


def test_odd_answers_are_read() -> None:
    results = b'{"items":[{"id":{"kind":"youtube#channel","channelId":"UC"}},{"id":{"videoId":"x"}}]}'
    assert parse_search(results, FILMS[0]).good == []
    (video,) = parse_videos(b'{"items":[{"id":"x","snippet":{"title":"t"},"statistics":{"viewCount":"1"}}]}').good
    assert video.comments is None
    thread = '{"snippet":{"topLevelComment":{"id":"1","snippet":{"textDisplay":"%s","publishedAt":"soon"}}}}'
    body = f'{{"items":[{thread % "Fine."},{thread % " "}]}}'.encode()
    (review,) = parse_comments(body, "tt1", "v", "s").reviews
    assert (review.text, review.author, review.observed_at) == ("Fine.", None, None)


def test_its_terms_are_thirty_days_and_no_learning() -> None:
    config = config_of("y", {"kind": "youtube"})
    assert (config.terms.ttl_days, config.terms.train_allowed, config.quotas()["search"]) == (30, False, "100/d")
    with pytest.raises(ConfigError, match="none of tt"):
        config_of("y", {"kind": "youtube", "videos": {"Inception": ["aaaaaaaaaaa"]}})

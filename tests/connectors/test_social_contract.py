"""The `social` connector against servers with the fields, paging and errors of the three networks' documentation."""

from __future__ import annotations

import logging
from base64 import b64decode, b64encode
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from app.connectors.base import Request
from app.connectors.registry import config_of
from schemas.mentions import FilmMentioned
from tests.connectors.service import Service, instead, serving, status
from tests.connectors.suite import FILMS, NAME, NOON, READ_BY, Broker, ConnectorSuite, FakeClock

READ_BY.setdefault(FilmMentioned.topic, FilmMentioned)
FIRST = datetime(2026, 10, 1, 12, tzinfo=UTC)
POSTS = {"Inception": 5, "The Matrix": 2, "Toy Story": 0}
TAGS = {"Inception": "Inception", "TheMatrix": "The Matrix", "ToyStory": "Toy Story"}


def stamp(n: int) -> str:
    """When the n-th post was written."""
    return f"{FIRST + timedelta(hours=n):%Y-%m-%dT%H:%M:%S.000Z}"


class Mastodon(Service):
    """A server that shows its hashtags to everybody."""

    token = ""

    def statuses(self, tag: str) -> list[dict[str, Any]]:
        """The oldest first; ids grow over a digit more."""
        title = TAGS.get(tag, tag)
        return [
            self.status(98 + n, f"<p>Saw <a href='https://m.example/tags/{tag}' class='mention hashtag' rel='tag'>#"
                                f"<span>{tag}</span></a>: {n + 4}/10<br>with <span class='h-card'><a href="
                                f"'https://m.example/@anna' class='u-url mention'>@<span>anna</span></a></span></p>")
            for n in range(POSTS.get(title, 0))
        ]  # fmt: skip

    def status(self, ident: int, content: str, **more: Any) -> dict[str, Any]:
        """One status."""
        return {
            "id": str(ident), "created_at": stamp(ident - 98), "in_reply_to_id": None, "sensitive": False,
            "spoiler_text": "", "visibility": "public", "language": "en", "uri": f"https://m.example/users/anna/{ident}",
            "url": f"https://m.example/@anna/{ident}", "replies_count": 0, "reblogs_count": 0, "favourites_count": 0,
            "edited_at": None, "content": content, "reblog": None, "media_attachments": [], "mentions": [],
            "account": {"id": "1", "username": "anna", "acct": "anna", "display_name": "Anna A.", "bot": False,
                        "noindex": False, "url": "https://m.example/@anna"},
        } | more  # fmt: skip

    async def answer(self, request: web.Request) -> web.Response:
        """The newest first; max_id goes back from the newest, min_id forward from the oldest."""
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.json_response({"error": "This method requires an authenticated user"}, status=422)
        assert request.path.startswith("/api/v1/timelines/tag/")
        tag, query = request.match_info["path"].rpartition("/")[2], request.query
        size, found = int(query["limit"]), self.statuses(tag)
        if "min_id" in query:
            page = [each for each in found if int(each["id"]) > int(query["min_id"])][:size][::-1]
        else:
            page = [each for each in found if int(each["id"]) < int(query.get("max_id", 10**9))][::-1][:size]
        links = []
        if len(page) == size:
            links.append(f'<{self.url}{request.path}?limit={size}&max_id={page[-1]["id"]}>; rel="next"')
        if page:
            links.append(f'<{self.url}{request.path}?limit={size}&min_id={page[0]["id"]}>; rel="prev"')
        return web.json_response(page, headers={"Link": ", ".join(links)} if links else {})


class Bluesky(Service):
    """A personal data server that passes searches on."""

    def __init__(self) -> None:
        super().__init__()
        self.sessions = 0
        self.expired: set[str] = set()

    def posts(self, query: str) -> Iterable[dict[str, Any]]:
        """The newest first."""
        title = query.split('"')[1] if '"' in query else ""
        for n in reversed(range(POSTS.get(title, 0))):
            yield self.post(n, f"{title} is a film that I give {n}/5, says @bob.bsky.social")

    def post(self, n: int, text: str, **author: Any) -> dict[str, Any]:
        """One post."""
        return {
            "uri": f"at://did:plc:x{n}/app.bsky.feed.post/3k{n}", "cid": "bafy", "likeCount": 3, "replyCount": 0,
            "author": {"did": f"did:plc:x{n}", "handle": "anna.bsky.social", "displayName": "Anna A."} | author,
            "record": {"$type": "app.bsky.feed.post", "text": text, "createdAt": stamp(n), "langs": ["en"]},
            "indexedAt": stamp(n),
        }  # fmt: skip

    async def answer(self, request: web.Request) -> web.Response:
        """A session for a password, and searches for a session."""
        if request.path == "/xrpc/com.atproto.server.createSession":
            given = msgspec.json.decode(await request.read())
            assert given["identifier"] == "films.example"
            assert given["password"]
            self.sessions += 1
            opened = {"accessJwt": f"jwt-{self.sessions}", "refreshJwt": "r", "did": "did:plc:me", "handle": "films"}
            return web.json_response(opened | {"active": True})
        assert request.path == "/xrpc/app.bsky.feed.searchPosts"
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not bearer:
            return web.Response(status=403, text="<html><body>403 Forbidden</body></html>", content_type="text/html")
        if bearer in self.expired:
            return web.json_response({"error": "ExpiredToken", "message": "Token has expired"}, status=400)
        query = request.query
        found = [each for each in self.posts(query["q"]) if each["indexedAt"] >= query.get("since", "")]
        start, size = int(query.get("cursor", "0")), int(query["limit"])
        more = {"cursor": str(start + size)} if start + size < len(found) else {}
        return web.json_response({"posts": found[start : start + size], "hitsTotal": len(found), **more})


class Reddit(Service):
    """The OAuth side of Reddit, with its log-in."""

    def submissions(self, title: str) -> list[dict[str, Any]]:
        """The newest first."""
        return [self.submission(n, f"{title} - {n}/10 from me") for n in reversed(range(POSTS.get(title, 0)))]

    def submission(self, n: int, title: str, **more: Any) -> dict[str, Any]:
        """One t3."""
        return {
            "name": f"t3_y{n}", "id": f"y{n}", "title": title, "selftext": f"What a movie, says u/anna, no. {n}",
            "author": f"anna{n}", "score": 9, "num_comments": 2, "subreddit": "movies", "is_self": True,
            "created_utc": (FIRST + timedelta(hours=n)).timestamp(), "permalink": f"/r/movies/comments/y{n}/a/",
            "url": f"https://www.reddit.com/r/movies/comments/y{n}/a/", "distinguished": None, "over_18": False,
        } | more  # fmt: skip

    async def answer(self, request: web.Request) -> web.Response:
        """A token for client credentials, and listings for a token."""
        given = request.headers.get("Authorization", "")
        if request.path == "/api/v1/access_token":
            assert await request.read() == b"grant_type=client_credentials"
            plain = b64decode(given.removeprefix("Basic ")).decode()
            # So that tests can see what was given.
            self.asked[-1].headers["X-Plain"] = plain
            if not plain.startswith("client:") or len(plain) < 8:
                return web.json_response({"message": "Unauthorized", "error": 401}, status=401)
            token = {"access_token": "token-1", "token_type": "bearer", "expires_in": 86400, "scope": "*"}
            return web.json_response(token)
        if given != "Bearer token-1":
            return web.json_response({"message": "Unauthorized", "error": 401}, status=401)
        found = self.listing(request)
        names, size = [each["name"] for each in found], int(request.query["limit"])
        start = names.index(request.query["after"]) + 1 if "after" in request.query else 0
        page = found[start : start + size]
        after = page[-1]["name"] if start + size < len(found) else None
        children = [{"kind": "t3", "data": each} for each in page]
        listing = {"after": after, "before": None, "dist": len(page), "modhash": "", "children": children}
        return web.json_response({"kind": "Listing", "data": listing})

    def listing(self, request: web.Request) -> list[dict[str, Any]]:
        """What a search finds, or all of a forum."""
        if request.path == "/r/movies/search":
            assert request.query["restrict_sr"] == "1"
            return self.submissions(request.query["q"].split('"')[1])
        return []


class TestMastodon(ConnectorSuite):
    """Hashtags without a credential."""

    kind = "social"
    keys = {"profile": "mastodon", "page_size": 2}  # noqa: RUF012
    records = 7
    topics = {"reviews"}  # noqa: RUF012
    pages = 6

    def service(self) -> Service:
        """A server."""
        return Mastodon()


class TestBluesky(ConnectorSuite):
    """Searches with a session."""

    kind = "social"
    keys = {"profile": "bluesky", "page_size": 2, "account": "films.example"}  # noqa: RUF012
    records = 7
    topics = {"reviews"}  # noqa: RUF012
    pages = 6
    secret = "MARQUEE_BLUESKY_PASSWORD"
    auth = staticmethod(status(401, '{"error":"AuthenticationRequired","message":"Invalid identifier or password"}'))
    inside_200 = staticmethod(instead('{"error":"UpstreamFailure","message":"Search is down"}', "application/json"))
    inside_200_says = "Search is down"

    def service(self) -> Service:
        """Bluesky."""
        return Bluesky()


class TestReddit(ConnectorSuite):
    """Searches in a forum with client credentials."""

    kind = "social"
    keys = {"profile": "reddit", "page_size": 2}  # noqa: RUF012
    records = 7
    topics = {"reviews"}  # noqa: RUF012
    pages = 6
    secret = "MARQUEE_REDDIT_SECRET"
    auth = staticmethod(status(401, '{"message":"Unauthorized","error":401}'))
    inside_200 = staticmethod(instead('{"error":"oops","message":"Our CDN was unable"}', "application/json"))
    inside_200_says = "Our CDN was unable"

    def service(self) -> Service:
        """Reddit."""
        return Reddit()

    def environ(self) -> dict[str, str]:
        """The two halves of the credential."""
        return super().environ() | {"MARQUEE_REDDIT_CLIENT": "client"}


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


INCEPTION = Request(NAME, FILMS[:1])


@pytest.mark.parametrize(
    ("suite", "scores"),
    [
        (TestMastodon(), {4.0, 5.0, 6.0, 7.0, 8.0}),
        (TestBluesky(), {0.0, 1.0, 2.0, 3.0, 4.0}),
        (TestReddit(), {0.0, 1.0, 2.0, 3.0, 4.0}),
    ],
    ids=["mastodon", "bluesky", "reddit"],
)
async def test_scores_in_posts_are_ratings_and_nobody_is_named(
    suite: ConnectorSuite, scores: set[float], tmp_path: Path
) -> None:
    (broker,), _ = await runs(suite, tmp_path, suite.service(), INCEPTION)
    found = broker.records("reviews")
    assert {each["rating"] for each in found} == scores
    assert {each["worst"] for each in found} == {0.0}
    assert all(len(each["author"]) == 16 and each["film_id"] == "tt1375666" and each["url"] for each in found)
    assert not any(name in str(broker.sent()) for name in ("anna", "Anna", "bob"))


@pytest.mark.parametrize(
    ("suite", "asked"),
    [(TestMastodon(), 1), (TestBluesky(), 2), (TestReddit(), 2)],
    ids=["mastodon", "bluesky", "reddit"],
)
async def test_the_next_round_reads_what_is_newer(suite: ConnectorSuite, asked: int, tmp_path: Path) -> None:
    site = suite.service()
    (first, second), _ = await runs(suite, tmp_path, site, INCEPTION, INCEPTION)
    assert len(first.records("reviews")) == 5
    before = len(site.asked)
    assert len(second.records("reviews")) <= 2
    (third,), _ = await runs(suite, tmp_path, site, INCEPTION)
    assert len(site.asked) - before == asked
    assert {each["source_record_id"] for each in third.records("reviews")} <= {
        each["source_record_id"] for each in first.records("reviews")
    }


async def test_statuses_written_since_are_all_read_however_many(tmp_path: Path) -> None:
    site, suite = Mastodon(), TestMastodon()
    (first,), _ = await runs(suite, tmp_path, site, INCEPTION)
    old = site.statuses
    site.statuses = lambda tag: [*old(tag), *(site.status(200 + n, f"<p>{tag} 1{n}th film</p>") for n in range(7))]  # type: ignore[method-assign]
    brokers, _ = await runs(suite, tmp_path, site, INCEPTION, INCEPTION, pages=3)
    ids = [each["source_record_id"] for broker in brokers for each in broker.records("reviews")]
    assert len(first.records("reviews")) == 5
    assert sorted(ids) == [str(200 + n) for n in range(7)]


async def test_mastodon_says_when_to_come_back_as_a_date(tmp_path: Path) -> None:
    site, clock = Mastodon(), FakeClock()
    until = datetime.fromtimestamp(NOON + 42, UTC).isoformat().replace("+00:00", "Z")
    site.faults.append(status(429, '{"error":"Too many requests"}', {"X-RateLimit-Reset": until}))
    async with serving(site):
        report = await TestMastodon().run(site, tmp_path, clock, Broker())
    assert (report.status, clock.slept) == ("success", [42.0])


@pytest.mark.parametrize(
    ("suite", "headers", "slept"),
    [
        (TestBluesky(), {"ratelimit-reset": str(int(NOON) + 30)}, 30.0),
        (TestReddit(), {"X-Ratelimit-Reset": "77", "X-Ratelimit-Remaining": "0.0"}, 77.0),
    ],
    ids=["bluesky", "reddit"],
)
async def test_the_others_say_it_in_seconds(
    suite: ConnectorSuite, headers: dict[str, str], slept: float, tmp_path: Path
) -> None:
    site, clock = suite.service(), FakeClock()
    site.faults.extend([None, status(429, '{"error":"RateLimitExceeded"}', headers)])
    async with serving(site):
        report = await suite.run(site, tmp_path, clock, Broker())
    assert (report.status, clock.slept) == ("success", [slept])


async def test_a_server_that_wants_a_token_gets_it(tmp_path: Path) -> None:
    site, suite = Mastodon(), TestMastodon()
    site.token = "s3cr3t/va1ue+of=it"
    suite.environ = lambda: {"MARQUEE_MASTODON_TOKEN": site.token}  # type: ignore[method-assign]
    (broker,), (report,) = await runs(suite, tmp_path, site, INCEPTION)
    assert (report.status, len(broker.records("reviews"))) == ("success", 5)


async def test_people_who_do_not_want_to_be_found_and_programs_are_left_out(tmp_path: Path) -> None:
    site = Mastodon()
    content, account = "<p>#Inception 8/10</p>", {"acct": "x", "bot": False, "noindex": False}
    site.statuses = lambda tag: [  # type: ignore[method-assign]
        site.status(1, content, account=account | {"noindex": True}),
        site.status(2, content, account=account | {"bot": True}),
        site.status(3, content, visibility="private"),
        site.status(4, content, account=account),
    ]
    (broker,), _ = await runs(TestMastodon(), tmp_path, site, INCEPTION, page_size=40)
    assert [each["source_record_id"] for each in broker.records("reviews")] == ["4"]
    sky = Bluesky()
    labels = {"labels": [{"val": "!no-unauthenticated"}]}
    sky.posts = lambda query: [sky.post(1, "Inception 8/10", **labels), sky.post(0, "Inception 7/10")]  # type: ignore[method-assign]
    (broker,), _ = await runs(TestBluesky(), tmp_path / "sky", sky, INCEPTION)
    assert [each["rating"] for each in broker.records("reviews")] == [7.0]


async def test_a_session_that_is_over_is_opened_again_once(tmp_path: Path) -> None:
    site = Bluesky()
    site.expired = {"jwt-1"}
    (broker,), (report,) = await runs(TestBluesky(), tmp_path, site, INCEPTION)
    assert (report.status, site.sessions, len(broker.records("reviews"))) == ("success", 2, 5)
    site = Bluesky()
    site.expired = {f"jwt-{n}" for n in range(9)}
    _, (report,) = await runs(TestBluesky(), tmp_path / "b", site, INCEPTION)
    assert (report.reaction, site.sessions) == ("pause", 2)


async def test_an_answer_to_a_log_in_is_never_put_away(tmp_path: Path) -> None:
    site = Bluesky()
    site.faults.append(instead('{"accessJwt":17,"refreshJwt":"very-secret"}', "application/json"))
    (broker,), (report,) = await runs(TestBluesky(), tmp_path, site, INCEPTION)
    assert report.status == "failed"
    assert broker.sent(dead=True)
    assert "very-secret" not in str(broker.sent(dead=True)) + str(report)


async def test_a_log_in_that_fails_inside_a_200_pauses(tmp_path: Path) -> None:
    site = Reddit()
    site.faults.append(instead('{"error":"invalid_grant"}', "application/json"))
    _, (report,) = await runs(TestReddit(), tmp_path, site, INCEPTION)
    assert (report.status, report.reaction) == ("failed", "pause")


async def test_a_forum_that_is_private_costs_no_other(tmp_path: Path) -> None:
    site = Reddit()
    site.listing = lambda request: [site.submission(1, "Heat (1995) 9/10")]  # type: ignore[method-assign]
    site.faults.extend([None, status(403, '{"message":"Forbidden","error":403,"reason":"private"}')])
    (broker,), (report,) = await runs(TestReddit(), tmp_path, site, INCEPTION, feeds=["closed", "open"])
    assert (report.status, len(broker.records("film-mentions"))) == ("success", 1)
    assert any("the forum is private" in note for note in report.notes)
    assert {asked.path for asked in site.asked[1:]} == {"/r/closed/new", "/r/open/new"}


async def test_a_feed_gives_mentions_of_what_can_be_matched_and_nothing_else(tmp_path: Path) -> None:
    site = Reddit()
    site.listing = lambda request: [  # type: ignore[method-assign]
        site.submission(5, "What did you eat today?", selftext=""),
        site.submission(4, "Inception 8/10", selftext="", url="https://www.imdb.com/title/tt1375666/"),
        site.submission(3, "[removed]", selftext="[removed]"),
        site.submission(2, "The Matrix: 4/5", selftext=""),
        site.submission(1, "It was great 9/10", selftext=""),
        site.submission(0, "Heat (1995) still holds up", selftext="", author="[deleted]"),
    ]
    (broker,), _ = await runs(TestReddit(), tmp_path, site, Request(NAME, FILMS), feeds=["movies"], page_size=100)
    found = broker.records("film-mentions")
    assert [(each.get("title"), each.get("value")) for each in found] == [("Inception", 8.0), ("The Matrix", 4.0)]
    assert found[0]["addresses"] == ["https://www.imdb.com/title/tt1375666/"]


def test_its_keys_differ_by_network() -> None:
    sky = config_of("s", {"kind": "social", "profile": "bluesky", "account": "a.example"})
    assert (sky.rate, sky.token_env, sky.home()) == ("30/m", "MARQUEE_BLUESKY_PASSWORD", "https://bsky.social")
    assert not sky.terms.train_allowed
    for keys, says in (({"profile": "mastodon"}, "name one"), ({"profile": "bluesky"}, "name a handle")):
        with pytest.raises(Exception, match=says):
            config_of("s", {"kind": "social", **keys})


@pytest.mark.parametrize(
    ("suite", "secrets"),
    [(TestBluesky(), ("jwt-1",)), (TestReddit(), ("token-1", b64encode(b"client:s3cr3t/va1ue+of=it").decode()))],
)
async def test_tokens_that_were_obtained_are_no_more_told_than_passwords(
    suite: ConnectorSuite, secrets: tuple[str, ...], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    told = []
    shown = msgspec.json.encode({"error": "what is", "message": f"{' '.join(secrets)}?"})
    for code in (200, 400, 404, 429, 500):
        site = suite.service()
        async with serving(site):
            # The first request is the log-in.
            site.faults.extend([None, *[status(code, shown)] * 3])
            broker = Broker()
            report = await suite.run(site, tmp_path / str(code), FakeClock(), broker, retries=1)
            assert all(secret in str(site.asked) for secret in secrets)
            told.append(msgspec.json.encode(report).decode() + str(broker.sent(dead=True)))
    assert "***" in str(told)
    for text in (*told, caplog.text):
        assert not any(secret in text for secret in secrets)

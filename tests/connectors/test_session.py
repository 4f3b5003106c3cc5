"""The session that all connectors share: what it adds to requests, what it makes of answers, what it keeps."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
from aiohttp import web

from app.connectors.base import Checkpoint, Connector, ConnectorConfig, Cursor, Request, Said, observed
from app.connectors.errors import (
    AuthFailedError,
    BlockedError,
    IncompleteError,
    MalformedError,
    NotFoundError,
    QuotaExhaustedError,
    RetryableError,
    SourceError,
)
from app.connectors.fetch import Fetcher
from app.connectors.limits import OPENS_AFTER, STAYS_OPEN, Memory
from app.connectors.runner import CursorStore, run_connector
from app.connectors.session import Session
from schemas.events import FactsObserved
from tests.connectors.service import LARGE, Service, a_page, cut_off, serving, status
from tests.connectors.suite import Broker, DyingStore, FakeClock, KilledError

LIMIT = 1 << 16


class Echo(Service):
    """Tells in JSON what it was asked; other paths do other things."""

    def __init__(self) -> None:
        super().__init__()
        self.robots = "User-agent: *\nDisallow: /private\n"
        self.elsewhere = ""
        self.version = 1

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Robots first."""
        if request.path == "/robots.txt":
            return (
                web.Response(text=self.robots)
                if self.robots
                else web.Response(status=503, headers={"Retry-After": "9"})
            )
        return await super().handle(request)

    async def answer(self, request: web.Request) -> web.Response:
        """By path."""
        match request.path:
            case "/gzip" | "/bomb":
                plain = b'{"plain": true}' if request.path == "/gzip" else b" " * LARGE * 8
                return web.Response(body=gzip.compress(plain), headers={"Content-Encoding": "gzip"})
            case "/half-gzip":
                return web.Response(body=gzip.compress(b"[" * 9999)[:-20], headers={"Content-Encoding": "gzip"})
            case "/brotli":
                return web.Response(body=b"x", headers={"Content-Encoding": "br"})
            case "/away":
                raise web.HTTPFound(self.elsewhere)
            case "/latin":
                return web.Response(body="é".encode("latin-1"), headers={"Content-Type": "text/plain; charset=latin-1"})
            case "/links":
                return web.json_response([], headers={"Link": '</links?page=2>; rel="next", </x>; rel="prev"'})
        said = {"path": request.path_qs, "method": request.method, "version": self.version}
        return web.json_response({**said, "body": (await request.read()).decode()})

    async def redirect(self, request: web.Request) -> web.StreamResponse:
        """A redirect that is no exception."""
        return web.Response(status=302, headers={"Location": self.elsewhere})


@asynccontextmanager
async def _session(
    *sites: Service, clock: FakeClock | None = None, environ: dict[str, str] | None = None, **keys: Any
) -> AsyncIterator[Session]:
    allow = tuple(entry for site in sites for entry in site.allow)
    clock = clock or FakeClock()
    async with Fetcher(allow, max_body=LIMIT, clock=clock.clock) as fetcher:
        config = ConnectorConfig(kind="echo", base_url=sites[0].url if sites else "", **keys)
        yield Session(config, fetcher, environ or {})


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    """The server."""
    async with serving(Echo()) as site:
        assert isinstance(site, Echo)
        yield site


async def test_addresses_are_made_of_the_base_a_path_and_what_is_given(echo: Echo) -> None:
    async with _session(echo) as session:
        said = await session.get_json("a/b", {"q": "x y&z", "n": 2, "left": None})
        assert said["path"] == "/a/b?q=x+y%26z&n=2"
        assert (await session.get_json(f"{echo.url}/c%2Fd?e=%20"))["path"] == "/c%2Fd?e=%20"
        assert (await session.get_json(f"{echo.url}/not encoded"))["path"] == "/not%20encoded"


async def test_json_is_posted_and_held_to_a_shape(echo: Echo) -> None:
    class Said(msgspec.Struct):
        method: str
        body: str

    async with _session(echo) as session:
        found = await session.post_json("x", {"a": [1]}, shape=Said)
        assert (found.method, found.body) == ("POST", '{"a":[1]}')
        assert echo.asked[0].headers["Content-Type"] == "application/json"
        with pytest.raises(MalformedError, match="Expected `int`"):
            await session.get_json("x", shape=dict[str, int])


async def test_text_is_read_in_the_charset_that_it_names(echo: Echo) -> None:
    async with _session(echo) as session:
        assert await session.get_text("latin") == "é"


async def test_the_next_page_of_a_link_header_is_a_whole_address(echo: Echo) -> None:
    async with _session(echo) as session:
        assert (await session.ask("links")).next == f"{echo.url}/links?page=2"
        assert (await session.ask("x")).next is None


async def test_packed_answers_are_unpacked_up_to_the_limit(echo: Echo) -> None:
    async with _session(echo, retries=0) as session:
        assert await session.get_json("gzip") == {"plain": True}
        with pytest.raises(MalformedError, match=f"longer than {LIMIT}"):
            await session.get_bytes("bomb")
        with pytest.raises(IncompleteError):
            await session.get_bytes("half-gzip")
        with pytest.raises(MalformedError, match="nobody asked for"):
            await session.get_bytes("brotli")


async def test_an_answer_of_another_type_than_was_accepted_is_refused(echo: Echo) -> None:
    async with _session(echo, retries=0) as session:
        assert await session.get_text("x", accept=("xml", "json"))
        with pytest.raises(MalformedError, match="xml or rss is due"):
            await session.get_text("x", accept=("xml", "rss"))
        echo.faults.append(a_page)
        with pytest.raises(MalformedError, match=r"answered text/html where JSON is due: '<!DOCTYPE"):
            await session.get_json("x")


async def test_a_page_that_robots_txt_names_is_not_asked_for(echo: Echo) -> None:
    async with _session(echo, robots=True) as session:
        assert await session.get_json("public")
        with pytest.raises(BlockedError, match=r"robots\.txt"):
            await session.get_json("private/page")
    assert len(echo.asked) == 1


async def test_a_site_whose_robots_txt_cannot_be_read_now_may_be_asked_later(echo: Echo) -> None:
    echo.robots = ""
    async with _session(echo, robots=True) as session:
        with pytest.raises(RetryableError, match=r"public: robots\.txt cannot be read now: .*answered 503") as error:
            await session.get_json("public")
        assert error.value.after == 9
        assert echo.asked == []
        echo.robots = "User-agent: *\nAllow: /\n"
        assert await session.get_json("public")


async def test_a_server_that_is_down_does_not_ask_programs_to_leave_it_alone() -> None:
    echo = Echo()
    async with serving(echo):
        pass
    async with _session(echo, robots=True) as session:
        with pytest.raises(RetryableError, match=r"robots\.txt cannot be read now: .*Cannot connect"):
            await session.get_json("public")
        with pytest.raises(RetryableError, match=r"robots\.txt cannot be read now: .*Cannot connect"):
            async with session.stream(f"{echo.url}/file", {}):
                pass


@pytest.mark.parametrize("robots", [True, False])
async def test_a_private_address_is_refused_by_the_guard_whether_robots_are_asked_or_not(robots: bool) -> None:
    async with _session(robots=robots) as session:
        with pytest.raises(SourceError, match=r"private address.*\[fetch\] allow") as error:
            await session.get_json("http://127.0.0.1:9/feed")
    assert error.value.reaction == "stop"


async def test_the_pause_that_robots_txt_asks_for_is_kept_by_all_who_ask_that_host(echo: Echo) -> None:
    echo.robots = "User-agent: *\nCrawl-delay: 7\n\nUser-agent: other\nCrawl-delay: 99\n"
    clock = FakeClock()
    async with serving(Echo()) as free, _session(echo, free, clock=clock, robots=True) as session:
        config = ConnectorConfig(kind="html", base_url=echo.url, robots=True)
        other = Session(config, session._fetcher, {})
        await session.get_json("a")
        await session.get_json(f"{free.url}/b")
        assert clock.slept == []
        await other.get_json("c")
        assert clock.slept == [7]
        clock.time += 3
        async with session.stream(f"{echo.url}/d", {}):
            assert clock.slept == [7, 4]
        clock.time += 60
        echo.faults.append(status(503, headers={"Retry-After": "1"}))
        await session.get_json("e")
        # The second try is a request as well: a second for its answer, six more for robots.txt.
        assert clock.slept[2:] == [1, 6]
        careless = Session(ConnectorConfig(kind="csv", base_url=echo.url), session._fetcher, {})
        await careless.get_json("f")
        assert len(clock.slept) == 4


async def test_a_pause_that_outlasts_our_patience_is_waited_for_by_a_later_run(echo: Echo) -> None:
    echo.robots = "User-agent: marquee\nCrawl-delay: 1000\n"
    clock = FakeClock()
    async with _session(echo, clock=clock, robots=True) as session:
        await session.get_json("a")
        clock.time += 400
        with pytest.raises(RetryableError, match=r"1000 s between requests") as error:
            await session.get_json("b")
        assert error.value.after == 600
        clock.time += 600
        await session.get_json("c")
        assert (len(echo.asked), clock.slept) == (2, [])


@pytest.mark.parametrize("wish", ["-5", "nan", "soon", "0", ""])
async def test_a_pause_that_is_none_is_not_kept(echo: Echo, wish: str) -> None:
    echo.robots = f"User-agent: *\nCrawl-delay: {wish}\n"
    clock = FakeClock()
    async with _session(echo, clock=clock, robots=True) as session:
        for place in "ab":
            await session.get_json(place)
    assert clock.slept == []


async def test_credentials_do_not_follow_a_redirect_to_another_host(echo: Echo) -> None:
    async with serving(Echo()) as other:
        echo.elsewhere = f"{other.url}/x"
        for path in ("/away", "/away-at-home"):
            echo.faults.append(lambda request, good: echo.redirect(request))
            async with _session(echo, other) as session:
                await session.get_json(path, headers={"Authorization": "Bearer secret", "X-Api-Key": "secret"})
            echo.elsewhere = "/x"
        assert "Authorization" not in other.asked[0].headers
        assert "X-Api-Key" not in other.asked[0].headers
        assert echo.asked[-1].headers["X-Api-Key"] == "secret"
        echo.elsewhere = f"{other.url}/x"
        echo.faults.append(lambda request, good: echo.redirect(request))
        async with _session(echo, other) as session:
            with pytest.raises(SourceError, match="leads to another host"):
                await session.post_json("away", {"secret": 1})


@pytest.mark.parametrize(
    ("code", "known", "error"),
    [
        (401, False, AuthFailedError),
        (403, True, AuthFailedError),
        (403, False, BlockedError),
        (202, False, BlockedError),
        (451, False, BlockedError),
        (404, False, NotFoundError),
        (410, False, NotFoundError),
        (408, False, RetryableError),
        (429, False, RetryableError),
        (502, False, RetryableError),
        (418, False, SourceError),
        (204, False, SourceError),
    ],
)
async def test_what_a_status_means(echo: Echo, code: int, known: bool, error: type[SourceError]) -> None:
    echo.faults.append(status(code))
    async with _session(echo, retries=0, token_env="MARQUEE_X" if known else None) as session:
        with pytest.raises(SourceError) as raised:
            await session.get_json("x")
        assert type(raised.value) is error


async def test_waits_grow_between_tries_and_are_not_all_alike(echo: Echo) -> None:
    clock = FakeClock()
    echo.faults.extend([status(500)] * 4)
    async with _session(echo, clock=clock, retries=4) as session:
        await session.get_json("x")
    assert len(clock.slept) == 4
    assert clock.slept == sorted(clock.slept)
    assert 0.5 <= clock.slept[0] < 1.0 < clock.slept[-1]


async def test_a_host_that_fails_again_and_again_is_left_alone_for_a_while(echo: Echo) -> None:
    clock = FakeClock()
    async with _session(echo, clock=clock, retries=0) as session:
        echo.faults.extend([status(500)] * (OPENS_AFTER + 1))
        for _ in range(OPENS_AFTER):
            with pytest.raises(RetryableError, match="answered 500"):
                await session.get_json("x")
        with pytest.raises(RetryableError, match="left alone") as raised:
            await session.get_json("x")
        assert raised.value.after == STAYS_OPEN
        assert len(echo.asked) == OPENS_AFTER
        clock.time += STAYS_OPEN
        with pytest.raises(RetryableError, match="answered 500"):
            await session.get_json("x")
        with pytest.raises(RetryableError, match="left alone"):
            await session.get_json("x")
        clock.time += STAYS_OPEN
        assert await session.get_json("x")
        assert await session.get_json("x")


async def test_buckets_of_a_quota_are_counted_apart_by_their_costs(echo: Echo) -> None:
    class Buckets(ConnectorConfig, kw_only=True, frozen=True):
        def quotas(self) -> dict[str, str]:
            return {"": "10/d", "search": "1/d"}

    async with Fetcher(echo.allow, clock=FakeClock().clock) as fetcher:
        session = Session(Buckets(kind="echo", base_url=echo.url), fetcher)
        await session.get_json("x", bucket="search")
        await session.get_json("x", cost=8)
        for options in ({"bucket": "search"}, {"cost": 3}):
            with pytest.raises(QuotaExhaustedError):
                await session.get_json("x", **options)
        await session.get_json("x", cost=2)
        assert (session.counters.quota, session.counters.requests) == (11, 3)


async def test_connectors_of_one_account_share_its_quota_and_others_do_not(echo: Echo) -> None:
    ledger = Memory()
    async with Fetcher(echo.allow, clock=FakeClock().clock) as fetcher:
        for variable, good in (("MARQUEE_A", True), ("MARQUEE_A", False), ("MARQUEE_B", True)):
            config = ConnectorConfig(kind="echo", base_url=echo.url, quota="1/d", token_env=variable)
            session = Session(config, fetcher)
            session.begin("echo", {}, ledger, "")
            if good:
                assert await session.get_json("x")
            else:
                with pytest.raises(QuotaExhaustedError):
                    await session.get_json("x")


async def test_an_hours_budget_that_is_spent_ends_the_run(echo: Echo) -> None:
    async with _session(echo, rate="2/h") as session:
        await session.get_json("x")
        await session.get_json("x")
        with pytest.raises(RetryableError, match="used up") as raised:
            await session.get_json("x")
        assert raised.value.after == 1800
        assert len(echo.asked) == 2


async def test_requests_are_paced_evenly_and_in_all_sessions_of_an_account(echo: Echo) -> None:
    loop = asyncio.get_running_loop()
    async with Fetcher(echo.allow) as fetcher:
        config = ConnectorConfig(kind="echo", base_url=echo.url, rate="20/s")
        began = loop.time()
        await asyncio.gather(*(Session(config, fetcher).get_json("x") for _ in range(7)))
        # The first goes at once, six more wait for a twentieth of a second each.
        assert loop.time() - began >= 0.29


async def test_an_account_without_a_credential_says_which_variable_is_missing() -> None:
    async with _session(environ={"MARQUEE_B": "bbbb"}, token_env="MARQUEE_A") as session:
        with pytest.raises(AuthFailedError, match="MARQUEE_A"):
            session.token()
        assert session.token_if_set() is None
        assert session.token("MARQUEE_B") == "bbbb"


async def test_credentials_are_blackened_however_they_are_written() -> None:
    environ = {"MARQUEE_A": "a/b+c d", "MARQUEE_B": "a/b+c d long"}
    async with _session(environ=environ, token_env="MARQUEE_A") as session:
        session.token()
        session.token("MARQUEE_B")
        for text in ("a/b+c d", "a%2Fb%2Bc%20d", "a%2Fb%2Bc+d", "a/b+c d long"):
            assert session.redact(f"<{text}>") == "<***>"
        assert session.redact_raw(b"x a/b+c d x") == b"x *** x"
        told = session.redact("https://user:word@h/p?api_key=1&q=2&token=3#x https://h/?monkey=4")
        assert told == "https://***@h/p?api_key=***&q=2&token=***#x https://h/?monkey=4"
        told = session.redact("https://h/?q=1&api-key=a:b.c: the server answered 429 (https://h/?key=d=).")
        assert told == "https://h/?q=1&api-key=***: the server answered 429 (https://h/?key=***)."


class Feed(Connector[ConnectorConfig]):
    """Asks for one page and only if it is new."""

    kind: ClassVar[str] = "feed"
    spec: ClassVar[type[ConnectorConfig]] = ConnectorConfig

    async def check(self) -> str:
        """Nothing."""
        return "fine"

    async def read(self, request: Request, cursor: Cursor) -> AsyncGenerator[Said]:
        """One record a version."""
        answer = await self.session.ask("feed", {"key": self.session.token()}, revalidate=True)
        if not answer.not_modified:
            yield observed(FactsObserved(film_id="tt1375666", source="feed", title=answer.text()[:99]))
        yield Checkpoint({}, 1)


async def _feed(echo: Echo, folder: Path, broker: Broker, store: CursorStore | None = None, **options: Any) -> Any:
    async with Fetcher(echo.allow, clock=FakeClock().clock) as fetcher:
        config = ConnectorConfig(kind="feed", base_url=echo.url, token_env="MARQUEE_X")
        feed = Feed(config, Session(config, fetcher, {"MARQUEE_X": "s3cr3t"}))
        return await run_connector("feed", feed, broker, store or CursorStore(folder), **options)


async def test_what_did_not_change_is_not_sent_again_until_it_changes(echo: Echo, tmp_path: Path) -> None:
    broker = Broker()
    for expected, version in ((1, 1), (1, 1), (2, 2), (2, 2)):
        echo.version = version
        report = await _feed(echo, tmp_path, broker)
        assert (report.status, len(broker.sent())) == ("success", expected)
    assert report.not_modified == 1
    await _feed(echo, tmp_path, broker, from_start=True)
    assert len(broker.sent()) == 3
    assert "s3cr3t" not in (tmp_path / "connectors" / "feed.json").read_text()


async def test_what_a_crash_kept_from_the_broker_is_asked_for_again(echo: Echo, tmp_path: Path) -> None:
    dead, kept, broker = Broker(dies_at=0), Broker(), Broker()
    with pytest.raises(KilledError):
        await _feed(echo, tmp_path, dead)
    with pytest.raises(KilledError):
        await _feed(echo, tmp_path, kept, DyingStore(tmp_path, 0))
    await _feed(echo, tmp_path, broker)
    assert broker.sent() == kept.sent()
    assert len(broker.sent()) == 1


async def test_what_is_cut_off_twice_costs_two_retries(echo: Echo) -> None:
    echo.faults.extend([cut_off, cut_off])
    async with _session(echo) as session:
        await session.get_json("x")
        assert (session.counters.requests, session.counters.retries) == (3, 2)

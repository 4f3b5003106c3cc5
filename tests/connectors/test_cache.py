"""What a process keeps of answers: whose it is, for how long and how much; and which records it spares the broker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from app.connectors.answers import Answer
from app.connectors.base import ConnectorConfig
from app.connectors.cache import LONGEST, OVERHEAD, AnswerCache, Kept
from app.connectors.config import Terms
from app.connectors.errors import SourceError
from app.connectors.fetch import Fetcher
from app.connectors.runner import CursorStore, Report, run_connector
from app.connectors.sent import Sent, Stated
from app.connectors.session import Session
from tests.connectors.book import Book, Reader
from tests.connectors.service import serving
from tests.connectors.suite import DAY, Broker, FakeClock, KilledError

BOTH = ["one", "two"]


class World:
    """One process with its clock and broker, and what it keeps on disk."""

    def __init__(self, book: Book, folder: Path) -> None:
        self.book, self.store, self.clock = book, CursorStore(folder), FakeClock()
        self.cache, self.broker = AnswerCache(), Broker()

    async def run(self, name: str = "book", token: str = "", prepare: Callable[[Reader], None] | None = None,
                  from_start: bool = False, **keys: Any) -> Report:  # fmt: skip
        """A run of the reader, with a way out of its own."""
        environ = {"MARQUEE_BOOK": token} if token else {}
        config = ConnectorConfig(
            kind="reader", base_url=self.book.url + "/", token_env="MARQUEE_BOOK", retries=0, **keys
        )
        self.broker = Broker()
        async with Fetcher(self.book.allow, clock=self.clock.clock, cache=self.cache) as fetcher:
            reader = Reader(config, Session(config, fetcher, environ))
            if prepare is not None:
                prepare(reader)
            return await run_connector(
                name, reader, self.broker, self.store, from_start=from_start, now=lambda: self.clock.time
            )

    def titles(self) -> list[str]:
        """What the last run sent."""
        return [msgspec.json.decode(value).get("title") for _, _, value in self.broker.sent()]


@pytest.fixture
async def book() -> AsyncIterator[Book]:
    """The server."""
    async with serving(Book()) as site:
        assert isinstance(site, Book)
        yield site


@pytest.fixture
def world(book: Book, tmp_path: Path) -> World:
    """Nothing was read yet."""
    return World(book, tmp_path)


# What is asked.


async def test_what_did_not_change_is_read_on_from_what_was_kept(world: World) -> None:
    await world.run()
    assert world.titles() == BOTH
    world.book.questions()
    report = await world.run()
    assert world.book.questions() == [True, True]
    assert world.book.told[-2:] == [304, 304]
    assert report.notes == ["200 True", "200 True"]
    assert (report.status, report.bytes, report.not_modified) == ("success", 0, 2)
    assert (report.records, report.duplicates, world.titles()) == (2, 2, [])


async def test_what_changed_is_sent_with_all_of_its_page(world: World) -> None:
    await world.run()
    world.book.pages[1] = ["two", "three"]
    report = await world.run()
    assert (world.titles(), report.not_modified) == (["two", "three"], 1)
    assert (report.records, report.duplicates) == (3, 2)


async def test_a_server_with_a_date_only_is_asked_by_it(world: World) -> None:
    world.book.conditional = False
    world.book.headers = {"Last-Modified": "Tue, 03 Nov 2026 12:00:00 GMT"}
    await world.run()
    await world.run()
    assert world.book.asked[-1].headers["If-Modified-Since"] == "Tue, 03 Nov 2026 12:00:00 GMT"
    assert world.titles() == BOTH, "it answered with pages"


@pytest.mark.parametrize(
    "headers",
    [{"Cache-Control": "private, No-Store"}, {"Cache-Control": "no-store"}, {"Vary": "Accept, *"}, {"Vary": "*"}],
)
async def test_what_must_not_be_kept_is_not(world: World, headers: dict[str, str]) -> None:
    world.book.headers = headers
    for _ in range(2):
        await world.run()
        assert world.titles() == BOTH
    assert world.book.questions() == [False] * 4
    assert world.cache.bytes == 0


@pytest.mark.parametrize("headers", [{"Cache-Control": "no-cache, max-age=0"}, {"Vary": "Accept-Encoding"}])
async def test_what_may_be_kept_to_be_asked_about_is(world: World, headers: dict[str, str]) -> None:
    world.book.headers = headers
    await world.run()
    await world.run()
    assert world.book.questions() == [False, False, True, True]


async def test_a_page_that_may_not_be_kept_any_longer_is_let_go_of(world: World) -> None:
    await world.run()
    world.book.headers = {"Cache-Control": "no-store"}
    world.book.pages = [["one"], ["other"]]
    await world.run()
    world.book.questions()
    await world.run()
    # The first page's 304 says nothing of keeping in this server.
    assert world.book.questions() == [True, False]


@pytest.mark.parametrize(
    ("name", "keys"), [("other", {}), ("book", {"source": "else"}), ("book", {"terms": Terms(attribution="x")})]
)
async def test_no_other_connector_and_no_other_settings_get_what_was_kept(
    world: World, name: str, keys: dict[str, Any]
) -> None:
    await world.run()
    world.book.questions()
    await world.run(name, **keys)
    assert world.book.questions() == [False, False]
    assert world.titles() == BOTH


async def test_no_other_account_gets_what_was_kept(world: World) -> None:
    await world.run(token="first-token")
    world.book.questions()
    await world.run(token="other-token")
    assert world.book.questions() == [False, False]
    await world.run(token="first-token")
    assert world.book.questions() == [True, True]


async def test_the_token_of_a_log_in_is_another_one_in_each_run_and_the_account_is_not(world: World) -> None:
    for n, expected in ((1, False), (2, True)):
        await world.run(token="password", prepare=lambda reader, n=n: setattr(reader, "log_in", f"bearer-{n}"))
        assert world.book.questions() == [expected, expected]
    await world.run(token="else-word", prepare=lambda reader: setattr(reader, "log_in", "bearer-3"))
    assert world.book.questions() == [False, False]


async def test_a_run_from_the_start_asks_for_everything_and_sends_it(world: World) -> None:
    await world.run()
    await world.run()
    world.book.questions()
    await world.run(from_start=True)
    assert (world.book.questions(), world.titles()) == ([False, False], BOTH)
    await world.run()
    assert (world.book.questions(), world.titles()) == ([True, True], [])


@pytest.mark.parametrize(("keys", "days"), [({}, LONGEST / DAY), ({"terms": Terms(ttl_days=4)}, 2.0)])
async def test_what_was_read_long_ago_is_read_and_sent_again(world: World, keys: dict[str, Any], days: float) -> None:
    await world.run(**keys)
    world.clock.time += days * DAY - 60
    await world.run(**keys)
    assert (world.book.questions()[2:], world.titles()) == ([True, True], [])
    # From the answer with a body on, not from the last that said that it holds.
    world.clock.time += 120
    await world.run(**keys)
    assert (world.book.questions(), world.titles()) == ([False, False], BOTH)
    world.clock.time -= 3600
    await world.run(**keys)
    assert world.book.questions() == [False, False], "a clock that was set back is no reason to trust it for ever"


async def test_a_page_without_sense_is_not_kept(world: World) -> None:
    world.book.pages = [["bad"]]
    assert (await world.run()).status == "failed"
    assert (await world.run()).status == "failed"
    assert world.book.questions() == [False, False]


async def test_a_kept_page_that_makes_no_sense_any_more_is_let_go_of(world: World) -> None:
    def picky(reader: Reader) -> None:
        reader.session.fault = lambda answer: SourceError("not today") if answer.body else None

    await world.run()
    assert (await world.run(prepare=picky)).status == "failed"
    await world.run()
    assert world.book.questions() == [False, False, True, False, True]
    assert world.titles() == ["one"], "of the second page, which did not change, everything is known"


async def test_a_page_of_which_something_was_refused_is_read_again(world: World) -> None:
    world.book.pages = [["one", "odd"], ["two"]]
    report = await world.run(prepare=lambda reader: setattr(reader, "refuses", "odd"))
    assert (report.status, report.refused) == ("partial", 1)
    await world.run()
    assert world.book.questions() == [False, False, False, True]
    assert world.titles() == ["one", "odd"]


async def test_a_304_that_nobody_asked_for_is_no_answer(world: World) -> None:
    async def odd(request: web.Request, good: web.Response) -> web.StreamResponse:
        return web.Response(status=304)

    world.book.faults.append(odd)
    report = await world.run()
    assert (report.status, report.error_class, world.titles()) == ("failed", "Malformed", [])


async def test_the_same_tag_behind_a_redirect_that_leads_elsewhere_is_not_believed(world: World) -> None:
    def to(place: str) -> Any:
        async def fault(request: web.Request, good: web.Response) -> web.StreamResponse:
            return web.Response(status=302, headers={"Location": place})

        return fault

    world.book.pages = [["one"]]
    world.book.faults.append(to("/a"))
    await world.run()
    world.book.faults.append(to("/b"))
    report = await world.run()
    assert (report.status, report.reaction) == ("failed", "retry")
    world.book.questions()
    assert (await world.run()).status == "success"
    assert world.book.questions() == [False]


async def test_looks_that_are_no_runs_keep_nothing(world: World) -> None:
    async with Fetcher(world.book.allow, cache=world.cache) as fetcher:
        session = Session(ConnectorConfig(kind="reader", base_url=world.book.url + "/"), fetcher, {})
        for _ in range(2):
            assert await session.get_json("") == ["one"]
    assert world.book.questions() == [False, False]


# What is sent.


async def test_people_and_mentions_are_told_again(world: World) -> None:
    world.book.pages = [["one", "person", "mention"]]
    await world.run()
    report = await world.run()
    assert [topic for topic, _, _ in world.broker.sent()] == ["celebrity-submissions", "film-mentions"]
    assert (report.records, report.duplicates, report.not_modified) == (3, 3, 1)


async def test_after_a_kill_everything_that_is_not_known_for_certain_is_sent(world: World) -> None:
    # The run dies after the broker had its records and before its end was told.
    class Dying(CursorStore):
        def remember(self, connector: str, sent: Sent) -> None:
            raise KilledError

    whole = world.store
    world.store = Dying(whole.directory.parent)
    with pytest.raises(KilledError):
        await world.run()
    # In the same process, as when a connector comes back to the worker that had it.
    world.store = whole
    report = await world.run()
    assert (world.titles(), report.not_modified, report.duplicates) == (BOTH, 2, 0)
    # A new process has only what lies on disk.
    world.cache = AnswerCache()
    report = await world.run()
    assert (world.titles(), report.not_modified, report.duplicates) == (BOTH, 0, 2)
    assert ((await world.run()).duplicates, world.titles()) == (2, [])


async def test_what_only_an_earlier_process_sent_is_sent_again(world: World) -> None:
    world.book.pages = [["old"]]
    await world.run()
    world.cache, world.book.pages = AnswerCache(), [["one"]]
    await world.run()
    # When that went out, and how long it may be stored, nobody knows here; though nothing changed at the source.
    report = await world.run(prepare=lambda reader: setattr(reader, "calls", {"one": "old"}))
    assert (world.titles(), report.not_modified, report.duplicates) == (["old"], 1, 1)


async def test_what_no_answer_vouches_for_is_sent_again(world: World) -> None:
    for _ in range(2):
        report = await world.run(prepare=lambda reader: setattr(reader, "last", "summary"))
        assert world.titles()[-1:] == ["summary"]
    assert (world.titles(), report.not_modified) == (["summary"], 2)


async def test_what_the_broker_did_not_take_is_sent_by_the_next_run(world: World) -> None:
    await world.run()
    world.book.pages[0] = ["new"]
    send = Broker.send

    async def refused(self: Broker, records: Any) -> None:
        raise KilledError

    Broker.send = refused  # type: ignore[method-assign]
    try:
        with pytest.raises(KilledError):
            await world.run()
    finally:
        Broker.send = send  # type: ignore[method-assign]
    await world.run()
    assert world.titles() == ["new"]


async def test_another_world_on_disk_is_told_everything(world: World, tmp_path: Path) -> None:
    await world.run()
    world.store = CursorStore(tmp_path / "erased")
    report = await world.run()
    assert (report.not_modified, report.duplicates, world.titles()) == (0, 0, BOTH)


# What is kept.


def kept(size: int) -> Kept:
    """An answer with so many bytes."""
    return Kept(Answer("https://films.example", 200, {}, b"x" * size), {"If-None-Match": "a"}, "", 0.0)


async def test_what_is_let_go_of_is_asked_for_and_sent_as_if_for_the_first_time(world: World) -> None:
    await world.run()
    world.cache.clear()
    assert world.cache.bytes == 0
    report = await world.run()
    assert (report.not_modified, world.titles()) == (0, BOTH)


def test_no_more_is_kept_than_may_be_and_what_was_used_last_stays() -> None:
    cache = AnswerCache(most_bytes=3 * (100 + OVERHEAD), most_body=100)
    for name in (b"a", b"b", b"c"):
        cache.put(name, kept(100))
    assert cache.get(b"a") is not None
    cache.put(b"d", kept(100))
    assert [cache.get(name) is not None for name in (b"a", b"b", b"c", b"d")] == [True, False, True, True]
    assert cache.bytes == 3 * (100 + OVERHEAD)
    cache.put(b"d", kept(1))
    assert cache.bytes == 201 + 3 * OVERHEAD
    cache.put(b"d", kept(101))
    assert cache.get(b"d") is None
    for name in (b"a", b"b", b"c", b"d"):
        cache.drop(name)
    assert cache.bytes == 0


def test_what_was_stated_is_known_for_a_time_and_by_whose_it_is() -> None:
    stated = Stated()
    stated.add(b"a", ["x"], 0.0, 10.0)
    stated.add(b"a", ["y"], 9.0, 10.0)
    assert stated.has(b"a", "x", 9.9, 10.0)
    assert not stated.has(b"b", "x", 9.9, 10.0)
    assert not stated.has(b"a", "z", 9.9, 10.0)
    # With the first of them all are over.
    assert not stated.has(b"a", "y", 10.0, 10.0)
    stated.add(b"a", ["z"], 10.0, 10.0)
    assert [stated.has(b"a", name, 11.0, 10.0) for name in "xyz"] == [False, False, True]


def test_of_what_was_stated_no_more_is_known_than_may_be() -> None:
    stated = Stated(most=10)
    for who in (b"a", b"b", b"c"):
        stated.add(who, [f"{who!r}{n}" for n in range(4)], 0.0, 10.0)
    assert [stated.has(who, f"{who!r}0", 1.0, 10.0) for who in (b"a", b"b", b"c")] == [False, True, True]
    stated.add(b"d", [str(n) for n in range(11)], 0.0, 10.0)
    assert not stated.has(b"d", "0", 1.0, 10.0)


def test_asking_whether_an_earlier_run_sent_a_record_adds_nothing() -> None:
    first = Sent()
    first.add(["a"])
    second = Sent(first.packed(b""))
    assert (second.knew("a"), second.knew("b"), bool(second)) == (True, False, False)
    second.add(["b"])
    assert not second.knew("b"), "this run's own are not an earlier one's"
    assert second.add(["a"]) == 1

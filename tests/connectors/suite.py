"""What every connector must do: a subclass names the kind, its keys and its service, and inherits the tests."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import quote, quote_plus
from zoneinfo import ZoneInfo

import msgspec
import pytest

from app.connectors.base import Connector, Cursor, FilmTarget, PersonTarget, Request
from app.connectors.cache import AnswerCache
from app.connectors.errors import AuthFailedError
from app.connectors.fetch import Fetcher
from app.connectors.limits import Clock, midnight_after
from app.connectors.registry import config_of, make
from app.connectors.runner import ALWAYS_SENT, CursorStore, Report, State, run_connector
from app.delivery.producer import Outgoing
from schemas.base import Record
from schemas.catalogue import decode
from schemas.commands import SubmitCelebrity, SubmitFilm
from schemas.events import DeadLettered, FactsObserved, RatingObserved, ReviewObserved
from schemas.mentions import FilmMentioned
from schemas.pictures import ImageFound
from schemas.terms import SourceTerms
from tests.connectors.service import (
    LARGE,
    Fault,
    Service,
    a_page,
    cut_off,
    dropped,
    ends_early,
    instead,
    oversized,
    serving,
    silent,
    status,
)

NAME = "under-test"
NOON = datetime(2026, 11, 3, 12, tzinfo=UTC).timestamp()
DAY = 86400.0
GENEROUS = 30.0
"""Seconds that an answer may take where a test is about something else: a busy machine stands still for moments."""
READ_BY: dict[str, type[Record]] = {
    kind.topic: kind
    for kind in (
        RatingObserved,
        ReviewObserved,
        FactsObserved,
        FilmMentioned,
        SubmitFilm,
        SubmitCelebrity,
        ImageFound,
        DeadLettered,
    )
}
Sent = tuple[str, str, bytes]

FILMS = (
    FilmTarget(film_id="tt1375666", title="Inception", year=2010, imdb="tt1375666", wikidata="Q25188", tmdb=27205),
    FilmTarget(film_id="tt0133093", title="The Matrix", year=1999, imdb="tt0133093", wikidata="Q83495", tmdb=603),
    FilmTarget(film_id="Q171048", title="Toy Story", year=1995, wikidata="Q171048"),
)
PEOPLE = (
    PersonTarget(celebrity_id="Q38111", name="Leonardo DiCaprio", wikidata="Q38111", imdb="nm0000138", tmdb=6193),
    PersonTarget(celebrity_id="Q200534", name="Tilda Swinton", wikidata="Q200534"),
    PersonTarget(celebrity_id="tmdb:person/3896", name="Liam Neeson", tmdb=3896),
)


class KilledError(Exception):
    """The process is no more."""


class FakeClock:
    """Time that only passes when somebody sleeps or a test says so."""

    def __init__(self) -> None:
        self.time = NOON
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        """Pass at once."""
        self.slept.append(seconds)
        self.time += seconds

    @property
    def clock(self) -> Clock:
        """As connectors get it."""
        return Clock(lambda: self.time, self.sleep)


class Broker:
    """Takes what a runner sends; at the n-th batch it dies, where told so."""

    def __init__(self, dies_at: int | None = None) -> None:
        self.batches: list[list[Outgoing]] = []
        self.dies_at = dies_at

    async def send(self, records: Iterable[Outgoing]) -> None:
        """Take a batch."""
        if self.dies_at is not None and len(self.batches) >= self.dies_at:
            raise KilledError
        self.batches.append(list(records))

    def sent(self, dead: bool = False) -> list[Sent]:
        """Topic, event id and value of everything, or of the dead letters; but for terms, which count from a run."""
        return [
            (each.topic, dict(each.headers)["ce_id"].decode(), without_terms(each.value or b""))
            for batch in self.batches
            for each in batch
            if (each.topic == DeadLettered.topic) is dead
        ]

    def records(self, topic: str) -> list[dict[str, Any]]:
        """What went to a topic, decoded."""
        return [msgspec.json.decode(value) for to, _, value in self.sent(topic == DeadLettered.topic) if to == topic]

    def terms(self) -> list[SourceTerms | None]:
        """The terms of everything that can have any."""
        sent = [decode(each.value or b"", (READ_BY[each.topic],), None) for batch in self.batches for each in batch]
        return [getattr(record, "terms") for record in sent if hasattr(record, "terms")]  # noqa: B009


def without_terms(value: bytes) -> bytes:
    """A record's bytes without its terms."""
    said = msgspec.json.decode(value)
    return msgspec.json.encode({name: each for name, each in said.items() if name != "terms"})


class DyingStore(CursorStore):
    """Dies instead of keeping the n-th cursor, after the broker has what stood before it."""

    def __init__(self, data_dir: Path, dies_at: int) -> None:
        super().__init__(data_dir)
        self.left = dies_at

    def save(self, connector: str, state: State) -> None:
        """Keep a state, unless it is time."""
        if self.left == 0:
            raise KilledError
        self.left -= 1
        super().save(connector, state)


class ConnectorSuite:
    """The contract. A subclass is called Test… and sets `kind`, `keys`, `records` and `service`, and what differs."""

    kind: ClassVar[str]
    keys: ClassVar[dict[str, Any]] = {}
    """Keys of its table besides kind and base_url."""
    records: ClassVar[int]
    """How many records a straight run gives."""
    topics: ClassVar[set[str]]
    """Where they go."""
    pages: ClassVar[int] = 2
    """How many requests a straight run needs at the least."""
    secret: ClassVar[str | None] = None
    """The environment variable of its credential, which the service must refuse to answer without."""
    auth: ClassVar[Fault] = staticmethod(status(401, "{}"))
    """How the service says that the credential is no good."""
    quota: ClassVar[Fault | None] = None
    """How it says that the day's quota is spent."""
    inside_200: ClassVar[Fault | None] = None
    """How it says inside a 200 that something is wrong."""
    inside_200_reaction: ClassVar[str] = "stop"
    inside_200_says: ClassVar[str] = ""
    """A part of the report's error, or of a refusal, after `inside_200`."""
    typed: ClassVar[bool] = True
    """Whether the answers have a form that can be told from a page for people or from a half of itself."""
    whole: ClassVar[bool] = True
    """Whether answers are read whole (and so have a limit) and not as a stream."""
    daily: ClassVar[str] = "UTC"
    """The zone at whose midnight the kind's quota is renewed."""

    def service(self) -> Service:
        """The service, shaped by its own documentation."""
        raise NotImplementedError

    def request(self) -> Request:
        """Whom the runs are about."""
        return Request(NAME, FILMS, PEOPLE)

    # Machinery.

    @cached_property
    def cache(self) -> AnswerCache:
        """What a process keeps of answers: all runs of a test are in one, until it is killed."""
        return AnswerCache()

    @pytest.fixture
    def clock(self) -> FakeClock:
        """Time of its own."""
        return FakeClock()

    @pytest.fixture
    async def site(self) -> AsyncIterator[Service]:
        """The service, running."""
        async with serving(self.service()) as site:
            yield site

    def environ(self) -> dict[str, str]:
        """The environment: the credential, which is easy to find again."""
        return {self.secret: "s3cr3t/va1ue+of=it"} if self.secret else {}

    def table(self, site: Service, **keys: Any) -> dict[str, Any]:
        """The connector's table."""
        return {"kind": self.kind, "base_url": site.url, "rate": "1000/s", **self.keys, **keys}

    @asynccontextmanager
    async def connector(
        self,
        site: Service,
        clock: FakeClock,
        *,
        allow: bool = True,
        bare: bool = False,
        timeout: float = GENEROUS,
        **keys: Any,
    ) -> AsyncIterator[Connector[Any]]:
        """The connector, ready to run; `bare`: without its credential; `timeout`: seconds that an answer may take."""
        options: dict[str, Any] = {"contact": "tests@example.org", "max_body": LARGE // 2, "cache": self.cache}
        async with Fetcher(site.allow if allow else (), timeout, clock=clock.clock, **options) as fetcher:
            yield make(config_of(NAME, self.table(site, **keys)), fetcher, {} if bare else self.environ())

    async def run(
        self, site: Service, folder: Path, clock: FakeClock, broker: Broker, store: CursorStore | None = None,
        **options: Any,
    ) -> Report:  # fmt: skip
        """One run."""
        async with self.connector(site, clock, **options) as connector:
            try:
                return await run_connector(
                    NAME,
                    connector,
                    broker,
                    store or CursorStore(folder),
                    request=self.request(),
                    now=lambda: clock.time,
                )
            except KilledError:
                self.cache = AnswerCache()
                raise

    async def straight(self, site: Service, folder: Path, clock: FakeClock) -> tuple[list[Sent], int]:
        """What an undisturbed run sends, and how many requests it takes."""
        broker, before = Broker(), len(site.asked)
        report = await self.run(site, folder / "straight", clock, broker)
        assert report.status == "success", report
        taken = len(site.asked) - before
        site.asked.clear()
        return broker.sent(), taken

    async def disturbed(
        self, site: Service, folder: Path, clock: FakeClock, at: Literal["first", "last"], *faults: Fault,
        **options: Any,
    ) -> tuple[Report, Broker, list[Sent]]:  # fmt: skip
        """A run with faults at its first or last request; its report, what it sent, and what a straight run sends."""
        expected, taken = await self.straight(site, folder, clock)
        site.faults.extend([None] * (taken - 1 if at == "last" else 0))
        site.faults.extend(faults)
        broker = Broker()
        report = await self.run(site, folder / "disturbed", clock, broker, **options)
        site.faults.clear()
        return report, broker, expected

    def cursor(self, folder: Path) -> Cursor:
        """What is kept."""
        return CursorStore(folder).load(NAME).cursor

    # The contract.

    async def test_a_run_brings_everything(self, site: Service, tmp_path: Path, clock: FakeClock) -> None:
        broker = Broker()
        report = await self.run(site, tmp_path, clock, broker)
        assert (report.status, report.error) == ("success", None)
        sent = broker.sent()
        assert len(sent) == report.records == self.records
        assert {topic for topic, _, _ in sent} == self.topics
        assert len({event_id for _, event_id, _ in sent}) == len(sent)
        assert report.requests == len(site.asked) >= self.pages
        assert report.bytes > 0

    async def test_its_records_are_what_their_readers_await(
        self, site: Service, tmp_path: Path, clock: FakeClock
    ) -> None:
        sent, _ = await self.straight(site, tmp_path, clock)
        for topic, _, value in sent:
            assert decode(value, (READ_BY[topic],), None).key

    async def test_its_records_come_under_the_terms_of_its_source(
        self, site: Service, tmp_path: Path, clock: FakeClock
    ) -> None:
        own, told = Broker(), Broker()
        await self.run(site, tmp_path / "own", clock, own)
        begun = clock.time
        given = {"ttl_days": 3, "train_allowed": False, "attribution": "Shown with it."}
        await self.run(site, tmp_path / "told", clock, told, terms=given)
        known = config_of(NAME, self.table(site)).terms
        for terms in own.terms():
            assert (terms or SourceTerms()).train == known.train_allowed
            assert (terms or SourceTerms()).attribution == known.attribution
            assert (terms is not None and terms.expires_at is not None) == (known.ttl_days is not None)
        assert len(told.terms()) == len(own.terms()) > 0
        for terms in told.terms():
            assert terms is not None
            assert (terms.train, terms.attribution) == (False, "Shown with it.")
            ends = datetime.fromisoformat(terms.expires_at or "").timestamp()
            assert begun - 1 <= ends - 3 * DAY <= clock.time
        # The same thing at the source has the same id under other terms.
        assert [each[1] for each in own.sent()] == [each[1] for each in told.sent()]

    async def test_the_service_is_told_who_asks(self, site: Service, tmp_path: Path, clock: FakeClock) -> None:
        await self.run(site, tmp_path, clock, Broker())
        assert site.asked
        for asked in site.asked:
            assert asked.headers["User-Agent"].startswith("marquee/")
            assert "tests@example.org" in asked.headers["User-Agent"]

    async def test_ids_are_the_same_in_every_run(self, site: Service, tmp_path: Path, clock: FakeClock) -> None:
        first, _ = await self.straight(site, tmp_path / "a", clock)
        clock.time += DAY
        second, _ = await self.straight(site, tmp_path / "b", clock)
        assert first == second

    async def test_a_run_after_the_end_brings_nothing_that_is_not_known(
        self, site: Service, tmp_path: Path, clock: FakeClock
    ) -> None:
        first, _ = await self.straight(site, tmp_path, clock)
        broker = Broker()
        report = await self.run(site, tmp_path / "straight", clock, broker)
        assert report.status == "success"
        assert set(broker.sent()) <= set(first)

    async def test_nothing_new_is_not_read_again(self, site: Service, tmp_path: Path, clock: FakeClock) -> None:
        first, _ = await self.straight(site, tmp_path, clock)
        before: list[tuple[str, dict[str, str]]] = []
        # Who asks for what came since the last run asks otherwise in the second one, and then again the same.
        for _ in range(3):
            site.asked.clear()
            broker = Broker()
            report = await self.run(site, tmp_path / "straight", clock, broker)
            gets = [(asked.path, asked.query) for asked in site.asked if asked.method == "GET"]
            if report.not_modified == len(gets) or gets == before:
                break
            before = gets
        assert (report.status, report.not_modified) == ("success", len(gets))
        assert gets
        # What is told again is about people, or may be of a film that is known by now.
        assert {topic for topic, _, _ in broker.sent()} <= ALWAYS_SENT
        assert set(broker.sent()) <= set(first)
        assert report.duplicates == report.records >= len(broker.sent())

    async def test_a_killed_run_is_gone_on_with_where_it_stood(
        self, site: Service, tmp_path: Path, clock: FakeClock
    ) -> None:
        expected, _ = await self.straight(site, tmp_path, clock)
        killed = 0
        for batch in range(50):
            first, rest, folder = Broker(dies_at=batch), Broker(), tmp_path / str(batch)
            try:
                await self.run(site, folder, clock, first)
            except KilledError:
                killed += 1
                await self.run(site, folder, clock, rest)
                assert first.sent() + rest.sent() == expected
            else:
                break
        assert killed > 0

    async def test_what_was_sent_but_not_kept_is_sent_again_under_the_same_ids(
        self, site: Service, tmp_path: Path, clock: FakeClock
    ) -> None:
        expected, _ = await self.straight(site, tmp_path, clock)
        killed = 0
        for save in range(50):
            first, rest, folder = Broker(), Broker(), tmp_path / str(save)
            try:
                await self.run(site, folder, clock, first, DyingStore(folder, save))
            except KilledError:
                killed += 1
                await self.run(site, folder, clock, rest)
                both = first.sent() + rest.sent()
                assert set(both) == set(expected)
                assert len({event_id for _, event_id, _ in both}) == len(expected)
            else:
                break
        assert killed > 0

    @pytest.mark.parametrize("at", ["first", "last"])
    @pytest.mark.parametrize("form", ["seconds", "date"])
    async def test_a_service_that_asks_for_patience_gets_it(
        self, site: Service, tmp_path: Path, clock: FakeClock, at: Literal["first", "last"], form: str
    ) -> None:
        when = format_datetime(datetime.fromtimestamp(clock.time + 7, UTC), usegmt=True)
        busy = status(429, "{}", {"Retry-After": "7" if form == "seconds" else when})
        report, broker, expected = await self.disturbed(site, tmp_path, clock, at, busy)
        assert (report.status, broker.sent()) == ("success", expected)
        assert (report.throttled, report.retries) == (1, 1)
        assert clock.slept == [7.0]

    @pytest.mark.parametrize("at", ["first", "last"])
    async def test_a_service_that_asks_for_hours_ends_the_run_and_is_asked_later(
        self, site: Service, tmp_path: Path, clock: FakeClock, at: Literal["first", "last"]
    ) -> None:
        busy = status(429, "{}", {"Retry-After": "7200"})
        report, broker, expected = await self.disturbed(site, tmp_path, clock, at, busy)
        assert (report.status, report.reaction) == ("failed", "retry")
        assert report.retry_at == datetime.fromtimestamp(NOON + 7200, UTC).isoformat(timespec="seconds")
        assert clock.slept == []
        clock.time += 7200
        rest = Broker()
        assert (await self.run(site, tmp_path / "disturbed", clock, rest)).status == "success"
        assert set(broker.sent()) | set(rest.sent()) == set(expected)

    @pytest.mark.parametrize("at", ["first", "last"])
    async def test_a_service_in_trouble_is_asked_again(
        self, site: Service, tmp_path: Path, clock: FakeClock, at: Literal["first", "last"]
    ) -> None:
        troubles = [status(500, "oops"), dropped, status(503, "<html>"), cut_off]
        report, broker, expected = await self.disturbed(site, tmp_path, clock, at, *troubles, retries=4)
        assert (report.status, report.error, set(broker.sent())) == ("success", None, set(expected))
        # A dropped connection that was used before is opened again below us.
        assert report.retries in (3, 4)

    async def test_a_service_that_stays_in_trouble_is_left(
        self, site: Service, tmp_path: Path, clock: FakeClock
    ) -> None:
        report, _, _ = await self.disturbed(site, tmp_path, clock, "first", *[status(502)] * 9, retries=2)
        assert (report.status, report.reaction, report.retries) == ("failed", "retry", 2)
        assert "502" in (report.error or "")
        assert len(site.asked) == 3

    async def test_a_service_that_falls_silent_is_asked_again(
        self, site: Service, tmp_path: Path, clock: FakeClock
    ) -> None:
        report, broker, expected = await self.disturbed(site, tmp_path, clock, "first", silent, timeout=1.0)
        assert (report.status, report.retries, broker.sent()) == ("success", 1, expected)

    @pytest.mark.parametrize("at", ["first", "last"])
    async def test_an_answer_that_ends_in_its_middle_is_asked_for_again(
        self, site: Service, tmp_path: Path, clock: FakeClock, at: Literal["first", "last"]
    ) -> None:
        if not self.typed:
            pytest.skip("half of such an answer looks like a whole one")
        report, broker, expected = await self.disturbed(site, tmp_path, clock, at, ends_early)
        assert (report.status, report.error, broker.sent()) == ("success", None, expected)
        assert report.retries == 1

    @pytest.mark.parametrize("at", ["first", "last"])
    @pytest.mark.parametrize("fault", [oversized, a_page])
    async def test_an_answer_without_sense_is_put_away_and_costs_nothing_of_the_rest(
        self, site: Service, tmp_path: Path, clock: FakeClock, fault: Fault, at: Literal["first", "last"]
    ) -> None:
        if fault is oversized and not self.whole:
            pytest.skip("streams may be long")
        report, broker, expected = await self.disturbed(site, tmp_path, clock, at, fault, retries=0)
        assert report.status in ("partial", "failed")
        assert set(broker.sent()) <= set(expected)
        if self.whole:
            assert broker.sent(dead=True)
        # What was lost to the fault is there again, if not in the next run, which ends a round, then in the one after.
        for _ in range(2):
            assert (await self.run(site, tmp_path / "disturbed", clock, broker)).status == "success"
        assert set(broker.sent()) == set(expected)

    async def test_a_service_that_answers_only_nonsense_fails_the_run(
        self, site: Service, tmp_path: Path, clock: FakeClock
    ) -> None:
        if not self.whole:
            pytest.skip("the lines of a stream are refused one by one")
        nonsense = [a_page] * 200
        report, broker, expected = await self.disturbed(site, tmp_path, clock, "first", *nonsense, retries=0)
        assert report.status == "failed", report
        assert report.error
        assert broker.sent() == []
        assert len(broker.sent(dead=True)) == report.refused > 0
        clock.time += DAY
        assert (await self.run(site, tmp_path / "disturbed", clock, broker)).status == "success"
        assert set(broker.sent()) == set(expected)

    async def test_a_quota_of_its_own_is_kept_through_restarts_and_renewed_at_midnight(
        self, site: Service, tmp_path: Path, clock: FakeClock
    ) -> None:
        expected, taken = await self.straight(site, tmp_path, clock)
        if taken < 2:
            pytest.skip("it asks only once")
        broker, zone = Broker(), "America/Los_Angeles"
        keys = {"quota": f"{taken - 1}/d", "quota_timezone": zone}
        report = await self.run(site, tmp_path, clock, broker, **keys)
        assert (report.status, report.reaction, report.quota_used) == ("failed", "wait", taken - 1)
        midnight = midnight_after(NOON, ZoneInfo(zone))
        assert report.retry_at == datetime.fromtimestamp(midnight, UTC).isoformat(timespec="seconds")
        assert len(site.asked) == taken - 1
        again = await self.run(site, tmp_path, clock, broker, **keys)
        assert (again.reaction, again.requests, len(site.asked)) == ("wait", 0, taken - 1)
        clock.time = midnight + 1
        assert (await self.run(site, tmp_path, clock, broker, **keys)).status == "success"
        assert set(broker.sent()) == set(expected)

    async def test_a_quota_that_the_service_says_is_spent_is_waited_for_and_not_retried(
        self, site: Service, tmp_path: Path, clock: FakeClock
    ) -> None:
        if self.quota is None:
            pytest.skip("the service has none")
        report, broker, expected = await self.disturbed(site, tmp_path, clock, "last", self.quota)
        assert (report.status, report.reaction, report.retries) == ("failed", "wait", 0)
        midnight = midnight_after(NOON, ZoneInfo(self.daily))
        assert report.retry_at == datetime.fromtimestamp(midnight, UTC).isoformat(timespec="seconds")
        clock.time = midnight + 1
        assert (await self.run(site, tmp_path / "disturbed", clock, broker)).status == "success"
        assert set(broker.sent()) == set(expected)

    @pytest.mark.parametrize("at", ["first", "last"])
    async def test_a_credential_that_is_refused_pauses_the_connector(
        self, site: Service, tmp_path: Path, clock: FakeClock, at: Literal["first", "last"]
    ) -> None:
        report, broker, expected = await self.disturbed(site, tmp_path, clock, at, type(self).auth)
        assert (report.status, report.reaction, report.retries) == ("failed", "pause", 0)
        assert (await self.run(site, tmp_path / "disturbed", clock, broker)).status == "success"
        assert set(broker.sent()) == set(expected)

    async def test_without_its_credential_nothing_is_asked(
        self, site: Service, tmp_path: Path, clock: FakeClock
    ) -> None:
        if self.secret is None:
            pytest.skip("it needs none")
        report = await self.run(site, tmp_path, clock, Broker(), bare=True)
        assert (report.status, report.reaction) == ("failed", "pause")
        assert self.secret in (report.error or "")
        assert site.asked == []

    async def test_an_error_inside_a_200_is_one(self, site: Service, tmp_path: Path, clock: FakeClock) -> None:
        if self.inside_200 is None:
            pytest.skip("the service has none")
        report, broker, expected = await self.disturbed(
            site, tmp_path, clock, "last", *[self.inside_200] * 9, retries=2
        )
        assert report.status in ("failed", "partial")
        told = f"{report.error} {report.faults}"
        assert self.inside_200_says in told, told
        assert (report.reaction or "stop") == self.inside_200_reaction
        clock.time += DAY
        for _ in range(2):
            assert (await self.run(site, tmp_path / "disturbed", clock, broker)).status == "success"
        assert set(broker.sent()) == set(expected)

    async def test_no_credential_is_logged_reported_or_put_away(
        self, site: Service, tmp_path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        if self.secret is None:
            pytest.skip("it needs none")
        secret = self.environ()[self.secret]
        caplog.set_level(logging.DEBUG)
        # Services write the credential that they were given into their complaints.
        echo, shown = status(400, f"bad key {secret}"), instead(f"<html>your key {secret}</html>", "text/html")
        told: list[str] = []
        for fault in (echo, shown, dropped, cut_off, silent, oversized, a_page, type(self).auth, status(404, secret)):
            broker = Broker()
            site.faults.extend([fault] * 2)
            report = await self.run(site, tmp_path / str(len(told)), clock, broker, retries=1, timeout=0.5)
            site.faults.clear()
            told.append(msgspec.json.encode(report).decode() + str(broker.sent(dead=True)))
        seen = str(site.asked)
        assert any(form in seen for form in _forms(secret)), "the service never got the credential"
        for text in (*told, caplog.text, *_files(tmp_path)):
            assert not any(form in text for form in _forms(secret))

    async def test_a_private_address_is_not_reached_unless_allowed(
        self, site: Service, tmp_path: Path, clock: FakeClock
    ) -> None:
        report = await self.run(site, tmp_path, clock, Broker(), allow=False)
        assert report.status == "failed"
        assert "[fetch] allow" in (report.error or "")
        assert site.asked == []

    async def test_a_check_is_light_and_says_what_it_found(self, site: Service, clock: FakeClock) -> None:
        async with self.connector(site, clock) as connector:
            assert await connector.check()
        assert 1 <= len(site.asked) <= 2

    async def test_a_check_says_when_the_credential_is_no_good(self, site: Service, clock: FakeClock) -> None:
        site.faults.extend([type(self).auth] * 2)
        async with self.connector(site, clock) as connector:
            with pytest.raises(AuthFailedError):
                await connector.check()


def _files(folder: Path) -> list[str]:
    return [str(kept) + kept.read_text() for kept in folder.rglob("*.json")]


def _forms(secret: str) -> tuple[str, ...]:
    return secret, quote(secret, safe=""), quote_plus(secret)

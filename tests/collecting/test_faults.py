"""A fault of a connector's code fails its run, with what the run cost and without what nobody may see."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Iterable
from pathlib import Path

import msgspec
import pytest

from app.collecting import runs
from app.collecting.runs import Carrier
from app.connectors.base import Checkpoint, Connector, Cursor, Note, PersonTarget, Request, Said, observed
from app.connectors.config import ConnectorConfig
from app.connectors.fetch import Fetcher
from app.connectors.session import Session
from app.delivery.producer import Outgoing
from schemas.catalogue import decode
from schemas.entities import ScrapeState, WaitingRun
from schemas.events import FactsObserved
from schemas.scrapes import LONGEST_NOTE, MOST_NOTES, ScrapeCheckpointed, ScrapeFinished, ScrapeStarted, Target

SECRET = "s3cr3t/va1ue"
EVENTS = (ScrapeStarted, ScrapeCheckpointed, ScrapeFinished)


class Log:
    """Keeps what is told of runs."""

    def __init__(self) -> None:
        self.events: list[ScrapeStarted | ScrapeCheckpointed | ScrapeFinished] = []

    async def send(self, records: Iterable[Outgoing]) -> None:
        """Take records."""
        self.events += [decode(each.value or b"", EVENTS, None) for each in records if each.topic == "scrape-runs"]


class Faulty(Connector[ConnectorConfig]):
    """Gives a record, and then fails in a way that nobody thought of."""

    async def check(self) -> str:
        """Unused."""
        raise NotImplementedError

    async def read(self, request: Request, cursor: Cursor) -> AsyncGenerator[Said]:
        """One record."""
        self.session.token()
        self.session.counters.requests, self.session.counters.bytes = 3, 700
        yield observed(FactsObserved(film_id="tt0000001", source="s", title="one"))
        yield Checkpoint({"at": 1}, 1, 9)
        if self.config.source == "good":
            return
        if self.config.source == "talks":
            for n in range(MOST_NOTES + 5):
                yield Note(f"Q{n}: not at https://example.org/?key={SECRET} {'…' * LONGEST_NOTE}")
            return
        raise ValueError(f"odd answer of https://anna:word@example.org/?key={SECRET}")


async def _nobody() -> tuple[tuple[()], tuple[()]]:
    return (), ()


async def _carried(folder: Path, source: str | None = None) -> ScrapeFinished:
    log, config = Log(), ConnectorConfig(kind="csv", token_env="TOKEN", source=source)
    async with Fetcher((), 5.0) as fetcher:
        carrier = Carrier(log, fetcher, folder, _nobody, {"TOKEN": SECRET})
        run = WaitingRun(run_id="r1", trigger="manual", attempt=1)
        await carrier.carry_out("odd", config, run, ScrapeState())
    finished = log.events[-1]
    assert isinstance(finished, ScrapeFinished)
    return finished


async def test_a_run_that_fails_by_a_fault_of_the_code_says_what_it_cost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(
        runs, "make", lambda config, fetcher, environ: Faulty(config, Session(config, fetcher, environ))
    )
    finished = await _carried(tmp_path)
    assert (finished.status, finished.cursor_after) == ("failed", {"at": 1})
    assert (finished.counts.records, finished.counts.requests, finished.counts.bytes) == (1, 3, 700)
    assert finished.error == "ValueError: odd answer of https://***@example.org/?key=***"
    assert "in read" in caplog.text
    assert SECRET not in caplog.text + msgspec.json.encode(finished).decode()


@pytest.mark.parametrize("source", ["good", None])
async def test_the_end_of_a_run_says_how_far_it_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str | None
) -> None:
    monkeypatch.setattr(
        runs, "make", lambda config, fetcher, environ: Faulty(config, Session(config, fetcher, environ))
    )
    finished = await _carried(tmp_path, source)
    assert (finished.status, finished.done, finished.total) == ("success" if source else "failed", 1, 9)


async def test_the_end_of_a_run_says_what_it_noted_within_bounds_and_without_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        runs, "make", lambda config, fetcher, environ: Faulty(config, Session(config, fetcher, environ))
    )
    assert (await _carried(tmp_path, "good")).notes == ()
    # The log reads what was sent by its schema.
    notes = (await _carried(tmp_path, "talks")).notes
    assert len(notes) == MOST_NOTES
    assert notes[0].startswith("Q0: not at https://example.org/?key=***")
    assert {len(note) for note in notes[:-1]} == {LONGEST_NOTE}
    assert notes[-1] == "... and 6 more"


async def test_a_connector_that_cannot_be_made_shows_no_credential_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> Faulty:
        raise ValueError(f"what is {SECRET}?")

    monkeypatch.setattr(runs, "make", broken)
    caplog.set_level(logging.DEBUG)
    finished = await _carried(tmp_path)
    assert finished.error == "ValueError: what is ***?"
    assert SECRET not in caplog.text


async def test_a_run_that_names_nobody_says_whom_it_asks_about_while_it_is_on_its_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[tuple[str, str, int], frozenset[Target]]] = []

    class Looking(Faulty):
        targeted = True

        async def read(self, request: Request, cursor: Cursor) -> AsyncGenerator[Said]:
            """What the carrier says meanwhile."""
            seen.append(dict(carrier.followed))
            yield Checkpoint({"at": 1}, 1, 9)

    async def everyone() -> tuple[tuple[()], tuple[PersonTarget, ...]]:
        return (), (PersonTarget(celebrity_id="Q1", name="Tilda"),)

    monkeypatch.setattr(runs, "make", lambda config, fetcher, environ: Looking(config, Session(config, fetcher, {})))
    named = (Target(id="Q2", kind="person"),)
    async with Fetcher((), 5.0) as fetcher:
        carrier = Carrier(Log(), fetcher, tmp_path, everyone, {})
        for number, targets in enumerate(((), named)):
            run = WaitingRun(run_id=f"r{number}", trigger="manual", attempt=1, targets=targets)
            await carrier.carry_out("odd", ConnectorConfig(kind="csv"), run, ScrapeState())
    assert seen == [{("odd", "r0", 1): frozenset({Target(id="Q1", kind="person")})}, {}]
    assert carrier.followed == {}

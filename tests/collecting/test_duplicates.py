"""What a run's history says of duplicates: records that are the same in all their content as some that went before."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.collecting import runs
from app.collecting.runs import Carrier
from app.collecting.tracking import figures
from app.connectors.cache import AnswerCache
from app.connectors.config import ConnectorConfig
from app.connectors.fetch import Fetcher
from app.connectors.registry import config_of
from app.connectors.session import Session
from app.delivery.producer import Outgoing
from schemas.catalogue import decode
from schemas.entities import ScrapeState, WaitingRun
from schemas.scrapes import ScrapeCheckpointed, ScrapeCounts, ScrapeFinished, ScrapeStarted
from tests.connectors.book import Book, Reader
from tests.connectors.service import serving

HEAD = "userId,movieId,rating,timestamp\n"
EVENTS = (ScrapeStarted, ScrapeCheckpointed, ScrapeFinished)


def rows(*numbers: int) -> str:
    """A line for each number; equal numbers give equal lines."""
    return "".join(f"{n},1,{n % 5 + 1},{1_500_000_000 + n}\n" for n in numbers)


class KilledError(BaseException):
    """The process is no more: nothing gets to handle it."""


class Log:
    """Keeps what is sent; at the first record of `dies_at` it dies."""

    def __init__(self, dies_at: type[Any] | None = None) -> None:
        self.sent: list[Outgoing] = []
        self.dies_at = dies_at

    async def send(self, records: Iterable[Outgoing]) -> None:
        """Take records, or die."""
        for record in records:
            told = decode(record.value or b"", EVENTS, None) if record.topic == "scrape-runs" else None
            if self.dies_at is not None and isinstance(told, self.dies_at):
                raise KilledError
            self.sent.append(record)

    @property
    def events(self) -> list[Any]:
        """What was told of runs."""
        return [decode(each.value or b"", EVENTS, None) for each in self.sent if each.topic == "scrape-runs"]


class Source:
    """A file that a connector reads from its beginning in every run, as feeds and many services must be."""

    def __init__(self, folder: Path) -> None:
        self.file, self.data = folder / "ratings.csv", folder / "data"
        self.state, self.number = ScrapeState(), 0
        self.resumed: WaitingRun | None = None

    async def run(self, content: str, log: Log | None = None) -> ScrapeCounts:
        """The counts of a run over this content."""
        self.file.write_text(HEAD + content)
        self.number += 1
        run = self.resumed or WaitingRun(run_id=f"r{self.number}", trigger="manual", attempt=1)
        config, log = config_of("file", {"kind": "csv", "path": str(self.file)}), log or Log()
        async with Fetcher((), 5.0) as fetcher:
            carrier = Carrier(log, fetcher, self.data, self._nobody, {})
            carried = await carrier.carry_out("file", config, run, self.state)
        assert log.events[-1].counts.duplicates == figures(carried)["duplicates"]
        counts: ScrapeCounts = log.events[-1].counts
        return counts

    async def _nobody(self) -> tuple[tuple[()], tuple[()]]:
        return (), ()


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """Nothing ran yet."""
    return Source(tmp_path)


async def test_what_a_source_gives_again_is_counted_as_such(source: Source):
    first = await source.run(rows(1, 2, 3))
    assert (first.records, first.duplicates) == (3, 0)
    again = await source.run(rows(1, 2, 3))
    assert (again.records, again.duplicates) == (3, 3)
    changed = await source.run(rows(1, 2, 3).replace("2,1,3,", "2,1,5,") + rows(4))
    assert (changed.records, changed.duplicates) == (4, 2)


async def test_what_a_source_has_twice_is_counted_within_a_run(source: Source):
    counts = await source.run(rows(1, 2, 2, 3, 3))
    assert (counts.records, counts.duplicates) == (5, 2)


async def test_a_run_that_was_cut_off_does_not_take_its_own_records_for_duplicates(source: Source):
    before = await source.run(rows(1, 2))
    assert before.duplicates == 0
    for dies_at in (ScrapeFinished, ScrapeCheckpointed):
        log = Log(dies_at)
        with pytest.raises(KilledError):
            await source.run(rows(*range(1, 4001)), log)
        source.resumed = WaitingRun(
            run_id=f"r{source.number}", trigger="manual", attempt=1, started_at="2026-01-01T00:00:00Z"
        )
    counts = await source.run(rows(*range(1, 4001)))
    assert (counts.records, counts.duplicates) == (4000, 2)


async def test_a_life_goes_on_counting_where_the_last_checkpoint_stood(source: Source):
    await source.run(rows(1, 2))
    log = Log(ScrapeFinished)
    with pytest.raises(KilledError):
        await source.run(rows(*range(1, 3001)), log)
    (*_, told) = [event for event in log.events if isinstance(event, ScrapeCheckpointed)]
    assert told.counts.duplicates == 2
    source.state = msgspec.structs.replace(source.state, cursor=told.cursor)
    source.resumed = WaitingRun(
        run_id="r2", trigger="manual", attempt=1, started_at="2026-01-01T00:00:00Z", counts=told.counts
    )
    counts = await source.run(rows(*range(1, 3001)))
    assert (counts.records, counts.duplicates) == (3000, 2)


async def test_what_is_not_sent_again_is_counted_by_checkpoints_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "make", lambda config, fetcher, environ: Reader(config, Session(config, fetcher, {})))
    cache, logs = AnswerCache(), [Log(), Log(ScrapeFinished), Log()]

    async def carry_out(site: Book, log: Log, run: WaitingRun, state: ScrapeState) -> None:
        config = ConnectorConfig(kind="reader", base_url=site.url + "/")
        async with Fetcher(site.allow, 5.0, cache=cache) as fetcher:
            carrier = Carrier(log, fetcher, tmp_path, Source(tmp_path)._nobody, {})
            await carrier.carry_out("book", config, run, state)

    async with serving(Book()) as site:
        assert isinstance(site, Book)
        site.pages = [["one"], ["two"], ["three"]]
        await carry_out(site, logs[0], WaitingRun(run_id="r1", trigger="manual", attempt=1), ScrapeState())
        state = ScrapeState(state=logs[0].events[-1].state)
        site.pages[2] = ["three", "four"]
        with pytest.raises(KilledError):
            await carry_out(site, logs[1], WaitingRun(run_id="r2", trigger="manual", attempt=1), state)
        (told,) = [event.counts for event in logs[1].events if isinstance(event, ScrapeCheckpointed)]
        # Neither of the first two went out; what follows is told of by the next life, which reads it again.
        assert (told.records, told.duplicates, told.not_modified) == (2, 2, 2)
        resumed = {"started_at": "2026-01-01T00:00:00Z", "counts": told}
        await carry_out(site, logs[2], WaitingRun(run_id="r2", trigger="manual", attempt=1, **resumed), state)
    assert [record.topic for record in logs[1].sent].count("facts") == 2
    counts = logs[2].events[-1].counts
    # The reader has no cursor, so that the second life began at the first page: four records besides those two.
    assert (counts.records, counts.duplicates) == (6, 5)


async def test_after_a_reset_nothing_that_a_worker_keeps_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "make", lambda config, fetcher, environ: Reader(config, Session(config, fetcher, {})))
    cache, state, counts = AnswerCache(), ScrapeState(), []

    async with serving(Book()) as site:
        for reset in (False, False, True, False):
            log, run = Log(), WaitingRun(run_id=f"r{len(counts)}", trigger="manual", attempt=1)
            state = ScrapeState() if reset else state
            async with Fetcher(site.allow, 5.0, cache=cache) as fetcher:
                carrier = Carrier(log, fetcher, tmp_path, Source(tmp_path)._nobody, {})
                await carrier.carry_out("book", ConnectorConfig(kind="reader", base_url=site.url + "/"), run, state)
            finished = log.events[-1]
            state = ScrapeState(cursor=finished.cursor_after, state=finished.state)
            counts.append((finished.counts.not_modified, len(log.sent) - len(log.events)))
    assert counts == [(0, 2), (2, 0), (0, 2), (2, 0)]

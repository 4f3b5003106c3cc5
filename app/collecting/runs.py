"""Carries out one run of a connector and tells of it: begun, how far, over."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from agents.due import stamp_of
from app.collecting.ledger import EventStore
from app.collecting.rejects import Rejects
from app.collecting.targets import film_target, person_target
from app.connectors.base import Connector, FilmTarget, PersonTarget, Request
from app.connectors.config import ConnectorConfig
from app.connectors.fetch import Fetcher
from app.connectors.redaction import Credentials
from app.connectors.registry import make
from app.connectors.runner import Refuse, run_connector
from app.connectors.store import Report
from app.delivery.outset import first_event
from app.delivery.producer import Outgoing, Sender
from schemas.base import Record
from schemas.entities import ScrapeState, WaitingRun
from schemas.events import DeadLettered
from schemas.ids import derived_id, fenced
from schemas.moments import moment
from schemas.scrapes import (
    ScrapeCheckpointed,
    ScrapeCounts,
    ScrapeFinished,
    ScrapeRequested,
    ScrapeStarted,
    SlaMissed,
    SteerConnector,
    Target,
)

log = logging.getLogger(__name__)

FIRST_RETRY: Final = 60.0
LONGEST_RETRY: Final = 3600.0
TOLD_FAULTS: Final = 20


@dataclass(frozen=True)
class Carried:
    """A run that is over."""

    connector: str
    run: WaitingRun
    report: Report
    retried: bool
    """Whether another attempt was asked for."""
    rejected: str = ""
    """The file with what it refused, empty where there is none."""


def command_of(record: ScrapeRequested | SteerConnector | SlaMissed, now: float) -> Outgoing:
    """A command as it goes to its topic; a request of the same run and attempt has the same id again."""
    if isinstance(record, ScrapeRequested):
        identity = f"{fenced(record.connector)}|{record.run_id}|{record.attempt}"
    elif isinstance(record, SlaMissed):
        identity = f"{fenced(record.connector)}|{record.run_id}|sla"
    else:
        identity = f"{fenced(record.connector)}|{record.action}|{now}"
    return first_event(record, derived_id(identity, "scrape"), now)


class _TellingSink:
    """Puts what was kept meanwhile in front of the next records, when those before it are with the broker."""

    def __init__(self, sink: Sender, checkpoint: Callable[[int, int], list[Outgoing]]) -> None:
        self._sink = sink
        self._checkpoint = checkpoint
        self.records = self.rejected = 0

    async def send(self, records: Iterable[Outgoing]) -> None:
        sent = list(records)
        await self._sink.send([*self._checkpoint(self.records, self.rejected), *sent])
        rejected = sum(record.topic == DeadLettered.topic for record in sent)
        self.rejected += rejected
        self.records += len(sent) - rejected


class Carrier:
    """Runs connectors over one HTTP side, so that those of one account share its pace."""

    def __init__(
        self,
        sink: Sender,
        fetcher: Fetcher,
        data_dir: Path,
        everyone: Callable[[], Awaitable[tuple[tuple[FilmTarget, ...], tuple[PersonTarget, ...]]]],
        environ: Mapping[str, str],
        now: Callable[[], float] = time.time,
        rejects: Rejects | None = None,
    ) -> None:
        self._sink = sink
        self._rejects = rejects or Rejects(data_dir, most=0)
        self._fetcher = fetcher
        self._data_dir = data_dir
        self._everyone = everyone
        self._environ = environ
        self._now = now
        self.followed: dict[tuple[str, str, int], frozenset[Target]] = {}
        """The people whom runs ask about that name nobody, while they are on their way."""

    async def carry_out(self, name: str, config: ConnectorConfig, run: WaitingRun, state: ScrapeState) -> Carried:
        """Run it to its end, told as events. Raises only what a restart of the run may mend."""
        began = self._now()
        started = ScrapeStarted(
            run_id=run.run_id,
            connector=name,
            trigger=run.trigger,
            attempt=run.attempt,
            started_at=run.started_at or stamp_of(began),
            logical_date=run.logical_date,
            targets=len(run.targets),
            also=run.also,
            resumed=run.started_at is not None,
        )
        await self._tell(started, f"started|{began}")
        store = EventStore(self._data_dir, state)
        with closing(await self._rejects.open(name, run.run_id, run.attempt, started.started_at)) as spool:
            try:
                report = await self._run(name, config, run, started.started_at, store, spool.add)
            finally:
                self.followed.pop((name, run.run_id, run.attempt), None)
        retry = self._retry(name, config, run, report)
        if retry is not None:
            # Before the end is told: nobody would ask for it after a crash between the two.
            await self._sink.send([command_of(retry, self._now())])
        await self._tell(_finished(name, run, report, store, state, self._now()), "finished")
        store.settle()
        return Carried(name, run, report, retry is not None, spool.name)

    async def _run(
        self, name: str, config: ConnectorConfig, run: WaitingRun, started_at: str, store: EventStore, refuse: Refuse
    ) -> Report:
        begun, done = self._now(), list[int | None]([None, None])
        connector: Connector[Any] | None = None

        def advance(records: int, at: int, total: int | None) -> None:
            # What goes out between two checkpoints is no place in the source.
            if at or total is not None:
                done[:] = [at, total]

        def checkpoint(records: int, rejected: int) -> list[Outgoing]:
            if connector is None or not store.fresh:
                return []
            store.fresh = False
            spent = msgspec.structs.asdict(connector.session.counters)
            read = records + connector.session.counters.withheld
            counts = _sum(run.counts, ScrapeCounts(records=read, rejected=rejected, **_known(spent)))
            told = _checkpointed(name, run, store, done, counts)
            return [self._event(told, run, f"checkpoint|{store.kept.cursor!r}")]

        sink = _TellingSink(self._sink, checkpoint)
        try:
            films, people = await self._targets(run)
            times = {"begin": run.interval_start, "end": run.interval_end, "begun": started_at}
            request = Request(name, films, people, run.run_id, run.logical_date, **times)
            connector = make(config, self._fetcher, self._environ)
            self._follow(name, run, people if connector.targeted else ())
            hear: dict[str, Any] = {"advance": advance, "refuse": refuse, "now": self._now}
            return await run_connector(name, connector, sink, store, request=request, **hear)
        except Exception as error:
            # A fault of the connector's code: the run has failed, others go on.
            clean = self._clean(config, connector)
            log.error("%s: run %s failed: %s", name, run.run_id, clean("".join(traceback.format_exception(error))))
            report = Report(name, "failed", error=clean(f"{type(error).__name__}: {error}")[:1000], reaction="stop")
            report.records, report.refused = sink.records, sink.rejected
            report.done, report.total = done
            if connector is not None:
                report.cost(connector.session.counters)
                report.records += connector.session.counters.withheld
            report.seconds = round(self._now() - begun, 3)
            report.cursor_before = report.cursor_after = dict(store.kept.cursor)
            return report

    def _follow(self, name: str, run: WaitingRun, people: Iterable[PersonTarget]) -> None:
        """Note whom a run asks about that names nobody."""
        if not run.targets:
            asked = frozenset(Target(id=person.id, kind="person") for person in people)
            self.followed[name, run.run_id, run.attempt] = asked

    def _clean(self, config: ConnectorConfig, connector: Connector[Any] | None) -> Callable[[str], str]:
        """What takes credentials out of a text."""
        if connector is not None:
            return connector.session.redact
        known = Credentials(config.token_env, self._environ)
        known.get()
        return known.text

    async def _targets(self, run: WaitingRun) -> tuple[tuple[FilmTarget, ...], tuple[PersonTarget, ...]]:
        if not run.targets:
            return await self._everyone()
        films = tuple(film_target(target) for target in run.targets if target.kind != "person")
        return films, tuple(person_target(target) for target in run.targets if target.kind == "person")

    def _retry(self, name: str, config: ConnectorConfig, run: WaitingRun, report: Report) -> ScrapeRequested | None:
        if report.status != "failed" or report.reaction not in ("retry", "wait") or run.attempt > config.retries:
            return None
        pause = min(LONGEST_RETRY, FIRST_RETRY * 2 ** (run.attempt - 1))
        at = max(self._now() + pause, moment(report.retry_at).timestamp() if report.retry_at else 0.0)
        return ScrapeRequested(
            run_id=run.run_id,
            connector=name,
            trigger="retry",
            attempt=run.attempt + 1,
            logical_date=run.logical_date,
            interval_start=run.interval_start,
            interval_end=run.interval_end,
            not_before=stamp_of(at),
            targets=run.targets,
        )

    def _event(self, record: Record, run: WaitingRun, what: str) -> Outgoing:
        return first_event(record, derived_id(f"{run.run_id}|{run.attempt}|{what}", "scrape"), self._now())

    async def _tell(self, record: ScrapeStarted | ScrapeFinished, what: str) -> None:
        envelope = derived_id(f"{record.run_id}|{record.attempt}|{what}", "scrape")
        await self._sink.send([first_event(record, envelope, self._now())])


def _known(counted: Mapping[str, int]) -> dict[str, int]:
    return {name: counted[name] for name in ScrapeCounts.__struct_fields__ if name in counted}


def _sum(one: ScrapeCounts, other: ScrapeCounts) -> ScrapeCounts:
    """What a run did before it was cut, and since."""
    names = ScrapeCounts.__struct_fields__
    return ScrapeCounts(**{name: getattr(one, name) + getattr(other, name) for name in names})


def totals(run: WaitingRun, report: Report) -> ScrapeCounts:
    """What a run did in all its lives, as far as its checkpoints tell of those that were cut off."""
    return _sum(run.counts, _counts(report))


def _counts(report: Report) -> ScrapeCounts:
    return ScrapeCounts(
        records=report.records,
        duplicates=report.duplicates,
        rejected=report.refused,
        requests=report.requests,
        retries=report.retries,
        not_modified=report.not_modified,
        throttled=report.throttled,
        bytes=report.bytes,
    )


def _checkpointed(
    name: str, run: WaitingRun, store: EventStore, done: list[Any], counts: ScrapeCounts
) -> ScrapeCheckpointed:
    return ScrapeCheckpointed(
        run_id=run.run_id,
        connector=name,
        cursor=dict(store.kept.cursor),
        counts=counts,
        attempt=run.attempt,
        state=store.told(),
        done=done[0] or 0,
        total=done[1],
    )


def _finished(
    name: str, run: WaitingRun, report: Report, store: EventStore, state: ScrapeState, now: float
) -> ScrapeFinished:
    return ScrapeFinished(
        run_id=run.run_id,
        connector=name,
        status="success" if report.status == "running" else report.status,
        attempt=run.attempt,
        finished_at=stamp_of(now),
        # From its first beginning on, also where a crash came between.
        seconds=report.seconds if run.started_at is None else round(now - moment(run.started_at).timestamp(), 3),
        counts=totals(run, report),
        done=report.done,
        total=report.total,
        cursor_before=dict(state.cursor if run.started_at is None else run.cursor_before),
        cursor_after=dict(store.kept.cursor),
        state=store.told(),
        error=report.error,
        retry_at=report.retry_at,
        paused=report.reaction == "pause",
        also=run.also,
        faults=tuple(report.faults[:TOLD_FAULTS]),
        notes=report.told_notes(),
    )

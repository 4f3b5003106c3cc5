"""Runs a connector: emit, wait for the broker, keep the cursor; what is refused becomes a dead letter."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from contextlib import aclosing
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Final

from app.connectors.base import PEOPLE_TOPICS, Checkpoint, Connector, Note, Observed, Refused, Request, Said
from app.connectors.config import Terms
from app.connectors.errors import MalformedError, QuotaExhaustedError, RetryableError, SourceError
from app.connectors.store import CursorStore, Report, State
from app.connectors.terms import bound
from app.delivery.guard import dead_letter
from app.delivery.outset import first_event
from app.delivery.producer import Outgoing, Sender
from app.delivery.raw import Raw
from schemas.base import Rejected

__all__ = ["ORIGIN", "CursorStore", "Report", "Sender", "State", "outgoing", "run_connector"]

KEPT_FAULTS: Final = 100
MOST_WAITING: Final = 2000
ALWAYS_SENT: Final = frozenset({*PEOPLE_TOPICS, "film-mentions"})
"""Whoever was forgotten and pushed again has to be found again, and a mention may be of a film that is known by now."""
LONGEST_PATIENCE: Final = 30 * 86_400.0
"""No source asks for more in earnest, and far moments cannot be written."""
ORIGIN: Final = "connector."
"""Begins the origin topic of dead letters that come from a source and not from a topic."""

Advance = Callable[[int, int, int | None], None]
Refuse = Callable[[Refused], None]


async def run_connector(
    name: str,
    connector: Connector[Any],
    sink: Sender,
    store: CursorStore,
    *,
    request: Request | None = None,
    from_start: bool = False,
    advance: Advance = lambda records, done, total: None,
    refuse: Refuse = lambda refused: None,
    now: Callable[[], float] = time.time,
) -> Report:
    """Run a connector to its end. A source that fails ends the run with what came before kept.

    `request` says about whom (default: nobody in particular); `advance` hears after each acknowledged batch how many
    records it had, and how far of what total the source is; `refuse` hears of each refused record, without credentials,
    and without the record where its source, or whom it is about, forbids to keep it for good.
    """
    kept = store.load(name)
    # Asking anew means without validators and kept answers too, or the source would answer that nothing changed.
    state = State(last_run=kept.last_run) if from_start else kept
    asked = request or Request(name)
    began = now()
    report = Report(name, run_id=asked.run_id or str(uuid.uuid4()), cursor_before=dict(state.cursor))
    report.started_at = _moment(began)
    reading = state.reading or f"{report.run_id}|{began:.3f}"
    connector.session.begin(name, state.validators, store, reading)
    # A record that a life of this run sends again after a kill is the same in every byte.
    terms_from = datetime.fromisoformat(asked.begun).timestamp() if asked.begun else began
    run = _Run(name, connector, sink, store, state, report, advance, refuse, now, terms_from)
    try:
        async with aclosing(connector.read(asked, state.cursor)) as said:
            async for each in said:
                await run.take(each)
    except SourceError as error:
        if isinstance(error, MalformedError) and not error.told:
            await run.take(Refused(0, str(error), error.raw))
        run.failed(error)
    # What was read is good, if only its cursor is not known: read again, it is recognised by its ids.
    await run.flush()
    report.status = "failed" if report.error else "partial" if report.refused else "success"
    report.seconds = round(now() - began, 3)
    run.count()
    state.last_run = report
    store.save(name, state)
    store.remember(name, run.sent)
    return report


class _Run:
    """One run's state: what waits for the broker, and what the report counts."""

    def __init__(
        self,
        name: str,
        connector: Connector[Any],
        sink: Sender,
        store: CursorStore,
        state: State,
        report: Report,
        advance: Advance,
        refuse: Refuse,
        now: Callable[[], float],
        terms_from: float,
    ) -> None:
        self._name, self._session = name, connector.session
        self._terms: Terms = connector.config.terms
        self._terms_from = terms_from
        # Reports and MLflow forget nobody, and nothing in time.
        self._quotable = self._terms.ttl_days is None and connector.about == "films"
        self._sink, self._store, self._state, self._report = sink, store, state, report
        self._advance, self._tell, self._now = advance, refuse, now
        self._waiting: list[Outgoing] = []
        self._ids: list[str] = []
        self._new: list[str] = []
        self._withheld = 0
        self.sent = store.sent(name)

    async def take(self, said: Said) -> None:
        match said:
            case Observed():
                if self._is_known(said):
                    self._withheld += 1
                else:
                    self._waiting.append(outgoing(said, self._now(), self._terms, self._terms_from))
                    self._new.append(said.event_id)
                self._ids.append(said.event_id)
                self._report.records += 1
            case Refused():
                self._refuse(said)
            case Note():
                if len(self._report.notes) < KEPT_FAULTS:
                    self._report.notes.append(self._session.redact(said.text))
            case Checkpoint():
                sent = await self.flush()
                self._state.cursor, self._state.validators = said.cursor, self._session.validators()
                if self._session.cache.used:
                    self._state.reading = self._session.cache.reading
                self._store.save(self._name, self._state)
                self._session.cache.settle()
                self._report.done, self._report.total = said.done, said.total
                self._advance(sent, said.done, said.total)
        if max(len(self._waiting), len(self._ids)) >= MOST_WAITING:
            self._advance(await self.flush(), 0, None)

    async def flush(self) -> int:
        """Send what waits; how much that was."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            await self._sink.send(waiting)
        # Not before: what a checkpoint counts is what the broker has.
        ids, new, withheld = self._ids, self._new, self._withheld
        self._ids, self._new, self._withheld = [], [], 0
        counters = self._session.counters
        counters.duplicates += self.sent.add(ids)
        counters.withheld += withheld
        self._session.cache.sent(new)
        return len(waiting)

    def _is_known(self, said: Observed) -> bool:
        """Whether an earlier run has sent the record and this process too, of late, from what did not change since."""
        if said.record.topic in ALWAYS_SENT or not self._session.cache.unchanged:
            return False
        return self.sent.knew(said.event_id) and self._session.cache.knows(said.event_id)

    def failed(self, error: SourceError) -> None:
        report, now = self._report, self._now()
        report.error = self._session.redact(str(error))
        report.reaction, report.error_class = error.reaction, type(error).__name__.removesuffix("Error")
        if isinstance(error, QuotaExhaustedError) and error.until is not None:
            report.retry_at = _moment(error.until)
        elif isinstance(error, RetryableError) and error.after is not None:
            report.retry_at = _moment(now + min(error.after, LONGEST_PATIENCE))

    def count(self) -> None:
        report = self._report
        report.cost(self._session.counters)
        report.cursor_after = dict(self._state.cursor)

    def _refuse(self, refused: Refused) -> None:
        reason, raw = self._session.redact(refused.reason), self._session.redact_raw(refused.raw)
        refused = Refused(refused.row, reason, raw)
        self._session.cache.distrust()
        self._waiting.append(_refused(self._name, refused, self._now))
        self._report.refused += 1
        if len(self._report.faults) < KEPT_FAULTS:
            self._report.faults.append((refused.row, reason))
        self._tell(refused if self._quotable else Refused(refused.row, reason, b""))


def outgoing(observed: Observed, now: float, terms: Terms, terms_from: float) -> Outgoing:
    """An observed record as it goes to its topic, under its source's terms, which count from `terms_from`."""
    return first_event(bound(observed.record, terms, terms_from), observed.event_id, now)


def _refused(name: str, refused: Refused, now: Callable[[], float]) -> Outgoing:
    origin = f"{ORIGIN}{name}"
    # A dead letter is named by its place; where there are no rows, what was refused has to name it.
    place = refused.row or int.from_bytes(blake2b(refused.raw + refused.reason.encode(), digest_size=6).digest())
    raw = Raw(origin, 0, place, int(now() * 1000), None, refused.raw, [])
    error = Rejected(f"line {refused.row}: {refused.reason}" if refused.row else refused.reason)
    return dead_letter(raw, origin, "rejected", error, 1, now)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")

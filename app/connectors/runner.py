"""Runs a connector: emit, wait for the broker, keep the cursor; what is refused becomes a dead letter."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, Protocol

import msgspec

from agents.messages import rfc3339
from app.connectors.base import Checkpoint, Connector, Cursor, Note, Observed, Refused, Request
from app.connectors.errors import SourceError
from app.delivery.guard import dead_letter
from app.delivery.producer import Outgoing
from app.delivery.raw import Raw
from app.embedded.files import write_atomically
from schemas.base import Rejected
from schemas.catalogue import encode
from schemas.envelope import Envelope, to_headers

KEPT_FAULTS: Final = 100
ORIGIN: Final = "connector."
"""Begins the origin topic of dead letters that come from a source and not from a topic."""


class Sink(Protocol):
    """Where events go; returns when they are safe."""

    async def send(self, records: Iterable[Outgoing]) -> None:
        """Send records to wherever their keys belong."""


class Report(msgspec.Struct):
    """What a run did. `faults` are the first refused rows with their reasons, `refused` counts all."""

    connector: str
    status: Literal["running", "success", "partial", "failed"] = "running"
    records: int = 0
    refused: int = 0
    faults: list[tuple[int, str]] = msgspec.field(default_factory=list)
    notes: list[str] = msgspec.field(default_factory=list)
    error: str | None = None
    started_at: str = ""
    seconds: float = 0.0


class State(msgspec.Struct):
    """What is kept of a connector between runs."""

    cursor: Cursor = msgspec.field(default_factory=dict)
    last_run: Report | None = None


class CursorStore:
    """Cursors as one file a connector under the data directory."""

    def __init__(self, data_dir: Path) -> None:
        self.directory = data_dir / "connectors"

    def load(self, connector: str) -> State:
        """What is kept; an empty state where there is nothing, or nothing readable."""
        try:
            return msgspec.json.decode(self._path(connector).read_bytes(), type=State)
        except (OSError, msgspec.MsgspecError):
            return State()

    def save(self, connector: str, state: State) -> None:
        """Keep a state, in one step."""
        write_atomically(self._path(connector), msgspec.json.encode(state))

    def _path(self, connector: str) -> Path:
        return self.directory / f"{connector}.json"


async def run_connector(
    name: str,
    connector: Connector,
    sink: Sink,
    store: CursorStore,
    *,
    from_start: bool = False,
    advance: Callable[[int, int, int | None], None] = lambda records, done, total: None,
    now: Callable[[], float] = time.time,
) -> Report:
    """Run a connector to its end. A source that fails ends the run with what came before kept.

    `advance` hears after each acknowledged batch how many records it had, and how far of what total the source is.
    """
    state = State() if from_start else store.load(name)
    began = now()
    report = Report(name, started_at=datetime.fromtimestamp(began, UTC).isoformat(timespec="seconds"))
    waiting: list[Outgoing] = []
    try:
        async with aclosing(connector.read(Request(name), state.cursor)) as said:
            async for each in said:
                match each:
                    case Observed():
                        waiting.append(outgoing(each, now()))
                        report.records += 1
                    case Refused():
                        waiting.append(_refused(name, each, now))
                        _note_fault(report, each)
                    case Note():
                        report.notes.append(each.text)
                    case Checkpoint():
                        await sink.send(waiting)
                        state.cursor = each.cursor
                        store.save(name, state)
                        advance(len(waiting), each.done, each.total)
                        waiting = []
    except SourceError as error:
        # What was read is good, only its cursor is not known: read again, it is recognised by its ids.
        await sink.send(waiting)
        report.error = str(error)
    report.status = "failed" if report.error else "partial" if report.refused else "success"
    report.seconds = round(now() - began, 3)
    state.last_run = report
    store.save(name, state)
    return report


def outgoing(observed: Observed, now: float) -> Outgoing:
    """An observed record as it goes to its topic."""
    record = observed.record
    envelope = Envelope(observed.event_id, observed.event_id, time=rfc3339(int(now * 1000)))
    return Outgoing(record.topic, record.key.encode(), encode(record), to_headers(type(record), envelope))


def _refused(name: str, refused: Refused, now: Callable[[], float]) -> Outgoing:
    origin = f"{ORIGIN}{name}"
    raw = Raw(origin, 0, refused.row, int(now() * 1000), None, refused.raw, [])
    error = Rejected(f"line {refused.row}: {refused.reason}")
    return dead_letter(raw, origin, "rejected", error, 1, now)


def _note_fault(report: Report, refused: Refused) -> None:
    report.refused += 1
    if len(report.faults) < KEPT_FAULTS:
        report.faults.append((refused.row, refused.reason))

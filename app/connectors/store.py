"""What is kept of connectors between runs, as small files under the data directory."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path
from typing import Literal

import msgspec

from app.connectors.counters import Counters
from app.connectors.errors import Reaction
from app.connectors.limits import Spent
from app.connectors.sent import Sent
from app.embedded.files import write_atomically
from schemas.scrapes import LONGEST_NOTE, MOST_NOTES

Status = Literal["running", "success", "partial", "failed"]


class Report(msgspec.Struct):
    """What a run did. `faults` are the first refused rows with their reasons (row 0: no row), `refused` counts all.

    A failed run has an `error` and the `reaction` to it; `retry_at` is the moment (RFC 3339) from which on it may go
    better, where the source said so. Counts of requests, retries, 429s (`throttled`), 304s (`not_modified`), bytes
    of bodies, and what was spent of daily quotas are those of this run. `duplicates` of the `records` were the same, to
    the last character, as one that the connector sent before, as far as is remembered. `done` of `total` says how far
    the last checkpoint was, None where there was none.
    """

    connector: str
    status: Status = "running"
    records: int = 0
    duplicates: int = 0
    refused: int = 0
    faults: list[tuple[int, str]] = msgspec.field(default_factory=list)
    notes: list[str] = msgspec.field(default_factory=list)
    error: str | None = None
    started_at: str = ""
    seconds: float = 0.0
    run_id: str = ""
    reaction: Reaction | None = None
    error_class: str | None = None
    retry_at: str | None = None
    requests: int = 0
    retries: int = 0
    throttled: int = 0
    not_modified: int = 0
    bytes: int = 0
    quota_used: int = 0
    done: int | None = None
    total: int | None = None
    cursor_before: dict[str, object] = msgspec.field(default_factory=dict)
    cursor_after: dict[str, object] = msgspec.field(default_factory=dict)

    def cost(self, counted: Counters) -> None:
        """Take over what a run cost."""
        self.requests, self.retries, self.bytes = counted.requests, counted.retries, counted.bytes
        self.duplicates, self.quota_used = counted.duplicates, counted.quota
        self.throttled, self.not_modified = counted.throttled, counted.not_modified

    def told_notes(self) -> tuple[str, ...]:
        """The first notes, cut where they are long, and how many more there are, within what an event may hold."""
        first = self.notes if len(self.notes) <= MOST_NOTES else self.notes[: MOST_NOTES - 1]
        cut = [note if len(note) <= LONGEST_NOTE else f"{note[: LONGEST_NOTE - 1]}…" for note in first]
        return (*cut, *((f"... and {len(self.notes) - len(first)} more",) if len(first) < len(self.notes) else ()))


class State(msgspec.Struct):
    """What is kept of a connector between runs; `validators` ask its addresses whether they changed.

    `reading` names the run that began to read, with nothing kept: after a reset there is another one.
    """

    cursor: dict[str, object] = msgspec.field(default_factory=dict)
    last_run: Report | None = None
    validators: dict[str, dict[str, str]] = msgspec.field(default_factory=dict)
    reading: str = ""


class CursorStore:
    """One file a connector with cursor and last run, one an account with the quota that is spent."""

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

    def forget(self) -> None:
        """Keep no cursor: every connector begins anew, with what is left of its quotas and is known of what it sent."""
        for path in self.directory.glob("*.json"):
            path.unlink(missing_ok=True)

    def spent(self, account: str) -> Spent:
        """What an account has spent of its quota on the last day that is known."""
        try:
            return msgspec.json.decode(self._quota(account).read_bytes(), type=Spent)
        except (OSError, msgspec.MsgspecError):
            return Spent()

    def spend(self, account: str, spent: Spent) -> None:
        """Keep it before the request goes out: what a crash loses would be asked for twice."""
        write_atomically(self._quota(account), msgspec.json.encode(spent))

    def sent(self, connector: str) -> Sent:
        """Which records the connector sent in earlier runs here."""
        return Sent(self._remembered(connector))

    def remember(self, connector: str, sent: Sent) -> None:
        """Remember what a run sent beside what other runs sent meanwhile; only to be called once the run is over."""
        if sent:
            write_atomically(self._sent(connector), sent.packed(self._remembered(connector)))

    def _remembered(self, connector: str) -> bytes:
        try:
            return self._sent(connector).read_bytes()
        except OSError:
            return b""

    def _sent(self, connector: str) -> Path:
        return self.directory / "sent" / f"{connector}.u64"

    def _path(self, connector: str) -> Path:
        return self.directory / f"{connector}.json"

    def _quota(self, account: str) -> Path:
        return self.directory / "quotas" / f"{blake2b(account.encode(), digest_size=12).hexdigest()}.json"

"""What a run keeps between its checkpoints: cursor, validators of its HTTP cache, spent quotas."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import msgspec

from app.connectors.limits import Spent
from app.connectors.sent import Sent
from app.connectors.store import CursorStore, State
from schemas.entities import ScrapeState

log = logging.getLogger(__name__)


class EventStore(CursorStore):
    """What a run keeps, as its events tell it; spent quotas lie in files too, to outlive a kill between two events."""

    def __init__(self, data_dir: Path, state: ScrapeState) -> None:
        super().__init__(data_dir)
        self._state = state
        self._spent: dict[str, Spent] = msgspec.convert(state.state.get("spent", {}), dict[str, Spent])
        known = {"validators": dict(state.state.get("validators", {})), "reading": str(state.state.get("reading", ""))}
        self.kept = msgspec.convert({"cursor": dict(state.cursor), **known}, State)
        self._over: tuple[str, Sent] | None = None
        self.fresh = False
        """Whether something was kept that no event has told yet."""

    def load(self, connector: str) -> State:
        """Where the last event left off."""
        return msgspec.structs.replace(self.kept)

    def save(self, connector: str, state: State) -> None:
        """Keep it for the next event."""
        self.kept, self.fresh = msgspec.structs.replace(state), True

    def spent(self, account: str) -> Spent:
        """What events or this worker's file say of the same day: that it is over, else the larger count."""
        told, filed = self._spent.get(account, Spent()), super().spent(account)
        return max(told, filed, key=lambda spent: (spent.day, spent.over, spent.used))

    def spend(self, account: str, spent: Spent) -> None:
        """Keep it in the file at once, and for the next event."""
        super().spend(account, spent)
        self._spent[account] = spent

    def remember(self, connector: str, sent: Sent) -> None:
        """Keep it until the run's end is told: a life that goes on with the run must not take its own for old."""
        self._over = connector, sent

    def settle(self) -> None:
        """The run's end is told; what it sent is known to later ones."""
        if self._over is not None:
            try:
                super().remember(*self._over)
            except OSError as error:
                log.warning("%s: what was sent is not remembered, duplicates will be missed: %s", self._over[0], error)

    def told(self) -> dict[str, Any]:
        """The state that goes into events, besides the cursor."""
        kept = {"validators": self.kept.validators, "spent": self._spent, "reading": self.kept.reading}
        found: dict[str, Any] = msgspec.to_builtins(kept)
        return {name: value for name, value in found.items() if value}

"""Readings at fixed shares of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

SHARES: Final = (0.1, 0.25, 0.5, 0.75, 1.0)


class Gauge:
    """Calls `read` whenever another of `SHARES` of `goal` is reached."""

    def __init__(self, goal: int, read: Callable[[], float]) -> None:
        self._goal, self._read = goal, read
        self.found: list[float] = []

    def look(self, done: int) -> None:
        """The run has come so far."""
        while len(self.found) < len(SHARES) and done >= SHARES[len(self.found)] * self._goal:
            self.found.append(self._read())

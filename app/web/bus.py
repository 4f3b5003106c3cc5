"""What is happening now, handed to whoever watches: bounded for each watcher, and the oldest go first."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import msgspec

REMEMBERED: Final = 200
QUEUE_LENGTH: Final = 100
MAX_WATCHERS: Final = 100


class Happening(NamedTuple):
    """One event of the stream; `id` is ordered within one run of a worker."""

    id: str
    kind: str
    data: bytes

    def frame(self) -> bytes:
        """The event as text/event-stream has it. JSON has no raw line breaks, so one `data` line is enough."""
        return f"id: {self.id}\nevent: {self.kind}\ndata: ".encode() + self.data + b"\n\n"


class Watcher:
    """One client's queue; `dropped` counts what it was too slow for."""

    def __init__(self) -> None:
        self._waiting: deque[Happening] = deque()
        self._arrived = asyncio.Event()
        self.closed = False
        self.dropped = 0

    def offer(self, happening: Happening) -> None:
        """Put an event in, and the oldest out where there is no room."""
        if len(self._waiting) >= QUEUE_LENGTH:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(happening)
        self._arrived.set()

    def close(self) -> None:
        """End the stream once it has been read."""
        self.closed = True
        self._arrived.set()

    async def take(self) -> list[Happening]:
        """All that waits; empty where the stream has ended."""
        while not self._waiting and not self.closed:
            self._arrived.clear()
            await self._arrived.wait()
        found = list(self._waiting)
        self._waiting.clear()
        return found


class Bus:
    """Hands events to watchers, and remembers the last few for those who were cut off."""

    def __init__(self) -> None:
        self._run = uuid.uuid4().hex[:8]
        self._numbers = itertools.count(1)
        self._past: deque[Happening] = deque(maxlen=REMEMBERED)
        self._watchers: set[Watcher] = set()

    @property
    def last(self) -> str:
        """The id of the last event that is remembered."""
        return self._past[-1].id if self._past else f"{self._run}-0"

    @property
    def watched(self) -> bool:
        """Whether anybody watches."""
        return bool(self._watchers)

    @property
    def full(self) -> bool:
        """Whether no more watchers are let in."""
        return len(self._watchers) >= MAX_WATCHERS

    def publish(self, kind: str, data: Any, *, remember: bool = True) -> None:
        """Tell everybody who watches; costs nothing to speak of where nobody does."""
        happening = Happening(f"{self._run}-{next(self._numbers)}", kind, msgspec.json.encode(data))
        if remember:
            self._past.append(happening)
        for watcher in self._watchers:
            watcher.offer(happening)

    def past(self, most: int) -> list[tuple[str, Any]]:
        """(kind, what was told) of the last events that are remembered, newest first."""
        return [(each.kind, msgspec.json.decode(each.data)) for each in list(self._past)[: -most - 1 : -1]]

    def close(self) -> None:
        """End every stream."""
        for watcher in self._watchers:
            watcher.close()

    @contextmanager
    def watch(self, after: str | None) -> Iterator[Watcher]:
        """A queue that starts with what happened since the event `after`, where that is still known."""
        watcher = Watcher()
        for happening in self._since(after):
            watcher.offer(happening)
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)

    def _since(self, after: str | None) -> list[Happening]:
        run, _, number = (after or "").partition("-")
        if run != self._run or not number.isascii() or not number.isdigit():
            return []
        return [each for each in self._past if int(each.id.partition("-")[2]) > int(number)]

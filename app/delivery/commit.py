"""Group commit: what several batches made becomes durable together, while the next batch is worked on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from app.delivery.producer import Outgoing
from app.delivery.table import Rows

MOST_QUEUED: Final = 2_000
"""Events whose effects wait for those of earlier ones to be durable, from which on no further batch is begun."""


@dataclass
class Made:
    """What a batch made: events, and rows by partition with the mark last in each."""

    out: list[Outgoing] = field(default_factory=list)
    rows: dict[int, Rows] = field(default_factory=dict)
    events: int = 0
    """How many records the batch had."""

    def add(self, later: Made) -> None:
        """What a later batch made of it and after it; a row written again moves to the end, as a mark has to."""
        self.out += later.out
        self.events += later.events
        for partition, rows in later.rows.items():
            own = self.rows.setdefault(partition, {})
            for key, value in rows.items():
                own.pop(key, None)
                own[key] = value


class GroupCommit:
    """Makes durable what it is given, in order, everything that waits at once.

    A batch waits twice for the brokers, for its events and for its rows. Waiting takes as long as the work, and a
    request costs the same however little it carries: so the next batch is worked on meanwhile, seeing the rows of
    those before it, and what was made in the meantime goes together. A kill loses only what was not settled.

    `commit` makes durable; `failed` hears of what it raises, after which nothing more is committed.
    """

    def __init__(
        self,
        commit: Callable[[Made], Awaitable[None]],
        failed: Callable[[Exception], Awaitable[None]],
        most_queued: int = MOST_QUEUED,
    ) -> None:
        self._commit = commit
        self._failed = failed
        self._most_queued = most_queued
        self._queued = Made()
        self._flying = Made()
        self._waiting: list[Callable[[bool], None]] = []
        self._task: asyncio.Task[None] | None = None
        self.broken = False
        """Whether a commit failed; nothing that is put is committed any more."""

    def uncommitted(self, partition: int) -> tuple[Rows, ...]:
        """The rows of a partition that are not in its table yet, newest first."""
        return tuple(rows for made in (self._queued, self._flying) if (rows := made.rows.get(partition)))

    async def put(self, made: Made, settle: Callable[[bool], None]) -> None:
        """Have this committed after everything before it; `settle` hears whether it was.

        Returns when there is room for more, which is not when it is durable.
        """
        if self.broken:
            settle(False)
            return
        self._queued.add(made)
        self._waiting.append(settle)
        if self._task is None:
            self._start()
        while self._queued.events >= self._most_queued and self._task is not None:
            # The task ends by itself; whoever is cancelled here leaves it running.
            await asyncio.wait([self._task])

    async def settled(self) -> None:
        """Return when nothing waits any more, whatever came of it."""
        while self._task is not None:
            await asyncio.wait([self._task])

    def _start(self) -> None:
        self._flying, self._queued = self._queued, Made()
        settles, self._waiting = self._waiting, []
        self._task = asyncio.create_task(self._fly(settles))

    async def _fly(self, settles: list[Callable[[bool], None]]) -> None:
        done = False
        try:
            await self._commit(self._flying)
            done = True
        except Exception as error:
            self.broken = True
            settles += self._waiting
            self._waiting = []
            await self._failed(error)
        finally:
            self._flying, self._task = Made(), None
            if self._waiting and not self.broken:
                self._start()
            for settle in settles:
                settle(done)

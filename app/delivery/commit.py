"""Group commit: what several batches made becomes durable together, while the next batch is worked on."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from app.delivery.membership import Abandoned
from app.delivery.producer import Outgoing
from app.delivery.table import Rows

REST_SECONDS: Final = 0.1
"""How long rows wait behind those before them for others to join: nobody waits for them, as for events."""
ENOUGH_ROWS: Final = 500
"""Events whose rows wait, from which on waiting for more saves nothing worth having."""
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
        """What a later batch made of it and after it; a row written again moves to the end, as a mark has to.

        The later one is used up.
        """
        self.out += later.out
        self.events += later.events
        for partition, rows in later.rows.items():
            own = self.rows.setdefault(partition, rows)
            for key, value in rows.items() if own is not rows else ():
                own.pop(key, None)
                own[key] = value


@dataclass
class _Load:
    """Batches on their way together, and who hears of each."""

    made: Made = field(default_factory=Made)
    settles: list[Callable[[bool], None]] = field(default_factory=list)

    def add(self, made: Made, settles: list[Callable[[bool], None]]) -> None:
        self.made.add(made)
        self.settles += settles

    def settle(self, done: bool) -> None:
        settles, self.settles = self.settles, []
        for settle in settles:
            settle(done)


class GroupCommit:
    """Makes durable what it is given, in order, everything that waits at once.

    A batch waits twice for the brokers, for its events and then for its rows. Waiting takes as long as the work, and a
    request costs the same however little it carries: so the next batch is worked on meanwhile, seeing the rows of
    those before it, what was made in the meantime goes together, and events need not wait for the rows of those
    before them. Rows wait for their own events, so that a mark never says more than is true. A kill loses only what
    was not settled.

    `send` makes events durable and `write` rows, `rest` seconds behind the rows before them, or sooner where there are
    enough; `failed` hears of the first that either raises, after which nothing more is begun.
    """

    def __init__(
        self,
        send: Callable[[Made], Awaitable[None]],
        write: Callable[[Made], Awaitable[None]],
        failed: Callable[[Exception], Awaitable[None]],
        most_queued: int = MOST_QUEUED,
        rest: float = 0.0,
        later: Callable[[float, Callable[[], None]], asyncio.TimerHandle] | None = None,
    ) -> None:
        self._send, self._write, self._failed = send, write, failed
        self._most_queued = most_queued
        self._rest, self._later = rest, later
        self._rested_at = -math.inf
        self._rested = asyncio.Event()
        self._queued, self._sending, self._sent, self._writing = _Load(), _Load(), _Load(), _Load()
        self._send_task: asyncio.Task[None] | None = None
        self._write_task: asyncio.Task[None] | None = None
        self.broken = False
        """Whether a commit failed; nothing that is put is committed any more."""
        self._abandoned = False
        """Whether what was under way is left to whoever owns the partitions next."""

    def uncommitted(self, partition: int) -> tuple[Rows, ...]:
        """The rows of a partition that are not in its table yet, newest first."""
        loads = (self._queued, self._sending, self._sent, self._writing)
        return tuple(rows for load in loads if (rows := load.made.rows.get(partition)))

    async def put(self, made: Made, settle: Callable[[bool], None]) -> None:
        """Have this committed after everything before it; `settle` hears whether it was.

        Returns when there is room for more, which is not when it is durable.
        """
        if self._closed:
            settle(False)
            return
        self._queued.add(made, [settle])
        self._go_on()
        while self._queued.made.events + self._sent.made.events >= self._most_queued and (tasks := self._tasks()):
            # The tasks end by themselves; whoever is cancelled here leaves them running.
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)

    async def begin_anew(self) -> None:
        """Forget that a commit was abandoned: what is put from here on was made of what is durable."""
        if self._abandoned:
            await self.settled()
            self._abandoned = False

    @property
    def _closed(self) -> bool:
        return self.broken or self._abandoned

    async def settled(self) -> None:
        """Return when nothing waits any more, whatever came of it."""
        while tasks := self._tasks():
            self._rested.set()
            await asyncio.wait(tasks)

    def _tasks(self) -> list[asyncio.Task[None]]:
        return [task for task in (self._send_task, self._write_task) if task is not None]

    def _go_on(self) -> None:
        """Send what is queued and write what is sent, where nothing is under way before it."""
        if self._closed:
            return
        if self._send_task is None and self._queued.settles:
            self._sending, self._queued = self._queued, _Load()
            self._send_task = asyncio.create_task(self._fly(self._send, self._sending))
        if self._write_task is None and self._sent.settles:
            self._write_task = asyncio.create_task(self._write_rested())

    async def _write_rested(self) -> None:
        await self._rest_up(self._rested_at - time.monotonic())
        if not self._sent.settles:
            # What failed meanwhile has taken everything from here.
            self._write_task = None
            return
        self._writing, self._sent = self._sent, _Load()
        await self._fly(self._write, self._writing)

    async def _rest_up(self, seconds: float) -> None:
        if seconds <= 0.0 or self._sent.made.events >= ENOUGH_ROWS:
            return
        self._rested.clear()
        later = self._later or asyncio.get_running_loop().call_later
        timer = later(seconds, self._rested.set)
        try:
            await self._rested.wait()
        finally:
            timer.cancel()

    async def _fly(self, carry: Callable[[Made], Awaitable[None]], load: _Load) -> None:
        done = False
        try:
            await carry(load.made)
            done = True
        except Abandoned:
            # What is under way before or behind it rests on rows that will never be in the table.
            self._abandoned = True
        except Exception as error:
            first, self.broken = not self.broken, True
            if first:
                await self._failed(error)
        finally:
            self._arrived(load, done)

    def _arrived(self, load: _Load, done: bool) -> None:
        was_sent = load is self._sending
        if was_sent:
            self._sending, self._send_task = _Load(), None
        else:
            self._writing, self._write_task = _Load(), None
            self._rested_at = time.monotonic() + self._rest
        if was_sent and done and not self._closed:
            self._sent.add(Made(rows=load.made.rows, events=load.made.events), load.settles)
            if self._sent.made.events >= ENOUGH_ROWS:
                self._rested.set()
            load = _Load()
        lost: tuple[_Load, ...] = ()
        if self._closed:
            lost = self._sent, self._queued
            self._sent, self._queued = _Load(), _Load()
        self._go_on()
        load.settle(done and not was_sent)
        for each in lost:
            each.settle(False)

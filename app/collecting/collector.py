"""Asks for the runs that are due and carries out those that wait, a tick at a time; all of it is told as events."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec

from agents.due import due_dates, run_id, stamp, stamp_of
from agents.errors import Unavailable
from app.collecting.board import Board
from app.collecting.forgotten import identity_of, people_in, told, without
from app.collecting.runs import Carried, Carrier, command_of
from app.connectors.config import ConnectorConfig
from app.delivery.producer import Sender
from schemas.entities import ScrapeState, WaitingRun
from schemas.moments import moment
from schemas.scrapes import ScrapeRequested, SlaMissed, SteerConnector, Target

log = logging.getLogger(__name__)

TICK_SECONDS: Final = 1.0
MOST_TOGETHER: Final = 200
"""Registrations that one run carries out besides its own."""
MOST_TOLD: Final = 4096
"""Ids of runs that were asked for or carried out here, and of which the events may not be folded yet."""


class Active(NamedTuple):
    """A run that is on its way here, and the requests that it carries out together with its own."""

    task: asyncio.Task[None]
    also: tuple[str, ...]
    targets: tuple[Target, ...] = ()


async def nobody(targets: Collection[Target]) -> frozenset[Target]:
    """Nobody was forgotten."""
    return frozenset()


class Collector:
    """The scheduler of one worker. Every connector has one owner, so its pace, quota and cursor have one too."""

    def __init__(
        self,
        connectors: Mapping[str, ConnectorConfig],
        board: Board,
        sink: Sender,
        carrier: Carrier,
        now: Callable[[], float] = time.time,
        notify: Callable[[Carried | SlaMissed], Awaitable[None]] | None = None,
        forgotten: Callable[[Collection[Target]], Awaitable[frozenset[Target]]] = nobody,
    ) -> None:
        self._connectors = dict(connectors)
        self._board = board
        self._sink = sink
        self._carrier = carrier
        self._now = now
        self._notify = notify
        self._forgotten = forgotten
        self._gone: frozenset[Target] | None = frozenset()
        """Whom nobody may be asked about any more, of all whom runs name; None where that cannot be told."""
        self._active: dict[str, dict[tuple[str, int], Active]] = {}
        self._told: dict[str, None] = {}

    def configure(self, connectors: Mapping[str, ConnectorConfig]) -> None:
        """Go on with another configuration; runs that are on their way end under the old one."""
        self._connectors = dict(connectors)

    @property
    def active(self) -> int:
        """Runs that are being carried out here."""
        return sum(len(runs) for runs in self._active.values())

    async def run(self) -> None:
        """Tick until cancelled; a tick that fails is logged, the next one tries again."""
        try:
            while True:
                try:
                    await self.tick()
                except Exception:
                    log.exception("a tick of the scheduler failed")
                await asyncio.sleep(TICK_SECONDS)
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Leave the runs to whoever owns their connectors next; each goes on from its cursor."""
        tasks = [run.task for runs in self._active.values() for run in runs.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._active.clear()

    async def tick(self) -> None:
        """Ask for what is due, start what waits, and let go of what is no longer owned, and of who was forgotten."""
        for name, runs in list(self._active.items()):
            if not self._board.owns(name):
                for run in runs.values():
                    run.task.cancel()
        states = self._board.states()
        await self._let_go(states)
        commands: list[ScrapeRequested | SteerConnector] = []
        missed: list[SlaMissed] = []
        for name, config in self._connectors.items():
            if not self._board.owns(name):
                continue
            state = states.get(name) or ScrapeState()
            commands += self._due(name, config, state)
            missed += self._late(name, config, state)
            self._start(name, config, state)
        if commands or missed:
            await self._sink.send([command_of(record, self._now()) for record in (*commands, *missed)])
        for record in missed:
            if self._notify is not None:
                await self._notify(record)

    async def _let_go(self, states: Mapping[str, ScrapeState]) -> None:
        """Take who was forgotten out of every run, also of connectors that are paused or no longer configured."""
        try:
            self._gone = gone = await self._forgotten(people_in(states).union(*self._carrier.followed.values()))
        except Unavailable as error:
            if self._gone is not None:
                log.warning("runs about people wait until the store can say who was forgotten: %s", error)
            self._gone = None
            return
        # What was cut off may have told its end: the next tick sees whether it did.
        if not gone or await self._cut_off(gone):
            return
        runs = [(name, run) for name, state in states.items() for run in state.queue if not self._is_over(run)]
        found = [dropped for name, run in runs if (dropped := without(name, run, gone, self._now())) is not None]
        fresh = {identity_of(dropped): dropped for dropped in found if identity_of(dropped) not in self._told}
        if fresh:
            await self._sink.send([told(dropped, self._now()) for dropped in fresh.values()])
        for identity in fresh:
            self._tell(identity)

    async def _cut_off(self, gone: frozenset[Target]) -> bool:
        """End what is on its way here about these people; it goes on from its cursor, about the others."""
        followed, places = self._carrier.followed, [(name, key) for name, runs in self._active.items() for key in runs]
        asked = {(name, key): followed.get((name, *key), self._active[name][key].targets) for name, key in places}
        cut = [self._active[name].pop(key).task for name, key in places if not gone.isdisjoint(asked[name, key])]
        for task in cut:
            task.cancel()
        await asyncio.gather(*cut, return_exceptions=True)
        return bool(cut)

    def _due(
        self, name: str, config: ConnectorConfig, state: ScrapeState
    ) -> Sequence[ScrapeRequested | SteerConnector]:
        if config.schedule is None or state.paused:
            return ()
        if state.since is None:
            # The schedule counts from when it was first seen, also if this worker dies before its first date.
            first = SteerConnector(connector=name, action="follow")
            return (first,) if self._tell(f"follow|{name}") else ()
        after = moment(state.last_logical_date or state.since)
        now = datetime.fromtimestamp(self._now(), UTC)
        dates = due_dates(config.schedule, config.timezone, after, now, config.catchup)
        begins = [after, *dates]
        return [
            ScrapeRequested(
                run_id=run_id(name, "schedule", date),
                connector=name,
                trigger="schedule",
                logical_date=stamp(date),
                interval_start=stamp(begin),
                interval_end=stamp(date),
            )
            for begin, date in zip(begins, dates, strict=False)
            if self._tell(f"{name}|{stamp(date)}")
        ]

    def _late(self, name: str, config: ConnectorConfig, state: ScrapeState) -> list[SlaMissed]:
        if config.sla is None:
            return []
        now = self._now()
        return [
            SlaMissed(
                run_id=run.run_id,
                connector=name,
                logical_date=run.logical_date,
                missed_at=stamp_of(now),
                attempt=run.attempt,
            )
            for run in state.queue
            if run.logical_date is not None
            and not run.sla_missed
            and moment(run.logical_date).timestamp() + config.sla < now
            and self._tell(f"sla|{run.run_id}")
        ]

    def _start(self, name: str, config: ConnectorConfig, state: ScrapeState) -> None:
        active = self._active.setdefault(name, {})
        if state.paused:
            return
        ready = [run for run in state.queue if self._is_ready(run)]
        taken = {run_id for run in active.values() for run_id in run.also}
        for run in ready:
            key = (run.run_id, run.attempt)
            if len(active) >= config.max_active_runs:
                return
            if key in active or run.run_id in taken:
                continue
            free = [one for one in ready if (one.run_id, one.attempt) not in active and one.run_id not in taken]
            whole = _together(run, free)
            taken |= set(whole.also)
            task = asyncio.create_task(self._carry_out(name, config, whole, state))
            active[key] = Active(task, whole.also, whole.targets)

    def _is_ready(self, run: WaitingRun) -> bool:
        waits = run.not_before is not None and moment(run.not_before).timestamp() > self._now()
        if waits or self._is_over(run):
            return False
        if self._gone is None:
            return all(target.kind != "person" for target in run.targets)
        # The event that takes them out may not be folded yet.
        return self._gone.isdisjoint(run.targets)

    def _is_over(self, run: WaitingRun) -> bool:
        return f"over|{run.run_id}|{run.attempt}" in self._told

    async def _carry_out(self, name: str, config: ConnectorConfig, run: WaitingRun, state: ScrapeState) -> None:
        try:
            carried = await self._carrier.carry_out(name, config, run, state)
            for run_id, attempt in ((run.run_id, run.attempt), *((run_id, 1) for run_id in run.also)):
                self._tell(f"over|{run_id}|{attempt}")
            if self._notify is not None:
                await self._notify(carried)
        except asyncio.CancelledError:
            raise
        except Exception:
            # The run stays in the queue; the next tick starts it again from its cursor.
            log.exception("%s: run %s was cut off", name, run.run_id)
            await asyncio.sleep(TICK_SECONDS)
        finally:
            self._active.get(name, {}).pop((run.run_id, run.attempt), None)

    def _tell(self, what: str) -> bool:
        """Whether it is new here; the events that say it may be on their way still."""
        if what in self._told:
            return False
        while len(self._told) >= MOST_TOLD:
            del self._told[next(iter(self._told))]
        self._told[what] = None
        return True


def _together(run: WaitingRun, ready: Sequence[WaitingRun]) -> WaitingRun:
    """A run with the further registrations that wait: what is asked for film by film is collected in one go."""
    if run.trigger != "registration":
        return run
    found = [one for one in ready if one.trigger == "registration" and one.run_id != run.run_id][:MOST_TOGETHER]
    targets = {target.id: target for one in (run, *found) for target in one.targets}
    also = tuple(one.run_id for one in found)
    return msgspec.structs.replace(run, targets=tuple(targets.values()), also=also)

"""Takes whoever was forgotten out of the runs that are not over, so that nobody outside is asked about them again."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Final, Protocol

from agents.due import stamp_of
from app.delivery.outset import first_event
from app.delivery.producer import Outgoing
from schemas.entities import ScrapeState, WaitingRun
from schemas.ids import derived_id, fenced
from schemas.scrapes import Target, TargetsDropped

TRUSTED_SECONDS: Final = 10.0
"""For so long nobody looks again at who was forgotten, if nobody was forgotten after the last of them."""


class People(Protocol):
    """Who was forgotten, and who is known."""

    async def last_forgotten(self) -> tuple[str, int] | None:
        """Who was forgotten last, and by which decision."""

    async def graves(self) -> dict[str, int]:
        """Everybody who was ever forgotten, with the decision by which that was the last time."""

    async def known(self, celebrity_ids: list[str]) -> set[str]:
        """Which of these people are registered."""


class Forgotten:
    """Tells targets of a life that a forgetting ended from those of a later one. Raises Unavailable."""

    def __init__(self, people: People, clock: Callable[[], float] = time.monotonic) -> None:
        self._people = people
        self._clock = clock
        self._graves: Mapping[str, int] = {}
        self._seen: tuple[int, float] | None = None

    async def among(self, targets: Collection[Target]) -> frozenset[Target]:
        """Those of the targets that are people whom nobody may be asked about any more."""
        people = [target for target in targets if target.kind == "person"]
        graves = await self._known() if people else {}
        buried = [target for target in people if target.id in graves]
        untold = [target.id for target in buried if target.life is None]
        alive = await self._people.known(untold) if untold else set()
        return frozenset(t for t in buried if (t.id not in alive if t.life is None else t.life < graves[t.id]))

    async def _known(self) -> Mapping[str, int]:
        last, now = await self._people.last_forgotten(), self._clock()
        order = last[1] if last is not None else 0
        if self._seen is None or order != self._seen[0] or now - self._seen[1] > TRUSTED_SECONDS:
            self._graves = await self._people.graves() if order else {}
            self._seen = order, now
        return self._graves


def people_in(states: Mapping[str, ScrapeState]) -> set[Target]:
    """The people whom runs are about that are not over."""
    runs = (run for state in states.values() for run in state.queue)
    return {target for run in runs for target in run.targets if target.kind == "person"}


def without(connector: str, run: WaitingRun, gone: Collection[Target], now: float) -> TargetsDropped | None:
    """The event that takes these people out of a run; None where it names none of them."""
    people = tuple(target.id for target in run.targets if target in gone)
    if not people:
        return None
    return TargetsDropped(
        run_id=run.run_id,
        connector=connector,
        attempt=run.attempt,
        people=people,
        left=sum(target.id not in people for target in run.targets),
        dropped_at=stamp_of(now),
    )


def identity_of(dropped: TargetsDropped) -> str:
    """What is the same whenever, and by whichever worker, the same is said."""
    return f"{fenced(dropped.connector)}|{dropped.run_id}|{dropped.attempt}|dropped|{'|'.join(dropped.people)}"


def told(dropped: TargetsDropped, now: float) -> Outgoing:
    """The event as it goes to its topic; said again it has the same id."""
    return first_event(dropped, derived_id(identity_of(dropped), "scrape"), now)

"""Whether this worker still has its place in the consumer group: who lost it must write nothing any more.

A worker that was frozen for longer than `broker.session_timeout` (a stopped process, a suspended machine, a network
that was cut) wakes up in the middle of what it did, while another has its partitions. Rows that it writes then would
lie behind that one's newer rows on the changelog, and the next recovery would bring the old state back. Kafka refuses
its commits, not its records; `app.delivery.fencing` holds them back where they are written.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any, Final

LOOK_SECONDS: Final = 0.05
"""Between two looks at whether the brokers have answered."""


class Abandoned(Exception):  # noqa: N818  the worker stops or loses the partition; the next owner goes on
    """The batch was left undone."""


def ticking() -> float:
    """Seconds that go by while the machine is suspended as well, where the system counts them."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class Membership:
    """Known for `seconds` after each heartbeat was sent that the brokers took: so long they wait for the next one."""

    def __init__(self, seconds: float = math.inf, clock: Callable[[], float] = ticking) -> None:
        self._seconds = seconds
        self._clock = clock
        self._until = math.inf
        self._lost = False
        self.place = 0
        """Which place in the group this is: one that was lost is never had again."""

    def joined(self) -> None:
        """Partitions have been assigned to this worker."""
        self._until, self._lost = self._clock() + self._seconds, False

    def answered(self, asked: float) -> None:
        """The brokers took a heartbeat that was sent at `asked`, in seconds of the clock."""
        self._until = asked + self._seconds

    def lose(self) -> None:
        """The brokers know this worker no more; what it had is another's."""
        self._lost = True
        self.place += 1

    @property
    def known(self) -> bool:
        """Whether nobody else can have this worker's partitions."""
        return not self._lost and self._clock() < self._until

    async def sure(self, stopping: Callable[[], bool], place: int | None = None) -> None:
        """Return while nobody else can have this worker's partitions, after waiting for the brokers where need be.

        Raises Abandoned where they know this worker no more, or not in this `place`, or it stops before they answer.
        """
        while place in (None, self.place):
            if self.known:
                return
            if self._lost or stopping():
                break
            await asyncio.sleep(LOOK_SECONDS)
        raise Abandoned


def watch(coordinator: Any, membership: Membership) -> None:
    """Have aiokafka's coordinator tell of each heartbeat that was taken, and of the place in the group that it lost."""
    ask, reset = coordinator._do_heartbeat, coordinator.reset_generation

    async def ask_and_tell() -> bool:
        asked = membership._clock()
        taken = bool(await ask())
        if taken:
            membership.answered(asked)
        return taken

    def reset_and_tell() -> None:
        membership.lose()
        reset()

    coordinator._do_heartbeat, coordinator.reset_generation = ask_and_tell, reset_and_tell

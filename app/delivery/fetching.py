"""Which partitions a fetch asks for: each that is named costs both sides as much as a record, and most are idle."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from app.delivery.unpacking import unpacks_raw

HOT_SECONDS: Final = 1.0
"""How long a partition counts as busy after a record of it came."""
FULL_SECONDS: Final = 0.2
"""How long busy partitions are asked for by themselves, after a look at the others that found another busy one."""
MOST_FULL_SECONDS: Final = 0.8
"""The same after many looks in vain, each of which makes this wait twice as long."""
SHORT_WAIT_MS: Final = 20
"""For a fetch that does not name every partition: what the others get meanwhile has to wait for its end."""
LONG_WAIT_MS: Final = 100
"""For one that does: the first record anywhere ends it."""
ISOLATION: Final = "read_committed"
"""What a transaction took back was never said. An open one holds its partition up until the brokers give it up."""


def without_stalls(fetcher: Any) -> None:
    """Have aiokafka's fetcher look again at once where it would wait for an answer that it has.

    It takes a fetch from those under way in two steps: the task as soon as it is done, the broker's mark in a callback
    of the task. Where something else wakes it in between, it finds the broker busy, asks nobody, and waits 0.2 s.
    """
    choose = fetcher._get_actions_per_node

    def choose_awake(assignment: Any) -> Any:
        requests, resets, wait, *others = choose(assignment)
        if len(fetcher._in_flight) > len(fetcher._pending_tasks):
            wait = 0.0
        return requests, resets, wait, *others

    fetcher._get_actions_per_node = choose_awake


class RawConsumer(AIOKafkaConsumer):  # type: ignore[misc]
    """aiokafka's consumer without those stalls, whose records are Raw, none of them of a transaction taken back."""

    def __init__(self, *topics: str, **settings: Any) -> None:
        super().__init__(*topics, isolation_level=ISOLATION, **settings)

    async def start(self) -> None:
        """Connect."""
        await super().start()
        without_stalls(self._fetcher)
        unpacks_raw(self._fetcher, lambda topic: False)


class _Part(NamedTuple):
    """Some partitions of aiokafka's assignment, which the fetcher takes for all."""

    tps: list[TopicPartition]
    state_value: Callable[[TopicPartition], Any]


class HotFirst:
    """Stands before aiokafka's own choice of partitions, which is all that have no records waiting.

    A worker is assigned some hundred, of which a few carry traffic. aiokafka knows no fetch sessions (KIP-227), so
    each request names what it asks for and each answer names it again. And it has one fetch under way at a broker:
    Faust lets the broker hold it for 1.5 s, in which the busy partitions that it does not name stand still.

    What lies aside of the way to a prediction never counts as busy: each record of it would end a fetch that others
    wait for.
    """

    def __init__(
        self,
        fetcher: Any,
        quiet_topics: frozenset[str] = frozenset(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetcher = fetcher
        self._quiet_topics = quiet_topics
        self._choose = fetcher._get_actions_per_node
        self._clock = clock
        self._positions: dict[TopicPartition, int | None] = {}
        self._hot: dict[TopicPartition, float] = {}
        self._full_at = -FULL_SECONDS
        self._full_after = FULL_SECONDS
        self._passed_over: frozenset[int] = frozenset()
        """Brokers that had a fetch under way at the last look at everything, which aiokafka leaves out of it."""

    def install(self) -> None:
        """From now on."""
        self._fetcher._get_actions_per_node = self.choose
        without_stalls(self._fetcher)

    def choose(self, assignment: Any) -> Any:
        """What aiokafka does of this for each broker: requests, resets, how long to wait, and for what."""
        now = self._clock()
        if len(self._fetcher._in_flight) >= len(self._fetcher._client.cluster.brokers()):
            # There is nobody to ask, only to wait.
            return self._choose(_Part([], assignment.state_value))
        full = not self._hot or now - self._full_at >= self._full_after
        surprised = self._notice(assignment, assignment.tps if full else self._hot, now)
        if full:
            self._full_after = FULL_SECONDS if surprised else min(2 * self._full_after, MOST_FULL_SECONDS)
        hot = [tp for tp, until in self._hot.items() if until > now]
        late = self._passed_over - self._fetcher._in_flight
        if full or not hot:
            self._full_at, self._passed_over = now, frozenset(self._fetcher._in_flight)
            return self._ask(self._flowing(assignment), self._whole_wait())
        if late:
            self._passed_over -= late
            return self._ask(self._flowing(assignment, late), SHORT_WAIT_MS)
        # With records of all of them waiting, there is nothing to ask for until some are taken.
        asked = hot if any(tp not in self._fetcher._records for tp in hot) else []
        return self._ask(_Part(asked, assignment.state_value), SHORT_WAIT_MS)

    def _flowing(self, assignment: Any, of: Collection[int] | None = None) -> _Part:
        """All partitions, or those of some brokers and what is busy at others.

        Those that are paused would only be waited for, each by itself: a look at the next turn finds them resumed.
        """
        tps = [tp for tp in assignment.tps if not assignment.state_value(tp).paused]
        broker = self._fetcher._select_read_replica
        return _Part([tp for tp in tps if of is None or tp in self._hot or broker(tp) in of], assignment.state_value)

    def _whole_wait(self) -> int:
        return SHORT_WAIT_MS if self._fetcher._records else LONG_WAIT_MS

    def _ask(self, part: _Part, wait_ms: int) -> Any:
        self._fetcher._fetch_max_wait_ms = wait_ms
        return self._choose(part)

    def _notice(self, assignment: Any, tps: Any, now: float) -> bool:
        """Which partitions have moved since they were last looked at; whether one did that was not busy."""
        assigned, surprised = assignment.tps, False
        for tp in list(tps):
            if tp not in assigned:
                self._hot.pop(tp, None)
                continue
            state = assignment.state_value(tp)
            position = state.position if state.has_valid_position else None
            moved = self._positions.get(tp, position) != position or tp in self._fetcher._records
            if moved and tp.topic not in self._quiet_topics:
                surprised |= tp not in self._hot
                self._hot[tp] = now + HOT_SECONDS
            elif self._hot.get(tp, now) < now:
                del self._hot[tp]
            self._positions[tp] = position
        return surprised

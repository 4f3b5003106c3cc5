"""Source records on their way to the stages in whole stretches of a partition, where Faust handles each by itself."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode.utils.futures import notify

from app.delivery.raw import Raw

MOST_WAITING: Final = 4_000
"""Events of a partition that some stage has yet to finish, above which no more of it are fetched."""
FEW_WAITING: Final = 1_500
MOST_FETCHED: Final = 2_000
"""Records that are taken from the consumer at once."""
HELD_SECONDS: Final = 0.02
"""How long a look may wait for records while partitions are held back: it does not see that one of them goes on."""
PRESSED_PATIENCE: Final = 5.0
"""Seconds between two looks at what only patient stages read while others are behind."""
STILL_PRESSED: Final = 0.5
"""Seconds that a worker counts as behind after it was: a full queue has gaps, as long as a fetch takes."""


class Looks:
    """When to look at topics that only patient stages read: rarely, more rarely while the worker is behind.

    Each request to a broker costs both sides about as much as many records, and what patient stages write is what
    nobody waits for: under a full queue predictions come first, and the documents that show them follow.
    """

    def __init__(self, patience: float, pressed: Callable[[], bool]) -> None:
        self.patience = patience
        self.pressed = pressed
        self._last = -PRESSED_PATIENCE
        self._was_full = False
        self._pressed_at = -STILL_PRESSED

    def wait(self, now: float) -> float:
        """Seconds until the next look is due; at most 0 where it is due now."""
        if self.pressed():
            self._pressed_at = now
        if now - self._pressed_at < STILL_PRESSED:
            return self._last + max(self.patience, PRESSED_PATIENCE) - now
        return 0.0 if self._was_full else self._last + self.patience - now

    def looked(self, now: float, count: int) -> None:
        """A look brought this many records; a full one has left something behind."""
        self._last, self._was_full = now, count >= MOST_FETCHED


class Stretch:
    """Records of one partition as one fetch brought them, in offset order; all stages of the topic share them."""

    __slots__ = ("__weakref__", "generation", "holders", "records", "refcount", "tp")

    def __init__(self, tp: TP, records: Sequence[Raw], generation: int, stages: int) -> None:
        self.tp = tp
        self.records = records
        self.generation = generation
        self.refcount = stages
        """Stages whose effects are not durable yet; Faust's log of what a rebalance waits for names it."""
        self.holders = 0
        """Stages that have it in hand."""

    @property
    def acked(self) -> bool:
        """Whether every stage is done with it."""
        return not self.refcount

    def __repr__(self) -> str:
        return f"<{self.tp} from {self.records[0].offset}: {len(self.records)}>"


class StretchDelivery(driver.Consumer):  # type: ignore[misc]
    """Puts what was fetched into the queues of the stages, and commits what all of them have done, in order.

    Stock Faust makes a message, an event and an acknowledgement of each record, which costs as much as a model that
    learns from it. Changelog records still go that way: recovery needs them one by one.

    A rebalance waits for what the stages have in hand and for nothing else. Stock Faust waits for every message that
    one stage has begun until all stages of its topic have acknowledged it, though it has emptied the queues from
    which the others would have taken it; with two stages that is for ever.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lanes: dict[TP, deque[Stretch]] = defaultdict(deque)
        self._waiting: dict[TP, int] = defaultdict(int)
        self._reached: dict[TP, int] = {}
        # Only a whole worker has stages that wait.
        self._patient_topics: frozenset[str] = getattr(self.app, "patient_topics", frozenset())
        self._looks = Looks(getattr(self.app, "patience", 0.0), self._pressed)

    def _pressed(self) -> bool:
        """Whether events wait that others wait for: here, or at a learner."""
        if getattr(self.app, "pressed", bool)():
            return True
        return any(n >= FEW_WAITING for tp, n in self._waiting.items() if tp.topic not in self._patient_topics)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        wait = self._looks.wait(time.monotonic())
        if self._pressed():
            timeout = min(timeout, HELD_SECONDS)
        if active_partitions is None or wait <= 0.0:
            fetched = await super()._getmany(active_partitions, timeout)
            self._looks.looked(time.monotonic(), sum(map(len, fetched.values())))
        else:
            prompt = {tp for tp in active_partitions if tp.topic not in self._patient_topics}
            fetched = await super()._getmany(prompt, min(timeout, wait))
        # Without flow a rebalance is under way, and whoever owns the partition after it reads these again.
        flowing = self.flow_active and self.app.flow_control.is_active()
        for tp in [tp for tp in fetched if not self._is_changelog_tp(tp)]:
            records = fetched.pop(tp)
            if flowing and records:
                self._deliver(TP(*tp), records)
        return fetched

    def _deliver(self, tp: TP, records: Sequence[Raw]) -> None:
        channels = self.app.topics._tp_index.get(tp)
        if not channels:
            return
        stretch = Stretch(tp, records, self.app.consumer_generation_id, len(channels))
        self._lanes[tp].append(stretch)
        self._waiting[tp] += len(records)
        if self._waiting[tp] >= MOST_WAITING:
            self.on_buffer_full(tp)
        self._read_offset[tp] = records[-1].offset
        for channel in channels:
            channel.queue.force_put_nowait(stretch)

    def begin(self, stretch: Stretch) -> None:
        """A stage takes a stretch in hand."""
        stretch.holders += 1
        self._unacked_messages.add(stretch)

    def finish(self, stretch: Stretch, done: bool) -> None:
        """A stage lets go of a stretch, with its effects durable or not."""
        stretch.holders -= 1
        stretch.refcount -= done
        if not stretch.holders:
            self._unacked_messages.discard(stretch)
            notify(self._waiting_for_ack)
        self._advance(stretch.tp)

    def _advance(self, tp: TP) -> None:
        """What is done from the oldest on may be committed, and makes room."""
        lane = self._lanes.get(tp)
        while lane and lane[0].acked:
            oldest = lane.popleft()
            self._reached[tp] = oldest.records[-1].offset + 1
            self._waiting[tp] -= len(oldest.records)
        if self._waiting[tp] <= FEW_WAITING:
            self.on_buffer_drop(tp)

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return iter([tp for tp in self._reached if topics is None or tp in topics or tp.topic in topics])

    def _new_offset(self, tp: TP) -> int | None:
        return self._reached.pop(tp, None)

    def _forget(self) -> None:
        self._lanes.clear()
        self._waiting.clear()
        self._reached.clear()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """What was delivered is done and committed after this, or the next owner's."""
        await super().on_partitions_revoked(revoked)
        self._forget()

    async def perform_seek(self) -> None:
        """What was delivered before is read again from here."""
        await super().perform_seek()
        self._forget()

"""Faust's consumer, mended: no source event is read before its seek, and ends are true on every broker.

Everything here overrides parts of faust-streaming 0.15.3 and aiokafka 0.14, some of them private. The versions
are pinned and tests hold each name; `assert_supported` refuses to start on anything else.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, Final

import faust
from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from app.delivery.fetching import ISOLATION, HotFirst
from app.delivery.membership import Membership, watch
from app.delivery.stretch import StretchDelivery
from app.delivery.unpacking import unpacks_raw

log = logging.getLogger(__name__)

GATE_ALARM_SECONDS: Final = 60.0


class SourceGate(driver.Consumer):  # type: ignore[misc]
    """Reads no source partition between losing it and a finished seek.

    Stock Faust resumes source partitions, then seeks, then clears the queues, so that events are lost at starts
    and rebalances (faust-streaming issue 596). Changelog partitions pass: recovery needs them.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._shut = True
        # Only a seek that begins after the sources were resumed counts: Faust also seeks when a fetch comes back late.
        self._seek_due = False
        self._sought = False
        self._epoch = 0
        self._resumed_at = time.monotonic()
        self._io = asyncio.Lock()

    @property
    def gate_open(self) -> bool:
        """Whether source events are being read; also where this worker has none to read."""
        return not self._shut

    @property
    def gate_stuck(self) -> bool:
        """Whether the gate has stayed shut so long after the rebalance that somebody should look."""
        waiting = self._shut and self.flow_active and not self.app.rebalancing and not self.app.in_recovery
        return waiting and time.monotonic() - self._resumed_at > GATE_ALARM_SECONDS

    def _close_gate(self, seek_due: bool) -> None:
        self._shut, self._sought, self._seek_due = True, False, seek_due
        self._epoch += 1

    def stop_flow(self) -> None:
        """Partitions are being revoked or the worker stops."""
        self._close_gate(seek_due=False)
        super().stop_flow()

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """A worker that had nothing was not told to stop, so its gate may still be open."""
        self._close_gate(seek_due=False)
        await super().on_partitions_assigned(assigned, generation_id)

    def resume_partitions(self, tps: Any) -> None:
        """Table recovery is over; the seek comes next, so nothing may be read yet."""
        if any(not self._is_changelog_tp(tp) for tp in tps):
            self._close_gate(seek_due=True)
        super().resume_partitions(tps)

    def resume_flow(self) -> None:
        """Open, but only where the seek of this assignment has finished or there is no source to seek in."""
        nothing_to_read = all(self._is_changelog_tp(tp) for tp in self.assignment())
        self._shut = self._shut and not (self._sought or nothing_to_read)
        self._resumed_at = time.monotonic()
        super().resume_flow()

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        if active_partitions is None:
            return await super()._getmany(None, timeout)
        # A seek that ran beside a fetch would move positions under it.
        async with self._io:
            epoch = self._epoch
            wanted = frozenset(tp for tp in active_partitions if not self._shut or self._is_changelog_tp(tp))
            if not wanted:
                # aiokafka reads an empty set as "all partitions".
                await asyncio.sleep(0.02)
                return {}
            records = await super()._getmany(wanted, timeout)
        if epoch == self._epoch:
            return records
        return {tp: batch for tp, batch in records.items() if self._is_changelog_tp(tp)}

    async def perform_seek(self) -> None:
        """Seek to the committed offsets, and to the beginning where a group has none yet."""
        async with self._io:
            epoch = self._epoch
            await super().perform_seek()
            fresh = [tp for tp in self.assignment() if not self._is_changelog_tp(tp) and not self._committed_offset[tp]]
            if fresh:
                await self._thread.seek_to_beginning(*map(driver.ensure_aiokafka_TP, fresh))
            self._sought = self._seek_due and epoch == self._epoch


class TrueEnds(driver.Consumer):  # type: ignore[misc]
    """High watermarks from a fetch: the embedded broker's ListOffsets answers too low an end."""

    async def highwaters(self, *partitions: TP) -> dict[TP, int]:
        """The end offset of each partition, never lower than what a fetch says."""
        ends = dict(await super().highwaters(*partitions))
        asked = {TopicPartition(tp.topic, tp.partition): tp for tp, end in ends.items() if end}
        if asked:
            for tp, end in (
                await true_ends(bootstrap_servers(self.app), {k: ends[v] for k, v in asked.items()})
            ).items():
                ends[asked[tp]] = max(ends[asked[tp]], end)
        return ends


def end_of(consumer: Any, tp: TP) -> int | None:
    """Where a partition ends, as the last fetch said; None before the first, and where it is not assigned any more."""
    try:
        found = consumer.highwater(tp)
    except Exception:
        # Which of several errors says "not assigned any more" depends on how far a rebalance is.
        return None
    return None if found is None else int(found)


async def true_ends(servers: list[str], hints: dict[TopicPartition, int]) -> dict[TopicPartition, int]:
    """End offsets as the fetch response's high watermark says, starting from ListOffsets' `hints`."""
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    found: dict[TopicPartition, int] = {}
    try:
        consumer.assign(list(hints))
        for tp, hint in hints.items():
            consumer.seek(tp, max(hint - 1, 0))
        for _ in range(50):
            await consumer.getmany(*(tp for tp in hints if tp not in found), timeout_ms=200)
            found |= {tp: end for tp in hints if (end := consumer.highwater(tp)) is not None}
            if len(found) == len(hints):
                break
    finally:
        await consumer.stop()
    return found


class PromptConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    """The thread that talks to the broker, which never waits long for what is idle."""

    logger = logging.getLogger("faust.consumer")

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        """As Faust makes it, but without what a transaction took back."""
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = ISOLATION
        return consumer

    async def on_start(self) -> None:
        """Fetch on while records of other partitions wait: aiokafka holds a broker's partitions up for them, 0.1 s."""
        await super().on_start()
        consumer = self._ensure_consumer()
        # Only a whole worker has a place that somebody asks about.
        self._membership = getattr(self.consumer.app, "membership", None) or Membership()
        watch(consumer._coordinator, self._membership)
        fetcher = consumer._fetcher
        fetcher._prefetch_backoff = 0.0
        unpacks_raw(fetcher, lambda topic: topic in self.consumer.app.tables.changelog_topics)
        HotFirst(fetcher, getattr(self.consumer.app, "quiet_topics", frozenset())).install()

    async def _fetch_records(
        self,
        consumer: AIOKafkaConsumer,
        active_partitions: set[TP],
        timeout: float | None = None,
        max_records: int | None = None,
    ) -> Any:
        """Ask the broker for what is read; Faust asks with every fetch for all changelogs too, and keeps what comes."""
        changelogs = self.consumer.app.tables.changelog_topics
        paused = consumer.paused()
        idle = {tp for tp in consumer.assignment() if tp.topic in changelogs and tp not in active_partitions}
        if idle != paused:
            consumer.pause(*(idle - paused))
            consumer.resume(*(paused - idle))
        return await super()._fetch_records(consumer, active_partitions, timeout, max_records)

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Warn of a partition that stands still, once it is known where it stands.

        While that is asked for, after a rebalance or where the log no longer has it, Faust's look ends the worker.
        """
        subscription = self._ensure_consumer()._subscription.subscription
        assignment = None if subscription is None else subscription.assignment
        state = None if assignment is None else assignment.state_value(TopicPartition(tp.topic, tp.partition))
        if state is not None and state.has_valid_position:
            super().verify_event_path(now, tp)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Stay in the group while tables are opened: aiokafka sends no heartbeat before this returns.

        A worker that was put out meanwhile works on for a moment on partitions that are another's by then.
        """
        self._membership.joined()
        self._ensure_consumer()._coordinator._start_heartbeat_task()
        await super().on_partitions_assigned(assigned, generation_id)


class Consumer(StretchDelivery, SourceGate, TrueEnds):
    """The consumer that every worker uses."""

    logger = logging.getLogger("faust.consumer")

    def _new_consumer_thread(self) -> PromptConsumerThread:
        return PromptConsumerThread(self, loop=self.loop, beacon=self.beacon)


class Transport(driver.Transport):  # type: ignore[misc]
    """Faust's aiokafka transport with Marquee's consumer."""

    Consumer = Consumer


def bootstrap_servers(app: faust.App) -> list[str]:
    """host:port of each broker that the app is configured with."""
    return [f"{url.host}:{url.port or 9092}" for url in app.conf.broker]


def assert_supported() -> None:
    """Refuse to run on a Faust whose private parts these classes do not know.

    Raises RuntimeError saying what to install.
    """
    from faust.streams import _CStreamIterator

    if faust.__version__ != "0.15.3":
        raise RuntimeError(f"faust-streaming 0.15.3 is needed, {faust.__version__} is installed: run `make setup`")
    if _CStreamIterator is None:
        raise RuntimeError("Faust runs without its compiled streams, which loses events: unset NO_CYTHON")

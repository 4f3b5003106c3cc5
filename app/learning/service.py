"""The learner: whoever Faust gives the control partition reads the training topic and owns the model."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from mode import Service

from agents.errors import MustStopError, Unavailable
from app.delivery.commit import GroupCommit, Made
from app.delivery.fetching import RawConsumer
from app.delivery.guard import Reader
from app.delivery.producer import Producer
from app.learning.lessons import Lessons, ModelSpec
from app.learning.snapshots import SnapshotKeeper
from app.observe import metrics
from schemas.commands import ControlModel

log = logging.getLogger(__name__)

POLL_MS: Final = 200
RETRY_SECONDS: Final = 15.0
"""After a snapshot that could not be recorded."""
STOP_SECONDS: Final = 20.0
"""For the last batch and its snapshot; where a server is away, the next owner learns the rest again."""


class LearnerService(Service):  # type: ignore[misc]
    """Learns, emits, and snapshots only after the emit, so that a kill repeats work but never skips any.

    `crash` is called with the exception where going on would harm; the worker stops then.
    """

    def __init__(
        self,
        spec: ModelSpec,
        servers: list[str],
        producer: Producer,
        keeper: SnapshotKeeper,
        reader: Reader,
        batch: int,
        crash: Callable[[BaseException], Any],
        on_forgotten: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.spec = spec
        self.lessons: Lessons | None = None
        self._servers = servers
        self._producer = producer
        self._keeper = keeper
        self._reader = reader
        self._batch = batch
        self._crash = crash
        self._clock = clock
        self._end: int | None = None
        self._told = -1
        self._saved_at = 0.0
        self._retry_at = -math.inf
        self._unsaved = 0
        self._own = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._away = asyncio.Event()
        self._away.set()
        self._snapshot_wanted = False
        self._forgotten_up_to = 0
        self._on_forgotten = on_forgotten
        self._said = GroupCommit(self._send, _no_rows, crash, most_queued=2 * batch)

    async def on_stop(self) -> None:
        """Let the batch in hand end and a snapshot be made; the tasks of a stopped service are cancelled at once."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._away.wait(), STOP_SECONDS)

    def acquire(self) -> None:
        """This worker owns the model from now on."""
        self._own.set()

    async def release(self) -> None:
        """Another worker will own the model; returns when no batch is in hand and none on its way."""
        self._own.clear()
        await self._idle.wait()
        await self._said.settled()

    def want_snapshot(self) -> None:
        """Put a snapshot away after the batch in hand."""
        self._snapshot_wanted = True

    @property
    def lag(self) -> int | None:
        """Training records that wait; None where the model is not owned here."""
        if self.lessons is None or self._end is None:
            return None
        return max(0, self._end - self._told - 1)

    @property
    def applied(self) -> int | None:
        """The last training record whose events are on the brokers; None where the model is not owned here."""
        return None if self.lessons is None else self._told

    @property
    def serving(self) -> bool:
        """Whether this worker owns the model and keeps it going."""
        return self._own.is_set() and not self.should_stop

    @Service.task  # type: ignore[untyped-decorator]
    async def _learn_while_owner(self) -> None:
        # What was said and did not arrive stops this worker; nobody who learns on here would be heard.
        while not self.should_stop and not self._said.broken:
            await self.wait(self._own)
            try:
                if self.serving:
                    self._away.clear()
                    await self._serve()
            except asyncio.CancelledError:
                raise
            except Exception as error:
                log.exception("%s: this worker stops", self.spec.name)
                await self._crash(error)
                break
            finally:
                self._idle.set()
                self._away.set()

    async def _serve(self) -> None:
        """Recover the model and learn until it is taken away."""
        lessons = await self._recover()
        if lessons is None:
            return
        self._told, self.lessons = lessons.applied, lessons
        # A kill may have come between a forgetting and the end of what follows from it.
        self._saved_at, self._unsaved, self._forgotten_up_to = self._clock(), 0, 0
        target = TopicPartition(self.spec.reads.topic, 0)
        consumer = await self._open_patiently(target, lessons.applied + 1)
        if consumer is None:
            self.lessons = None
            return
        try:
            while self.serving and not self._said.broken:
                await self._step(consumer, target, lessons)
            # A stopping owner leaves a snapshot, so that the next one has nothing to learn again.
            self._snapshot_wanted = True
            await self._maybe_snapshot(lessons)
        finally:
            await self._said.settled()
            await consumer.stop()
            self.lessons = None

    async def _recover(self) -> Lessons | None:
        while self.serving:
            try:
                found = await self._keeper.newest(self.spec.name, self.spec.load)
            except Unavailable as error:
                log.warning("%s: waiting for the snapshot pointers: %s", self.spec.name, error)
                await self.sleep(0.5)
                continue
            if found is None:
                log.info("%s: no snapshot, learning from the start of %s", self.spec.name, self.spec.reads.topic)
                return Lessons(self.spec, self.spec.new(), -1, self._reader)
            learner, applied = found
            log.info("%s: snapshot at offset %d", self.spec.name, applied)
            return Lessons(self.spec, learner, applied, self._reader)
        return None

    async def _open_patiently(self, target: TopicPartition, start: int) -> RawConsumer | None:
        """A consumer at `start` once the broker answers; None where the model is taken away meanwhile."""
        while self.serving:
            try:
                return await self._open(target, start)
            except (KafkaError, OSError) as error:
                log.warning("%s: waiting for the broker: %r", self.spec.name, error)
                await self.sleep(1.0)
        return None

    async def _open(self, target: TopicPartition, start: int) -> RawConsumer:
        """A consumer of no group at `start`. Raises MustStopError where the log no longer has it."""
        consumer = RawConsumer(
            bootstrap_servers=self._servers,
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_poll_records=2000,
            fetch_max_wait_ms=100,
        )
        try:
            await consumer.start()
            consumer.assign([target])
            beginning = (await consumer.beginning_offsets([target]))[target]
            if beginning > start:
                raise MustStopError(
                    f"{target.topic} starts at {beginning}, but {self.spec.name} needs {start}: "
                    f"restore the topic from the archive, or run `marquee rebuild --model {self.spec.name}`"
                )
            consumer.seek(target, start)
        except BaseException:
            await consumer.stop()
            raise
        return consumer

    async def _step(self, consumer: RawConsumer, target: TopicPartition, lessons: Lessons) -> None:
        try:
            records = (await consumer.getmany(target, timeout_ms=POLL_MS, max_records=self._batch)).get(target, ())
        except OffsetOutOfRangeError as error:
            raise MustStopError(f"{target.topic} lost offset {lessons.applied + 1} while it was being read") from error
        except KafkaError as error:
            log.warning("%s: the broker does not answer: %r", self.spec.name, error)
            await self.sleep(1.0)
            return
        end = consumer.highwater(target)
        self._end = self._end if end is None else end
        if not self._own.is_set():
            return
        self._idle.clear()
        try:
            if records:
                started = time.perf_counter()
                out = lessons.apply(records)
                self._unsaved += len(records)
                # The next batch is learnt while this one is on its way, but sent after it.
                await self._said.put(Made(out, events=len(records)), partial(self._tell, lessons.applied, started))
            await self._maybe_snapshot(lessons)
            await self._maybe_erase(lessons)
        finally:
            self._idle.set()

    async def _send(self, made: Made) -> None:
        await self._producer.send(made.out)

    def _tell(self, applied: int, started: float, done: bool) -> None:
        if done:
            self._told = applied
            metrics.STAGE_SECONDS.labels(self.spec.stage).observe(time.perf_counter() - started)

    async def _maybe_snapshot(self, lessons: Lessons) -> None:
        due = self._clock() >= self._retry_at and self._keeper.due(self._unsaved, self._clock() - self._saved_at)
        if not self._unsaved or not (due or self._snapshot_wanted):
            return
        self._snapshot_wanted = False
        await self._said.settled()
        if self._told != lessons.applied:
            # What was said of the last lessons is lost, and this worker stops.
            return
        try:
            await self._keeper.put(self.spec.name, self.spec.reads.topic, lessons.learner, lessons.applied)
        except Unavailable as error:
            # Learning goes on; what is unsaved stays due, but not at once: each try makes the model wait.
            log.warning("%s: snapshot at %d not recorded: %s", self.spec.name, lessons.applied, error)
            self._retry_at = self._clock() + RETRY_SECONDS
        else:
            self._saved_at, self._unsaved = self._clock(), 0

    async def _maybe_erase(self, lessons: Lessons) -> None:
        """Let no snapshot outlive a person who is forgotten in a later one."""
        up_to = int(getattr(lessons.learner, "forgotten_up_to", 0))
        if up_to <= self._forgotten_up_to or self._clock() < self._retry_at:
            return
        self._snapshot_wanted = True
        await self._maybe_snapshot(lessons)
        try:
            if not self._unsaved:
                await self._keeper.erase_stale(self.spec.name, up_to)
                self._forgotten_up_to = up_to
                self._on_forgotten()
        except Unavailable as error:
            log.warning("%s: snapshots from before a forgetting are still there: %s", self.spec.name, error)
            self._retry_at = self._clock() + RETRY_SECONDS


async def _no_rows(made: Made) -> None:
    """A model has no table: its snapshot says how far it is."""


class Desk:
    """Carries out orders to the models of this worker."""

    def __init__(self, services: dict[str, LearnerService], report: Callable[[], None]) -> None:
        self._services = services
        self._report = report

    async def obey(self, order: ControlModel) -> None:
        """A snapshot or a report now, where the model is owned here."""
        service = self._services.get(order.model)
        if service is None or service.lessons is None:
            return
        if order.action == "snapshot":
            service.want_snapshot()
        else:
            self._report()

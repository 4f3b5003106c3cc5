"""Makes tables, marks, models and derived topics again from the archive, before a worker starts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from app.delivery.producer import Producer
from app.delivery.topics import partitions
from app.embedded.given_up import GivenUp
from app.embedded.history import chunks, ends
from app.embedded.known import Known, not_there
from app.embedded.lane import bulk_producer
from app.embedded.lost_rivals import LostRivals
from app.embedded.outlet import Outlet
from app.embedded.partition_log import archived_topics
from app.embedded.reached import outcomes_of
from app.embedded.replay import Deciding, Keeping, Learning, Replay, Skipping, Workers, feeding_order
from app.faust_app import make_faust_app
from app.learning.snapshots import SnapshotKeeper
from app.learning.specs import MODELS
from app.runner import make_tables
from app.settings import Settings
from app.storage.store import Store
from app.topology import Kind, Stage, Topology
from schemas.events import DeadLettered

CHUNK: Final = 2_000

Tell = Callable[[int], None]


class PartReport(msgspec.Struct, frozen=True):
    """What making one part again came to: archived events read, records put on the broker, lessons of each model."""

    events: int
    made: int
    lessons: dict[str, int]


class _NoLifecycle:
    """Faust is only here for the places and forms of its tables; it is never started."""

    pressed = False

    async def prepare(self) -> None:
        """Never called."""

    def give_up(self) -> None:
        """Never called."""

    async def close(self) -> None:
        """Never called."""


class Part:
    """Some stages of the topology, run over the archive into their tables and topics."""

    def __init__(
        self, settings: Settings, archive: Path, topology: Topology, stages: Iterable[Stage], *, documents: bool
    ) -> None:
        self._settings = settings
        self._archive = archive
        self._stages = tuple(stages)
        self._documents = documents
        self._counts = partitions(settings)
        self._changelogs = Producer(settings.servers, changelog_counts(settings, topology))
        app = make_faust_app(settings, _NoLifecycle())
        self._tables = make_tables(app, Topology(self._stages), self._changelogs, settings)
        self._replay = Replay()
        self._models: list[Learning] = []

    async def run(self, store: Store, restored: Callable[[], Awaitable[None]], tell: Tell) -> PartReport:
        """Make everything again and commit the positions of the consumer group.

        The topics are there, derived ones empty; `restored` returns once the archived ones are filled. The same
        archive gives the same result, whatever an attempt before has left in the tables' place.
        """
        async with AsyncExitStack() as stack:
            producer = bulk_producer(self._settings.servers)
            for needed in (producer, self._changelogs):
                await needed.start()
                stack.push_async_callback(needed.stop)
            stack.push_async_callback(self._close_tables)
            outlet = self._outlet(producer, restored)
            self._fill(outlet)
            events = await self._feed(outlet, tell)
            await self._replay.close()
            for record in not_there(self._archive, outlet.forwarded):
                await outlet.put(record)
            await outlet.flush()
            await self._keep_models(store)
            await restored()
            await self._commit()
        lessons = {model.lessons.spec.name: model.lessons.applied + 1 for model in self._models}
        return PartReport(events, outlet.made, lessons)

    def _outlet(self, producer: Any, restored: Callable[[], Awaitable[None]]) -> Outlet:
        made = {record.topic for stage in self._stages for record in stage.emits}
        known = Known.of(self._archive, made | {DeadLettered.topic})
        rivals = LostRivals.of(self._archive)
        self._stages = tuple(rivals.as_then(known.as_then(stage)) for stage in self._stages)
        held = {(t, n): end for t in archived_topics(self._archive) for n, end in ends(self._archive, t).items()}
        return Outlet(producer, self._counts, held, known, self._replay.process, restored)

    def _fill(self, outlet: Outlet) -> None:
        delivery = self._settings.delivery
        workers = Workers(self._tables, outlet, self._counts, delivery.max_value, delivery.attempts)
        given_up = GivenUp.of(self._archive)
        for stage in self._stages:
            if stage.kind is Kind.LEARN:
                spec = next(spec for spec in MODELS if spec.stage == stage.name)
                model = Learning(workers.lessons(spec), outlet)
                self._models.append(model)
                self._replay.add(stage.topic, given_up.passed_over(stage, model))
            elif stage.kind is Kind.DECIDE:
                self._replay.add(stage.topic, given_up.passed_over(stage, Deciding(workers.worker(stage))))
            elif stage.kind is Kind.KEEP and self._documents:
                self._replay.add(stage.topic, given_up.passed_over(stage, Keeping(workers.worker(stage))))
            elif stage.kind is Kind.REACH:
                self._replay.add(stage.topic, workers.reaching(stage, outcomes_of(self._archive, stage)))
            else:
                # Documents outlive the broker.
                self._replay.add(stage.topic, Skipping(workers.skipping(stage)))

    async def _feed(self, outlet: Outlet, tell: Tell) -> int:
        events = 0
        for topic in feeding_order(self._stages, archived_topics(self._archive)):
            for chunk in chunks(self._archive, topic, CHUNK):
                outlet.now = chunk[-1].timestamp
                await self._replay.process(topic, chunk)
                events += len(chunk)
                tell(events)
        return events

    async def _keep_models(self, store: Store) -> None:
        keeper = SnapshotKeeper.of(self._settings, store.pointers)
        for model in self._models:
            lessons = model.lessons
            if lessons.applied >= 0:
                await keeper.put(lessons.spec.name, lessons.spec.reads.topic, lessons.learner, lessons.applied)

    async def _commit(self) -> None:
        """Let the consumer group begin behind what is applied, so that nothing is read only to be passed over."""
        positions = {TopicPartition(*place): offset for place, offset in self._replay.positions.items()}
        if not positions:
            return
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.servers, group_id=self._settings.worker.app, enable_auto_commit=False
        )
        await consumer.start()
        try:
            consumer.assign(list(positions))
            await consumer.commit(positions)
        finally:
            await consumer.stop()

    async def _close_tables(self) -> None:
        for table in self._tables.values():
            await table.table.data.stop()


def changelog_counts(settings: Settings, topology: Topology) -> dict[str, int]:
    """How many partitions the changelog of each table has."""
    counts = {"keyed": settings.topics.partitions, "single": 1}
    return {
        f"{settings.worker.app}-{name}-changelog": counts[layout.value] for name, (_, layout) in topology.tables.items()
    }

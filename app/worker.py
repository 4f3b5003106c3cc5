"""One worker put together: Faust, tables, agents, learners, storage and web around the topology."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from collections.abc import Iterable
from typing import Any, Final

from agents.errors import Unavailable
from app.background import begin
from app.collecting.service import CollectorService, asked_on_registration
from app.connectors.storage_terms import days_stored
from app.delivery.guard import Reader
from app.delivery.producer import Producer
from app.delivery.retention import keep_as_long
from app.delivery.topics import declare, partitions, wait_for_kafka
from app.delivery.transport import assert_supported
from app.erasing import follow_erasures
from app.expiring import ExpiryService
from app.faust_app import MarqueeApp, make_faust_app
from app.learning.lessons import ModelSpec
from app.learning.service import Desk, LearnerService
from app.learning.snapshots import SnapshotKeeper
from app.learning.specs import MODELS
from app.learning.tracking import TrackingService
from app.pictures.passage import Passage
from app.pictures.service import PictureService
from app.pictures.sweep import Sweeper
from app.pictures.under_way import UnderWay
from app.pushes import push_configured
from app.runner import SpecTable, make_agents, make_tables
from app.settings import Settings, load
from app.storage.mongo import MongoStore
from app.topology import SCRAPES, Ports, film_topology
from app.web.identify import FaceDesk
from app.web.server import WebService
from schemas.commands import ControlModel
from schemas.scrapes import ScrapeAdmitted

log = logging.getLogger(__name__)

SWITCH_SECONDS: Final = 0.02
"""How long a thread keeps the interpreter while others want it."""


class Worker:
    """Everything one worker process has."""

    def __init__(self, settings: Settings) -> None:
        assert_supported()
        self.settings = settings
        self.partitions = partitions(settings)
        self.app = make_faust_app(settings, self)
        self.store = MongoStore(settings.mongo)
        # A producer has one request to a broker under way at a time: what others wait for has a way of its own.
        self.producer, self._changelogs, self._lessons = (
            Producer(settings.servers, self.partitions, self.app.membership) for _ in range(3)
        )
        self.keeper = SnapshotKeeper.of(settings, self.store.pointers)
        self.learners = {spec.name: self._learner(spec) for spec in MODELS}
        self.tracking = TrackingService(settings.mlflow, self.learners)
        self._asked_for_films = list(asked_on_registration(settings, "films"))
        self._asked_for_people = list(asked_on_registration(settings, "people"))
        self.pictures = PictureService(settings)
        self.sweeping = self._sweeper()
        self.under_way = UnderWay(self.pictures.files, self.pictures, self.store.people)
        self.topology = film_topology(self._ports())
        self.tables: dict[str, SpecTable] = make_tables(self.app, self.topology, self._changelogs, settings)
        make_agents(self.app, self.topology, self.tables, self.producer, settings)
        self.collecting = CollectorService(
            settings, self.store, self.producer, self._owned_connectors, self.tables[SCRAPES.name].rows
        )
        self.web = WebService(self)
        self.web.faces = FaceDesk(self, self.pictures.sandbox, self.pictures.limits, self.pictures.faces)
        self.erasing = follow_erasures(self)
        self.expiring = ExpiryService(
            self.store.expiry,
            self.store.picture_expiry,
            self.producer,
            self.under_way.erase,
            settings.storage.sweep_every,
            lambda: self.gate_open and self._leads(),
        )
        self.prepared = False
        self._stopping = asyncio.Event()
        self._configured: asyncio.Task[int] | None = None
        self._follow_ownership()

    def _ports(self) -> Ports:
        return Ports(
            self.store.projections,
            Desk(self.learners, self.tracking.report_soon),
            people=self.store.pictures,
            pictures=self.pictures.desk,
            files=self.under_way,
            collecting=self.store.collecting,
            film_connectors=self._asked_for_films,
            people_connectors=self._asked_for_people,
            following=self.under_way.following,
        )

    def _sweeper(self) -> Sweeper:
        people, after = self.store.people, self.settings.pictures.orphans_after
        passage = Passage(self.settings)
        return Sweeper(self.pictures.files, people.named, passage, after, self.store.identity, people.last_forgotten)

    def _learner(self, spec: ModelSpec) -> LearnerService:
        # A training record carries a whole review or rating and a little more.
        reader = Reader(spec.types, 1, self.settings.delivery.max_value * 2, placed=False)
        return LearnerService(
            spec,
            self.settings.servers,
            self._lessons,
            self.keeper,
            reader,
            self.settings.learning.batch,
            crash=self.app.crash,
            on_forgotten=self._report_soon,
        )

    def _report_soon(self) -> None:
        self.tracking.report_soon()

    def _follow_ownership(self) -> None:
        """Whoever has the control topic's one partition has the models."""

        async def on_assigned(_: Any, assigned: Iterable[Any], **kwargs: Any) -> None:
            owned = any(tp.topic == ControlModel.topic for tp in assigned)
            for learner in self.learners.values():
                if owned:
                    learner.acquire()
                else:
                    await learner.release()
            if owned and self._configured is None:
                pushing = push_configured(self.settings, self.producer, self.store)
                self._configured = begin(pushing, "pushing what is configured")

        async def on_revoked(_: Any, revoked: Iterable[Any], **kwargs: Any) -> None:
            if any(tp.topic == ControlModel.topic for tp in revoked):
                for learner in self.learners.values():
                    await learner.release()

        # The signals keep weak references only.
        self._signals = (on_assigned, on_revoked)
        self.app.on_partitions_assigned.connect(on_assigned)
        self.app.on_partitions_revoked.connect(on_revoked)

    async def prepare(self) -> None:
        """Answer probes, wait for Kafka, declare topics, connect, start learners and tracking."""
        await self.app.add_runtime_dependency(self.web)
        if not await wait_for_kafka(self.settings, self._stopping):
            # Faust starts nothing more of an app that was told to stop.
            return
        await declare(self.settings)
        await keep_as_long(self.settings, min(days_stored(self.settings).values(), default=None))
        for producer in self._producers:
            await producer.start()
        self._indexing = begin(self._ensure_indexes(), "making the indexes of MongoDB")
        await self.app.add_runtime_dependency(self.pictures)
        for learner in self.learners.values():
            await self.app.add_runtime_dependency(learner)
        await self.app.add_runtime_dependency(self.tracking)
        await self.app.add_runtime_dependency(self.collecting)
        await self.app.add_runtime_dependency(self.erasing)
        await self.app.add_runtime_dependency(self.expiring)
        await self.app.add_runtime_dependency(self.sweeping)
        # Faust collects garbage once a table in each rebalance, as the group waits: what stays for ever is left out.
        gc.collect()
        gc.freeze()
        # Events are many and short-lived: at Python's own thresholds, looking at them takes a tenth of a busy worker.
        gc.set_threshold(500_000, 20, 50)
        # Faust's consumer has a thread of its own: at Python's 5 ms, the two take the interpreter from each other in
        # the middle of their work, which costs a sixth of the throughput and as much again in waiting.
        sys.setswitchinterval(SWITCH_SECONDS)
        self.prepared = True

    async def apply(self, settings: Settings) -> int:
        """Go on with other connectors, films and people; how many of those are new. Other settings stay as they are."""
        self.collecting.apply(settings)
        self.settings = self.collecting.settings
        # The stages hold these very lists.
        self._asked_for_films[:] = asked_on_registration(self.settings, "films")
        self._asked_for_people[:] = asked_on_registration(self.settings, "people")
        return await push_configured(self.settings, self.producer, self.store)

    async def _ensure_indexes(self) -> None:
        while True:
            try:
                return await self.store.ensure_indexes(sparse=not self.settings.broker.embedded)
            except Unavailable as error:
                log.warning("waiting for MongoDB: %s", error)
                await asyncio.sleep(2.0)

    def give_up(self) -> None:
        """Do not wait for brokers that are away: what is unsent is made again at the next start."""
        for producer in self._producers:
            producer.give_up()

    async def close(self) -> None:
        """Disconnect."""
        self._stopping.set()
        if self.prepared:
            self._indexing.cancel()
            for producer in self._producers:
                await producer.stop()
        self.store.close()

    @property
    def _producers(self) -> tuple[Producer, ...]:
        return self.producer, self._changelogs, self._lessons

    def _leads(self) -> bool:
        """Whether this is the one worker that has the models."""
        return any(learner.serving for learner in self.learners.values())

    def _owned_connectors(self) -> set[int]:
        """The partitions of the scrapes' table that are this worker's and whole."""
        if not self.gate_open:
            return set()
        topic = ScrapeAdmitted.topic
        return {tp.partition for tp in self.app.consumer.assignment() if tp.topic == topic}

    @property
    def pressed(self) -> bool:
        """Whether a learner owned here is more than a batch behind."""
        batch = self.settings.learning.batch
        return any((learner.lag or 0) > batch for learner in self.learners.values())

    @property
    def gate_open(self) -> bool:
        """Whether source events are being read."""
        return bool(self.prepared and getattr(self.app.consumer, "gate_open", False))


def faust_app() -> MarqueeApp:
    """The app that `faust -A app worker` runs, from `marquee.toml` and the environment."""
    return Worker(load()).app

"""A worker without Kafka: tables are dictionaries, storage is in memory, and the group is what a test says."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
from faust.types import TP
from yarl import URL

from agents.messages import Message
from app.delivery.producer import Outgoing, partition_of
from app.delivery.table import PartitionRows
from app.delivery.topics import partitions
from app.faust_app import ANY_PORT
from app.pictures.service import PictureService
from app.settings import Settings, Storage, Web
from app.storage.memory import MemoryStore
from app.topology import film_topology
from app.web.probes import Ping, Probes
from app.web.server import WebService
from schemas.base import Record
from schemas.entities import Prediction
from schemas.envelope import Envelope
from schemas.events import FilmRegistered, RatingCleaned, RatingPredicted

PARTITIONS = 4


class Group:
    """Who owns which partition; what Faust's assignor knows."""

    def __init__(self) -> None:
        self.actives: set[TP] = set()
        self.owners: dict[str, dict[str, list[int]]] = {}

    def assigned_actives(self) -> set[TP]:
        return set(self.actives)

    def tables_metadata(self) -> dict[str, dict[str, list[int]]]:
        return self.owners


class FakeFaust:
    """The few attributes of a Faust app that the web reads."""

    def __init__(self, tables: Iterable[str]) -> None:
        self.conf = SimpleNamespace(canonical_url=URL("http://127.0.0.1:6066"), web_port=ANY_PORT)
        self.assignor = Group()
        self.rebalancing = False
        self.in_recovery = False
        self.consumer_generation_id = 7
        self.consumer = SimpleNamespace(highwater=self._end, gate_stuck=False)
        self.ends: dict[TP, int] = {}
        self.tables = {
            name: SimpleNamespace(changelog_topic=SimpleNamespace(get_topic_name=lambda n=name: changelog(n)))
            for name in tables
        }

    def _end(self, tp: TP) -> int | None:
        if tp not in self.assignor.actives:
            raise AssertionError("not assigned")
        return self.ends.get(tp)


def changelog(table: str) -> str:
    return f"marquee-{table}-changelog"


class DictTable:
    """A table whose partitions are dictionaries."""

    def __init__(self) -> None:
        self.partitions: dict[int, dict[bytes, bytes]] = {n: {} for n in range(PARTITIONS)}

    def rows(self, partition: int) -> PartitionRows:
        return PartitionRows(self.partitions[partition])


class FakeProducer:
    """Remembers what was sent; `stalls` is a broker that acknowledges nothing."""

    def __init__(self) -> None:
        self.sent: list[Outgoing] = []
        self.stalls = False

    async def send(self, records: Iterable[Outgoing]) -> None:
        if self.stalls:
            await asyncio.Event().wait()
        self.sent += records


class FakeModel:
    """A model with the figures that a test gives it."""

    name = "future-rating"
    model_version = "fr10-test"

    def __init__(self, measures: dict[str, float | None], labels: int = 500) -> None:
        self._measures = measures
        self._labels = labels

    def metrics(self) -> dict[str, float | None]:
        return self._measures

    def counts(self) -> dict[str, int]:
        return {"lessons": 640, "labels": self._labels}

    def curve(self) -> Any:
        points = [(64, (1.2, 1.5)), (128, (1.0, 1.4)), (192, (0.9, 1.4))]
        return SimpleNamespace(unit="mean absolute error", names=("model", "running_mean"), points=points)


@dataclass
class FakeLearner:
    """A learner service that owns its model, or does not."""

    spec: Any
    lessons: Any = None
    lag: int | None = None

    @property
    def applied(self) -> int | None:
        return None if self.lessons is None else 639


@dataclass
class FakeWorker:
    """Everything of a worker that the web reads."""

    settings: Settings
    prepared: bool = True
    gate_open: bool = True
    producer: FakeProducer = field(default_factory=FakeProducer)
    store: MemoryStore = field(default_factory=MemoryStore)
    keeper: Any = field(default_factory=lambda: SimpleNamespace(newest_at={}))

    def __post_init__(self) -> None:
        self.partitions = partitions(self.settings)
        self.topology = film_topology()
        self.tables = {name: DictTable() for name in self.topology.tables}
        self.app = FakeFaust(self.tables)
        self.pictures = PictureService(self.settings)
        spec = SimpleNamespace(name="future-rating", stage="learn-ratings", reads=RatingCleaned)
        self.learners = {"future-rating": FakeLearner(spec)}

    async def apply(self, settings: Settings) -> int:
        """Take all of another configuration."""
        self.settings = settings
        return len(settings.films)

    def own(self, numbers: Sequence[int] = range(PARTITIONS), url: str | None = None) -> None:
        """Let this worker have these partitions of everything, and be known under `url`."""
        group = self.app.assignor
        group.actives = set()
        for stage in self.topology.stages:
            single = self.partitions[stage.topic] == 1
            for number in (0,) if single else numbers:
                group.actives.add(TP(stage.topic, number))
                if stage.table is not None:
                    group.actives.add(TP(changelog(stage.table.name), number))
        group.owners = {url or str(self.app.conf.canonical_url): owned_tables(group.actives)}

    def own_model(self, measures: dict[str, float | None], labels: int = 500, lag: int = 3) -> None:
        """Let this worker have the model."""
        learner = self.learners["future-rating"]
        learner.lessons = SimpleNamespace(learner=FakeModel(measures, labels))
        learner.lag = lag

    def predict(self, film_id: str, predicted: float, n_ratings: int = 12) -> None:
        """Put a prediction into the table."""
        row = Prediction(
            film_id=film_id,
            predicted=predicted,
            current_mean=7.5,
            n_ratings=n_ratings,
            model_version="fr10-test",
            predicted_at="2026-01-01T00:00:00.000Z",
            event_id="e",
        )
        number = partition_of(film_id.encode(), PARTITIONS)
        self.tables["predictions"].partitions[number][film_id.encode()] = msgspec.json.encode(row)


def owned_tables(actives: Iterable[TP]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for tp in actives:
        if tp.topic.endswith("-changelog"):
            found.setdefault(tp.topic, []).append(tp.partition)
    return found


def make_worker(images: Path | None = None, **web: Any) -> FakeWorker:
    """A worker whose pictures, if it has any, lie in `images`."""
    storage = Storage(images=str(images)) if images else Storage()
    return FakeWorker(Settings(web=Web(**{"port": 0, **web}), storage=storage))


def service_of(worker: FakeWorker, token: str = "", **answers: bool) -> WebService:
    """The real web service, whose probes answer as told: kafka, mongo, mlflow (all true unless given)."""
    service = WebService(worker, token=token)

    def ping(name: str) -> Ping:
        async def ask() -> None:
            if not answers.get(name, True):
                raise ConnectionRefusedError(f"{name} is away")

        return Ping(ask)

    service.site.probes = Probes(worker, service.site.engine, ping("kafka"), ping("mongo"), ping("mlflow"))
    return service


def message(data: Record, offset: int = 0, cause: str = "c") -> Message[Any]:
    return Message(data, Envelope(cause, cause), type(data).topic, 0, offset, 1_767_225_600_000 + offset * 1000)


async def fill(store: MemoryStore, film_id: str, title: str, scores: Sequence[float], **known: Any) -> None:
    """A film with ratings and a prediction after each, as the projections write them."""
    await store.projections.put_films([message(FilmRegistered(film_id=film_id, title=title, **known))])
    ratings, said, total = [], [], 0.0
    for n, score in enumerate(scores):
        cause, total = f"{film_id}-{n}", total + score
        rating = RatingCleaned(
            film_id=film_id,
            source="test",
            source_record_id=str(n),
            score=score,
            kind="single",
            ordinal=n + 1,
            partition=0,
            offset=n,
            cause_id=cause,
            received_at=f"2026-01-01T00:{n // 60:02d}:{n % 60:02d}.000Z",
        )
        prediction = RatingPredicted(
            event_id=f"e-{cause}",
            cause_id=cause,
            film_id=film_id,
            predicted=min(10.0, total / (n + 1) + 0.1),
            current_mean=total / (n + 1),
            n_ratings=n + 1,
            model="future-rating",
            model_version="fr10-test",
            predicted_at=rating.received_at,
        )
        ratings.append(message(rating, n, cause))
        said.append(message(prediction, n, cause))
    await store.projections.put_ratings(ratings)
    await store.projections.put_predictions(said)

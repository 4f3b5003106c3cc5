"""What is made from an archive is what there was: topics, tables, marks, models and documents."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from agents.ports import Examination
from app.delivery.contiguity import KafkaLogReader
from app.delivery.raw import Raw
from app.embedded.broker import Broker
from app.embedded.compact import TRAINING_SOURCES
from app.embedded.ends import group_less_consumer, look
from app.embedded.erase import Eraser
from app.embedded.history import archive_dir
from app.embedded.lasting import lasting
from app.embedded.ports import PortBook
from app.embedded.process import EmbeddedError
from app.embedded.putting_back import Documents, RemakeReport, put_back
from app.embedded.rebuild import changelog_counts
from app.embedded.servers import start_server
from app.embedded.workers import process_environment
from app.faust_app import make_faust_app
from app.learning.snapshots import SnapshotKeeper
from app.learning.specs import MODELS
from app.memory import MemoryLog, MemoryRunner
from app.past import past_ports
from app.runner import make_tables
from app.settings import Broker as BrokerSettings
from app.settings import Mongo, Settings, Storage, Topics
from app.storage.documents import PROJECTIONS
from app.storage.memory import MemoryStore
from app.storage.mongo import MongoStore
from app.topology import Kind, film_topology
from schemas.events import RatingObserved
from schemas.faces import FaceRecognised
from schemas.ids import item_id
from schemas.pictures import ImageExamined, ImageFetched, ImageFound, ImageRejected
from tests.embedded.famous import famous
from tests.embedded.lives import leave_archive, lived
from tests.stories.conftest import Story
from tests.stories.pictures import FakePictures

pytestmark = [pytest.mark.embedded, pytest.mark.slow, pytest.mark.timeout(300)]

PARTITIONS: Final = 3
EVENTS: Final = 900
Rows = dict[bytes, bytes]


class Made:
    """A data directory with its archive, an empty broker and a database."""

    def __init__(self, data_dir: Path, broker: Broker, mongo: str) -> None:
        self.data_dir = data_dir
        self.bootstrap = broker.bootstrap
        self.settings = Settings(
            broker=BrokerSettings(url=broker.url, embedded=True),
            mongo=Mongo(url=mongo),
            storage=Storage(data=str(data_dir)),
            topics=Topics(partitions=PARTITIONS),
        )
        self.environment = process_environment(
            "worker-1",
            data_dir,
            {
                "MARQUEE_BROKER__URL": broker.url,
                "MARQUEE_BROKER__EMBEDDED": "true",
                "MARQUEE_MONGO__URL": mongo,
                "MARQUEE_TOPICS__PARTITIONS": str(PARTITIONS),
            },
            None,
        )
        self.told: list[str] = []

    async def again(self, documents: Documents = Documents.UNSURE) -> RemakeReport:
        """Make everything from the archive."""
        return await put_back(self.data_dir, documents, self.environment, self.told.append)

    def tables(self) -> dict[str, dict[int, Rows]]:
        """The rows of every table, read as a worker would."""

        class Never:
            async def prepare(self) -> None: ...
            def give_up(self) -> None: ...
            async def close(self) -> None: ...

        made = make_tables(make_faust_app(self.settings, Never()), film_topology(), Any, self.settings)  # type: ignore[arg-type]
        found: dict[str, dict[int, Rows]] = {}
        for name, table in made.items():
            data = table.table.data
            for partition in range(table.table.partitions or 0):
                rows = dict(data._db_for_partition(partition).items())
                rows.pop(data.offset_key, None)
                found.setdefault(name, {})[partition] = rows
            data._dbs.clear()
        return found

    async def ends(self, counts: dict[str, int]) -> dict[tuple[str, int], int]:
        """Where the topics end on the broker."""
        consumer = group_less_consumer(self.bootstrap)
        await consumer.start()
        try:
            places = {TopicPartition(topic, n): 0 for topic, count in counts.items() for n in range(count)}
            return {(tp.topic, tp.partition): seen.end for tp, seen in (await look(consumer, places, 30.0)).items()}
        finally:
            await consumer.stop()

    async def topics(self, counts: dict[str, int]) -> dict[str, list[list[Any]]]:
        """Every record of some topics, without what differs between two brokers."""
        reader = KafkaLogReader([self.bootstrap])
        found: dict[str, list[list[Any]]] = {topic: [[] for _ in range(count)] for topic, count in counts.items()}
        for (topic, partition), end in (await self.ends(counts)).items():
            raws = await reader.read(topic, partition, 0, end) if end else ()
            found[topic][partition] = [(raw.key, raw.value, raw.headers) for raw in raws]
        return found

    async def log(self, counts: dict[str, int]) -> MemoryLog:
        """What lies on the broker, as a log in memory."""
        reader, log = KafkaLogReader([self.bootstrap]), MemoryLog(PARTITIONS, clock=lambda: 1 << 42)
        for (topic, partition), end in (await self.ends(counts)).items():
            log.topics[topic][partition] = list(await reader.read(topic, partition, 0, end)) if end else []
        return log

    async def committed(self, counts: dict[str, int]) -> dict[tuple[str, int], int]:
        """What the worker's consumer group begins behind."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap, group_id=self.settings.worker.app, enable_auto_commit=False
        )
        await consumer.start()
        try:
            places = [TopicPartition(topic, n) for topic, count in counts.items() for n in range(count)]
            consumer.assign(places)
            return {tuple(place): await consumer.committed(place) or 0 for place in places}
        finally:
            await consumer.stop()

    async def models(self) -> dict[str, tuple[bytes, int]]:
        """State and applied offset of the newest snapshots."""
        store = MongoStore(self.settings.mongo)
        try:
            keeper = SnapshotKeeper(self.settings.snapshot_dir, store.pointers, 1, 1.0, 5)
            found = {spec.name: await keeper.newest(spec.name, spec.load) for spec in MODELS}
            return {name: (kept[0].to_bytes(), kept[1]) for name, kept in found.items() if kept is not None}
        finally:
            store.close()

    async def documents(self) -> dict[str, list[dict[str, Any]]]:
        """All documents."""
        store = MongoStore(self.settings.mongo)
        try:
            return {name: _sorted(await store.documents[name].find({})) for name in PROJECTIONS}
        finally:
            store.close()


async def _documents_of(story: Story) -> dict[str, list[dict[str, Any]]]:
    """The documents of a life in memory, as a database gives them: lists for tuples."""
    found = {name: _sorted(await story.store.documents[name].find({})) for name in PROJECTIONS}
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]


def _sorted(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(documents, key=lambda document: str(document["_id"]))


@asynccontextmanager
async def empty_broker(directory: Path) -> AsyncIterator[Broker]:
    """A broker of its own: what is made is made under the topics' real names."""
    broker = await start_server(Broker, directory, PortBook(directory / "ports.json"), Broker.name)
    try:
        yield broker
    finally:
        await broker.child.stop()


def rows_of(story: Story) -> dict[str, dict[int, Rows]]:
    """The tables of a life in memory."""
    counts = {name: layout for name, (_, layout) in film_topology().tables.items()}
    return {
        name: {n: story.runner.tables[name].stored.get(n, {}) for n in range(1 if layout == "single" else PARTITIONS)}
        for name, layout in counts.items()
    }


def topics_of(story: Story, topics: list[str]) -> dict[str, list[list[Any]]]:
    """The topics of a life in memory."""
    return {t: [[(r.key, r.value, r.headers) for r in lane] for lane in story.log.topics[t]] for t in topics}


def derived(story: Story) -> list[str]:
    """The topics that no archive has."""
    return [topic for topic in story.log.topics if topic not in lasting()]


async def test_everything_comes_out_as_it_was_when_it_lived(tmp_path: Path, mongo: str) -> None:
    story = await lived(1, EVENTS)
    leave_archive(story, archive_dir(tmp_path / "d"))
    async with empty_broker(tmp_path / "b") as broker:
        made = Made(tmp_path / "d", broker, mongo)
        report = await made.again()
        assert report.restored == sum(len(story.log.records(topic)) for topic in lasting())
        assert made.tables() == rows_of(story)
        counts = story.log.counts
        names = derived(story)
        assert await made.topics({t: counts[t] for t in names}) == topics_of(story, names)
        ends = {(t, n): len(story.log.topics[t][n]) for t in counts for n in range(counts[t])}
        assert await made.ends(counts) == ends
        worked = {stage.topic: counts[stage.topic] for stage in film_topology().stages if stage.kind is not Kind.LEARN}
        assert await made.committed(worked) == {place: end for place, end in ends.items() if place[0] in worked}
        taught = {name: lessons for name, lessons in story.runner.models.items() if lessons.applied >= 0}
        models = {name: (lessons.learner.to_bytes(), lessons.applied) for name, lessons in taught.items()}
        assert await made.models() == models
        documents = await _documents_of(story)
        assert await made.documents() == documents
        assert documents["runs"], "no run was there to be made again"
        assert documents["mentions"], "no mention waited"
        await _changelogs_agree(made)


async def test_what_was_given_up_stays_so_though_it_would_pass_by_now(tmp_path: Path, mongo: str) -> None:
    story = await lived(3, 60)
    rating = RatingObserved(film_id="tt0000001", source="ml", source_record_id="padded", value=4.0, best=5.0)
    padded = msgspec.json.encode(rating) + b" " * 1_100_000
    story.log.append("ratings", b"tt0000001", padded, [])
    await story.runner.settle()
    assert json.loads(story.log.records("dead-letters")[-1].value or b"")["error"].startswith("Rejected: too large")
    leave_archive(story, archive_dir(tmp_path / "d"))
    async with empty_broker(tmp_path / "b") as broker:
        made = Made(tmp_path / "d", broker, mongo)
        made.environment = {**made.environment, "MARQUEE_DELIVERY__MAX_VALUE": "10000000"}
        await made.again()
        # A replay of the letter is new to everybody, and makes what it has to make.
        assert made.tables() == rows_of(story)
        assert await made.documents() == await _documents_of(story)


async def test_whatever_stands_on_marquees_own_topics_does_not_keep_it_from_starting(
    tmp_path: Path, mongo: str
) -> None:
    story = await lived(4, 120)
    nested = b'{"a":' * 3000 + b"1" + b"}" * 3000
    for topic in lasting():
        for value in (b"{nope", b"\xff\xfe", nested, b"[]", b'"x"', None):
            story.log.append(topic, b"Q1", value, [])
    await story.runner.settle()
    leave_archive(story, archive_dir(tmp_path / "d"))
    eraser = Eraser(archive_dir(tmp_path / "d"))
    eraser.catch_up()
    async with empty_broker(tmp_path / "b") as broker:
        made = Made(tmp_path / "d", broker, mongo)
        await made.again()
        assert made.tables() == rows_of(story)
        names = derived(story)
        assert await made.topics({t: story.log.counts[t] for t in names}) == topics_of(story, names)


async def _changelogs_agree(made: Made) -> None:
    """A worker that has to take the changelogs' word gets the same rows."""
    counts = changelog_counts(made.settings, film_topology())
    tables = made.tables()
    for topic, lanes in (await made.topics(counts)).items():
        name = topic.removeprefix(f"{made.settings.worker.app}-").removesuffix("-changelog")
        for partition, lane in enumerate(lanes):
            assert {key: value for key, value, _ in lane} == tables[name][partition], (name, partition)


@pytest.mark.parametrize("seed", [1, 2])
async def test_people_and_their_pictures_come_out_as_they_were(tmp_path: Path, mongo: str, seed: int) -> None:
    story = await famous(seed, 400, forgettings=False)
    leave_archive(story, archive_dir(tmp_path / "d"))
    async with empty_broker(tmp_path / "b") as broker:
        made = Made(tmp_path / "d", broker, mongo)
        await made.again()
        assert made.tables() == rows_of(story)
        names = derived(story)
        found = await made.topics({t: story.log.counts[t] for t in names})
        assert _timeless(found) == _timeless(topics_of(story, names))
        lessons = story.runner.models["faces"]
        assert (await made.models())["faces"] == (lessons.learner.to_bytes(), lessons.applied)
        expected = {name: _sorted(await story.store.documents[name].find({})) for name in PROJECTIONS}
        documents = await made.documents()
        for image in documents["images"] + expected["images"]:
            image["face"] = image["face"] and image["face"] | {"at": None}
        assert documents == expected


def _timeless(topics: dict[str, list[list[Any]]]) -> dict[str, list[list[Any]]]:
    """Topics without when the model said what it says: it hears of faces on a topic that is made again too."""
    lanes = [
        [(key, value, [each for each in headers if each[0] != "ce_time"]) for key, value, headers in lane]
        for lane in topics[FaceRecognised.topic]
    ]
    return topics | {FaceRecognised.topic: lanes}


@pytest.mark.parametrize("seed", [3, 9, 16])
async def test_what_was_refused_for_the_sake_of_somebody_who_is_erased_stays_refused(
    tmp_path: Path, mongo: str, seed: int
) -> None:
    story = await famous(seed, 500)
    leave_archive(story, archive_dir(tmp_path / "d"))
    eraser = Eraser(archive_dir(tmp_path / "d"))
    eraser.catch_up()
    assert eraser.erase() > 0
    async with empty_broker(tmp_path / "b") as broker:
        made = Made(tmp_path / "d", broker, mongo)
        await made.again()
        tables, live = made.tables(), rows_of(story)
        for name in ("claims", "faces", "celebrities"):
            assert _state(tables[name]) == _state(live[name]), name
        assert not [key for lanes in tables.values() for rows in lanes.values() for key in rows if b"~open|" in key]
        # Rows of what was asked for in a life that is over are erased with it, and count as nothing live.
        found, kept = _state(tables["found-images"]), _state(live["found-images"])
        people = {item_id(person, url): person for person, url in _finds(story)}
        eras = {row["celebrity_id"]: row["era"] for row in map(json.loads, _state(live["celebrities"]).values())}
        in_force = {key: row for key, row in kept.items() if json.loads(row)[2] == eras.get(people[key.decode()], 0)}
        assert in_force.items() <= found.items()
        assert found.keys() <= kept.keys()
        documents = await made.documents()
        for name in ("images", "celebrities", "forgotten"):
            expected = _sorted(await story.store.documents[name].find({}))
            # Whom a model would have taken a face for that never knew the person is another question.
            for document in documents[name] + expected:
                document.pop("face", None)
            assert documents[name] == expected, name


def _state(lanes: dict[int, Rows]) -> Rows:
    """All rows but marks, and the digest of all changes that there were, erased ones among them."""
    rows = {key: value for lane in lanes.values() for key, value in lane.items()}
    return {key: value for key, value in rows.items() if not key.startswith((b"~mark|", b"revision|"))}


def _finds(story: Story) -> list[tuple[str, str]]:
    values = [json.loads(raw.value or b"") for raw in story.log.records(ImageFound.topic)]
    return [(value["celebrity_id"], value["url"]) for value in values]


async def test_what_the_world_had_not_answered_is_asked_again_and_nothing_else(tmp_path: Path, mongo: str) -> None:
    story = await famous(7, 400, forgettings=False)
    answers = (ImageFetched.topic, ImageRejected.topic, ImageExamined.topic)
    cut = sorted(raw.timestamp for raw in story.log.records(ImageFound.topic))[200]

    def kept(raw: Raw) -> bool:
        # Answers of the middle are lost too: a crash may come between those of a batch.
        lost = raw.topic in (ImageRejected.topic, ImageExamined.topic) and raw.offset == 10
        return raw.topic not in answers or (raw.timestamp < cut and not lost)

    leave_archive(story, archive_dir(tmp_path / "d"), keep=kept)
    async with empty_broker(tmp_path / "b") as broker:
        made = Made(tmp_path / "d", broker, mongo)
        await made.again()
        log, expected = await made.log(story.log.counts), _unanswered(story, kept)
        stages = {stage.topic: log.counts[stage.topic] for stage in film_topology().stages}
        resumed = Resumed(log, story, made.tables(), await made.committed(stages))
        await resumed.runner.settle()
    assert set(resumed.pictures.asked) == expected
    assert len(resumed.pictures.examined) == len(set(resumed.pictures.examined)) > 0
    examined = [json.loads(raw.value) for raw in log.records(ImageExamined.topic) if raw.value]
    orders = [(each["item_id"], each["order"]) for each in examined if each["type"] == "examined"]
    accepted = [json.loads(raw.value or b"") for raw in log.records("images-accepted")]
    assert sorted(orders) == sorted((each["item_id"], each["order"]) for each in accepted)
    rows = [key for table in resumed.runner.tables.values() for lane in table.stored.values() for key in lane]
    assert not [key for key in rows if key.startswith(b"~open|")]
    letters = [json.loads(raw.value or b"")["id"] for raw in log.records("dead-letters")]
    assert sorted(set(letters)) == sorted({raw.key.decode() for raw in story.log.records("dead-letters") if raw.key})


def _unanswered(story: Story, kept: Callable[[Raw], bool]) -> set[str]:
    """The addresses of finds without an answer, where no other find of theirs has one that lasts."""
    causes, done = set(), set()
    for raw in (*story.log.records(ImageFetched.topic), *story.log.records(ImageRejected.topic)):
        said = json.loads(raw.value or b"")
        if kept(raw) and (said.get("type") == "fetched" or said.get("stage") == "fetch"):
            causes.add(dict(raw.headers)["ce_causationid"].decode())
            if said.get("verdict") != "failed":
                done.add(said["item_id"])
    left = set()
    for raw in story.log.records(ImageFound.topic):
        said = json.loads(raw.value or b"")
        known = item_id(said["celebrity_id"], said["url"]) in done or said["celebrity_id"] == "nobody"
        if not known and dict(raw.headers).get("ce_id", raw.position.encode()).decode() not in causes:
            left.add(said["url"])
    return left


class Resumed:
    """A worker in memory that goes on where a remake ends, and counts what it asks of the world."""

    def __init__(
        self, log: MemoryLog, story: Story, tables: dict[str, dict[int, Rows]], committed: dict[tuple[str, int], int]
    ) -> None:
        self.pictures = Counting(story.pictures)
        store = MemoryStore()
        topology = film_topology(replace(past_ports(store), models=story, pictures=self.pictures, files=self.pictures))
        self.runner = MemoryRunner(topology, (), log)
        for name, table in self.runner.tables.items():
            table.stored = {partition: dict(rows) for partition, rows in tables[name].items()}
        for stage in topology.stages:
            for partition in range(log.counts[stage.topic]):
                self.runner.positions[stage.name, partition] = committed.get((stage.topic, partition), 0)


class Counting(FakePictures):
    """Pictures that are where another life put them."""

    def __init__(self, before: FakePictures) -> None:
        super().__init__()
        self._bytes = before._bytes
        self.examined: list[str] = []

    async def examine(self, image_id: str, again: str | None = None) -> Examination:
        self.examined.append(image_id)
        return await super().examine(image_id)


async def test_documents_that_are_complete_stay_untouched(tmp_path: Path, mongo: str) -> None:
    story = await lived(2, 200)
    leave_archive(story, archive_dir(tmp_path / "d"))
    async with empty_broker(tmp_path / "b") as broker:
        made = Made(tmp_path / "d", broker, mongo)
        await made.again(Documents.COMPLETE)
        assert made.tables() == rows_of(story)
        assert not any((await made.documents()).values())


async def test_what_the_archive_lost_of_derived_topics_is_made_once_more(tmp_path: Path, mongo: str) -> None:
    story = await lived(3, EVENTS)
    lost = {"training-ratings": 200, "film-submissions": 10, "dead-letters": 5}
    leave_archive(story, archive_dir(tmp_path / "d"), keep=lambda raw: raw.offset < lost.get(raw.topic, 10**9))
    async with empty_broker(tmp_path / "b") as broker:
        made = Made(tmp_path / "d", broker, mongo)
        report = await made.again()
        counts = {topic: story.log.counts[topic] for topic in lost}
        found = await made.topics(counts)
        assert found["training-ratings"][0][:200] == topics_of(story, ["training-ratings"])["training-ratings"][0][:200]
        assert sorted(_origins(found["training-ratings"])) == sorted(
            _origins(topics_of(story, list(lost))["training-ratings"])
        )
        letters = [json.loads(value)["id"] for _, value, _ in found["dead-letters"][0]]
        assert sorted(letters) == sorted({raw.key.decode() for raw in story.log.records("dead-letters") if raw.key})
        # The model is made of what is archived; the worker learns the rest.
        assert report.lessons["future-rating"] == 200
        assert (await made.committed({"training-ratings": 1}))["training-ratings", 0] == 200


def _origins(lanes: list[list[Any]]) -> list[tuple[int, int]]:
    values = [json.loads(value) for lane in lanes for _, value, _ in lane]
    return [(value["partition"], value["offset"]) for value in values]


async def test_an_archive_of_sources_alone_is_enough(tmp_path: Path, mongo: str) -> None:
    story = await lived(4, 400)
    sources = [topic for topic in lasting() if topic not in TRAINING_SOURCES and topic != "film-submissions"]
    leave_archive(story, archive_dir(tmp_path / "d"), sources)
    async with empty_broker(tmp_path / "b") as broker:
        made = Made(tmp_path / "d", broker, mongo)
        await made.again()
        ends = await made.ends({"training-ratings": 1, "ratings": PARTITIONS})
        assert ends["training-ratings", 0] == len(story.log.records("training-ratings"))
        assert [ends["ratings", n] for n in range(PARTITIONS)] == [len(lane) for lane in story.log.topics["ratings"]]


@pytest.mark.parametrize("seconds", [2.0, 4.0, 6.0])
async def test_killed_in_the_middle_and_begun_again_it_comes_out_the_same(
    tmp_path: Path, mongo: str, seconds: float
) -> None:
    story = await lived(5, EVENTS)
    leave_archive(story, archive_dir(tmp_path / "d"))
    async with empty_broker(tmp_path / "first") as broker:
        cut = asyncio.create_task(Made(tmp_path / "d", broker, mongo).again())
        await asyncio.wait([cut], timeout=seconds)
        cut.cancel()
        await asyncio.gather(cut, return_exceptions=True)
    async with empty_broker(tmp_path / "second") as broker:
        made = Made(tmp_path / "d", broker, mongo)
        await made.again()
        assert made.tables() == rows_of(story)
        assert await made.documents() == await _documents_of(story)


async def test_a_broker_that_is_not_empty_is_refused_with_the_reason(tmp_path: Path, mongo: str) -> None:
    story = await lived(6, 50)
    leave_archive(story, archive_dir(tmp_path / "d"))
    async with empty_broker(tmp_path / "b") as broker:
        made = Made(tmp_path / "d", broker, mongo)
        await made.again()
        with pytest.raises(EmbeddedError, match="records already: nothing was restored"):
            await made.again()

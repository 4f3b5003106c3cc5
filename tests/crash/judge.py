"""What must be true when everything has drained, whatever happened on the way."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rocksdict

from app.delivery.raw import Raw
from app.delivery.table import MARK_PREFIX
from app.learning.snapshots import SnapshotKeeper
from app.learning.specs import MODELS
from app.settings import Mongo
from app.storage.mongo import MongoStore
from app.topology import Kind, film_topology
from schemas.base import Layout
from tests.crash.crowd import Feeder
from tests.crash.servers import Place, Servers, cut
from tests.crash.straight import LISTED, Rows, StraightRun, by_key, by_origin, without_marks
from tests.crash.worker import WorkerProcess, until

Report = Callable[[str], None]
SOURCES = ("input", "facts", "ratings", "reviews")


async def drained(servers: Servers, *workers: WorkerProcess, patience: float = 240.0) -> None:
    """Return once every stage and model of these workers has applied everything that lies on its topic."""
    counts = {topic: n for topic, n in cut(workers[0].partitions).items() if _is_read(topic)}
    missing: list[str] = ["nothing was asked yet"]

    async def everything() -> bool:
        before = await servers.log().ends(counts)
        applied = await _applied(workers)
        missing[:] = [
            f"{stage.name} {place} {applied.get((stage.name, place))} of {end}"
            for stage in film_topology().stages
            for place, end in before.items()
            if place[0] == stage.topic and end and applied.get((stage.name, place)) != end - 1
        ]
        # A stage's output is on the broker before the stage says that it has applied the input.
        return not missing and await servers.log().ends(counts) == before

    try:
        await until(everything, "drained", *workers, patience=patience, every=0.3)
    except AssertionError as error:
        raise AssertionError(f"{error}\nmissing: {missing}") from error


def _is_read(topic: str) -> bool:
    return any(stage.topic == topic for stage in film_topology().stages)


async def _applied(workers: Iterable[WorkerProcess]) -> dict[tuple[str, Place], int]:
    found: dict[tuple[str, Place], int] = {}
    for worker in workers:
        status, said, _ = await worker.get("/statusz")
        for row in said["offsets"] if status == 200 else ():
            if row["applied"] is not None:
                found[row["stage"], (row["topic"], row["partition"])] = row["applied"]
    return found


@dataclass
class Verdict:
    """What a storm left behind, beside what a straight run over the same log gives."""

    servers: Servers
    app: str
    partitions: int
    source: Mapping[str, Sequence[Raw]]
    training: Mapping[str, Sequence[Raw]]
    listed: Sequence[Raw]
    straight: StraightRun

    @classmethod
    async def of(cls, servers: Servers, app: str, partitions: int) -> Verdict:
        """Read the broker, and run straight over what it holds."""
        log, counts = servers.log(), cut(partitions)
        source = {topic: await log.read(topic, counts[topic]) for topic in SOURCES}
        training = {spec.reads.topic: await log.read(spec.reads.topic, 1) for spec in MODELS}
        listed = await log.read(LISTED, 1)
        straight = StraightRun(partitions)
        await straight.run(source, training, listed)
        return cls(servers, app, partitions, source, training, listed, straight)

    async def check(self, feeder: Feeder, data: Path, snapshots: Path, report: Report) -> None:
        """Everything. `data` is the data directory of the workers, which have stopped."""
        self.check_training(report)
        self.check_listed(report)
        await self.check_predictions(feeder, report)
        await self.check_tables(data, report)
        await self.check_documents(report)
        await self.check_models(snapshots, report)
        await self.check_no_letters()

    def check_training(self, report: Report) -> None:
        """The cleaning stage said the same of each record, in order, however often it said it."""
        for topic, records in self.training.items():
            found, straight = by_origin(records), self.straight.cleaned[topic]
            # A difference among thousands is not found in pytest's own words for it.
            others = [(each, found.get(each), straight.get(each)) for each in found | straight]
            assert [each for each in others if each[1] != each[2]] == []
            if records:
                report(f"  {topic}: {len(found)} records, {len(records) - len(found)} identical repeats")

    def check_listed(self, report: Report) -> None:
        """Every film is listed as it was registered, in order; films among each other stand as it came."""
        assert by_key(self.listed) == self.straight.listed
        told = sum(map(len, self.straight.listed.values()))
        report(f"  {LISTED}: {told} listings of {len(self.straight.listed)} films, {len(self.listed) - told} repeats")

    async def check_predictions(self, feeder: Feeder, report: Report) -> None:
        """Every rating that must have a prediction has one, the right one; no other has any."""
        records = await self.servers.log().read("rating-predictions", self.partitions)
        by_cause: dict[str, set[bytes | None]] = defaultdict(set)
        for raw in records:
            by_cause[json.loads(raw.value or b"")["cause_id"]].add(raw.value)
        assert [cause for cause, values in by_cause.items() if len(values) > 1] == []
        assert sorted(feeder.must - by_cause.keys()) == []
        assert sorted(by_cause.keys() - feeder.must) == []
        expected = {raw.value for raw in self.straight.log.records("rating-predictions")}
        assert {value for values in by_cause.values() for value in values} == expected
        report(
            f"  predictions: {len(by_cause)} of {len(feeder.must)} causes, none for {len(feeder.must_not)} duplicates, "
            f"{len(records) - len(by_cause)} identical repeats, 0 contradictions"
        )

    async def check_tables(self, data: Path, report: Report) -> None:
        """Changelogs and RocksDB hold what a straight run gives; marks stand at the ends."""
        ends = await self.servers.log().ends(cut(self.partitions))
        rows = 0
        for stage in self.straight.topology.stages:
            if stage.kind is Kind.LEARN or stage.table is None:
                continue
            name, count = stage.table.name, cut(self.partitions)[stage.topic]
            changelog = await self.servers.log().latest(f"{self.app}-{name}-changelog", count)
            assert without_marks(changelog) == self.straight.rows(name), f"changelog of {name}"
            marks = {p: int(held[_mark(stage.topic)]) for p, held in changelog.items() if _mark(stage.topic) in held}
            assert marks == {p: ends[stage.topic, p] - 1 for p in range(count) if ends[stage.topic, p]}, name
            rows += sum(map(len, without_marks(changelog).values()))
            for partition, held in changelog.items():
                if held:
                    assert held in stored(data, name, partition), f"RocksDB of {name}-{partition}"
        report(f"  tables: {rows} rows equal in changelogs, RocksDB and the straight run")

    async def check_documents(self, report: Report) -> None:
        """MongoDB holds what a straight run gives."""
        found, expected = await self.servers.documents(), await self.straight.documents()
        for name in expected:
            assert found[name] == expected[name], f"documents of {name}"
        report(f"  documents: {sum(map(len, found.values()))} equal to the straight run")

    async def check_models(self, snapshots: Path, report: Report) -> None:
        """The last snapshot of each model holds the whole log, bit for bit."""
        for spec in MODELS:
            records = self.training[spec.reads.topic]
            if not records:
                continue
            snapshot = await newest_snapshot(self.servers, snapshots, spec.name)
            assert snapshot is not None
            state, applied = snapshot
            assert applied == records[-1].offset
            assert state == self.straight.state(spec.name), f"state of {spec.name}"
            report(f"  {spec.name}: {len(state)} bytes of state equal to the straight run")

    async def check_no_letters(self) -> None:
        """Nothing was given up."""
        letters = [json.loads(raw.value or b"{}") for raw in await self.servers.log().read("dead-letters", 1)]
        assert Counter(letter.get("error") for letter in letters) == {}


@dataclass(frozen=True)
class Remains:
    """Everything that a run leaves and another can be compared with."""

    rows: dict[str, Rows]
    documents: dict[str, list[dict[str, Any]]]
    models: dict[str, bytes]

    @classmethod
    async def of(cls, servers: Servers, app: str, partitions: int, snapshots: Path) -> Remains:
        """Read tables from their changelogs, documents, and each model's last snapshot."""
        rows, models = {}, {}
        for name, (_, layout) in film_topology().tables.items():
            count = 1 if layout is Layout.SINGLE else partitions
            rows[name] = without_marks(await servers.log().latest(f"{app}-{name}-changelog", count))
        for spec in MODELS:
            snapshot = await newest_snapshot(servers, snapshots, spec.name)
            if snapshot is not None:
                models[spec.name] = snapshot[0]
        return cls(rows, await servers.documents(), models)

    def __str__(self) -> str:
        rows = sum(len(held) for table in self.rows.values() for held in table.values())
        state = sum(map(len, self.models.values()))
        return f"{rows} rows, {sum(map(len, self.documents.values()))} documents, {state} bytes of state"


async def newest_snapshot(servers: Servers, snapshots: Path, model: str) -> tuple[bytes, int] | None:
    """The state that a worker would recover, and the offset applied to it."""
    store = MongoStore(Mongo(url=servers.mongo))
    try:
        return await SnapshotKeeper(snapshots, store.pointers, 1, 1.0, 5).newest(model, lambda state: state)
    finally:
        store.close()


def stored(data: Path, table: str, partition: int) -> list[dict[bytes, bytes]]:
    """The rows that lie in RocksDB under the workers' data directory, by worker, without Faust's own."""
    found = []
    for place in data.glob(f"workers/*/*/tables/{table}-{partition}.db"):
        options = rocksdict.Options(raw_mode=True)
        database = rocksdict.Rdict(str(place), options, access_type=rocksdict.AccessType.read_only())
        try:
            rows = {bytes(key): bytes(value) for key, value in database.items()}
        finally:
            database.close()
        found.append({key: value for key, value in rows.items() if not key.startswith(b"__faust")})
    return found


def _mark(topic: str) -> bytes:
    return f"{MARK_PREFIX}{topic}".encode()


async def check_lookups(straight: StraightRun, *workers: WorkerProcess) -> int:
    """Every film's prediction is answered right by each worker; how many look-ups that were."""
    rows = [row for held in straight.rows("predictions").values() for row in held.items()]
    gate = asyncio.Semaphore(8)

    async def one(worker: WorkerProcess, key: bytes, value: bytes) -> None:
        async with gate:
            status, said, _ = await worker.get(f"/films/{key.decode()}/prediction")
        expected = {name: field for name, field in json.loads(value).items() if name != "event_id"}
        assert (status, said) == (200, expected)

    await asyncio.gather(*(one(worker, *row) for worker in workers for row in rows))
    return len(rows) * len(workers)

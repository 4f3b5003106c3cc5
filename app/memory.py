"""The same rows without a broker: a log in memory, for stories that run in milliseconds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from app.delivery.guard import Reader
from app.delivery.producer import Outgoing, partition_of
from app.delivery.raw import Raw
from app.delivery.stage_worker import StageWorker
from app.delivery.table import PartitionRows, Rows
from app.learning.lessons import Lessons, ModelSpec
from app.topology import Kind, TableSpec, Topology
from schemas.base import Record
from schemas.catalogue import encode, partition_counts
from schemas.envelope import Headers


class MemoryLog:
    """Topics as lists; plays the producer and the reader of the runner."""

    def __init__(self, partitions: int, clock: Callable[[], int] = lambda: 0) -> None:
        self.counts = partition_counts(partitions)
        self.topics: dict[str, list[list[Raw]]] = {t: [[] for _ in range(n)] for t, n in self.counts.items()}
        self._clock = clock

    def append(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers, partition: int | None = None
    ) -> Raw:
        """Put a record at the end of its partition, as Kafka's default partitioner would."""
        if partition is None:
            partition = partition_of(key or b"", self.counts[topic])
        log = self.topics[topic][partition]
        raw = Raw(topic, partition, len(log), self._clock(), key, value, headers)
        log.append(raw)
        return raw

    async def send(self, records: Iterable[Outgoing]) -> None:
        """Append records."""
        for record in records:
            self.append(record.topic, record.key, record.value, record.headers)

    async def beginning(self, topic: str, partition: int) -> int:
        """Nothing expires here."""
        return 0

    async def read(self, topic: str, partition: int, start: int, stop: int) -> Sequence[Raw]:
        """A stretch of a partition."""
        return self.topics[topic][partition][start:stop]

    def records(self, topic: str) -> list[Raw]:
        """All records of a topic, partition by partition."""
        return [raw for log in self.topics[topic] for raw in log]


class MemoryTable:
    """A table as a dict a partition."""

    def __init__(self, spec: TableSpec) -> None:
        self.spec = spec
        self.stored: dict[int, dict[bytes, bytes]] = {}

    def rows(self, partition: int, uncommitted: Sequence[Rows] = ()) -> PartitionRows:
        """A fresh view of one partition, over rows that will be in the table soon."""
        return PartitionRows(self.stored.setdefault(partition, {}), uncommitted)

    async def write(self, partition: int, rows: Rows) -> None:
        """Keep the rows of one partition."""
        stored = self.stored.setdefault(partition, {})
        for key, value in rows.items():
            if value is None:
                stored.pop(key, None)
            else:
                stored[key] = value


class MemoryRunner:
    """Drives every stage and model over a memory log until nothing waits."""

    def __init__(
        self,
        topology: Topology,
        models: Sequence[ModelSpec],
        log: MemoryLog,
        batch: int = 100,
        attempts: int = 2,
        max_value: int = 1_000_000,
    ) -> None:
        self.log = log
        self.tables = {name: MemoryTable(spec) for name, (spec, _) in topology.tables.items()}
        self.models = {
            spec.name: Lessons(spec, spec.new(), -1, Reader(spec.types, 1, max_value, placed=False)) for spec in models
        }
        self.positions: dict[tuple[str, int], int] = {}
        self._batch = batch
        self._workers = [
            StageWorker(
                stage,
                self.tables[stage.table.name],
                [self.tables[spec.name] for spec in stage.looks_up],
                log,
                log,
                Reader(stage.reads, log.counts[stage.topic], max_value, placed=bool(stage.table.sections)),
                attempts,
                stopping=lambda: False,
            )
            for stage in topology.stages
            if stage.kind is not Kind.LEARN and stage.table is not None
        ]

    async def settle(self, *stages: str) -> None:
        """Run until every record has been through every stage that reads it, or through those of these names alone."""
        workers = [worker for worker in self._workers if not stages or worker.stage.name in stages]
        while await self._round(workers, {} if stages else self.models):
            pass

    async def _round(self, workers: Sequence[StageWorker], models: Mapping[str, Lessons]) -> bool:
        moved = False
        for worker in workers:
            for partition, log in enumerate(self.log.topics[worker.stage.topic]):
                place = (worker.stage.name, partition)
                start = self.positions.get(place, 0)
                batch = log[start : start + self._batch]
                if batch:
                    await worker.process(batch)
                    self.positions[place] = start + len(batch)
                    moved = True
        for lessons in models.values():
            waiting = self.log.topics[lessons.spec.reads.topic][0][lessons.applied + 1 :]
            if waiting:
                await self.log.send(lessons.apply(waiting[: self._batch]))
                moved = True
        return moved

    def push(self, record: Record, **headers: str) -> Raw:
        """A record as a client would send it."""
        return self.log.append(
            record.topic,
            record.key.encode(),
            encode(record),
            [(name, value.encode()) for name, value in headers.items()],
        )

"""The straight run: the same log through the same stages in memory, with nothing ever interrupted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from app.delivery.guard import Reader
from app.delivery.raw import Raw
from app.delivery.table import MARK_PREFIX
from app.learning.lessons import Lessons, ModelSpec
from app.learning.specs import MODELS
from app.memory import MemoryLog, MemoryRunner
from app.storage.documents import PROJECTIONS
from app.storage.memory import MemoryStore
from app.topology import Ports, Topology, film_topology
from schemas.commands import ControlModel
from tests.crash.servers import by_id


class _Origin(msgspec.Struct):
    partition: int
    offset: int


Rows = dict[int, dict[bytes, bytes]]

FIRST_TO_LAST = (("input", "facts"), ("ratings", "reviews"))
"""Tests let the first drain before they send the others, so that what a rating finds in a table does not vary."""


class StraightRun:
    """Recomputes everything from the source topics and, for the models, from the order on the training topics."""

    def __init__(
        self, partitions: int, max_value: int = 1_000_000, log: MemoryLog | None = None, **further: Any
    ) -> None:
        self.store = MemoryStore()
        ports = Ports(self.store.projections, self, people=self.store.pictures, **further)
        self.topology: Topology = film_topology(ports)
        self.log = log or MemoryLog(partitions)
        # Without models: what they learn from comes in the broker's order, which another run would not repeat.
        self._runner = MemoryRunner(self.topology, (), self.log, max_value=max_value)
        self.lessons = {spec.name: _lessons(spec, max_value) for spec in MODELS}
        self.cleaned: dict[str, dict[tuple[int, int], bytes]] = {}

    async def obey(self, order: ControlModel) -> None:
        """No test gives orders to a model."""

    async def run(self, sources: Mapping[str, Sequence[Raw]], training: Mapping[str, Sequence[Raw]]) -> None:
        """Replay the sources, then the training topics as they lie on the broker."""
        for together in FIRST_TO_LAST:
            for topic in together:
                for raw in sources.get(topic, ()):
                    place = self.log.topics[topic][raw.partition]
                    assert raw.offset == len(place), f"{topic}-{raw.partition} has a hole before {raw.offset}"
                    place.append(raw)
            await self._runner.settle()
        for lessons in self.lessons.values():
            topic = lessons.spec.reads.topic
            self.cleaned[topic] = by_origin(self.log.records(topic))
            await self.log.send(lessons.apply(training.get(topic, ())))
        await self._runner.settle()

    def state(self, model: str) -> bytes:
        """The model's state."""
        return self.lessons[model].learner.to_bytes()

    def rows(self, table: str) -> Rows:
        """A table's rows without marks: offsets of topics in between are no run's own."""
        return without_marks(self._runner.tables[table].stored)

    async def documents(self) -> dict[str, list[dict[str, Any]]]:
        """Every document, by collection."""
        return {name: by_id(await self.store.documents[name].find({})) for name in PROJECTIONS}


def _lessons(spec: ModelSpec, max_value: int) -> Lessons:
    return Lessons(spec, spec.new(), -1, Reader(spec.types, 1, max_value * 2, placed=False))


def by_origin(training: Sequence[Raw]) -> dict[tuple[int, int], bytes]:
    """Training records by the partition and offset of the record that they were made of, each once.

    Raises AssertionError where two of one origin differ, or one is first seen after a later one: the learner's
    watermark would pass over it.
    """
    found: dict[tuple[int, int], bytes] = {}
    newest: dict[int, int] = {}
    for raw in training:
        assert raw.value is not None
        origin = msgspec.json.decode(raw.value, type=_Origin)
        place = (origin.partition, origin.offset)
        if place in found:
            assert found[place] == raw.value, f"{raw.position}: another record of the same origin {place}"
            continue
        assert origin.offset > newest.get(origin.partition, -1), f"{raw.position}: {place} comes too late"
        newest[origin.partition] = origin.offset
        found[place] = raw.value
    return found


def without_marks(table: Mapping[int, Mapping[bytes, bytes]]) -> Rows:
    """The rows of a table that are state; a partition without any is left out."""
    rows = {
        partition: {key: value for key, value in held.items() if not key.startswith(MARK_PREFIX.encode())}
        for partition, held in table.items()
    }
    return {partition: held for partition, held in rows.items() if held}

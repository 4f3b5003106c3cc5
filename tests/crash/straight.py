"""The straight run: the same log through the same stages in memory, with nothing ever interrupted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import msgspec

from app.delivery.guard import Reader
from app.delivery.raw import Raw
from app.delivery.table import MARK_PREFIX
from app.learning.lessons import Lessons, ModelSpec
from app.learning.specs import MODELS
from app.memory import MemoryLog, MemoryRunner
from app.past import past_ports
from app.storage.documents import PROJECTIONS
from app.storage.memory import MemoryStore
from app.topology import Topology, film_topology
from schemas.commands import ControlModel
from schemas.mentions import FilmListed
from tests.crash.servers import by_id


class _Origin(msgspec.Struct, kw_only=True):
    """What a training record says of where it comes from: a place on a topic, or a decision on an item or a person."""

    partition: int | None = None
    offset: int | None = None
    item_id: str | None = None
    celebrity_id: str | None = None
    order: int | None = None

    def place(self) -> tuple[int | str, int]:
        """Whose records stay in order, and where this one stands among them."""
        if self.order is not None:
            return self.item_id or self.celebrity_id or "", self.order
        assert self.partition is not None
        assert self.offset is not None
        return self.partition, self.offset


Rows = dict[int, dict[bytes, bytes]]
Origins = dict[tuple[int | str, int], bytes]
Tellings = dict[bytes, list[tuple[bytes, bytes]]]

LISTED: Final = FilmListed.topic

FIRST_TO_LAST = (("input", "facts"), ("ratings", "reviews"))
"""Tests let the first drain before they send the others, so that what a rating finds in a table does not vary."""


class StraightRun:
    """Recomputes everything from the source topics, and from the order on the topics that bring partitions together.

    In which order these stand is the broker's doing: what they must say is told by the sources, what comes of them by
    how they lie.
    """

    def __init__(
        self, partitions: int, max_value: int = 1_000_000, log: MemoryLog | None = None, **further: Any
    ) -> None:
        self.store = MemoryStore()
        self.topology: Topology = film_topology(replace(past_ports(self.store), models=self, **further))
        self.log = log or MemoryLog(partitions)
        matching = Topology(tuple(stage for stage in self.topology.stages if stage.topic == LISTED))
        others = Topology(tuple(stage for stage in self.topology.stages if stage.topic != LISTED))
        # Without models: what they learn from comes in the broker's order, which another run would not repeat.
        self._runner = MemoryRunner(others, (), self.log, max_value=max_value)
        # What becomes of mentions is among the sources already.
        self._listed = MemoryLog(partitions)
        self._matcher = MemoryRunner(matching, (), self._listed, max_value=max_value)
        self._tables = self._runner.tables | self._matcher.tables
        self.lessons = {spec.name: _lessons(spec, max_value) for spec in MODELS}
        self.cleaned: dict[str, Origins] = {}
        self.listed: Tellings = {}

    async def obey(self, order: ControlModel) -> None:
        """No test gives orders to a model."""

    async def run(
        self, sources: Mapping[str, Sequence[Raw]], training: Mapping[str, Sequence[Raw]], listed: Sequence[Raw]
    ) -> None:
        """Replay the sources, then the training topics and the listed films as they lie on the broker."""
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
        self.listed = by_key(self.log.records(LISTED))
        (place,) = self._listed.topics[LISTED]
        place += listed
        await self._matcher.settle()

    def state(self, model: str) -> bytes:
        """The model's state."""
        return self.lessons[model].learner.to_bytes()

    def rows(self, table: str) -> Rows:
        """A table's rows without marks: offsets of topics in between are no run's own."""
        return without_marks(self._tables[table].stored)

    async def documents(self) -> dict[str, list[dict[str, Any]]]:
        """Every document, by collection."""
        return {name: by_id(await self.store.documents[name].find({})) for name in PROJECTIONS}


def _lessons(spec: ModelSpec, max_value: int) -> Lessons:
    return Lessons(spec, spec.new(), -1, Reader(spec.types, 1, max_value * 2, placed=False))


def by_origin(training: Sequence[Raw]) -> Origins:
    """Training records by the origin that they were made of, each once.

    Raises AssertionError where two of one origin differ, or one is first seen after a later one: the learner's
    watermark would pass over it.
    """
    found: Origins = {}
    newest: dict[int | str, int] = {}
    for raw in training:
        assert raw.value is not None
        origin = msgspec.json.decode(raw.value, type=_Origin)
        place = whose, number = origin.place()
        if place in found:
            assert found[place] == raw.value, f"{raw.position}: another record of the same origin {place}"
            continue
        # A person who was forgotten is a mark for every item of theirs.
        before = max(newest.get(whose, -1), newest.get(origin.celebrity_id or "", -1))
        assert number > before, f"{raw.position}: {place} comes too late"
        newest[whose] = number
        found[place] = raw.value
    return found


def by_key(records: Sequence[Raw]) -> Tellings:
    """What is told under each key, in order, each event once: its id and value.

    Raises AssertionError where two events of one id differ.
    """
    found: dict[bytes, dict[bytes, bytes]] = defaultdict(dict)
    for raw in records:
        assert raw.key is not None
        assert raw.value is not None
        (event,) = [value for name, value in raw.headers if name == "ce_id"]
        assert found[raw.key].setdefault(event, raw.value) == raw.value, f"{raw.position}: another event of {event!r}"
    return {key: list(events.items()) for key, events in found.items()}


def without_marks(table: Mapping[int, Mapping[bytes, bytes]]) -> Rows:
    """The rows of a table that are state; a partition without any is left out."""
    rows = {
        partition: {key: value for key, value in held.items() if not key.startswith(MARK_PREFIX.encode())}
        for partition, held in table.items()
    }
    return {partition: held for partition, held in rows.items() if held}

"""Runs the stages over archived records without a broker in between, through the code that runs them live."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol

from app.delivery.guard import Reader
from app.delivery.producer import Sender
from app.delivery.raw import Raw, as_filler
from app.delivery.stage_worker import StageTable, StageWorker
from app.embedded.lasting import lasting
from app.embedded.reached import Outcomes, Reaching
from app.learning.lessons import Lessons, ModelSpec
from app.topology import Kind, Stage, Topology

DOCUMENTS_BATCH: Final = 20_000
"""Events whose documents are written together: the latest prediction of a film is then written once for many."""


class Feed(Protocol):
    """What takes the records of one topic, in order."""

    async def process(self, batch: Sequence[Raw]) -> None:
        """Take some."""

    async def close(self) -> None:
        """Finish what is in hand."""


class Replay:
    """The stages and models of one part, fed topic by topic."""

    def __init__(self) -> None:
        self._positions: dict[tuple[str, int], int] = {}
        self._feeds: dict[str, list[Feed]] = {}

    @property
    def positions(self) -> dict[tuple[str, int], int]:
        """The offset before which no stage has anything to do, of each partition that was fed."""
        reaching = (feed for feeds in self._feeds.values() for feed in feeds if isinstance(feed, Reaching))
        return self._positions | {place: first for feed in reaching for place, first in feed.waiting.items()}

    def add(self, topic: str, feed: Feed) -> None:
        """Let something take the records of a topic."""
        self._feeds.setdefault(topic, []).append(feed)

    async def process(self, topic: str, batch: Sequence[Raw]) -> None:
        """Give records to everything in this part that reads their topic."""
        feeds = self._feeds.get(topic)
        if feeds is None:
            return
        for feed in feeds:
            await feed.process(batch)
        for raw in batch:
            self._positions[topic, raw.partition] = raw.offset + 1

    async def close(self) -> None:
        """Return when everything that was given is done."""
        for feeds in self._feeds.values():
            for feed in feeds:
                await feed.close()


class Deciding:
    """A stage that decides, as it runs live."""

    def __init__(self, worker: StageWorker) -> None:
        self._worker = worker

    async def process(self, batch: Sequence[Raw]) -> None:
        """Decide."""
        await self._worker.process(batch)

    async def close(self) -> None:
        """Nothing is in hand."""


class Keeping:
    """A stage that writes documents: in large batches, while the other stages go on."""

    def __init__(self, worker: StageWorker, size: int = DOCUMENTS_BATCH) -> None:
        self._worker = worker
        self._size = size
        self._waiting: list[Raw] = []
        self._writing: asyncio.Task[None] | None = None

    async def process(self, batch: Sequence[Raw]) -> None:
        """Collect, and write what is collected once it is worth it."""
        self._waiting += batch
        if len(self._waiting) >= self._size:
            await self._write()

    async def close(self) -> None:
        """Write the rest."""
        await self._write()
        await self._written()

    async def _write(self) -> None:
        await self._written()
        if self._waiting:
            self._writing = asyncio.create_task(self._worker.process(self._waiting))
            self._waiting = []

    async def _written(self) -> None:
        if self._writing is not None:
            await self._writing
            self._writing = None


class Skipping:
    """A stage whose effects are there already: only its marks are moved."""

    def __init__(self, worker: StageWorker) -> None:
        self._worker = worker
        self._last: dict[int, Raw] = {}

    async def process(self, batch: Sequence[Raw]) -> None:
        """Note how far it went."""
        for raw in batch:
            self._last[raw.partition] = raw

    async def close(self) -> None:
        """Move the marks: a record that only holds a place is passed over, which is all that is wanted."""
        if self._last:
            await self._worker.process([as_filler(raw) for raw in self._last.values()])


class Learning:
    """A model that learns its lessons again."""

    def __init__(self, lessons: Lessons, sender: Sender) -> None:
        self.lessons = lessons
        self._sender = sender

    async def process(self, batch: Sequence[Raw]) -> None:
        """Learn, and send the answers."""
        await self._sender.send(self.lessons.apply(batch))

    async def close(self) -> None:
        """Nothing is in hand."""


class _NothingElse:
    """Offsets that the archive lacks are nowhere else either."""

    async def beginning(self, topic: str, partition: int) -> int:
        """Every partition is read from its start."""
        return 0

    async def read(self, topic: str, partition: int, start: int, stop: int) -> Sequence[Raw]:
        """Nothing."""
        return ()


class Workers:
    """Makes the workers of stages as the runner makes them, over other tables and another way out."""

    def __init__(
        self,
        tables: Mapping[str, StageTable],
        sender: Sender,
        counts: Mapping[str, int],
        max_value: int,
        attempts: int,
    ) -> None:
        self._tables, self._sender, self._counts = tables, sender, counts
        self._max_value, self._attempts = max_value, attempts

    def worker(self, stage: Stage) -> StageWorker:
        """The worker of a stage that keeps a table."""
        assert stage.table is not None
        return StageWorker(
            stage,
            self._tables[stage.table.name],
            [self._tables[spec.name] for spec in stage.looks_up],
            self._sender,
            _NothingElse(),
            Reader(stage.reads, self._counts[stage.topic], self._max_value, placed=bool(stage.table.sections)),
            self._attempts,
            stopping=lambda: False,
        )

    def reaching(self, stage: Stage, outcomes: Outcomes) -> Reaching:
        """What takes the place of a stage that asks the outside world, which has answered before."""
        assert stage.table is not None
        looked_up = [self._tables[spec.name] for spec in stage.looks_up]
        reader = Reader(stage.reads, self._counts[stage.topic], self._max_value, placed=bool(stage.table.sections))
        return Reaching(stage, self._tables[stage.table.name], looked_up, reader, self._sender, outcomes)

    def skipping(self, stage: Stage) -> StageWorker:
        """The worker of a stage that does nothing but move its marks."""
        return self.worker(replace(stage, run=_nothing, kind=Kind.KEEP))

    def lessons(self, spec: ModelSpec) -> Lessons:
        """A new model."""
        return Lessons(spec, spec.new(), -1, Reader(spec.types, 1, self._max_value * 2, placed=False))


async def _nothing(batch: Sequence[Any]) -> None:
    return None


def split(topology: Topology) -> tuple[list[Stage], list[Stage]]:
    """The stages in two parts that need not wait for each other: what learns with all that follows, and the rest.

    A training topic that stands in the archive need not wait for the stages that made it. What the face model learns
    from does not, and is made in the other part.
    """
    after = {stage.topic for stage in topology.stages if stage.kind is Kind.LEARN} & lasting(topology)
    grew = True
    while grew:
        emitted = {made.topic for stage in topology.stages if stage.topic in after for made in stage.emits}
        grew = not emitted <= after
        after |= emitted
    follows = [stage for stage in topology.stages if stage.topic in after]
    return follows, [stage for stage in topology.stages if stage.topic not in after]


def feeding_order(stages: Iterable[Stage], archived: Iterable[str]) -> list[str]:
    """The archived topics that stages read: first those that stages make, then the sources, facts before ratings.

    A stage has had all that the archive has of its topic before another stage may add to it: what is added comes
    behind, and whatever is fed later of before would be taken for a repeat.
    """
    stages = list(stages)
    present = set(archived)
    made = {record.topic for stage in stages for record in stage.emits}
    read = dict.fromkeys(stage.topic for stage in stages if stage.topic in present)
    order: dict[str, None] = {}

    def put(topic: str, above: tuple[str, ...]) -> None:
        adds = {record.topic: None for stage in stages if stage.topic == topic for record in stage.emits}
        for other in adds:
            # Films go round in a circle: a mention's rating may make a film known. There the order of stages decides.
            if other in read and other not in order and other not in (*above, topic):
                put(other, (*above, topic))
        order[topic] = None

    for topic in sorted(read, key=lambda topic: topic not in made):
        if topic not in order:
            put(topic, ())
    return list(order)

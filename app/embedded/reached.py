"""Takes up again what stages had asked of the outside world: what was answered is remembered, the rest is left open."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from agents.messages import Message
from app.delivery.guard import Misplaced, Reader, forwarded
from app.delivery.producer import Sender
from app.delivery.raw import Raw
from app.delivery.stage_worker import StageTable
from app.delivery.table import PartitionRows, Section
from app.embedded.history import records
from app.embedded.partition_log import archived_topics
from app.stage import Stage
from schemas.base import Record, Rejected
from schemas.catalogue import decode, topics
from schemas.envelope import read_envelope
from schemas.events import DeadLettered

GIVEN_UP: Final = "given up"
"""The outcome of what has become a dead letter."""

Outcomes = dict[str, str]
"""How asking went, by the id of the event that asked."""


def outcomes_of(directory: Path, stage: Stage) -> Outcomes:
    """What an archive says of what a stage has asked. Raises ArchiveDamagedError."""
    found: Outcomes = {}
    archived = set(archived_topics(directory))
    assert stage.outcome is not None
    for topic in {record.topic for record in stage.emits} & archived:
        for cause, said in _said(directory, topic):
            outcome = stage.outcome(said)
            # A kill may have come between two answers; the one that has a picture is what others have heard of.
            if outcome is not None and found.get(cause) != "fetched":
                found[cause] = outcome
    for cause, said in _said(directory, DeadLettered.topic) if DeadLettered.topic in archived else ():
        if isinstance(said, DeadLettered) and said.stage == stage.name:
            found.setdefault(cause, GIVEN_UP)
    return found


def _said(directory: Path, topic: str) -> Any:
    types = tuple(topics()[topic])
    for raw in records(directory, topic):
        envelope, dataschema = read_envelope(raw.headers, raw.position)
        if raw.value is None or envelope.causation_id is None:
            continue
        try:
            yield envelope.causation_id, decode(raw.value, types, dataschema)
        except Rejected:
            continue


class Reaching:
    """A stage that asks the outside world, made again from what it was answered.

    Its mark ends behind the last event; those that nobody has answered are left open, for the worker to ask again.
    """

    def __init__(
        self,
        stage: Stage,
        table: StageTable,
        looked_up: Sequence[StageTable],
        reader: Reader,
        sender: Sender,
        outcomes: Mapping[str, str],
    ) -> None:
        assert stage.table is not None
        self._stage = stage
        self._sections = stage.table.sections
        self._table = table
        self._looked_up = tuple(zip(looked_up, (spec.sections for spec in stage.looks_up), strict=True))
        self._reader, self._sender, self._outcomes = reader, sender, outcomes
        self._open: defaultdict[int, list[int]] = defaultdict(list)

    @property
    def waiting(self) -> dict[tuple[str, int], int]:
        """The first event of each partition that is left open."""
        return {(self._stage.topic, partition): min(offsets) for partition, offsets in self._open.items() if offsets}

    async def process(self, batch: Sequence[Raw]) -> None:
        """Remember answers, and note what has none."""
        rows = {partition: self._table.rows(partition) for partition in {raw.partition for raw in batch}}
        views = {partition: self._views(partition, own) for partition, own in rows.items()}
        for raw in batch:
            own = rows[raw.partition]
            if not raw.is_filler and await self._is_open(raw, views[raw.partition]):
                self._open[raw.partition].append(raw.offset)
            own.save()
        for partition, last in {raw.partition: raw for raw in batch}.items():
            if self._open[partition]:
                rows[partition].leave_open(last.topic, self._open[partition])
            rows[partition].set_mark(last.topic, last.offset)
            await self._table.write(partition, rows[partition].batch)

    async def close(self) -> None:
        """Nothing is in hand."""

    async def _is_open(self, raw: Raw, views: tuple[Section[Any], ...]) -> bool:
        try:
            message: Message[Record] = self._reader.read(raw)
        except Misplaced as misplaced:
            await self._sender.send([forwarded(raw, misplaced.key)])
            return False
        except Rejected:
            return read_envelope(raw.headers, raw.position)[0].id not in self._outcomes
        outcome = self._outcomes.get(message.envelope.id)
        assert self._stage.recall is not None
        return outcome != GIVEN_UP and self._stage.recall(message, outcome, *views)

    def _views(self, partition: int, own: PartitionRows) -> tuple[Section[Any], ...]:
        tables = [(own, self._sections), *((table.rows(partition), sections) for table, sections in self._looked_up)]
        return tuple(Section(rows, prefix, entity) for rows, sections in tables for prefix, entity in sections.items())

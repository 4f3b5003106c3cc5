"""Apply training records to a model and make the events of its answers; no broker needed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from agents.messages import Message
from app.delivery.guard import Reader, dead_letter, outgoing
from app.delivery.producer import Outgoing
from app.delivery.raw import Raw
from app.observe import metrics
from schemas.base import Record, Rejected

log = logging.getLogger(__name__)


class Learner(Protocol):
    """A model with everything that it has to remember; deterministic given the order of its records."""

    @property
    def name(self) -> str:
        """The model's name."""

    def observe(self, record: Any) -> Record | None:
        """Predict for a record and learn what has become known; None for one that was applied before."""

    def to_bytes(self) -> bytes:
        """The whole state; equal logs give equal bytes."""


@dataclass(frozen=True)
class ModelSpec:
    """Which records a model learns from, under which stage, and how it is made: new, or of a snapshot's bytes."""

    name: str
    stage: str
    reads: type[Record]
    new: Callable[[], Learner]
    load: Callable[[bytes], Learner]
    also: tuple[type[Record], ...] = ()
    """Further record types of the same topic."""

    @property
    def types(self) -> tuple[type[Record], ...]:
        """Every record type that the model learns from."""
        return (self.reads, *self.also)


@dataclass
class Lessons:
    """A model in its owner's hands; `applied` is the last offset of the training topic that is in it."""

    spec: ModelSpec
    learner: Learner
    applied: int
    reader: Reader
    learnt: int = 0

    def apply(self, batch: Sequence[Raw]) -> list[Outgoing]:
        """The events that a stretch of the training topic gives, in order."""
        out: list[Outgoing] = []
        for raw in batch:
            if raw.offset <= self.applied:
                continue
            said = None if raw.is_filler else self._one(raw)
            if said is not None:
                out.append(said)
            self.applied = raw.offset
        self.learnt += len(batch)
        metrics.LESSONS.labels(self.spec.name).inc(len(batch))
        metrics.EVENTS.labels(self.spec.stage).inc(len(batch))
        return out

    def _one(self, raw: Raw) -> Outgoing | None:
        try:
            message: Message[Record] = self.reader.read(raw)
        except Rejected as error:
            metrics.DEAD_LETTERS.labels(self.spec.stage, "rejected").inc()
            return dead_letter(raw, self.spec.stage, "rejected", error, 1)
        try:
            said = self.learner.observe(message.data)
        except Exception as error:
            # It would fail at this record after every restart; what it did to the state before, it does every time.
            log.exception("%s: %s becomes a dead letter", self.spec.stage, raw.position)
            metrics.DEAD_LETTERS.labels(self.spec.stage, "failed").inc()
            return dead_letter(raw, self.spec.stage, "failed", error, 1)
        if said is None:
            metrics.DUPLICATES.labels(self.spec.stage).inc()
            return None
        return outgoing(said, self.spec.stage, message, 0)

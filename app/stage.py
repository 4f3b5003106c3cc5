"""What a row of the topology is: a stage, what it reads, the function that runs, and what it may emit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from schemas.base import Entity, Layout, Record


class Kind(StrEnum):
    """What a stage may do, and so what repeating it does."""

    DECIDE = "decide"
    """Pure given its table: (message, *sections) -> events. Safe to repeat."""
    KEEP = "keep"
    """Idempotent writes by deterministic id: (messages) -> None. Safe to repeat."""
    REACH = "reach"
    """Asks the outside world for a batch at once; its answers are events, and a replay starts from those."""
    LEARN = "learn"
    """One ordered writer per model, with its own recovery (`app/learning`)."""


@dataclass(frozen=True)
class TableSpec:
    """A table: its name and the kinds of row in it, each under a key prefix."""

    name: str
    sections: dict[str, type[Entity]]


@dataclass(frozen=True)
class Stage:
    """One row of the topology."""

    name: str
    reads: tuple[type[Record], ...]
    kind: Kind
    run: Callable[..., AsyncIterator[Record]] | Callable[..., Awaitable[None]] | None = None
    emits: tuple[type[Record], ...] = ()
    table: TableSpec | None = None
    looks_up: tuple[TableSpec, ...] = ()
    batch: int = 2000
    patient: bool = False
    """Whether it may wait for larger batches, since no event comes of it that others wait for."""
    aside: bool = False
    """Whether it lies aside of the way from a rating to its prediction, though other stages wait for it: it waits half
    as long as a patient one, and what it reads ends no fetch."""
    ask: Callable[..., Awaitable[Any]] | None = None
    """The asking half of what REACHes: (message, *sections) -> the answer that `run` gets after the message."""
    outcome: Callable[[Record], str | None] | None = None
    """What an event of what REACHes says of how the asking went; None where it is no answer."""
    recall: Callable[..., bool] | None = None
    """Remembers how the asking went before: (message, outcome, *sections) -> whether it is yet to be asked."""

    @property
    def topic(self) -> str:
        """The topic that the stage reads."""
        return self.reads[0].topic

    @property
    def layout(self) -> Layout:
        """How that topic is cut, which is also how the stage's table is cut."""
        return self.reads[0].layout


@dataclass(frozen=True)
class Topology:
    """Every stage, in the order in which an event meets them."""

    stages: tuple[Stage, ...]
    _by_name: dict[str, Stage] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {stage.name: stage for stage in self.stages})

    def __getitem__(self, name: str) -> Stage:
        return self._by_name[name]

    @property
    def tables(self) -> dict[str, tuple[TableSpec, Layout]]:
        """Each table with the layout of the topic that feeds it."""
        return {stage.table.name: (stage.table, stage.layout) for stage in self.stages if stage.table}

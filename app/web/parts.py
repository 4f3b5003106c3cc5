"""What the web needs of a worker, so that tests can stand in for one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from faust.types import TP

from app.delivery.producer import Sender
from app.delivery.table import PartitionRows
from app.learning.lessons import Lessons, ModelSpec
from app.settings import Settings
from app.topology import Topology


class Table(Protocol):
    """A table of this worker."""

    def rows(self, partition: int) -> PartitionRows:
        """One partition that this worker owns."""


class Learning(Protocol):
    """A model's learner in this worker."""

    spec: ModelSpec
    lessons: Lessons | None

    @property
    def lag(self) -> int | None:
        """Training records that wait; None where another worker has the model."""

    @property
    def applied(self) -> int | None:
        """The last training record whose events are on the brokers; None where another worker has the model."""


def owned_model(learning: Learning) -> Any:
    """The model itself where this worker owns it, else None: model_version, counts(), metrics(), curve()."""
    return None if learning.lessons is None else learning.lessons.learner


class Ages(Protocol):
    """What the snapshot keeper remembers."""

    newest_at: dict[str, float]


class Thumbnails(Protocol):
    """`app.pictures.service.PictureService` as the web uses it."""

    async def thumbnail(self, sha256: str) -> Path | None:
        """The small copy of a disarmed picture. Raises Unavailable."""


class WorkerParts(Protocol):
    """The parts of `app.worker.Worker` that the web reads."""

    settings: Settings
    partitions: dict[str, int]
    app: Any
    topology: Topology
    prepared: bool

    @property
    def store(self) -> Any:
        """The documents that people query."""

    @property
    def producer(self) -> Sender:
        """The way into Kafka."""

    @property
    def pictures(self) -> Thumbnails:
        """Where small copies of pictures come from."""

    @property
    def keeper(self) -> Ages:
        """Where snapshots go."""

    @property
    def tables(self) -> Mapping[str, Table]:
        """Each table by its name."""

    @property
    def learners(self) -> Mapping[str, Learning]:
        """Each model's learner by the model's name."""

    async def apply(self, settings: Settings) -> int:
        """Go on with other connectors, films and people; how many of those are new."""

    @property
    def gate_open(self) -> bool:
        """Whether source events are being read."""


@dataclass(frozen=True)
class Spot:
    """A stage at one partition: `lag` is None until the broker has said where the partition ends."""

    stage: str
    topic: str
    partition: int
    applied: int | None
    end: int | None

    @property
    def lag(self) -> int | None:
        """Records that wait for the stage."""
        if self.end is None:
            return None
        return max(0, self.end - 1 - (self.applied if self.applied is not None else -1))

    @property
    def source(self) -> TP:
        """The partition."""
        return TP(self.topic, self.partition)

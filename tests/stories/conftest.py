"""A whole film pipeline in memory."""

from __future__ import annotations

import pytest

from app.learning.specs import MODELS
from app.memory import MemoryLog, MemoryRunner
from app.storage.memory import MemoryStore
from app.topology import Ports, film_topology
from schemas.commands import ControlModel
from schemas.events import RatingObserved


class Story:
    """Push records, let everything settle, look at what came of it."""

    def __init__(self, partitions: int = 4) -> None:
        self.now = 1_700_000_000_000
        self.log = MemoryLog(partitions, clock=lambda: self.now)
        self.store = MemoryStore()
        self.orders: list[ControlModel] = []
        topology = film_topology(Ports(self.store.projections, self))
        self.runner = MemoryRunner(topology, MODELS, self.log)

    async def obey(self, order: ControlModel) -> None:
        self.orders.append(order)

    async def rate(self, film: str, record: str, value: float, **fields: object) -> None:
        base = {"source": "ml", "best": 5.0, "worst": 0.5} | fields
        self.runner.push(RatingObserved(film_id=film, source_record_id=record, value=value, **base))  # type: ignore[arg-type]
        await self.runner.settle()


@pytest.fixture
def story() -> Story:
    return Story()

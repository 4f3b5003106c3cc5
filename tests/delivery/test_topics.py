"""Topics that were there before: others may mend them at the same moment."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka.errors import InvalidPartitionsError

from agents.errors import MustStopError
from app.delivery import topics
from app.settings import Settings


class Brokers:
    """An admin client of brokers on which another worker adds the partitions first."""

    def __init__(self, count: int, others: int) -> None:
        self.count, self.others, self.asked = count, others, 0

    async def describe_topics(self, names: list[str]) -> list[dict[str, Any]]:
        return [{"topic": name, "partitions": [{}] * self.count} for name in names]

    async def create_partitions(self, grow: dict[str, Any]) -> None:
        self.asked += 1
        self.count = self.others
        raise InvalidPartitionsError("Topic already has that many partitions.")


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "GROWTH_SECONDS", 0.0)


async def test_a_worker_that_starts_with_others_takes_the_partitions_that_they_added() -> None:
    brokers = Brokers(1, others=3)
    await topics._check(brokers, {"ratings": 3}, {"ratings"}, Settings())
    assert brokers.asked == 1


async def test_partitions_that_cannot_be_added_are_no_endless_wait() -> None:
    brokers = Brokers(1, others=1)
    with pytest.raises(InvalidPartitionsError):
        await topics._check(brokers, {"ratings": 3}, {"ratings"}, Settings())
    assert brokers.asked == topics.GROWTH_TRIES


async def test_more_partitions_than_are_needed_are_refused_whoever_made_them() -> None:
    with pytest.raises(MustStopError, match="has 7 partitions, 3 are needed"):
        await topics._check(Brokers(1, others=7), {"ratings": 3}, {"ratings"}, Settings())

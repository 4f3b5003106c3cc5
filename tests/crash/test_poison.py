"""Poison on every topic that is read: each becomes a dead letter with a reason, and what is around it is processed."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import pytest

from app.learning.specs import MODELS
from app.memory import MemoryLog, MemoryRunner
from app.storage.memory import MemoryStore
from app.topology import Ports, film_topology
from schemas.commands import ControlModel
from tests.crash.good import GOOD, URL
from tests.crash.poison import Poison, poisons, read_types
from tests.stories.pictures import FakePictures

PARTITION = 0


class Desk:
    """Notes orders."""

    def __init__(self) -> None:
        self.orders: list[ControlModel] = []

    async def obey(self, order: ControlModel) -> None:
        self.orders.append(order)


class Poisoned:
    """The whole topology in memory, with one partition, so that poison is in everybody's way."""

    def __init__(self) -> None:
        self.log = MemoryLog(1)
        self.store = MemoryStore()
        self.pictures = FakePictures()
        ports = Ports(
            self.store.projections,
            Desk(),
            people=self.store.pictures,
            pictures=self.pictures,
            files=self.pictures,
            collecting=self.store.collecting,
        )
        topology = film_topology(ports)
        self.runner = MemoryRunner(topology, MODELS, self.log)

    async def swallow(self, poison: Poison) -> list[dict[str, Any]]:
        """Put it on its topic; the dead letters that came of it."""
        before = len(self.log.records("dead-letters"))
        self.log.append(poison.topic, poison.key, poison.value, list(poison.headers), PARTITION)
        await self.runner.settle()
        return [json.loads(raw.value or b"") for raw in self.log.records("dead-letters")[before:]]

    async def rate(self, n: int) -> None:
        """A good rating, whose prediction must come."""
        rating = {**GOOD["ratings"][0].value, "source_record_id": f"good-{n}"}
        raw = self.log.append("ratings", rating["film_id"].encode(), json.dumps(rating).encode(), [])
        await self.runner.settle()
        last = json.loads(self.log.records("rating-predictions")[-1].value or b"")
        assert last["cause_id"] == raw.position


def test_there_is_a_good_record_for_every_topic_that_is_read() -> None:
    assert {topic: {good.value.get("type", "") for good in every} for topic, every in GOOD.items()} == read_types()


async def test_every_good_record_makes_no_dead_letter() -> None:
    for topic, every in GOOD.items():
        poisoned = Poisoned()
        # The picture lies where examinations look for it.
        await poisoned.pictures.fetch(URL)
        for good in every:
            letters = await poisoned.swallow(Poison("good", topic, json.dumps(good.value).encode()))
            assert letters == [], (topic, good.value)


async def test_every_poison_becomes_a_dead_letter_of_each_stage_that_reads_it() -> None:
    poisoned, wrong = Poisoned(), defaultdict(list)
    for n, poison in enumerate(poisons(), 1):
        letters = await poisoned.swallow(poison)
        stages = sorted(letter["stage"] for letter in letters)
        if stages != poison.stages:
            wrong[poison.topic].append((poison.name, stages))
        for letter in letters:
            assert letter["reason"] in {"rejected", "failed"}
            if poison.reason not in letter["error"]:
                wrong[poison.topic].append((poison.name, letter["error"]))
        await poisoned.rate(n)
    assert dict(wrong) == {}


@pytest.mark.parametrize("topic", sorted(GOOD))
async def test_a_dead_letter_holds_the_record_whole(topic: str) -> None:
    (poison,) = [p for p in poisons() if p.topic == topic and p.name == "a key that is not UTF-8"]
    letter = (await Poisoned().swallow(poison))[0]
    assert letter["origin_topic"] == topic
    assert letter["key_base64"] == "//4A"
    assert letter["value_bytes"] == len(poison.value or b"")

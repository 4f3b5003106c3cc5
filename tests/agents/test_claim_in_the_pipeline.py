"""The claim stage under its runner: crashes, redelivery and moves leave the table and the events of a straight run."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from agents.claim import claim
from agents.claims import ClaimIndex, ClaimsRevision
from agents.messages import Message
from app.delivery.table import Rows
from app.memory import MemoryLog, MemoryRunner
from app.topology import Kind, Stage, TableSpec, Topology
from schemas.base import Record
from schemas.entities import Claim, ClaimedItem, ForgottenPerson
from schemas.pictures import (
    ForgetCelebrity,
    ImageAccepted,
    ImageFetched,
    ImageRejected,
    ImageWithdrawn,
    PersonForgotten,
    RuleImage,
)
from tests.agents.pictures import HANKS, MEG, NEIL, fetched, forget, image_id, keep, reject

TOPICS = ("images-accepted", "images-rejected", "images-examined", "dead-letters")


class Crash(Exception):  # noqa: N818
    """The worker is gone."""


class Story:
    """One worker after another on one log and one table; the cache may outlive a worker, as it does a batch."""

    def __init__(self, batch: int = 7, index: ClaimIndex | None = None) -> None:
        self.log = MemoryLog(2)
        self.index = ClaimIndex() if index is None else index
        self.poison: set[int] = set()
        run = partial(self.claim, index=self.index)
        sections = {"item|": ClaimedItem, "image|": Claim, "revision|": ClaimsRevision, "gone|": ForgottenPerson}
        emits = (ImageAccepted, ImageRejected, ImageWithdrawn, PersonForgotten)
        reads = (ImageFetched, RuleImage, ForgetCelebrity)
        row = Stage("claim", reads, Kind.DECIDE, run, emits, TableSpec("claims", sections))
        self.runner = MemoryRunner(Topology((row,)), (), self.log, batch)
        self.table = self.runner.tables["claims"]
        self._write = self.table.write

    async def claim(self, message: Message[Any], *sections: Any, index: ClaimIndex) -> AsyncIterator[Record]:
        """As the stage; some events fail after it, with their rows already written."""
        async for event in claim(message, *sections, index=index):
            yield event
        if message.offset in self.poison:
            raise ValueError("poison")

    def crash_before_writing(self) -> None:
        """The next batch gets its events out, and dies before its state is safe."""

        async def write(partition: int, rows: Rows) -> None:
            self.table.write = self._write  # type: ignore[method-assign]
            raise Crash

        self.table.write = write  # type: ignore[method-assign]

    def push(self, *records: Record) -> None:
        for record in records:
            self.runner.push(record)

    async def settle(self) -> None:
        while True:
            try:
                return await self.runner.settle()
            except Crash:
                continue

    def events(self) -> dict[tuple[str, bytes], bytes]:
        """Events by topic and id; one that came twice came with the same content."""
        found: dict[tuple[str, bytes], bytes] = {}
        for topic in TOPICS:
            for raw in self.log.records(topic):
                key = (topic, dict(raw.headers)["ce_id"])
                # A dead letter also says when.
                content = b"" if topic == "dead-letters" else raw.value or b""
                assert found.setdefault(key, content) == content
        return found

    def state(self) -> dict[bytes, bytes]:
        return self.table.stored[0]


def history(seed: int, events: int = 150, motifs: int = 8) -> list[Record]:
    """Fetches of few motifs for three people, so that copies and conflicts are many, and what people say of them."""
    rng = random.Random(seed)
    made: list[Record] = []
    pictures: list[ImageFetched] = []
    for _ in range(events):
        word = rng.random()
        if word < 0.03:
            made.append(forget(rng.choice((HANKS, MEG))))
        elif word < 0.3 and pictures:
            made.append(rng.choice((keep, reject))(rng.choice(pictures)))
        else:
            person = rng.choice((HANKS, MEG, NEIL))
            pictures.append(fetched(person, rng.randrange(motifs), rng.randrange(4), at=f"{rng.randrange(120)}"))
            made.append(pictures[-1])
    return made


async def run(story: Story, records: list[Record], crashes: set[int] | None = None) -> Story:
    for n, record in enumerate(records):
        story.push(record)
        if n in (crashes or ()):
            story.crash_before_writing()
        if n % 10 == 9:
            await story.settle()
    await story.settle()
    return story


class Forgetful(ClaimIndex):
    """Made anew for every event."""

    async def follow(self, images: Any, revision: str) -> Any:
        self._revision = None
        return await super().follow(images, revision)


@pytest.mark.parametrize("seed", range(4))
async def test_the_cache_decides_as_one_that_is_made_anew_for_every_event(seed: int) -> None:
    records = history(seed)
    cached, anew = await run(Story(), records), await run(Story(index=Forgetful()), records)
    assert cached.events() == anew.events()
    assert cached.state() == anew.state()
    assert cached.index.rebuilds == 1


@pytest.mark.parametrize("seed", range(4))
async def test_crashes_between_events_and_state_leave_what_a_straight_run_leaves(seed: int) -> None:
    records = history(seed)
    straight = await run(Story(batch=10), records)
    crashed = await run(Story(batch=10), records, crashes={5, 17, 18, 60, 99})
    assert crashed.events() == straight.events()
    assert crashed.state() == straight.state()
    assert crashed.index.rebuilds > 1


async def test_an_event_that_is_undone_leaves_no_claim_in_the_cache() -> None:
    story = Story()
    story.poison = {0}
    story.push(fetched(HANKS, 1), fetched(MEG, 1), fetched(MEG, 1, copy=1))
    await story.settle()
    assert [topic for topic, _ in story.events()] == ["images-accepted", "images-rejected", "dead-letters"]
    assert [key for key in story.state() if key.startswith(b"image|")] == [f"image|{image_id(1)}".encode()]
    assert len(story.index) == 1


@pytest.mark.parametrize("seed", range(3))
async def test_undone_events_leave_the_cache_in_step_with_the_table(seed: int) -> None:
    records = history(seed, motifs=50)
    stories = [Story(), Story(index=Forgetful())]
    for story in stories:
        story.poison = set(range(1, 150, 4))
        await run(story, records)
    assert stories[0].state() == stories[1].state()


async def test_a_cache_that_another_worker_left_behind_is_made_anew() -> None:
    story = Story()
    story.push(fetched(HANKS, 1), fetched(HANKS, 2))
    await story.settle()
    here = dict(story.state())
    # Another worker has the partition, goes on with it, and gives it back.
    away = Story()
    away.table.stored[0] = dict(here)
    away.log.topics["images-fetched"] = [list(story.log.topics["images-fetched"][0])]
    away.push(reject(fetched(HANKS, 1)), fetched(HANKS, 3))
    await away.settle()
    story.log.topics["images-fetched"] = [list(away.log.topics["images-fetched"][0])]
    story.table.stored[0] = dict(away.state())
    story.push(fetched(MEG, 1), fetched(MEG, 2), fetched(MEG, 3))
    await story.settle()
    assert len(story.index) == 3
    accepted = [raw.key for raw in story.log.records("images-accepted")]
    assert accepted.count(MEG.encode()) == 1
    assert len(story.log.records("images-rejected")) == 2


async def test_a_redelivered_picture_is_answered_from_the_table_with_the_id_that_its_cause_gives() -> None:
    story = Story()
    raw = story.runner.push(fetched(HANKS, 1), ce_id="cause")
    await story.settle()
    story.log.append(raw.topic, raw.key, raw.value, raw.headers)
    await story.settle()
    assert len(story.log.records("images-accepted")) == 2
    assert len(story.events()) == 1
    assert len(story.index) == 1


async def test_two_people_with_one_picture_are_a_conflict_until_a_ruling_ends_it() -> None:
    story = Story()
    theirs, hers = fetched(HANKS, 1), fetched(MEG, 1, copy=2)
    story.push(theirs, hers)
    await story.settle()
    story.push(keep(hers, "Meg"), reject(theirs, "not Tom"))
    await story.settle()
    kinds = [topic for topic, _ in story.events()]
    assert kinds == ["images-accepted", "images-accepted", "images-rejected", "images-examined"]
    assert [key for key in story.state() if key.startswith(b"image|")] == [f"image|{image_id(1, 2)}".encode()]

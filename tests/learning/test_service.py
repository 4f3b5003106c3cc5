"""The learner learns a batch while the one before is on its way, and never says more than what has arrived."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any, Final

import pytest
from aiokafka import TopicPartition

from app.delivery.guard import Reader
from app.delivery.producer import Outgoing
from app.delivery.raw import Raw
from app.learning import service as learning
from app.learning.lessons import Lessons
from app.learning.service import LearnerService
from app.learning.snapshots import SnapshotKeeper
from app.learning.specs import MODELS
from app.storage.memory import MemoryStore
from schemas.catalogue import encode
from schemas.events import RatingCleaned

SPEC: Final = MODELS[0]
BATCH: Final = 5
PATIENCE: Final = 30.0


def lesson(n: int) -> Raw:
    """The n-th record of the training topic, as a consumer gives it."""
    record = RatingCleaned(
        film_id=f"tt{n % 3:07d}",
        source="x",
        source_record_id=str(n),
        score=float(n % 10),
        kind="single",
        ordinal=n // 3 + 1,
        partition=0,
        offset=n,
        cause_id=str(n),
        received_at="2026-01-01T00:00:00.000Z",
    )
    return Raw(SPEC.reads.topic, 0, n, 0, record.key.encode(), encode(record), [])


class Topic:
    """A consumer of a training topic in memory."""

    def __init__(self, lessons: int) -> None:
        self.lessons = lessons
        self.position = 0

    def __call__(self, **settings: Any) -> Topic:
        return self

    async def start(self) -> None:
        """There is nothing to reach."""

    async def stop(self) -> None:
        """Nor to leave."""

    def assign(self, targets: list[TopicPartition]) -> None:
        """There is one partition."""

    async def beginning_offsets(self, targets: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(targets, 0)

    def seek(self, target: TopicPartition, offset: int) -> None:
        self.position = offset

    def highwater(self, target: TopicPartition) -> int:
        return self.lessons

    async def getmany(
        self, target: TopicPartition, timeout_ms: int, max_records: int
    ) -> dict[TopicPartition, list[Any]]:
        start, self.position = self.position, min(self.lessons, self.position + max_records)
        if start == self.position:
            await asyncio.sleep(0.001)
            return {}
        return {target: [lesson(n) for n in range(start, self.position)]}


class Post:
    """A producer whose every delivery waits until the test lets it arrive, or fail."""

    def __init__(self) -> None:
        self.begun: list[list[bytes]] = []
        self.arrived: list[bytes] = []
        self._verdicts: asyncio.Queue[Exception | None] = asyncio.Queue()

    async def send(self, records: Iterable[Outgoing]) -> None:
        """Send records."""
        batch = [record.value or b"" for record in records]
        self.begun.append(batch)
        verdict = await self._verdicts.get()
        if verdict is not None:
            raise verdict
        self.arrived += batch

    def deliver(self, batches: int = 1) -> None:
        """Let so many batches arrive."""
        for _ in range(batches):
            self._verdicts.put_nowait(None)

    def lose(self, error: Exception) -> None:
        """Let one batch fail."""
        self._verdicts.put_nowait(error)


class School:
    """A learner service on a topic in memory, with snapshots on a disk of its own."""

    def __init__(self, directory: Path) -> None:
        self.post = Post()
        self.topic = Topic(3 * BATCH)
        self.keeper = SnapshotKeeper(directory, MemoryStore().pointers, 10_000, 1e9, keep=2)
        self.crashes: list[BaseException] = []
        self.service = LearnerService(
            SPEC,
            ["127.0.0.1:1"],
            self.post,  # type: ignore[arg-type]
            self.keeper,
            _reader(),
            BATCH,
            self._crash,
            clock=lambda: 0.0,
        )

    async def _crash(self, error: BaseException) -> None:
        self.crashes.append(error)

    async def begin(self, lessons: int) -> None:
        """Own the model of a topic that has so many records."""
        self.topic.lessons = lessons
        await self.service.start()
        self.service.acquire()

    async def learnt(self, lessons: int) -> None:
        """Return once so many records are in the model."""
        await until(lambda: self.service.lessons is not None and self.service.lessons.applied == lessons - 1)

    async def snapshot(self) -> tuple[Any, int] | None:
        """The newest snapshot's model, and the offset applied to it."""
        return await self.keeper.newest(SPEC.name, SPEC.load)


def _reader() -> Reader:
    return Reader(SPEC.types, 1, 1_000_000, placed=False)


async def until(condition: Callable[[], Any]) -> None:
    """Return once the condition holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def a_while() -> None:
    """Long enough for whatever is not waiting to happen."""
    for _ in range(50):
        await asyncio.sleep(0.001)


def straight(lessons: int) -> tuple[list[bytes], bytes]:
    """What a model says of so many records in one go, and its state after them."""
    taught = Lessons(SPEC, SPEC.new(), -1, _reader())
    said = taught.apply([lesson(n) for n in range(lessons)])
    return [record.value or b"" for record in said], taught.learner.to_bytes()


@pytest.fixture
async def school(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[School]:
    found = School(tmp_path)
    monkeypatch.setattr(learning, "RawConsumer", found.topic)
    yield found
    found.post.deliver(100)
    await found.service.stop()


async def test_the_next_batches_are_learnt_while_one_is_on_its_way_and_sent_together_after_it(school: School) -> None:
    await school.begin(5 * BATCH)
    await school.learnt(3 * BATCH)
    await a_while()
    assert [len(said) for said in school.post.begun] == [BATCH]
    assert school.service.lessons is not None
    assert school.service.lessons.applied == 3 * BATCH - 1, "no more than two batches ahead"
    school.post.deliver()
    await school.learnt(5 * BATCH)
    await a_while()
    assert [len(said) for said in school.post.begun] == [BATCH, 2 * BATCH]
    school.post.deliver(2)
    said, _ = straight(5 * BATCH)
    await until(lambda: len(school.post.arrived) == len(said))
    assert school.post.arrived == said


async def test_only_what_has_arrived_counts_as_applied(school: School) -> None:
    await school.begin(2 * BATCH)
    await school.learnt(2 * BATCH)
    assert (school.service.applied, school.service.lag) == (-1, 2 * BATCH)
    school.post.deliver()
    await until(lambda: school.service.applied == BATCH - 1)
    await a_while()
    assert (school.service.applied, school.service.lag) == (BATCH - 1, BATCH)
    school.post.deliver()
    await until(lambda: school.service.applied == 2 * BATCH - 1)
    assert school.service.lag == 0


async def test_a_snapshot_waits_for_what_is_on_its_way(school: School) -> None:
    await school.begin(BATCH)
    await school.learnt(BATCH)
    school.service.want_snapshot()
    await a_while()
    assert await school.snapshot() is None
    school.post.deliver()
    await until(lambda: SPEC.name in school.keeper.newest_at)
    found = await school.snapshot()
    assert found is not None
    assert (found[0].to_bytes(), found[1]) == (straight(BATCH)[1], BATCH - 1)


@pytest.mark.parametrize("batches", [1, 2])
async def test_whoever_gives_the_model_up_has_sent_everything_and_leaves_a_snapshot(
    school: School, batches: int
) -> None:
    lessons = batches * BATCH
    await school.begin(lessons)
    await school.learnt(lessons)
    given_up = asyncio.create_task(school.service.release())
    await a_while()
    assert not given_up.done()
    school.post.deliver(batches)
    await asyncio.wait_for(given_up, PATIENCE)
    said, state = straight(lessons)
    assert school.post.arrived == said
    await until(lambda: school.service.lessons is None)
    found = await school.snapshot()
    assert found is not None
    assert (found[0].to_bytes(), found[1]) == (state, lessons - 1)


async def test_a_service_that_stops_sends_what_is_on_its_way_and_leaves_a_snapshot(school: School) -> None:
    await school.begin(BATCH)
    await school.learnt(BATCH)
    stopped = asyncio.create_task(school.service.stop())
    await a_while()
    assert not stopped.done()
    assert await school.snapshot() is None
    school.post.deliver()
    await asyncio.wait_for(stopped, PATIENCE)
    found = await school.snapshot()
    assert found is not None
    assert found[1] == BATCH - 1


@pytest.mark.parametrize("then", ["another batch", "a snapshot", "a release"])
async def test_a_failed_send_stops_the_worker_and_leaves_no_snapshot(school: School, then: str) -> None:
    await school.begin(2 * BATCH if then == "another batch" else BATCH)
    await school.learnt(school.topic.lessons)
    given_up = None
    if then == "a snapshot":
        school.service.want_snapshot()
    if then == "a release":
        given_up = asyncio.create_task(school.service.release())
    error = RuntimeError("the brokers refuse it")
    school.post.lose(error)
    await until(lambda: school.crashes and school.service.lessons is None)
    assert school.crashes == [error]
    assert (school.service.lessons, school.service.applied) == (None, None)
    if given_up is not None:
        await asyncio.wait_for(given_up, PATIENCE)
    await a_while()
    assert len(school.post.begun) == 1, "nothing follows what was lost"
    assert school.post.arrived == []
    assert await school.snapshot() is None


async def test_the_next_owner_says_again_what_was_lost(school: School, tmp_path: Path) -> None:
    await school.begin(BATCH)
    await school.learnt(BATCH)
    school.service.want_snapshot()
    school.post.deliver()
    await until(lambda: SPEC.name in school.keeper.newest_at)
    school.topic.lessons = 2 * BATCH
    await school.learnt(2 * BATCH)
    school.post.lose(RuntimeError("the brokers refuse it"))
    school.service.want_snapshot()
    await until(lambda: school.crashes)
    heir = School(tmp_path)
    heir.keeper = heir.service._keeper = school.keeper
    await heir.begin(2 * BATCH)
    heir.post.deliver()
    await until(lambda: heir.service.applied == 2 * BATCH - 1)
    assert school.post.arrived + heir.post.arrived == straight(2 * BATCH)[0]
    await heir.service.stop()

"""Snapshots of models: written whole, found again, never trusted blindly."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.learning.snapshots import SnapshotKeeper
from app.observe import metrics
from app.storage.memory import MemoryStore
from models.face_learner import FaceLearner
from models.rating_learner import RatingLearner
from models.snapshot import SnapshotIncompatible
from schemas.events import RatingCleaned
from schemas.faces import FacesForgotten
from tests.models.faces import confirmed

TOPIC = "training-ratings"


def taught(lessons: int) -> RatingLearner:
    learner = RatingLearner()
    for n in range(lessons):
        learner.observe(
            RatingCleaned(
                film_id=f"tt{n % 7:07d}",
                source="ml",
                source_record_id=str(n),
                score=float(n % 10),
                kind="single",
                ordinal=n // 7 + 1,
                partition=0,
                offset=n,
                cause_id=str(n),
                received_at="2026-01-01T00:00:00.000Z",
            )
        )
    return learner


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def keeper(tmp_path: Path, store: MemoryStore) -> SnapshotKeeper:
    return SnapshotKeeper(tmp_path, store.pointers, every_lessons=100, every_seconds=30.0, keep=2, now=lambda: 1.7e9)


async def test_without_a_snapshot_there_is_none(keeper: SnapshotKeeper) -> None:
    assert await keeper.newest("future-rating", RatingLearner.from_bytes) is None


async def test_the_newest_snapshot_gives_the_same_model_bit_for_bit(keeper: SnapshotKeeper) -> None:
    learner = taught(200)
    await keeper.put("future-rating", TOPIC, learner, 199)
    found = await keeper.newest("future-rating", RatingLearner.from_bytes)
    assert found is not None
    assert found[1] == 199
    assert found[0].fingerprint() == learner.fingerprint()


async def test_a_damaged_snapshot_is_passed_over_for_the_one_before(keeper: SnapshotKeeper, tmp_path: Path) -> None:
    await keeper.put("future-rating", TOPIC, taught(50), 49)
    digest = await keeper.put("future-rating", TOPIC, taught(90), 89)
    path = tmp_path / "future-rating" / f"{digest}.snapshot"
    blob = bytearray(path.read_bytes())
    blob[-1] ^= 1
    path.write_bytes(bytes(blob))
    found = await keeper.newest("future-rating", RatingLearner.from_bytes)
    assert found is not None
    assert found[1] == 49


async def test_a_state_that_this_version_cannot_load_is_passed_over_too(keeper: SnapshotKeeper) -> None:
    await keeper.put("future-rating", TOPIC, taught(50), 49)
    await keeper.put("future-rating", TOPIC, taught(90), 89)
    tried: list[int] = []

    def load(state: bytes) -> str:
        tried.append(len(state))
        if len(tried) == 1:
            raise SnapshotIncompatible("another layout")
        return "loaded"

    assert await keeper.newest("future-rating", load) == ("loaded", 49)


async def test_a_late_writer_does_not_move_the_pointer_back(keeper: SnapshotKeeper) -> None:
    await keeper.put("future-rating", TOPIC, taught(90), 89)
    await keeper.put("future-rating", TOPIC, taught(50), 49)
    found = await keeper.newest("future-rating", RatingLearner.from_bytes)
    assert found is not None
    assert found[1] == 89


async def test_only_the_newest_files_are_kept(keeper: SnapshotKeeper, tmp_path: Path) -> None:
    for lessons in (20, 40, 60, 80):
        await keeper.put("future-rating", TOPIC, taught(lessons), lessons - 1)
    assert len(list((tmp_path / "future-rating").iterdir())) == 2


@pytest.mark.parametrize(
    ("lessons", "seconds", "due"), [(99, 29.0, False), (100, 0.0, True), (1, 30.0, True), (0, 999.0, False)]
)
def test_a_snapshot_is_due_by_lessons_or_by_time(
    keeper: SnapshotKeeper, lessons: int, seconds: float, due: bool
) -> None:
    assert keeper.due(lessons, seconds) is due


async def test_no_snapshot_outlives_a_person_who_is_forgotten(
    keeper: SnapshotKeeper, store: MemoryStore, tmp_path: Path
) -> None:
    learner = FaceLearner()
    for n, person in enumerate(("Q1", "Q2", "Q1")):
        learner.observe(confirmed(person, n, n + 1))
        await keeper.put("faces", "images-clean", learner, n)
    learner.observe(FacesForgotten(celebrity_id="Q1", order=9))
    pointers, files = await keeper.stale("faces", 9)
    assert (len(pointers), len(files)) == (3, 2)
    newest = await keeper.put("faces", "images-clean", learner, 3)
    await keeper.erase_stale("faces", 9)
    assert await keeper.stale("faces", 9) == ([], [])
    assert [path.stem for path in (tmp_path / "faces").iterdir()] == [newest]
    assert [pointer.digest for pointer in await store.pointers.recent("faces")] == [newest]
    found = await keeper.newest("faces", FaceLearner.from_bytes)
    assert found is not None
    assert (found[0].faces_of("Q1"), found[0].faces_of("Q2"), found[0].forgotten_up_to) == (0, 1, 9)


async def test_every_snapshot_is_counted(keeper: SnapshotKeeper) -> None:
    await keeper.put("counted", TOPIC, taught(5), 4)
    await keeper.put("counted", TOPIC, taught(9), 8)
    assert metrics.REGISTRY.get_sample_value("marquee_snapshots_total", {"model": "counted"}) == 2

"""The picture of who was taken for whom."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from app.learning.lessons import Lessons
from app.learning.plots import MOST_PEOPLE, draw_confusion
from app.learning.specs import MODELS
from app.learning.tracking import describe
from app.memory import MemoryLog, MemoryRunner
from app.topology import film_topology
from models.face_learner import FaceLearner
from models.face_scores import Confusion
from schemas.faces import FacesForgotten, FaceWithdrawn
from tests.models.faces import album


def test_mlflow_gets_errors_and_confusion_as_pictures(tmp_path: Path) -> None:
    learner = FaceLearner()
    for record in album(4, 20):
        learner.observe(record)
    report = describe(learner, with_artifacts=True)
    paths = [draw(tmp_path) for draw in report.pictures]
    assert [path.name for path in paths if path] == ["faces-error.png", "faces-confusion.png"]
    assert all(Image.open(path).size[0] > 300 for path in paths if path)
    assert describe(learner, with_artifacts=False).pictures == ()
    assert report.metrics["window_champion"] > 0.9


def test_while_nobody_is_known_there_is_nothing_to_draw(tmp_path: Path) -> None:
    assert [draw(tmp_path) for draw in describe(FaceLearner(), with_artifacts=True).pictures] == [None, None]


@pytest.mark.parametrize("people", [1, 3, MOST_PEOPLE + 20])
def test_any_number_of_people_fits_into_a_picture(tmp_path: Path, people: int) -> None:
    counts = tuple(tuple(int(row == column) * (row + 1) for column in range(people + 1)) for row in range(people))
    confusion = Confusion(tuple(f"Q{n}" for n in range(people)), counts)
    path = draw_confusion(confusion, tmp_path / "c.png", "faces")
    assert path is not None
    assert Image.open(path).size[0] < 3000


async def test_the_model_hears_all_records_of_its_topic() -> None:
    log = MemoryLog(4)
    runner = MemoryRunner(film_topology(), tuple(spec for spec in MODELS if spec.name == "faces"), log)
    records = album(3, 4)
    gone = records[2]
    for record in (
        *records,
        FaceWithdrawn(item_id=gone.item_id, celebrity_id=gone.celebrity_id, order=90),
        FacesForgotten(celebrity_id="Q1", order=91),
    ):
        runner.push(record)
    lessons: Lessons = runner.models["faces"]
    await log.send(lessons.apply(log.records("images-clean")))
    left = {r.item_id for r in records if r.celebrity_id != "Q1"} - {gone.item_id}
    assert lessons.learner.counts()["faces"] == len(left)
    assert len(log.records("face-predictions")) == 12
    assert log.records("dead-letters") == []

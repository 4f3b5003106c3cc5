"""A face desk without processes, and a model that knows three people by their colours."""

from __future__ import annotations

import io
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from PIL import Image

from app.pictures.decode import Limits
from app.web.identify import FaceDesk
from models.face_learner import FaceLearner
from schemas.faces import FaceConfirmed
from tests.pictures.fake_faces import FakeFaceEngine, portrait
from tests.web.stand_ins import FakeLearner, FakeWorker

FAKE = "tests.pictures.fake_faces:load_fake"
PEOPLE = {"Q1": "red", "Q2": "green", "Q3": "blue"}


class Here:
    """The pool without processes."""

    async def run(self, job: Callable[..., Any], *args: Any) -> Any:
        return job(*args)


class Broken:
    """A pool that answers, or raises, what a test says."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    async def run(self, job: Callable[..., Any], *args: Any) -> Any:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def png(*people: str) -> bytes:
    out = io.BytesIO()
    Image.fromarray(portrait(*people)).save(out, "PNG")
    return out.getvalue()


def taught(people: dict[str, str]) -> FaceLearner:
    learner, engine = FaceLearner(), FakeFaceEngine()
    for order, (person, colour) in enumerate(people.items(), 1):
        picture = portrait(colour)
        embedding = engine.embed(picture, engine.detect(picture)[0]).astype("<f4").tobytes()
        learner.observe(
            FaceConfirmed(
                item_id=person,
                celebrity_id=person,
                image_id="a" * 64,
                embedding=embedding,
                face_model=engine.model,
                order=order,
            )
        )
    return learner


def looking(worker: FakeWorker, pool: Any = None, maker: str | None = FAKE, **options: Any) -> FaceDesk:
    return FaceDesk(worker, pool or Here(), Limits(max_bytes=100_000), maker, **options)


def own_faces(worker: FakeWorker, learner: FaceLearner | None = None) -> None:
    """Let the worker know of the face model, and have it where one is given."""
    lessons = None if learner is None else SimpleNamespace(learner=learner, applied=7)
    spec = SimpleNamespace(name="faces", stage="learn-faces", reads=FaceConfirmed)
    worker.learners["faces"] = FakeLearner(spec, lessons)

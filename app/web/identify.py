"""Who is on this picture? Bytes from strangers go to the sandbox, what comes out of it to the face model."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec
from aiohttp import web

from agents.errors import Unavailable
from app.pictures.decode import Limits, Reason
from app.pictures.jobs import Looked, look
from app.web.problems import Problem, json_response, unavailable
from app.web.unpacking import read_body
from models.face_learner import FaceLearner
from models.face_recogniser import Candidate
from schemas.pictures import Face

log = logging.getLogger(__name__)

FRESH_SECONDS: Final = 10.0
"""How long a worker that does not own the face model goes by the snapshot that it has read."""


class IdentifiedFace(msgspec.Struct, frozen=True, kw_only=True):
    """A face: box (x, y, width, height) in pixels of the upright picture, and whose it is; null is nobody's known.

    `confidence` and those of the candidates, 0 to 1, are those of the classifier that is the champion, and whoever is
    named is the first of the candidates.
    """

    box: tuple[int, int, int, int]
    celebrity_id: str | None
    confidence: float
    candidates: tuple[Candidate, ...]


class Identification(msgspec.Struct, frozen=True, kw_only=True):
    """The faces on a picture, the biggest first."""

    faces: list[IdentifiedFace]


class Pool(Protocol):
    """Processes that hostile bytes may harm; `app.pictures.sandbox.Sandbox`."""

    async def run(self, job: Callable[..., Any], *args: Any) -> Any:
        """What the job answers, or a Failed. Raises agents.errors.Unavailable."""


class ModelHolder(Protocol):
    """The parts of a worker that know the face model."""

    @property
    def learners(self) -> Any:
        """Each model's learner by the model's name."""

    @property
    def keeper(self) -> Any:
        """Where snapshots are read."""

    @property
    def store(self) -> Any:
        """Where the pointers to them lie."""


class FaceDesk:
    """Looks for faces and says whose they are, by the model itself where this worker owns it, else by its snapshot."""

    def __init__(
        self,
        worker: ModelHolder,
        pool: Pool,
        limits: Limits,
        maker: str | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits = limits
        self._worker = worker
        self._pool = pool
        self._maker = maker
        self._clock = clock
        self._read: FaceLearner = FaceLearner()
        self._digest = ""
        self._asked_at = -FRESH_SECONDS

    async def who_is_on(self, picture: bytes) -> Identification:
        """Every face with its name. Raises Problem: 413 and 422 for what is no picture, 503 where nobody can look."""
        if self._maker is None:
            raise unavailable("Nobody looks for faces here: install the extra [faces], or set [pictures] faces.", 60)
        try:
            looked = await self._pool.run(look, picture, self.limits, self._maker)
        except Unavailable as error:
            raise unavailable("The processes that decode pictures cannot work now: try again in a moment.") from error
        if not isinstance(looked, Looked):
            raise refusal(str(looked.reason))
        model = await self._model()
        return Identification(faces=[_named(face, looked.face_model, model) for face in looked.faces])

    async def _model(self) -> FaceLearner:
        lessons = self._worker.learners[FaceLearner.name].lessons
        if lessons is not None:
            owned: FaceLearner = lessons.learner
            return owned
        if self._clock() - self._asked_at >= FRESH_SECONDS:
            try:
                await self._read_newest()
            except Unavailable as error:
                log.warning("identify: goes on by the snapshot that was read before: %s", error)
            else:
                self._asked_at = self._clock()
        return self._read

    async def _read_newest(self) -> None:
        pointers = await self._worker.store.pointers.recent(FaceLearner.name)
        # A snapshot holds every face in force: it is read again only where it is another one.
        if not pointers or pointers[0].digest == self._digest:
            return
        found = await self._worker.keeper.newest(FaceLearner.name, FaceLearner.from_bytes)
        if found is not None:
            self._read, self._digest = found[0], pointers[0].digest


def refusal(reason: str) -> Problem:
    """What a client is told of bytes that were not looked at."""
    if reason == Reason.ERROR:
        return Problem(500, "The picture could not be looked at; the worker's log says why.")
    status = 413 if reason == Reason.TOO_MANY_BYTES else 422
    return Problem(status, f"{reason[:1].upper()}{reason[1:]}. Send the bytes of a JPEG, PNG, WebP or GIF as the body.")


def _named(face: Face, face_model: str, model: FaceLearner) -> IdentifiedFace:
    found = model.identify(face.embedding, face_model)
    return IdentifiedFace(
        box=face.box, celebrity_id=found.celebrity_id, confidence=found.confidence, candidates=found.candidates
    )


FACE_DESK: Final = web.AppKey("faces", FaceDesk)


async def identify(request: web.Request) -> web.Response:
    """Say whose faces are on a picture, which is the body itself; nothing of it is kept."""
    desk = request.app.get(FACE_DESK)
    if desk is None:
        raise unavailable("This worker does not look at pictures.", 60)
    return json_response(await desk.who_is_on(await _body(request, desk.limits.max_bytes)))


async def _body(request: web.Request, most: int) -> bytes:
    """The picture that was sent. Raises Problem (400, 413, 415)."""
    if request.content_type.startswith("multipart/"):
        raise Problem(415, "Send the picture's bytes as the body itself, not as a form.")
    body = await read_body(request, most, f"The picture is too large: at most {most} bytes are taken.")
    if not body:
        raise Problem(400, "The body is empty: send the bytes of a picture.")
    return body

"""`POST /identify`: who is on a picture, and what is said to those who send none."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from agents.errors import Unavailable
from app.pictures.decode import Reason
from app.pictures.sandbox import Failed, Sandbox
from models.face_learner import FaceLearner
from tests.web.conftest import Running, Start
from tests.web.looking import PEOPLE, Broken, looking, own_faces, png, taught
from tests.web.stand_ins import make_worker


@pytest.fixture
async def running(start: Start) -> Running:
    return await begin(start)


async def begin(start: Start, **options: Any) -> Running:
    worker = make_worker()
    own_faces(worker, taught(PEOPLE))
    return await start(worker, faces=looking(worker, **options))


async def ask(running: Running, body: Any, **options: Any) -> tuple[int, Any]:
    async with running.post("/identify", data=body, **options) as response:
        return response.status, await response.json(content_type=None)


async def test_everybody_on_a_picture_is_named_the_biggest_face_first(running: Running) -> None:
    status, said = await ask(running, png("green", "red"), headers={"Content-Type": "image/png"})
    assert status == 200
    assert [face["celebrity_id"] for face in said["faces"]] == ["Q2", "Q1"]
    first = said["faces"][0]
    assert list(first) == ["box", "celebrity_id", "confidence", "candidates"]
    assert first["box"] == [40, 40, 80, 80]
    assert first["confidence"] > 0.99
    assert first["candidates"][0] == {"celebrity_id": "Q2", "confidence": first["confidence"]}
    assert len(first["candidates"]) == 3


async def test_a_stranger_is_null_with_whom_he_is_like(running: Running) -> None:
    _, said = await ask(running, png("gold"))
    (face,) = said["faces"]
    assert face["celebrity_id"] is None
    assert face["confidence"] < 0.4
    assert len(face["candidates"]) == 3


async def test_a_picture_of_nobody_has_no_faces(running: Running) -> None:
    out = io.BytesIO()
    noise = np.random.default_rng(1).integers(90, 160, (100, 100, 3), dtype=np.uint8)
    Image.fromarray(noise).save(out, "JPEG")
    assert await ask(running, out.getvalue()) == (200, {"faces": []})


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        (b"", 400, "empty"),
        (b"hello", 422, "text"),
        (b"<!doctype html><html>", 422, "web page"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 422, "SVG"),
        (b"%!PS-Adobe", 422, "PostScript"),
        (b"\xff\xd8\xff\xe0 and then nothing", 422, "damaged"),
        (b"\0" * 50_000, 422, "not a picture"),
        (b"\0" * 100_001, 413, "100000 bytes"),
    ],
)
async def test_what_is_no_picture_is_refused_with_the_reason(
    running: Running, body: bytes, status: int, told: str
) -> None:
    found, problem = await ask(running, body)
    assert (found, problem["status"]) == (status, status)
    assert told.lower() in problem["detail"].lower()


async def test_a_bomb_is_refused_unopened(running: Running) -> None:
    out = io.BytesIO()
    Image.new("1", (12_000, 12_000)).save(out, "PNG")
    status, problem = await ask(running, out.getvalue())
    assert status == 422
    assert "bomb" in problem["detail"]


async def test_a_form_is_told_to_be_the_bytes_themselves(running: Running) -> None:
    import aiohttp

    form = aiohttp.FormData()
    form.add_field("file", png("red"), filename="red.png")
    status, problem = await ask(running, form)
    assert status == 415
    assert "as the body itself" in problem["detail"]


async def test_a_body_of_unknown_length_is_cut_off_where_it_is_too_long(running: Running) -> None:
    async def endless() -> Any:
        while True:
            yield b"\xff" * 10_000

    status, problem = await ask(running, endless())
    assert status == 413
    assert "100000 bytes" in problem["detail"]


async def test_a_picture_that_breaks_its_process_harms_nobody_else(start: Start) -> None:
    for answer, status, told in (
        (Failed(Reason.CRASHED), 422, "crashed"),
        (Failed(Reason.TOO_MUCH_MEMORY), 422, "memory"),
        (Failed(Reason.TOO_SLOW), 422, "too long"),
        (Failed(Reason.ERROR), 500, "log"),
        (Unavailable("no process"), 503, "try again"),
    ):
        found, problem = await ask(await begin(start, pool=Broken(answer)), png("red"))
        assert found == status
        assert told.lower() in problem["detail"].lower()


async def test_without_the_extra_it_is_said_what_is_missing(start: Start) -> None:
    status, problem = await ask(await begin(start, maker=None), png("red"))
    assert status == 503
    assert "[faces]" in problem["detail"]


async def test_a_token_is_asked_for_where_one_is_set(start: Start) -> None:
    worker = make_worker()
    own_faces(worker, taught(PEOPLE))
    running = await start(worker, token="secret", faces=looking(worker))
    assert (await ask(running, png("red")))[0] == 401
    assert (await ask(running, png("red"), headers={"Authorization": "Bearer secret"}))[0] == 200


class Keeper:
    """Snapshots as their keeper reads them, counted."""

    def __init__(self) -> None:
        self.learner: FaceLearner | None = None
        self.reads = 0
        self.newest_at: dict[str, float] = {}

    async def newest(self, model: str, load: Callable[[bytes], Any]) -> Any:
        assert model == "faces"
        self.reads += 1
        return None if self.learner is None else (load(self.learner.to_bytes()), 7)


async def test_who_does_not_own_the_model_goes_by_its_newest_snapshot() -> None:
    worker, now = make_worker(), [100.0]
    own_faces(worker, None)
    keeper = worker.keeper = Keeper()
    desk = looking(worker, clock=lambda: now[0])

    async def who() -> str | None:
        return (await desk.who_is_on(png("green"))).faces[0].celebrity_id

    assert await who() is None
    keeper.learner = taught({"Q7": "green"})
    await worker.store.pointers.advance("faces", 7, "aa" * 32, {})
    assert await who() is None
    now[0] += 60
    assert await who() == "Q7"
    assert await who() == "Q7"
    now[0] += 60
    assert await who() == "Q7"
    assert keeper.reads == 1
    keeper.learner = taught({"Q8": "green"})
    await worker.store.pointers.advance("faces", 9, "bb" * 32, {})
    now[0] += 60
    assert await who() == "Q8"


async def test_while_the_pointers_are_away_the_last_snapshot_serves() -> None:
    worker, now = make_worker(), [100.0]
    own_faces(worker, None)
    worker.keeper = Keeper()
    worker.keeper.learner = taught({"Q7": "green"})
    await worker.store.pointers.advance("faces", 7, "aa" * 32, {})
    desk = looking(worker, clock=lambda: now[0])
    assert (await desk.who_is_on(png("green"))).faces[0].celebrity_id == "Q7"

    async def away(model: str) -> Any:
        raise Unavailable("MongoDB")

    worker.store.pointers.recent = away  # type: ignore[method-assign]
    now[0] += 60
    assert (await desk.who_is_on(png("green"))).faces[0].celebrity_id == "Q7"


async def test_it_is_described(running: Running) -> None:
    async with running.get("/openapi.json") as response:
        described = (await response.json())["paths"]["/identify"]["post"]
    assert list(described["requestBody"]["content"]) == ["image/*"]
    assert {"200", "400", "401", "413", "415", "422", "503"} <= set(described["responses"])


async def test_the_sandbox_looks_at_what_strangers_send() -> None:
    worker = make_worker()
    own_faces(worker, taught(PEOPLE))
    async with Sandbox(processes=1) as pool, asyncio.timeout(120):
        desk = looking(worker, pool=pool)
        found = await desk.who_is_on(png("blue"))
    assert [face.celebrity_id for face in found.faces] == ["Q3"]

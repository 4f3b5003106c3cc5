"""From an address to a disarmed file: real server, real downloads, real sandbox, every hostile picture there is."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from agents.ports import Examination, Fetched, NotFetched
from app.pictures.decode import Reason
from app.pictures.desk import ERASED
from app.pictures.service import PictureService
from app.settings import Fetch, Pictures, Settings, Storage
from tests.pictures.hostile import PAYLOAD, cases, good

SERVED = {case.name: case for case in cases()}


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async def answer(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name.startswith("good-"):
            return web.Response(body=good(int(name[5:])), content_type="image/jpeg")
        case = SERVED.get(name)
        return (
            web.Response(status=404) if case is None else web.Response(body=case.data, content_type=case.content_type)
        )

    application = web.Application()
    application.router.add_get("/{name}", answer)
    server = TestServer(application)
    await server.start_server()
    yield server
    await server.close()


@pytest.fixture
async def service(server: TestServer, tmp_path: Path) -> AsyncIterator[PictureService]:
    settings = Settings(
        fetch=Fetch(allow=(f"{server.host}:{server.port}",)),
        pictures=Pictures(processes=2, faces=False, nsfw=False),
        storage=Storage(images=str(tmp_path)),
    )
    service = PictureService(settings)
    await service.on_start()
    yield service
    await service.on_stop()


def files(root: Path, area: str) -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in (root / area).rglob("*.*") if path.is_file()}


async def test_hostile_pictures_are_refused_or_disarmed_and_the_good_ones_around_them_pass(server, service, tmp_path):
    names = [name for pair in zip(SERVED, (f"good-{n}" for n in range(len(SERVED))), strict=False) for name in pair]
    fetched = dict(
        zip(
            names,
            await asyncio.gather(*(service.desk.fetch(str(server.make_url(f"/{n}"))) for n in names)),
            strict=True,
        )
    )
    wrong = {
        name: (answer, case.reason)
        for name, case in SERVED.items()
        if (answer := fetched[name])
        and not (
            isinstance(answer, Fetched)
            if case.reason is None
            else isinstance(answer, NotFetched) and answer.verdict == "rejected"
        )
    }
    assert wrong == {}
    for name, answer in fetched.items():
        if isinstance(answer, Fetched):
            examined = await service.desk.examine(answer.image_id)
            assert isinstance(examined, Examination)
            assert (name, examined.refused) == (name, None)
        else:
            # The byte cap is the download's, everything else is seen by looking at the bytes.
            capped = SERVED[name].reason is Reason.TOO_MANY_BYTES
            assert "20000000 are allowed" in answer.reason if capped else answer.reason == SERVED[name].reason
    kept = files(tmp_path, "clean")
    assert all(content.startswith(b"\xff\xd8") and PAYLOAD not in content for content in kept.values())
    originals = {answer.image_id for answer in fetched.values() if isinstance(answer, Fetched)}
    assert set(files(tmp_path, "original")) == originals
    assert list((tmp_path / "tmp").glob("*.part")) == []


async def test_a_picture_that_is_fetched_twice_lies_there_once(server, service, tmp_path):
    once, again = [await service.desk.fetch(str(server.make_url("/good-1"))) for _ in range(2)]
    assert once == again
    assert files(tmp_path, "original") == {hashlib.sha256(good(1)).hexdigest(): good(1)}


async def test_what_is_not_there_may_be_tried_again_and_what_is_forbidden_not(server, service):
    answer = await service.desk.fetch(str(server.make_url("/nothing")))
    assert isinstance(answer, NotFetched)
    assert answer.verdict == "failed"
    refused = await service.desk.fetch("http://127.0.0.1:9/picture.jpg")
    assert isinstance(refused, NotFetched)
    assert (refused.verdict, "private address" in refused.reason) == ("rejected", True)


async def test_an_examination_is_the_same_every_time(server, service):
    fetched = await service.desk.fetch(str(server.make_url("/good-2")))
    one, two = [await service.desk.examine(fetched.image_id) for _ in range(2)]
    assert msgspec.json.encode(one) == msgspec.json.encode(two)


async def test_a_picture_whose_bytes_were_erased_is_refused_with_the_reason(server, service, tmp_path):
    fetched = await service.desk.fetch(str(server.make_url("/good-3")))
    await service.erase([("original", fetched.image_id)])
    assert files(tmp_path, "original") == {}
    assert (await service.desk.examine(fetched.image_id)).refused == ERASED


async def test_a_picture_whose_bytes_went_with_somebody_elses_is_fetched_again(server, service, tmp_path):
    url = str(server.make_url("/good-3"))
    fetched = await service.desk.fetch(url)
    examined = await service.desk.examine(fetched.image_id)
    await service.erase([("original", fetched.image_id), ("clean", examined.sha256)])
    assert await service.desk.examine(fetched.image_id, again=url) == examined
    assert files(tmp_path, "original") == {fetched.image_id: good(3)}


async def test_bytes_that_are_gone_are_not_replaced_by_others(server, service, tmp_path):
    fetched = await service.desk.fetch(str(server.make_url("/good-3")))
    await service.erase([("original", fetched.image_id)])
    reasons = [
        (await service.desk.examine(fetched.image_id, again=str(server.make_url(path)))).refused
        for path in ("/good-4", "/nothing")
    ]
    assert [reason.startswith(ERASED) for reason in reasons] == [True, True]
    assert ("another picture" in reasons[0], "404" in reasons[1]) == (True, True)
    assert files(tmp_path, "original") == {}
    assert list((tmp_path / "incoming").rglob("*.part")) == []

"""Bodies that clients compressed: what is read, and that what is not leaves a problem document and no traceback."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import zlib
from typing import Any

import pytest

from tests.storage.picture_events import TILDA, item
from tests.web.conftest import Running, Start
from tests.web.looking import PEOPLE, looking, own_faces, png, taught
from tests.web.stand_ins import make_worker

BODY = json.dumps({"title": "Inception", "year": 2010}).encode()
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
PLACES = {
    "/films": JSON,
    "/celebrities": JSON,
    "/identify": "image/png",
}


@pytest.fixture
async def running(start: Start) -> Running:
    worker = make_worker()
    own_faces(worker, taught(PEOPLE))
    return await start(worker, faces=looking(worker))


async def told(running: Running, path: str, body: bytes, media: str, encoding: str) -> tuple[int, Any, Any]:
    headers = {"Content-Type": media, "Content-Encoding": encoding}
    async with running.post(path, data=body, headers=headers) as response:
        problem = await response.json(content_type="application/problem+json")
        assert problem["status"] == response.status
        return response.status, problem["detail"], response.headers


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR]


@pytest.mark.parametrize("path", PLACES)
@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "nonsense", "gzip, gzip"])
async def test_an_encoding_that_is_not_known_is_named_with_those_that_are(
    running: Running, caplog: pytest.LogCaptureFixture, path: str, encoding: str
) -> None:
    status, detail, headers = await told(running, path, b"\x0b\x02\x80{}\x03", PLACES[path], encoding)
    assert status == 415
    assert encoding in detail
    assert "gzip, deflate" in detail
    assert headers["Accept-Encoding"] == "gzip, deflate"
    assert complaints(caplog) == []


@pytest.mark.parametrize("path", PLACES)
@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b"no gzip at all", "gzip"),
        (gzip.compress(BODY)[:-4], "gzip"),
        (gzip.compress(BODY) + b"and more", "gzip"),
        (b"\xff\xff\xff", "deflate"),
        (zlib.compress(BODY)[:-1], "deflate"),
    ],
)
async def test_a_body_that_is_not_what_its_header_says_leaves_no_traceback(
    running: Running, caplog: pytest.LogCaptureFixture, path: str, body: bytes, encoding: str
) -> None:
    status, detail, _ = await told(running, path, body, PLACES[path], encoding)
    assert status == 400
    assert "Content-Encoding" in detail
    assert complaints(caplog) == []
    assert running.worker.producer.sent == []


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (BODY, "identity"),
        (gzip.compress(BODY), "gzip"),
        (gzip.compress(BODY), "X-GZIP"),
        (gzip.compress(BODY[:9]) + gzip.compress(BODY[9:]), "gzip"),
        (zlib.compress(BODY), "deflate"),
        (zlib.compress(BODY, wbits=-zlib.MAX_WBITS), "deflate"),
    ],
)
async def test_what_is_compressed_well_is_read(running: Running, body: bytes, encoding: str) -> None:
    headers = {"Content-Type": JSON, "Content-Encoding": encoding}

    async def in_pieces() -> Any:
        for place in range(0, len(body), 7):
            yield body[place : place + 7]

    for sent in (body, in_pieces()):
        async with running.post("/films", data=sent, headers=headers) as response:
            assert response.status == 202, await response.text()


async def test_a_compressed_picture_and_a_compressed_form_are_read(running: Running) -> None:
    headers = {"Content-Encoding": "gzip"}
    async with running.post("/identify", data=gzip.compress(png("red")), headers=headers) as response:
        assert response.status == 200, await response.text()
    ruling, form = f"/celebrities/{TILDA}/images/{item(1)}/ruling", headers | {"Content-Type": FORM}
    async with running.post(ruling, data=gzip.compress(b"decision=keep"), headers=form) as response:
        assert response.status == 404


@pytest.mark.parametrize("path", ["/films", "/identify"])
async def test_a_bomb_is_cut_off_where_it_is_too_long(
    running: Running, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    status, detail, _ = await told(running, path, bomb, PLACES[path], "gzip")
    assert (status, "too large" in detail) == (413, True)
    assert complaints(caplog) == []


@pytest.mark.parametrize("rest", [b"no header\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"])
async def test_what_is_no_http_leaves_a_line_and_no_traceback(
    running: Running, caplog: pytest.LogCaptureFixture, rest: bytes
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.service.port)
    writer.write(b"POST /films HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + rest)
    answer = await asyncio.wait_for(reader.read(), 60)
    writer.close()
    assert b" 400 " in answer.partition(b"\r\n")[0]
    assert complaints(caplog) == []
    assert "127.0.0.1" in caplog.text

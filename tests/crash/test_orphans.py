"""A worker is killed between a picture's file and its event, and the server then sends other bytes: no file is left."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from app.delivery.producer import Outgoing, Producer
from schemas.catalogue import encode, partition_counts
from schemas.pictures import ImageFound
from tests.crash.gallery import PEOPLE, picture
from tests.crash.judge import drained
from tests.crash.servers import Servers
from tests.crash.straight_pictures import files_below, files_named
from tests.crash.worker import WorkerProcess, until
from tests.pictures.hostile import encoded

PERSON: Final = next(iter(PEOPLE))
ORPHANS_AFTER: Final = 3.0


class Fickle:
    """A picture host that never sends the same bytes twice, and holds one picture back until it is told not to."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.sent: list[bytes] = []
        self.released = asyncio.Event()
        self.authority = ""

    @asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        """A server in this process."""
        application = web.Application()
        application.router.add_get("/{path}", self._answer)
        server = TestServer(application)
        await server.start_server()
        self.authority = f"{server.host}:{server.port}"
        try:
            yield
        finally:
            await server.close()

    async def _answer(self, request: web.Request) -> web.Response:
        path = request.match_info["path"]
        if path == "robots.txt":
            return web.Response(status=404)
        self.asked[path] += 1
        if path == "held.jpg":
            await self.released.wait()
        data = encoded(picture(50 * len(self.sent) + 7, [PEOPLE[PERSON]]), quality=92)
        self.sent.append(data)
        return web.Response(body=data, content_type="image/jpeg")


async def leaves_no_orphan(servers: Servers) -> None:
    """Two finds in one batch: the first picture is put away, the worker dies as it waits for the second."""
    host = Fickle()
    async with host.served():
        worker = WorkerProcess(
            servers,
            "crash-orphans",
            program="tests.crash.blocks_for_faces",
            storage__images=servers.directory / "images",
            fetch__allow=host.authority,
            fetch__seconds=100,
            pictures__processes=1,
            pictures__nsfw="false",
            pictures__orphans_after=ORPHANS_AFTER,
            broker__session_timeout=3 if servers.embedded else 10,
        )
        images = servers.directory / "images"
        worker.start()
        await worker.ready()
        await _find(servers, host, "held.jpg", "fickle.jpg")
        await until(lambda: _originals(images, 1), "the first picture is put away", worker)
        await worker.kill9()
        (orphan,) = [path for path in files_below(images) if path.startswith("original/")]
        assert host.asked == {"held.jpg": 1, "fickle.jpg": 1}

        host.released.set()
        worker.start()
        await worker.ready()
        await drained(servers, worker)
        assert host.asked == {"held.jpg": 2, "fickle.jpg": 2}
        await until(lambda: _says(worker, f"{orphan} is removed: nothing names it"), "the orphan is removed", worker)
        assert not (images / orphan).exists()
        # Long enough for another look at all that is left.
        await asyncio.sleep(2 * ORPHANS_AFTER)
        assert await worker.stop() == 0
    documents = (await servers.documents())["images"]
    assert [image["verdict"] for image in documents] == ["kept", "kept"]
    assert {path.partition(".")[0] for path in files_below(images)} == files_named(documents)


async def _originals(images: Path, count: int) -> bool:
    return sum(path.startswith("original/") for path in files_below(images)) == count


async def _says(worker: WorkerProcess, text: str) -> bool:
    return text in worker.printed()


async def _find(servers: Servers, host: Fickle, *paths: str) -> None:
    """Tell of addresses in one batch of one partition."""
    producer = Producer([servers.bootstrap], partition_counts(4))
    await producer.start()
    found = (
        ImageFound(celebrity_id=PERSON, source="wikidata", url=f"http://{host.authority}/{path}") for path in paths
    )
    await producer.send(Outgoing(each.topic, each.key.encode(), encode(each), []) for each in found)
    await producer.stop()


@pytest.mark.embedded
@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_no_file_is_left_when_the_server_sends_other_bytes_after_a_kill(on_embedded: Servers) -> None:
    await leaves_no_orphan(on_embedded)


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_no_file_is_left_on_apache_kafka_when_the_server_sends_other_bytes_after_a_kill(
    on_kafka: Servers,
) -> None:
    await leaves_no_orphan(on_kafka)

"""A running web service and a client of it."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import aiohttp
import pytest

from app.web.identify import FaceDesk
from app.web.server import WebService
from tests.web.stand_ins import FakeWorker, make_worker, service_of


@dataclass
class Running:
    """A web service on a free port, with a client session."""

    worker: FakeWorker
    service: WebService
    client: aiohttp.ClientSession

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.service.port}"

    def get(self, path: str, **options: object) -> object:
        return self.client.get(self.url + path, **options)

    def post(self, path: str, **options: object) -> object:
        return self.client.post(self.url + path, **options)


Start = Callable[..., Awaitable[Running]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts web services; each is stopped at the end of the test."""
    started: list[Running] = []

    async def begin(
        worker: FakeWorker | None = None, token: str = "", faces: FaceDesk | None = None, **answers: bool
    ) -> Running:
        worker = worker or make_worker()
        service = service_of(worker, token, **answers)
        service.faces = faces
        await service.start()
        if not worker.app.assignor.actives:
            worker.own()
        running = Running(worker, service, aiohttp.ClientSession())
        started.append(running)
        return running

    yield begin
    for running in started:
        await running.client.close()
        await running.service.stop()
        await running.worker.pictures.sandbox.close()


@pytest.fixture
async def running(start: Start) -> Running:
    """One web service of a worker that owns everything."""
    return await start()


@pytest.fixture
def unused_port() -> int:
    """A loopback port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

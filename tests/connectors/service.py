"""A local service that answers as a subclass says, with whatever fault a test asks for, and tells what it was asked."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

from aiohttp import web

Fault = Callable[[web.Request, web.Response], Awaitable[web.StreamResponse]]
"""Makes something else of a good answer."""

LARGE = 1 << 20
"""Bytes that no suite allows an answer to have."""


class Asked(NamedTuple):
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


class Service:
    """Subclasses give `answer`. `faults` are taken by the next requests, one each; None lets one pass."""

    conditional = True
    """Whether answers of GETs carry an ETag and a later question with it gets a 304."""

    def __init__(self) -> None:
        self.faults: deque[Fault | None] = deque()
        self.asked: list[Asked] = []
        self.port = 0

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def allow(self) -> tuple[str, ...]:
        """What [fetch] allow must name."""
        return (f"127.0.0.1:{self.port}",)

    async def answer(self, request: web.Request) -> web.Response:
        """The good answer."""
        raise NotImplementedError

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The answer, or the fault whose turn it is."""
        if request.path == "/robots.txt":
            return web.Response(text="User-agent: *\nAllow: /\n")
        body = await request.read()
        self.asked.append(Asked(request.method, request.path, dict(request.query), dict(request.headers), body))
        fault = self.faults.popleft() if self.faults else None
        try:
            good = await self.answer(request)
        except web.HTTPException as error:
            good = web.Response(status=error.status, text=error.text)
        if fault is not None:
            return await fault(request, good)
        if self.conditional and request.method == "GET" and good.status == 200:
            tag = good.headers.setdefault("ETag", f'"{hashlib.md5(_body(good)).hexdigest()}"')
            if request.headers.get("If-None-Match") == tag:
                return web.Response(status=304)
        return good


@asynccontextmanager
async def serving(service: Service) -> AsyncIterator[Service]:
    """The service on a free loopback port for as long as the block lasts."""
    application = web.Application(client_max_size=LARGE * 8)
    application.router.add_route("*", "/{path:.*}", service.handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    service.port = runner.addresses[0][1]
    try:
        yield service
    finally:
        await runner.cleanup()


def status(code: int, body: str | bytes = b"", headers: Mapping[str, str] | None = None, **more: str) -> Fault:
    """Another status, with a body and headers; `more` are headers with _ for -."""
    sent = {**(headers or {}), **{name.replace("_", "-"): value for name, value in more.items()}}

    async def fault(request: web.Request, good: web.Response) -> web.StreamResponse:
        data = body.encode() if isinstance(body, str) else body
        sent.setdefault("Content-Type", good.content_type)
        return web.Response(status=code, body=data, headers=sent)

    return fault


def instead(body: str | bytes, content_type: str) -> Fault:
    """A 200 with another body."""
    return status(200, body, {"Content-Type": content_type})


def _body(good: web.Response) -> bytes:
    assert isinstance(good.body, bytes)
    return good.body


async def cut_off(request: web.Request, good: web.Response) -> web.StreamResponse:
    """The connection ends in the middle of the body."""
    data = _body(good)
    response = web.StreamResponse(status=good.status, headers=good.headers)
    response.content_length = len(data)
    await response.prepare(request)
    await response.write(data[: len(data) // 2])
    assert request.transport is not None
    request.transport.close()
    return response


async def ends_early(request: web.Request, good: web.Response) -> web.StreamResponse:
    """A whole HTTP answer whose content ends in the middle, as a server that fails while it writes gives."""
    data = _body(good)
    return web.Response(body=data[: len(data) * 2 // 3], content_type=good.content_type)


async def dropped(request: web.Request, good: web.Response) -> web.StreamResponse:
    """The connection ends without an answer."""
    assert request.transport is not None
    request.transport.close()
    return web.Response()


async def silent(request: web.Request, good: web.Response) -> web.StreamResponse:
    """Nothing comes for a long time."""
    await asyncio.sleep(60.0)
    return good


async def oversized(request: web.Request, good: web.Response) -> web.StreamResponse:
    """More than anybody wants to read."""
    return web.Response(body=b" " * LARGE + _body(good), content_type=good.content_type)


async def a_page(request: web.Request, good: web.Response) -> web.StreamResponse:
    """A page for people, as captive portals and gateways in trouble send."""
    return web.Response(text="<!DOCTYPE html><html><body>Sign in</body></html>", content_type="text/html")

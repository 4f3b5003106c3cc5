"""A web server that serves one file with whatever fault a test asks for."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from aiohttp import web


class Site:
    """`body` is served at /ratings.csv; the switches say how. `asked` notes the Range of each request."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.ranges = True
        self.etag = True
        self.modified: str | None = None
        """The date that is told, and asked by, besides."""
        self.cut_after: list[int] = []
        """Bytes after which each of the next answers is cut off."""
        self.statuses: list[tuple[int, dict[str, str]]] = []
        """Statuses of the next answers, instead of the file."""
        self.pause = 0.0
        self.redirect: str | None = None
        self.asked: list[str | None] = []
        self.conditions: list[str | None] = []
        """By what each request asked whether the file changed."""
        self.port = 0

    @property
    def url(self) -> str:
        """The file's address."""
        return f"http://127.0.0.1:{self.port}/ratings.csv"

    @property
    def allow(self) -> tuple[str, ...]:
        """What [fetch] allow must name."""
        return (f"127.0.0.1:{self.port}",)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """The file, or the fault whose turn it is."""
        self.asked.append(request.headers.get("Range"))
        if self.redirect is not None:
            raise web.HTTPFound(self.redirect)
        if self.statuses:
            status, headers = self.statuses.pop(0)
            return web.Response(status=status, headers=headers)
        return await self._file(request)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        tag = f'"{hashlib.md5(self.body).hexdigest()}"'
        conditions = (request.headers.get("If-None-Match"), request.headers.get("If-Modified-Since"))
        self.conditions.append(conditions[0] or conditions[1])
        # Looked at before the range, and by servers that know no ranges too.
        if (self.etag and conditions[0] == tag) or (self.modified and conditions[1] == self.modified):
            return web.Response(status=304)
        start = 0
        asked = request.http_range.start
        if self.ranges and asked and request.headers.get("If-Range") in (None, tag):
            start = asked
        if start and start >= len(self.body):
            return web.Response(status=416)
        response = web.StreamResponse(status=206 if start else 200)
        if self.etag:
            response.headers["ETag"] = tag
        if self.modified:
            response.headers["Last-Modified"] = self.modified
        response.content_length = len(self.body) - start
        await response.prepare(request)
        end = self.cut_after.pop(0) if self.cut_after else len(self.body)
        body = self.body
        with suppress(ConnectionError):
            for begin in range(start, min(end, len(body)), 4096):
                await response.write(body[begin : min(begin + 4096, end)])
                await asyncio.sleep(self.pause)
        if end < len(body):
            assert request.transport is not None
            request.transport.close()
        return response


@asynccontextmanager
async def serving(site: Site) -> AsyncIterator[Site]:
    """The site on a free loopback port for as long as the block lasts."""
    application = web.Application()
    application.router.add_get("/{name}", site.answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    site.port = runner.addresses[0][1]
    try:
        yield site
    finally:
        await runner.cleanup()

"""GET /events: what is happening now, as server-sent events."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from app.web.problems import unavailable
from app.web.site import SITE

KEEP_ALIVE_SECONDS: Final = 15.0


async def stream(request: web.Request) -> web.StreamResponse:
    """Events until the client goes or the worker stops; a client that comes back is told what it missed."""
    site = request.app[SITE]
    if site.bus.full:
        raise unavailable("Too many watch this worker already.", 30)
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
    )
    await response.prepare(request)
    after = request.headers.get("Last-Event-ID") or request.query.get("after")
    with site.bus.watch(after) as watcher:
        await response.write(b"retry: 2000\n\n")
        while not watcher.closed:
            try:
                happenings = await asyncio.wait_for(watcher.take(), site.keep_alive)
            except TimeoutError:
                await response.write(b": still here\n\n")
                continue
            await response.write(b"".join(each.frame() for each in happenings))
    return response

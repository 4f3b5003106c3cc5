"""GET /events: what is happening now, as server-sent events."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from aiohttp import web

from app.web.bus import Watcher
from app.web.problems import unavailable
from app.web.site import SITE


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
    # A client that goes is how a stream usually ends.
    with suppress(ConnectionResetError), site.bus.watch(after) as watcher:
        await response.write(b"retry: 2000\n\n")
        while not watcher.closed:
            await response.write(await _next(watcher, site.keep_alive))
    return response


async def _next(watcher: Watcher, keep_alive: float) -> bytes:
    """The frames that wait, or a comment where nothing happened for so long."""
    try:
        happenings = await asyncio.wait_for(watcher.take(), keep_alive)
    except TimeoutError:
        return b": still here\n\n"
    return b"".join(each.frame() for each in happenings)

"""Puts routes, guards and static files together."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from aiohttp import web

from app.web import guard
from app.web.openapi import DOCUMENT, document, pattern
from app.web.routes import ROUTES
from app.web.site import SITE, Site

STATIC: Final = Path(__file__).parent / "static"
REQUEST_SECONDS: Final = 15.0


def make_application(
    site: Site, token: str, loopback: bool, own_hosts: frozenset[str], request_seconds: float = REQUEST_SECONDS
) -> web.Application:
    """The aiohttp application of one worker. `own_hosts` are names that a loopback server may be asked by."""
    application = web.Application(
        middlewares=[
            guard.problems,
            guard.same_site(loopback, own_hosts),
            guard.bearer(token),
            guard.deadline(request_seconds),
        ],
    )
    application[SITE] = site
    application[DOCUMENT] = document(ROUTES)
    application.on_response_prepare.append(guard.add_headers)
    application.on_shutdown.append(_end_streams)
    for route in ROUTES:
        application.router.add_route(route.method, pattern(route.path), route.run)
        if route.method == "GET":
            application.router.add_route("HEAD", pattern(route.path), route.run)
    application.router.add_static("/static", STATIC)
    return application


async def _end_streams(application: web.Application) -> None:
    application[SITE].bus.close()

"""The description of all routes, for people and for machines."""

from __future__ import annotations

from aiohttp import web

from app.web.openapi import DOCUMENT
from app.web.pages import render
from app.web.problems import json_response


async def docs(request: web.Request) -> web.Response:
    """Every route on one page."""
    return render("docs.html", here="docs", api=request.app[DOCUMENT])


async def openapi(request: web.Request) -> web.Response:
    """The OpenAPI 3.1 document."""
    return json_response(request.app[DOCUMENT])

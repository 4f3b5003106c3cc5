"""The `csv` connector over HTTP keeps the contract of all connectors."""

from __future__ import annotations

from aiohttp import web

from tests.connectors.runs import rating_file
from tests.connectors.service import Service
from tests.connectors.suite import ConnectorSuite

ROWS = 2500
TAG = '"one"'


class Files(Service):
    """A web server with files, which knows ranges."""

    async def answer(self, request: web.Request) -> web.Response:
        """The file, or the part of it that is asked for."""
        body = rating_file(ROWS).encode()
        if request.headers.get("If-None-Match") == TAG:
            return web.Response(status=304)
        start = request.http_range.start or 0
        if start >= len(body):
            return web.Response(status=416)
        headers = {"ETag": TAG}
        return web.Response(status=206 if start else 200, body=body[start:], content_type="text/csv", headers=headers)


class TestCsv(ConnectorSuite):
    """Read as a stream: no limit to its length, and half a file is a shorter file."""

    kind = "csv"
    keys = {"path": "ratings.csv"}  # noqa: RUF012
    records = ROWS
    topics = {"ratings"}  # noqa: RUF012
    pages = 1
    typed = False
    whole = False

    def service(self) -> Service:
        """The file's server."""
        return Files()

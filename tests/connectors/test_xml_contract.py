"""The `xml` connector over HTTP keeps the contract of all connectors."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path
from typing import ClassVar

from aiohttp import web

from tests.connectors.service import Service
from tests.connectors.suite import Broker, ConnectorSuite, FakeClock
from tests.connectors.xml_source import FIELDS, RECORDS, document

TAG = '"one"'


def zipped(body: bytes) -> bytes:
    """An archive with one file."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(zipfile.ZipInfo("scores.xml"), body, zipfile.ZIP_DEFLATED)
    return archive.getvalue()


class Files(Service):
    """A web server with a document in three forms, which knows ranges."""

    def __init__(self) -> None:
        super().__init__()
        body = document()
        self.files = {"/d.xml": body, "/d.xml.gz": gzip.compress(body, mtime=0), "/d.zip": zipped(body)}

    async def answer(self, request: web.Request) -> web.Response:
        """The file, or the part of it that is asked for."""
        body = self.files[request.path]
        if request.headers.get("If-None-Match") == TAG:
            return web.Response(status=304)
        start = request.http_range.start or 0
        if start >= len(body):
            return web.Response(status=416)
        kind = "application/xml" if request.path == "/d.xml" else "application/octet-stream"
        return web.Response(status=206 if start else 200, body=body[start:], content_type=kind, headers={"ETag": TAG})


class TestXml(ConnectorSuite):
    """Read as a stream: no limit to its length; half a document is tested beside the contract."""

    kind = "xml"
    keys: ClassVar[dict[str, object]] = {"path": "d.xml", "record": "rating", "fields": FIELDS}
    records = RECORDS
    topics = {"ratings"}  # noqa: RUF012
    pages = 1
    typed = False
    whole = False

    def service(self) -> Service:
        """The document's server."""
        return Files()

    async def test_what_was_read_to_its_end_is_not_sent_again_by_the_server(
        self, site: Service, tmp_path: Path, clock: FakeClock
    ) -> None:
        await self.run(site, tmp_path, clock, Broker())
        report = await self.run(site, tmp_path, clock, Broker())
        assert (report.status, report.records, report.bytes, report.notes) == ("success", 0, 0, [])
        assert site.asked[-1].headers["If-Range"] == '"one"'


class TestXmlGzip(TestXml):
    """Compressed."""

    keys: ClassVar[dict[str, object]] = {"path": "d.xml.gz", "record": "rating", "fields": FIELDS}


class TestXmlZip(TestXml):
    """In an archive."""

    keys: ClassVar[dict[str, object]] = {"path": "d.zip", "record": "rating", "fields": FIELDS}

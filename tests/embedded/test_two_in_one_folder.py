"""Two embedded Marquees that are started in one folder: neither sees, serves or removes the other's pictures."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from app.delivery.producer import Outgoing, Producer
from schemas.catalogue import encode, partition_counts
from schemas.pictures import ImageFound
from tests.embedded.test_up import Up
from tests.pictures.hostile import good

pytestmark = [pytest.mark.embedded, pytest.mark.slow, pytest.mark.timeout(500)]

PERSON = "Q900003"
ORPHANS_AFTER = 3.0


class Host(BaseHTTPRequestHandler):
    """A picture host: the number in the address makes the picture."""

    def do_GET(self) -> None:
        """Answer with a picture, or with nothing to robots."""
        number = self.path.strip("/").removesuffix(".jpg")
        data = bytes_of(int(number)) if number.isdigit() else b""
        self.send_response(200 if data else 404)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *said: Any) -> None:
        """Nothing."""


def bytes_of(number: int) -> bytes:
    """One picture, the same every time."""
    return good(number)


@pytest.fixture
def host() -> Iterator[str]:
    """host:port of pictures."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Host)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def folder(tmp_path: Path, host: str) -> Path:
    """A working directory with one configuration."""
    (tmp_path / "marquee.toml").write_text(
        f'[fetch]\nallow = ["{host}"]\n[pictures]\norphans_after = {ORPHANS_AFTER}\nprocesses = 1\nnsfw = false\n'
    )
    return tmp_path


def addresses(up: Up) -> dict[str, Any]:
    """What `marquee.json` says."""
    found: dict[str, Any] = json.loads((up.data / "marquee.json").read_bytes())
    return found


def find(up: Up, url: str) -> None:
    """Tell of a picture."""

    async def send() -> None:
        producer = Producer([addresses(up)["broker"].removeprefix("kafka://")], partition_counts(4))
        await producer.start()
        found = ImageFound(celebrity_id=PERSON, source="mine", url=url)
        await producer.send([Outgoing(found.topic, found.key.encode(), encode(found), [])])
        await producer.stop()

    asyncio.run(send())


def originals(up: Up) -> set[str]:
    """The pictures that lie under a data directory, by their names."""
    return {path.stem for path in (up.data / "images" / "original").rglob("*.*")}


def status(up: Up, sha256: str) -> int:
    """How a worker answers who asks for a clean picture."""
    try:
        with urllib.request.urlopen(f"{addresses(up)['web']}/images/{sha256}") as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_neither_sees_nor_removes_the_pictures_of_the_other(folder: Path, host: str) -> None:
    both = [Up(folder, "one"), Up(folder, "two")]
    try:
        for number, up in enumerate(both, 1):
            up.start()
            find(up, f"http://{host}/{number}.jpg")
            up.until(lambda up=up: len(originals(up)) == 1 and clean(up) != set())  # type: ignore[misc]
        # Time for some looks of both sweepers at all that is old.
        time.sleep(3 * ORPHANS_AFTER)
        assert [originals(up) for up in both] == [{hashlib.sha256(bytes_of(n)).hexdigest()} for n in (1, 2)]
        for own, other in (both, both[::-1]):
            assert {status(own, each) for each in clean(own)} == {200}
            assert {status(own, each) for each in clean(other)} == {404}
            (checked,) = [each for each in own("doctor")["checks"] if each["name"] == "pictures"]
            assert str(own.data / "images") in checked["found"]
        assert not (folder / "data").exists()
    finally:
        for up in both:
            up.kill_what_is_left()


def clean(up: Up) -> set[str]:
    """The cleaned pictures under a data directory."""
    return {path.stem for path in (up.data / "images" / "clean").rglob("*.*")}

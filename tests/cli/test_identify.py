"""`marquee identify`: a worker says who is on a picture."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.cli.conftest import Marquee

FACES = [
    {
        "box": [10, 20, 90, 110],
        "celebrity_id": "Q1",
        "confidence": 0.71,
        "candidates": [{"celebrity_id": "Q1", "confidence": 0.71}, {"celebrity_id": "Q2", "confidence": 0.2}],
    },
    {"box": [200, 20, 60, 70], "celebrity_id": None, "confidence": 0.1, "candidates": []},
]
ANSWERS: dict[bytes, tuple[int, Any]] = {
    b"two people": (200, {"faces": FACES}),
    b"nobody": (200, {"faces": []}),
    b"a web page": (422, {"title": "Unprocessable", "detail": "Not a picture: the file is a web page (HTML)."}),
}


class Worker(BaseHTTPRequestHandler):
    """Says what ANSWERS says of a body."""

    headers_seen: list[dict[str, str]] = []  # noqa: RUF012

    def do_POST(self) -> None:
        """One answer."""
        type(self).headers_seen.append(dict(self.headers.items()))
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status, said = ANSWERS[body] if self.path == "/identify" else (404, {"title": self.path})
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(said).encode())

    def log_message(self, *_: object) -> None:
        """Silence."""


@pytest.fixture
def worker(marquee: Marquee) -> Iterator[Marquee]:
    """The command line with a worker that answers."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Worker)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    marquee.environment["MARQUEE_WEB__PORT"] = str(server.server_port)
    for name in ANSWERS:
        (marquee.directory / f"{name.decode().replace(' ', '-')}.jpg").write_bytes(name)
    yield marquee
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_faces_are_told_as_the_worker_tells_them(worker: Marquee) -> None:
    assert worker.json("identify", "two-people.jpg") == {"faces": FACES}
    lines = worker("identify", "two-people.jpg").stdout.splitlines()
    assert lines[0].split() == ["face", "who", "confidence", "or"]
    assert "90x110 at 10,20" in lines[1]
    assert "Q2 0.20" in lines[1]
    assert "unknown" in lines[2]


def test_a_picture_of_nobody_is_said_to_be_one(worker: Marquee) -> None:
    assert "no face was found" in worker("identify", "nobody.jpg").stdout


def test_the_token_goes_along(worker: Marquee, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARQUEE_API_TOKEN", "secret")
    worker("identify", "nobody.jpg")
    assert Worker.headers_seen[-1]["Authorization"] == "Bearer secret"


def test_mistakes_are_told_in_one_line(worker: Marquee) -> None:
    assert "web page" in worker.mistake("identify", "a-web-page.jpg")
    assert "nothing.jpg cannot be read" in worker.mistake("identify", "nothing.jpg")
    (worker.directory / "empty.jpg").write_bytes(b"")
    assert "is empty" in worker.mistake("identify", "empty.jpg")
    worker.environment["MARQUEE_FETCH__MAX_BYTES"] = "1000"
    (worker.directory / "large.jpg").write_bytes(b"x" * 1001)
    assert "too large" in worker.mistake("identify", "large.jpg")
    worker.environment["MARQUEE_WEB__PORT"] = "1"
    assert "no Marquee answers" in worker.mistake("identify", "nobody.jpg")

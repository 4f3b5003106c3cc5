"""`film`, `films` and `models` ask a worker; the answers are its own."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from app.cli import celebrities, lookups
from app.storage.picture_queries import PEOPLE_ORDERS
from app.storage.queries import ORDERS
from tests.cli.conftest import Marquee

FILM = {"film_id": "tt1375666", "title": "Inception [bold]", "year": 2010, "predicted": 8.123456}
ANSWERS: dict[str, tuple[int, Any]] = {
    "/films?limit=20": (200, {"items": [FILM, {**FILM, "film_id": "Q1", "title": None}], "next": None}),
    "/films?search=incep&sort=-year&limit=5": (200, {"items": [FILM], "next": "x"}),
    "/films?search=zzz&limit=20": (200, {"items": [], "next": None}),
    "/films/tt1375666": (200, {"film": FILM, "sources": [{"source": "ml", "n": 3, "mean": 8.0}], "prediction": None}),
    "/films/tmdb%3Amovie%2F1": (200, {"film": {"film_id": "tmdb:movie/1"}}),
    "/films/tt0000001": (404, {"title": "Not found", "detail": "No film tt0000001 is known here."}),
    "/films/tt0000002": (502, "no JSON"),
    "/models": (200, {"items": [{"name": "future-rating", "version": "1", "metrics": {"mae": 0.6}}]}),
    "/models/future-rating": (200, {"name": "future-rating", "metrics": {"mae": 0.6}}),
}


class Answers(BaseHTTPRequestHandler):
    """Says what ANSWERS says."""

    asked: list[dict[str, str]] = []  # noqa: RUF012

    def do_GET(self) -> None:
        """One answer."""
        type(self).asked.append(dict(self.headers.items()))
        status, body = ANSWERS[self.path]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body.encode() if isinstance(body, str) else json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        """Silence."""


@pytest.fixture
def worker(marquee: Marquee) -> Iterator[Marquee]:
    """The command line with a worker that answers."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    marquee.environment["MARQUEE_WEB__PORT"] = str(server.server_port)
    yield marquee
    server.shutdown()
    thread.join()
    server.server_close()


def test_films_are_listed_as_the_worker_lists_them(worker: Marquee) -> None:
    assert worker.json("films") == ANSWERS["/films?limit=20"][1]
    text = worker("films").stdout.splitlines()
    assert text[0].split() == ["film", "id", "title", "year", "predicted"]
    assert "Inception [bold]  2010  8.123" in text[1]
    assert text[2].startswith("Q1         -")


def test_a_search_that_finds_nothing_does_not_say_that_nothing_is_known(worker: Marquee) -> None:
    assert "'zzz'" in worker("films", "--search", "zzz").output


def test_films_are_searched_sorted_and_limited_by_the_worker(worker: Marquee) -> None:
    found = worker.json("films", "--search", "incep", "--sort", "-year", "--limit", "5")
    assert [film["film_id"] for film in found["items"]] == ["tt1375666"]


def test_what_nothing_can_be_sorted_by_is_a_wrong_call_and_answered_by_what_can(worker: Marquee) -> None:
    for words, fields in ((("films",), ORDERS), (("celebrities",), PEOPLE_ORDERS)):
        line = worker.mistake(*words, "--sort", "NONSENSE", code=2)
        assert all(f"'{name}', " in line and f"'-{name}'" in line for name in fields)
    assert (tuple(ORDERS), tuple(PEOPLE_ORDERS)) == (lookups.SORTS, celebrities.SORTS)


def test_a_film_is_shown_with_its_sources(worker: Marquee) -> None:
    assert worker.json("film", "tt1375666")["film"] == FILM
    assert "source ml, n 3, mean 8" in worker("film", "tt1375666").stdout


def test_an_id_with_a_slash_is_asked_for_whole(worker: Marquee) -> None:
    assert worker.json("film", "tmdb:movie/1")["film"]["film_id"] == "tmdb:movie/1"


def test_the_workers_own_words_are_told(worker: Marquee) -> None:
    assert "No film tt0000001 is known here." in worker.mistake("film", "tt0000001")
    assert "answered 502" in worker.mistake("film", "tt0000002")


def test_models_are_listed_and_shown(worker: Marquee) -> None:
    assert worker.json("models", "list") == ANSWERS["/models"][1]
    assert "future-rating" in worker("models", "list").stdout
    assert worker.json("models", "show", "future-rating")["metrics"] == {"mae": 0.6}


def test_the_token_goes_along_and_a_proxy_of_the_environment_is_not_asked(worker: Marquee) -> None:
    worker.environment |= {
        "MARQUEE_API_TOKEN": "secret",
        "http_proxy": "http://127.0.0.1:1",
        "HTTP_PROXY": "http://127.0.0.1:1",
    }
    worker("films")
    assert Answers.asked[-1]["Authorization"] == "Bearer secret"


def test_a_number_out_of_its_limits_is_answered_with_them(marquee: Marquee) -> None:
    for wrong in ("x", "0", "1001", "2.5"):
        line = marquee.mistake("films", "--limit", wrong, code=2)
        assert f"'{wrong}' is not a whole number from 1 to 1000" in line

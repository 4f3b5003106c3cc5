"""Records that nobody should have sent, for every topic that is read, made from a good one of each kind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from app.topology import Kind, film_topology

FILM: Final = "tt1375666"
FIVE_MB: Final = 5 << 20
Json = dict[str, Any]

GOOD: Final[dict[str, Json]] = {
    "input": {"type": "film", "title": "Inception", "year": 2010, "imdb": FILM},
    "film-submissions": {"film_id": FILM, "title": "Inception", "year": 2010},
    "films-registered": {"film_id": FILM, "title": "Inception", "year": 2010},
    "facts": {"film_id": FILM, "source": "imdb", "title": "Inception", "runtime_minutes": 148.0},
    "ratings": {"film_id": FILM, "source": "x", "source_record_id": "p", "value": 7.0, "votes": 3},
    "reviews": {"film_id": FILM, "source": "x", "source_record_id": "p", "text": "Good.", "rating": 8.0},
    "training-ratings": {
        "film_id": FILM,
        "source": "x",
        "source_record_id": "p",
        "score": 7.0,
        "kind": "single",
        "ordinal": 1,
        "partition": 9,
        "offset": 0,
        "cause_id": "p",
        "received_at": "2024-01-01T00:00:00.000Z",
    },
    "training-reviews": {
        "film_id": FILM,
        "source": "x",
        "source_record_id": "p",
        "text": "Good.",
        "partition": 9,
        "offset": 0,
        "cause_id": "p",
        "received_at": "2024-01-01T00:00:00.000Z",
        "score": 8.0,
    },
    "rating-predictions": {
        "event_id": "p",
        "cause_id": "p",
        "film_id": FILM,
        "predicted": 7.0,
        "current_mean": 7.0,
        "n_ratings": 1,
        "model": "m",
        "model_version": "1",
        "predicted_at": "2024-01-01T00:00:00.000Z",
    },
    "review-sentiments": {
        "event_id": "p",
        "cause_id": "p",
        "film_id": FILM,
        "source_record_id": "p",
        "positive": 0.5,
        "model": "m",
        "model_version": "1",
        "predicted_at": "2024-01-01T00:00:00.000Z",
    },
    "control": {"model": "future-rating", "action": "snapshot"},
}
"""A good record for each topic that a stage reads; a test holds it to the topology."""


class Poison(NamedTuple):
    """One record; `raw_key` where it is another than the film's."""

    name: str
    topic: str
    value: bytes | None
    key: bytes | None = FILM.encode()
    headers: tuple[tuple[str, bytes], ...] = ()
    reason: str = ""
    """What the dead letter's error must say, among other things."""


def read_topics() -> dict[str, list[str]]:
    """Every topic that is read, with the stages that read it."""
    found: dict[str, list[str]] = {}
    for stage in film_topology().stages:
        if stage.kind is Kind.LEARN or stage.table is not None:
            found.setdefault(stage.topic, []).append(stage.name)
    return found


def poisons() -> list[Poison]:
    """Every kind for every topic that is read."""
    return [one for topic in read_topics() for one in (*_bytes(topic), *_fields(topic), *_places(topic), *_own(topic))]


def _bytes(topic: str) -> Iterator[Poison]:
    good = json.dumps(GOOD[topic]).encode()
    yield Poison("invalid JSON", topic, good[:-1], reason="invalid JSON")
    yield Poison("not JSON at all", topic, b"\x80\x04\x95pickle", reason="invalid JSON")
    yield Poison("no bytes", topic, b"", reason="invalid JSON")
    yield Poison("two values", topic, good + good, reason="invalid JSON")
    yield Poison("text that is not UTF-8", topic, good.replace(b": ", b': "\xff\xfe", "z": ', 1), reason="invalid")
    yield Poison("half a surrogate pair", topic, good.replace(b"{", b'{"z": "\\ud800", ', 1), reason="invalid")
    yield Poison("100,000 brackets", topic, b"[" * 100_000, reason="invalid")
    yield Poison("5 MB of spaces", topic, b" " * FIVE_MB + good, reason="too large")
    yield Poison("5 MB of text", topic, json.dumps({**GOOD[topic], "z": "x" * FIVE_MB}).encode(), reason="too large")


def _fields(topic: str) -> Iterator[Poison]:
    good = GOOD[topic]
    yield from (Poison(f"{said!r} alone", topic, said, reason="invalid") for said in (b"null", b"[1]", b'"x"', b"7"))
    yield Poison("no field", topic, b"{}", reason="missing required field")
    for name, value in good.items():
        others: list[Any] = [None, {"a": 1}, [1]] if isinstance(value, str) else ["7", {"a": 1}, [1]]
        # What may be left out may be null too, which is no poison.
        for other in others if name in _required(topic) else others[1:]:
            yield Poison(f"{name} is {other!r}", topic, json.dumps({**good, name: other}).encode(), reason="invalid")
        if name in _required(topic):
            less = {key: field for key, field in good.items() if key != name}
            yield Poison(f"{name} is missing", topic, json.dumps(less).encode(), reason="missing required field")
        for number in ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" * 400):
            said = json.dumps({**good, name: "@"}).replace('"@"', number).encode()
            yield Poison(f"{name} is {number[:9]}", topic, said, reason="invalid")


def _required(topic: str) -> set[str]:
    optional = {"year", "imdb", "title", "runtime_minutes", "votes", "rating", "score", "current_mean"}
    always = {"input": {"title"}, "training-ratings": {"score"}, "rating-predictions": {"current_mean"}}
    return (GOOD[topic].keys() - optional) | always.get(topic, set())


def _places(topic: str) -> Iterator[Poison]:
    good = json.dumps(GOOD[topic]).encode()
    for schema in (b"/schemas/%s/99" % topic.encode(), b"/schemas/%s/0" % topic.encode(), b"/schemas/other/1", b"junk"):
        yield Poison(f"schema {schema.decode()}", topic, good, headers=(("ce_dataschema", schema),), reason="schema")
    yield Poison("an empty key", topic, good, key=b"", reason="empty key")
    yield Poison("a key that is not UTF-8", topic, good, key=b"\xff\xfe\x00", reason="not UTF-8")
    yield Poison("a tombstone", topic, None, reason="tombstone")
    yield Poison("a tombstone without a key", topic, None, key=None, reason="tombstone")


def _own(topic: str) -> Iterator[Poison]:
    """What only this kind of record can be wrong in."""
    wrong: dict[str, list[Json]] = {
        "ratings": [
            {"value": 11.0},
            {"value": -0.5},
            {"value": 6.0, "best": 5.0},
            {"value": 1.0, "worst": 2.0, "best": 5.0},
            {"value": 0.0, "best": 0.0},
            {"value": 1.0, "best": 1e300},
            {"votes": -1},
            {"kind": "median"},
            {"source": "x" * 513},
            *({"film_id": name} for name in _NO_FILMS),
        ],
        "reviews": [{"text": " \n"}, {"rating": 11.0}, {"text": "x" * 200_001}, *({"film_id": n} for n in _NO_FILMS)],
        "facts": [{"year": 1}, {"runtime_minutes": -1.0}, *({"film_id": name} for name in _NO_FILMS)],
        "input": [{"type": "other"}, {"imdb": "tt1"}, {"tmdb": -1}, {"wikidata": "12"}, {"year": 99_999}],
        "training-ratings": [{"score": 10.5}, {"kind": "median"}],
        "training-reviews": [{"score": -1.0}],
        "rating-predictions": [{"predicted": 10.1}, {"current_mean": -0.1}],
        "review-sentiments": [{"positive": 1.1}],
        "control": [{"action": "explode"}],
    }
    for change in wrong.get(topic, []):
        value = json.dumps({**GOOD[topic], **change}).encode()
        yield Poison(f"{json.dumps(change)[:40]}", topic, value)


_NO_FILMS: Final = (
    "inception",
    "tt12",
    "tt1375666 ",
    "Q0",
    "tmdb:movie/0",
    "local:1",
    "../etc",
    "tt\u0661375666",
    "x" * 600,
)

"""Records that nobody should have sent, for every topic that is read, made from a good one of each kind."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from app.topology import Kind, film_topology
from schemas.catalogue import topics
from tests.crash.good import FILM, GOOD, Good, Json

FIVE_MB: Final = 5 << 20


class Poison(NamedTuple):
    """One record; `raw_key` where it is another than the film's."""

    name: str
    topic: str
    value: bytes | None
    key: bytes | None = FILM.encode()
    headers: tuple[tuple[str, bytes], ...] = ()
    reason: str = ""
    """What the dead letter's error must say, among other things."""
    refused_by: tuple[str, ...] = ()
    """Which stages refuse it, where others can take it."""

    @property
    def stages(self) -> list[str]:
        """The stages that must give it up."""
        return sorted(self.refused_by or read_topics()[self.topic])


@cache
def read_topics() -> Mapping[str, Sequence[str]]:
    """Every topic that is read, with the stages that read it."""
    found: dict[str, list[str]] = {}
    for stage in film_topology().stages:
        if stage.kind is Kind.LEARN or stage.table is not None:
            found.setdefault(stage.topic, []).append(stage.name)
    return found


def read_types() -> dict[str, set[str]]:
    """Every topic that is read, with the tags of the types that may lie on it; "" for a type without."""
    return {name: {str(one.__struct_config__.tag or "") for one in topics()[name]} for name in read_topics()}


def poisons() -> list[Poison]:
    """Every kind for every topic that is read."""
    return [one for topic in read_topics() for one in _of_topic(topic)]


def _of_topic(topic: str) -> Iterator[Poison]:
    first = GOOD[topic][0]
    yield from (*_bytes(topic, first.value), *_places(topic, first.value))
    for good in GOOD[topic]:
        yield from (*_fields(topic, good), *_own(topic, good.value))


def _bytes(topic: str, value: Json) -> Iterator[Poison]:
    good = json.dumps(value).encode()
    yield Poison("invalid JSON", topic, good[:-1], reason="invalid JSON")
    yield Poison("not JSON at all", topic, b"\x80\x04\x95pickle", reason="invalid JSON")
    yield Poison("no bytes", topic, b"", reason="invalid JSON")
    yield Poison("two values", topic, good + good, reason="invalid JSON")
    yield Poison("text that is not UTF-8", topic, good.replace(b": ", b': "\xff\xfe", "z": ', 1), reason="invalid")
    yield Poison("half a surrogate pair", topic, good.replace(b"{", b'{"z": "\\ud800", ', 1), reason="invalid")
    yield Poison("100,000 brackets", topic, b"[" * 100_000, reason="invalid")
    yield Poison("5 MB of spaces", topic, b" " * FIVE_MB + good, reason="too large")
    yield Poison("5 MB of text", topic, json.dumps({**value, "z": "x" * FIVE_MB}).encode(), reason="too large")
    yield from (Poison(f"{said!r} alone", topic, said, reason="invalid") for said in (b"null", b"[1]", b'"x"', b"7"))
    yield Poison("no field", topic, b"{}", reason="missing required field")


def _fields(topic: str, good: Good) -> Iterator[Poison]:
    tag = f"{good.value['type']}: " if "type" in good.value else ""
    for name, value in good.value.items():
        for other in _others(value, null=name not in good.optional | good.nullable):
            said = json.dumps({**good.value, name: other}).encode()
            yield Poison(f"{tag}{name} is {other!r}", topic, said, reason="invalid")
        if name not in good.optional:
            less = {key: field for key, field in good.value.items() if key != name}
            yield Poison(f"{tag}{name} is missing", topic, json.dumps(less).encode(), reason="missing required field")
        for number in ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" * 400):
            said = json.dumps({**good.value, name: "@"}).replace('"@"', number).encode()
            yield Poison(f"{tag}{name} is {number[:9]}", topic, said, reason="invalid")


def _others(value: Any, null: bool) -> list[Any]:
    """What a field must not be that is like `value`."""
    others: list[Any] = [[1], *([None] if null else [])]
    if isinstance(value, dict):
        return [*others, "7", 7]
    return [*others, {"a": 1}, *([] if isinstance(value, str) else ["7"])]


def _places(topic: str, value: Json) -> Iterator[Poison]:
    good = json.dumps(value).encode()
    for schema in (b"/schemas/%s/99" % topic.encode(), b"/schemas/%s/0" % topic.encode(), b"/schemas/other/1", b"junk"):
        yield Poison(f"schema {schema.decode()}", topic, good, headers=(("ce_dataschema", schema),), reason="schema")
    yield Poison("an empty key", topic, good, key=b"", reason="empty key")
    yield Poison("a key that is not UTF-8", topic, good, key=b"\xff\xfe\x00", reason="not UTF-8")
    yield Poison("a tombstone", topic, None, reason="tombstone")
    yield Poison("a tombstone without a key", topic, None, key=None, reason="tombstone")


def _own(topic: str, value: Json) -> Iterator[Poison]:
    """What only this kind of record can be wrong in."""
    tag = value.get("type", "")
    changes = [*_WRONG.get((topic, tag), []), *({"type": other} for other in (_WRONG_TAGS if tag else ()))]
    for change in changes:
        said = json.dumps({**value, **change}).encode()
        yield Poison(f"{tag} {json.dumps(change)[:40]}", topic, said)
    for stages, change in _REFUSED.get((topic, tag), []):
        said = json.dumps({**value, **change}).encode()
        yield Poison(f"{tag} {json.dumps(change)[:40]}", topic, said, refused_by=stages)


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

_WRONG_TAGS: Final = ("other", "", "Film", "film\u0000")
_NO_PEOPLE: Final[list[Json]] = [{"celebrity_id": name} for name in ("Tilda", "", FILM, "Q0", "nm1", "../etc")]
_NO_SIZES: Final[list[Json]] = [{"width": -1}, {"height": 0.5}, {"order": 2**53 + 1}]
_NO_IMAGES: Final[list[Json]] = [{"image_id": "x"}, {"image_id": "A" * 64}, {"order": -1}]
_FACE: Final[Json] = {"box": [1, 2, 3, 4], "score": 0.9, "embedding": "AAAA" * 171}
_NO_RUNS: Final[list[Json]] = [{"attempt": -1}, {"attempt": 1.5}]

_WRONG: Final[dict[tuple[str, str], list[Json]]] = {
    ("ratings", ""): [
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
    ("reviews", ""): [{"text": " \n"}, {"rating": 11.0}, {"text": "x" * 200_001}, *({"film_id": n} for n in _NO_FILMS)],
    ("facts", ""): [{"year": 1}, {"runtime_minutes": -1.0}, *({"film_id": name} for name in _NO_FILMS)],
    ("input", "film"): [{"imdb": "tt1"}, {"tmdb": -1}, {"wikidata": "12"}, {"year": 99_999}, {"title": ""}],
    ("input", "celebrity"): [{"wikidata": "12"}, {"wikidata": None, "tmdb": -1}, {"name": "?", "wikidata": None}],
    ("training-ratings", ""): [{"score": 10.5}, {"kind": "median"}],
    ("training-reviews", ""): [{"score": -1.0}],
    ("rating-predictions", ""): [{"predicted": 10.1}, {"current_mean": -0.1}],
    ("review-sentiments", ""): [{"positive": 1.1}],
    ("control", ""): [{"action": "explode"}],
    ("celebrity-submissions", "submit"): [{"tmdb": 2**53 + 1}],
    ("celebrity-submissions", "erase"): [{"order": -1}, {"order": 2**53 + 1}],
    ("celebrities-registered", ""): [{"tmdb": -1}],
    ("images-found", ""): [{"url": ""}, {"url": "x" * 8193}, {"width": -1}, {"source": ""}, {"licence": "x" * 1001}],
    ("images-fetched", "fetched"): [*_NO_PEOPLE, {"image_id": "x"}, {"phash64": "G" * 16}, {"bytes": -1}, {"url": ""}],
    ("images-fetched", "ruling"): [
        *_NO_PEOPLE,
        {"decision": "maybe"},
        {"item_id": "never found"},
        {"note": "x" * 2001},
    ],
    ("images-fetched", "forget"): _NO_PEOPLE,
    ("images-accepted", ""): [*_NO_SIZES, *_NO_IMAGES, {"phash64": "0"}],
    ("images-rejected", ""): [{"stage": "judge"}, {"verdict": "kept"}, {"reason": "x" * 2001}, {"distance": -1}],
    ("images-examined", "examined"): [
        *_NO_SIZES,
        *_NO_IMAGES,
        {"clean_sha256": "x"},
        {"faces": [{**_FACE, "box": [1, 2, 3]}]},
        {"faces": [_FACE]},
        {"faces": None},
    ],
    ("images-examined", "withdrawn"): [*_NO_IMAGES, {"reason": "x" * 2001}],
    ("images-examined", "forgotten"): [{"order": -1}],
    ("images-kept", ""): [*_NO_SIZES, *_NO_IMAGES, {"sha256": "x"}, {"box": [1]}],
    ("images-discarded", ""): [*_NO_IMAGES, {"verdict": "kept"}, {"path": 7}],
    ("images-clean", "confirmed"): [*_NO_IMAGES, {"embedding": "AAAA"}, {"embedding": "no base64"}],
    ("images-clean", "withdrawn"): [{"order": -1}],
    ("images-clean", "forgotten"): [{"order": -1}],
    ("face-predictions", ""): [{"order": -1}],
    ("film-mentions", "film"): [{"kind": "song"}, {"tmdb": -1}],
    ("film-mentions", "mention"): [
        {"text": "x" * 200_001},
        {"rating_kind": "median"},
        {"addresses": [7]},
        {"votes": -1},
        {"mention_id": ""},
        {"year": 10**30},
        {"year": -1},
    ],
    ("film-mentions", "resolve"): [{"mention_id": "never left open"}, {"film_id": ""}],
    ("match-unresolved", ""): [{"candidates": [{"film_id": FILM}]}],
    ("mentions-matched", ""): [{"how": "guess"}],
    ("scrape-requests", "run"): [
        *_NO_RUNS,
        {"trigger": "whim"},
        {"targets": [{"id": ""}]},
        {"targets": [{"id": "Q1", "year": 10**30}]},
    ],
    ("scrape-requests", "steer"): [{"action": "explode"}, {"reason": "x" * 4001}],
    ("scrape-runs", "admitted"): [*_NO_RUNS, {"trigger": "whim"}],
    ("scrape-runs", "steered"): [{"action": "explode"}],
    ("scrape-runs", "started"): [*_NO_RUNS, {"targets": -1}, {"resumed": "yes"}],
    ("scrape-runs", "checkpointed"): [{"counts": {"records": -1}}, {"done": -1}, {"state": None}],
    ("scrape-runs", "finished"): [*_NO_RUNS, {"status": "odd"}, {"faults": [["x", "y"]]}, {"counts": {"bytes": 0.5}}],
    ("scrape-runs", "sla-missed"): [{"attempt": -1}],
}
_REFUSED: Final[dict[tuple[str, str], list[tuple[tuple[str, ...], Json]]]] = {
    # Documents hold what can be looked up: what nobody could ask for is passed over there without a word.
    ("images-found", ""): [(("fetch",), change) for change in _NO_PEOPLE if change["celebrity_id"]],
}

"""A good record of each type that a stage reads, from which poison is made."""

from __future__ import annotations

import base64
import hashlib
from typing import Any, Final, NamedTuple

from schemas.ids import item_id
from tests.stories.pictures import MODEL, embedding

Json = dict[str, Any]

FILM: Final = "tt1375666"
PERSON: Final = "Q200534"
URL: Final = f"https://pictures.example/photo:1/of:{PERSON}"
"""As `FakePictures` understands it."""
IMAGE: Final = hashlib.sha256(URL.encode()).hexdigest()
_AT: Final = "2024-01-01T00:00:00.000Z"
_PERSON: Final = {"celebrity_id": PERSON}
_ITEM: Final = {"item_id": item_id(PERSON, URL), "celebrity_id": PERSON}
_SAID: Final = {**_ITEM, "source": "commons", "url": URL}
_SIZE: Final = {"width": 500, "height": 750}
_PICTURE: Final = {**_SAID, "image_id": IMAGE, "order": 7}
_REVIEW: Final = {"film_id": FILM, "source": "x", "source_record_id": "p", "text": "Good."}
_PLACED: Final = {"partition": 9, "offset": 0, "cause_id": "p", "received_at": _AT}
_MODEL: Final = {"model": "m", "model_version": "1"}
_RUN: Final = {"run_id": "r", "connector": "no-such"}
_ATTEMPT: Final = {"trigger": "manual", "attempt": 1}


class Good(NamedTuple):
    """A record with every field that it must have."""

    value: Json
    optional: frozenset[str] = frozenset()
    """Fields that may be left out, or null."""
    nullable: frozenset[str] = frozenset()
    """Fields that must be there but may be null."""


def _good(value: Json, optional: str = "", nullable: str = "") -> Good:
    return Good(value, frozenset(optional.split()), frozenset(nullable.split()))


def _tagged(tag: str, value: Json, optional: str = "", nullable: str = "") -> Good:
    return _good({"type": tag, **value}, optional, nullable)


GOOD: Final[dict[str, tuple[Good, ...]]] = {
    "input": (
        _tagged("film", {"title": "Inception", "year": 2010, "imdb": FILM}, "year imdb"),
        _tagged("celebrity", {"name": "Tilda Swinton", "wikidata": PERSON}, "wikidata"),
    ),
    "film-submissions": (_good({"film_id": FILM, "title": "Inception", "year": 2010}, "title year"),),
    "films-registered": (_good({"film_id": FILM, "title": "Inception", "year": 2010}, "title year"),),
    "facts": (
        _good(
            {"film_id": FILM, "source": "imdb", "title": "Inception", "runtime_minutes": 148.0}, "title runtime_minutes"
        ),
    ),
    "ratings": (_good({"film_id": FILM, "source": "x", "source_record_id": "p", "value": 7.0, "votes": 3}, "votes"),),
    "reviews": (_good({**_REVIEW, "rating": 8.0}, "rating"),),
    "training-ratings": (
        _good(
            {"film_id": FILM, "source": "x", "source_record_id": "p", "score": 7.0, "kind": "single", "ordinal": 1}
            | _PLACED
        ),
    ),
    "training-reviews": (_good({**_REVIEW, **_PLACED, "score": 8.0}, "score"),),
    "rating-predictions": (
        _good(
            {"event_id": "p", "cause_id": "p", "film_id": FILM, "predicted": 7.0, "current_mean": 7.0, "n_ratings": 1}
            | {**_MODEL, "predicted_at": _AT},
            nullable="current_mean",
        ),
    ),
    "review-sentiments": (
        _good(
            {"event_id": "p", "cause_id": "p", "film_id": FILM, "source_record_id": "p", "positive": 0.5}
            | {**_MODEL, "predicted_at": _AT}
        ),
    ),
    "control": (_good({"model": "future-rating", "action": "snapshot"}),),
    "celebrity-submissions": (
        _tagged("submit", {**_PERSON, "name": "Tilda Swinton"}, "name"),
        _tagged("erase", {**_PERSON, "order": 7}),
    ),
    "celebrities-registered": (_good({**_PERSON, "name": "Tilda Swinton"}, "name"),),
    "images-found": (_good({**_PERSON, "source": "commons", "url": URL}),),
    "images-fetched": (
        _tagged(
            "fetched",
            {**_SAID, **_SIZE, "image_id": IMAGE, "format": "jpeg", "bytes": 70_000, "pipeline": 1, "fetched_at": _AT}
            | {"phash64": "0" * 16, "dhash64": "0" * 16, "phash256": "0" * 64},
        ),
        _tagged("ruling", {**_ITEM, "decision": "reject"}),
        _tagged("forget", _PERSON),
    ),
    "images-accepted": (_good({**_PICTURE, **_SIZE, "format": "jpeg", "phash64": "0" * 16}),),
    "images-rejected": (
        _good({**_SAID, "stage": "fetch", "verdict": "failed", "reason": "404 Not Found", "order": 0}),
    ),
    "images-examined": (
        _tagged(
            "examined",
            {**_PICTURE, "phash64": "0" * 16, "clean_sha256": "1" * 64, "path": f"clean/11/{'1' * 64}.jpg"},
            "clean_sha256 path",
        ),
        _tagged("withdrawn", {**_PICTURE, "order": 8, "reason": "by hand"}),
        _tagged("forgotten", {**_PERSON, "order": 9}),
        _tagged("dropped", {**_PERSON, "order": 9, "found_at": "2026-01-01T00:00:00.000Z"}),
    ),
    "images-kept": (
        _good({**_PICTURE, **_SIZE, "sha256": "1" * 64, "phash": "0" * 16, "path": f"clean/11/{'1' * 64}.jpg"}),
    ),
    "images-discarded": (_good({**_PICTURE, "verdict": "rejected", "reason": "no face"}),),
    "images-clean": (
        _tagged(
            "confirmed",
            {**_ITEM, "image_id": IMAGE, "order": 7, "face_model": MODEL}
            | {"embedding": base64.b64encode(embedding(PERSON)).decode()},
        ),
        _tagged("withdrawn", {**_ITEM, "order": 8}),
        _tagged("forgotten", {**_PERSON, "order": 9}),
    ),
    "face-predictions": (
        _good({**_ITEM, **_MODEL, "event_id": "p", "recognised": PERSON, "confidence": 0.5}, nullable="recognised"),
    ),
    "film-mentions": (
        _tagged("film", {"film_id": FILM, "title": "Inception", "year": 2010}, "title year"),
        _tagged(
            "mention", {"mention_id": "m", "source": "x", "source_record_id": "p", "title": "Nothing known"}, "title"
        ),
        _tagged("resolve", {"mention_id": "m", "film_id": FILM}, "film_id"),
    ),
    "match-unresolved": (_good({"mention_id": "m", "source": "x", "reason": "no film of this title"}),),
    "mentions-matched": (_good({"mention_id": "m", "film_id": FILM, "how": "hand"}, nullable="film_id"),),
    "scrape-requests": (
        _tagged("run", {**_RUN, "trigger": "manual"}),
        _tagged("steer", {"connector": "no-such", "action": "pause"}),
    ),
    "scrape-runs": (
        _tagged("admitted", {**_RUN, **_ATTEMPT}),
        _tagged("steered", {"connector": "no-such", "action": "pause"}),
        _tagged("started", {**_RUN, **_ATTEMPT, "started_at": _AT}),
        _tagged("checkpointed", {**_RUN, "cursor": {"at": 3}, "counts": {"records": 3}}),
        _tagged("targets-dropped", {**_RUN, "attempt": 1, "people": ["Q937"], "left": 1, "dropped_at": _AT}),
        _tagged("sla-missed", {**_RUN, "logical_date": _AT, "missed_at": _AT}, nullable="logical_date"),
        _tagged(
            "finished",
            {**_RUN, "status": "success", "attempt": 1, "finished_at": _AT, "seconds": 2.5, "counts": {"records": 3}},
        ),
    ),
}
"""By topic, in an order in which each can follow the ones before; a test holds it to the topology."""

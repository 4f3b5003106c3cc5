"""A document of ratings and the keys that read it."""

from __future__ import annotations

from typing import Any

RECORDS = 2500
FILMS = ("tt1375666", "tt0133093", "tt0111161")
FIELDS = {"film_id": "@film", "id": "@id", "value": "score", "author": "by/name", "time": "when"}


def keys(**more: Any) -> dict[str, Any]:
    """The connector's table, but for its path."""
    return {"kind": "xml", "record": "rating", "fields": FIELDS, **more}


def document(records: int = RECORDS) -> bytes:
    """Ratings that are all different."""
    lines = [
        f'<rating film="{FILMS[n % 3]}" id="r{n}"><by><name>user {n}</name></by><score max="10">{n % 10 + 1}</score>'
        f"<when>{1_000_000_000 + n}</when></rating>\n"
        for n in range(records)
    ]
    return "".join(["<?xml version='1.0'?>\n<ratings>\n", *lines, "</ratings>\n"]).encode()

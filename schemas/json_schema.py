"""JSON Schema of what is on the wire, made from the record types, for programs in any language."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from schemas.base import Record
from schemas.catalogue import RECORDS, topics
from schemas.envelope import SCHEMA_PREFIX

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

Json = dict[str, Any]


def _facts_1(current: Json) -> Json:
    genres = {"type": ["string", "null"], "description": "genres with `|` between them"}
    return {**current, "properties": {**current["properties"], "genres": genres}}


PAST: Final[dict[tuple[str, int], Callable[[Json], Json]]] = {("facts", 1): _facts_1}
"""(topic, version) -> the schema of that version, from the one that came after it."""


def versions(record: type[Record]) -> range:
    """Every version of a record type that can be read."""
    return range(1, record.version + 1)


def schema_id(record: type[Record], version: int) -> str:
    """The `$id`: the `ce_dataschema` of the version, with the type's name where a topic carries several."""
    several = len(topics()[record.topic]) > 1
    return f"{SCHEMA_PREFIX}{record.topic}/{version}" + (f"/{record.__name__}" if several else "")


def json_schema(record: type[Record], version: int) -> Json:
    """The JSON Schema (2020-12) of one version of a record type."""
    own, others = _parts(record)
    for past in range(record.version - 1, version - 1, -1):
        own = PAST[record.topic, past](own)
    header = {"$schema": DIALECT, "$id": schema_id(record, version)}
    return {**header, **own, **({"$defs": others} if others else {})}


def json_schemas(records: Iterable[type[Record]] = RECORDS) -> dict[str, Json]:
    """File name -> schema, of every version of every record type."""
    return {
        f"{record.topic}.{record.__name__}.v{version}.json": json_schema(record, version)
        for record in records
        for version in versions(record)
    }


def _parts(record: type[Record]) -> tuple[Json, Json]:
    """The type's own schema, and those that it refers to by name."""
    whole = msgspec.json.schema(record)
    parts = dict(whole["$defs"])
    return parts.pop(record.__name__), parts

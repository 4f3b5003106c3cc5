"""CloudEvents 1.0 in Kafka's binary mode: identity and lineage in headers, data in the body."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from schemas.base import Record

SPEC_VERSION: Final = "1.0"
SOURCE: Final = "/marquee"
CONTENT_TYPE: Final = b"application/json"
LONGEST_VALUE: Final = 1024
"""Bytes of a CloudEvents attribute that is taken over; ids travel on with every event that follows."""
ID_HEADER: Final = "ce_id"
SCHEMA_PREFIX: Final = "/schemas/"

Headers = list[tuple[str, bytes]]


class Envelope(msgspec.Struct, frozen=True):
    """Who an event is, what it follows from (causation) and which story it belongs to (correlation)."""

    id: str
    correlation_id: str
    causation_id: str | None = None
    time: str | None = None


def schema_uri(record: type[Record]) -> str:
    """The `ce_dataschema` of the current version of a record type."""
    return f"{SCHEMA_PREFIX}{record.topic}/{record.version}"


_constant: dict[type[Record], Headers] = {}


def to_headers(record: type[Record], envelope: Envelope) -> Headers:
    """Kafka headers for an event of this type."""
    constant = _constant.get(record)
    if constant is None:
        constant = _constant[record] = [
            ("ce_specversion", SPEC_VERSION.encode()),
            ("ce_type", f"marquee.{record.__name__}".encode()),
            ("ce_source", SOURCE.encode()),
            ("ce_dataschema", schema_uri(record).encode()),
            ("content-type", CONTENT_TYPE),
        ]
    headers = [
        *constant,
        (ID_HEADER, envelope.id.encode()),
        ("ce_correlationid", envelope.correlation_id.encode()),
    ]
    if envelope.causation_id is not None:
        headers.append(("ce_causationid", envelope.causation_id.encode()))
    if envelope.time is not None:
        headers.append(("ce_time", envelope.time.encode()))
    return headers


def read_envelope(headers: Iterable[tuple[str, bytes]] | None, position: str) -> tuple[Envelope, str | None]:
    """The envelope and `ce_dataschema` of a record; `position` stands in for an id that it lacks.

    Header values that are null, too long or not UTF-8 are read as if they were absent.
    """
    if not headers:
        return Envelope(position, position), None
    found = dict(headers)
    event_id = _text(found.get(ID_HEADER)) or position
    correlation_id = _text(found.get("ce_correlationid")) or event_id
    envelope = Envelope(event_id, correlation_id, _text(found.get("ce_causationid")), _text(found.get("ce_time")))
    return envelope, _text(found.get("ce_dataschema"))


def identified(headers: Iterable[tuple[str, bytes]], position: str) -> Headers:
    """The headers of a record that is sent on from `position`: with the id that it was read under there."""
    given = list(headers)
    if _text(dict(given).get(ID_HEADER)):
        return given
    return [*((name, value) for name, value in given if name != ID_HEADER), (ID_HEADER, position.encode())]


def _text(value: bytes | None) -> str | None:
    if value is None or len(value) > LONGEST_VALUE:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None

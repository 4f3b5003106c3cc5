"""What of an archived record has to go when people are forgotten: most become fillers, so that every offset stays."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from app.embedded.fillers import filler, is_filler
from app.embedded.segment import UNREADABLE, ArchivedRecord
from app.storage.tombstones import caused_at
from schemas.base import Rejected
from schemas.commands import PushFilm
from schemas.envelope import read_envelope
from schemas.ids import celebrity_id
from schemas.pictures import ForgetCelebrity, ImageFound

PEOPLE: Final = frozenset(
    {
        "input",
        "celebrity-submissions",
        "images-found",
        "images-fetched",
        "images-examined",
        "images-rejected",
        "scrape-requests",
        "scrape-runs",
        "dead-letters",
    }
)
"""Archived topics that tell of people."""
_ANY_ID: Final = re.compile(
    rb"(?<![0-9a-z])(?:q[1-9][0-9]*|nm[0-9]+|tmdb:person\\?/[0-9]+|local:[0-9a-f-]{36})(?![0-9a-z])", re.IGNORECASE
)
"""What may be meant for a person's id, wherever it stands."""
# An id and a number each: with them a restore ends with the person forgotten.
_KEPT_TYPES: Final = frozenset({"forget", "forgotten", "erase", "dropped"})


class Gone(msgspec.Struct, frozen=True):
    """A person was forgotten by the claims' decision `order`, which was asked for at `at` (ms since 1970).

    `silent` is when the last find came that was dropped, since nobody had pushed the person again (ms since 1970).
    """

    order: int
    at: int
    silent: int = 0

    @property
    def until(self) -> int:
        """Up to when whatever was found of the person is not of a later life."""
        return max(self.at, self.silent)

    @property
    def mark(self) -> tuple[int, int]:
        """What grows with everything that is to be erased of the person."""
        return self.order, self.silent


class _Said(msgspec.Struct, frozen=True):
    """What a record of any topic may say of a person."""

    type: Any = None
    celebrity_id: Any = None
    conflict_with: Any = None
    recognised: Any = None
    order: Any = 0
    life: Any = None
    targets: Any = ()
    name: Any = None
    wikidata: Any = None
    tmdb: Any = None
    origin_topic: Any = None
    origin_offset: Any = 0
    key_base64: Any = None
    value_base64: Any = None
    headers: Any = ()


_said: Final = msgspec.json.Decoder(_Said).decode


def erased(topic: str, record: ArchivedRecord, people: Mapping[str, Gone]) -> ArchivedRecord:
    """The record itself, or what stays of it: a filler, or runs of connectors that name the person by the id alone."""
    if record.value is None or is_filler(record.headers):
        return record
    try:
        said = _said(record.value)
    except UNREADABLE:
        said = _Said()
        names = [(record.key or b"").decode(errors="replace"), *_anywhere(record)]
    else:
        names = _named(topic, record, said)
    if any(_is_of(topic, record, said, name, people) for name in names) or _letter(record, said, people):
        return filler(record.offset, record.timestamp)
    return _nameless(record, people) if said.targets else record


def _named(topic: str, record: ArchivedRecord, said: _Said) -> list[str]:
    """The people whom a record that can be read is about; a push that is none is about all whom it may mean."""
    if topic == PushFilm.topic:
        return _pushed(record, said) if said.type != "film" else []
    return [name for name in (said.celebrity_id, said.conflict_with, said.recognised) if isinstance(name, str)]


def _pushed(record: ArchivedRecord, said: _Said) -> list[str]:
    own = _id_of(said.name, said.wikidata, said.tmdb)
    if own and said.type == "celebrity":
        return own
    found = [*_anywhere(record), *([] if said.tmdb is None else [f"tmdb:person/{said.tmdb}"])]
    # Whoever gives an id does not mean a namesake without one.
    return found or _id_of(said.name, None, None)


def _id_of(name: Any, wikidata: Any, tmdb: Any) -> list[str]:
    """The id of who is pushed, if these make one."""
    try:
        return [celebrity_id(name, wikidata, tmdb)]
    except (Rejected, TypeError, ValueError, AttributeError):
        return []


def _anywhere(record: ArchivedRecord) -> list[str]:
    """Every id of a person in the text of a record, in its own form."""
    found = (text.decode().replace("\\", "") for text in _ANY_ID.findall(record.value or b""))
    return [text.upper() if text[0] in "qQ" else text.lower() for text in found]


def _is_of(topic: str, record: ArchivedRecord, said: _Said, name: str, people: Mapping[str, Gone]) -> bool:
    """Whether a record is of the life of a person that a forgetting ended; by its order where it has one."""
    gone = people.get(name)
    if gone is None or said.type in _KEPT_TYPES:
        return False
    fetched_before = isinstance(said.life, int) and said.life < gone.order
    if topic == ForgetCelebrity.topic and (record.offset < gone.order or fetched_before):
        return True
    if isinstance(said.order, int) and said.order:
        return said.order <= gone.order
    headers: Any = record.headers
    envelope, _ = read_envelope(headers, "")
    until = gone.until if topic == ImageFound.topic else gone.at
    return caused_at(envelope.time, record.timestamp) <= until


def _letter(record: ArchivedRecord, said: _Said, people: Mapping[str, Gone]) -> bool:
    """Whether a dead letter holds a record of such a person; the letter's time stands for the record's."""
    if not isinstance(said.origin_topic, str) or not isinstance(said.value_base64, str):
        return False
    try:
        value = base64.b64decode(said.value_base64)
        key = base64.b64decode(said.key_base64) if said.key_base64 else None
        headers = tuple((name, base64.b64decode(text)) for name, text in said.headers)
        inner = ArchivedRecord(int(said.origin_offset), record.timestamp, key, value, headers)
    except (binascii.Error, TypeError, ValueError):
        return False
    return erased(said.origin_topic, inner, people) is not inner


def _nameless(record: ArchivedRecord, people: Mapping[str, Gone]) -> ArchivedRecord:
    """A run of a connector whose targets were these people: it knows them by the id alone."""
    said: dict[str, Any] = msgspec.json.decode(record.value or b"{}")
    before = said["targets"]
    if not isinstance(before, list) or not all(isinstance(target, dict) for target in before):
        return record
    said["targets"] = [_bare(target) if _is_gone(record, target, people) else target for target in before]
    if said["targets"] == before:
        return record
    value = msgspec.json.encode(said)
    return ArchivedRecord(record.offset, record.timestamp, record.key, value, record.headers)


def _is_gone(record: ArchivedRecord, target: dict[str, Any], people: Mapping[str, Gone]) -> bool:
    gone, life = people.get(str(target.get("id"))), target.get("life")
    if gone is None:
        return False
    return life < gone.order if isinstance(life, int) else record.timestamp <= gone.at


def _bare(target: dict[str, Any]) -> dict[str, Any]:
    return {name: target[name] for name in ("id", "kind", "life") if name in target}

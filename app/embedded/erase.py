"""Takes people who are forgotten out of the archive: their records become fillers, so that every offset stays."""

from __future__ import annotations

import base64
import binascii
import logging
import threading
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, Final

import msgspec

from app.embedded.files import write_atomically
from app.embedded.fillers import filler, is_filler
from app.embedded.partition_log import archived_topics, partition_count, read_records, segment_files
from app.embedded.rewrite import rewrite_segment
from app.embedded.segment import ArchivedRecord
from app.storage.tombstones import caused_at
from schemas.base import Rejected
from schemas.commands import PushCelebrity
from schemas.envelope import read_envelope
from schemas.ids import celebrity_id, is_celebrity_id
from schemas.pictures import ForgetCelebrity

log = logging.getLogger(__name__)

FORGETS: Final = ForgetCelebrity.topic
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
BOOK: Final = "forgotten.json"
# An id and a number each: with them a restore ends with the person forgotten.
_KEPT_TYPES: Final = frozenset({"forget", "forgotten", "erase", "dropped"})


class Gone(msgspec.Struct, frozen=True):
    """A person was forgotten by the claims' decision `order`, which was asked for at `at` (ms since 1970)."""

    order: int
    at: int


class Book(msgspec.Struct):
    """Who is forgotten, up to which order their records are erased, and how far commands have been looked for."""

    read_to: int = 0
    people: dict[str, Gone] = {}
    erased: dict[str, int] = {}


class _Said(msgspec.Struct, frozen=True):
    """What a record of any topic may say of a person."""

    type: Any = None
    celebrity_id: Any = None
    conflict_with: Any = None
    recognised: Any = None
    order: Any = 0
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


class Eraser:
    """Keeps the book of one archive, and rewrites its segments. Raises ArchiveDamagedError and OSError.

    Whoever writes the archive shows it every record; it may be killed at any point and go on at the next start.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._book = read_book(directory)

    def catch_up(self) -> None:
        """Find the commands that were archived and not noted before a kill."""
        if FORGETS in archived_topics(self._directory):
            for records in read_records(self._directory, FORGETS, 0):
                if records[-1].offset >= self._book.read_to:
                    self.note(records)

    def note(self, records: Iterable[ArchivedRecord]) -> None:
        """Write down who is to be forgotten by records of the topic of these commands, once they are archived."""
        found = dict(_commands(records))
        end = max((record.offset for record in records), default=-1) + 1
        with self._lock:
            self._book.read_to = max(end, self._book.read_to)
            if found:
                self._book.people = {**self._book.people, **found}
                self._save()

    @property
    def pending(self) -> bool:
        """Whether there are records that have to go."""
        book = self._book
        return any(book.erased.get(person, -1) < gone.order for person, gone in book.people.items())

    def without(self, topic: str, records: list[ArchivedRecord]) -> list[ArchivedRecord]:
        """Records on their way into the archive, with fillers for those of people who are forgotten."""
        people = self._book.people
        return [erased(topic, record, people) for record in records] if people and topic in PEOPLE else records

    def erase(self) -> int:
        """Rewrite the segments that nobody appends to any more; how many records became fillers."""
        people = self._book.people
        count = 0
        for topic, partition in _partitions(self._directory):
            for path in segment_files(self._directory, topic, partition):
                count += erase_segment(path, topic, partition, people)
        with self._lock:
            self._book.erased = {**self._book.erased, **{person: gone.order for person, gone in people.items()}}
            self._save()
        log.info("archive: %d records of people who are forgotten are erased", count)
        return count

    def _save(self) -> None:
        write_atomically(self._directory / BOOK, msgspec.json.encode(self._book))


def read_book(directory: Path) -> Book:
    """What is noted in an archive; nothing where nobody was forgotten."""
    try:
        return msgspec.json.decode((directory / BOOK).read_bytes(), type=Book)
    except FileNotFoundError:
        return Book()


def left(directory: Path, person: str, gone: Gone) -> int:
    """How many archived records still tell of a person who was forgotten. Raises ArchiveDamagedError."""
    people = {person: gone}
    return sum(
        erased(topic, record, people) is not record
        for topic, partition in _partitions(directory)
        for record in chain.from_iterable(read_records(directory, topic, partition))
    )


def erase_segment(path: Path, topic: str, partition: int, people: Mapping[str, Gone]) -> int:
    """Replace a segment by one without these people's records; how many there were. The old or the new one stays."""
    return rewrite_segment(path, topic, partition, lambda record: erased(topic, record, people))


def erased(topic: str, record: ArchivedRecord, people: Mapping[str, Gone]) -> ArchivedRecord:
    """The record itself, or what stays of it: a filler, or runs of connectors that name the person by the id alone."""
    if record.value is None or is_filler(record.headers):
        return record
    try:
        said = _said(record.value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        person = (record.key or b"").decode(errors="replace")
        return filler(record.offset, record.timestamp) if _is_of(topic, record, _Said(), person, people) else record
    if any(_is_of(topic, record, said, name, people) for name in _named(topic, said)) or _letter(record, said, people):
        return filler(record.offset, record.timestamp)
    return _nameless(record, people) if said.targets else record


def _partitions(directory: Path) -> Iterator[tuple[str, int]]:
    for topic in PEOPLE.intersection(archived_topics(directory)):
        for partition in range(partition_count(directory, topic) or 0):
            yield topic, partition


def _commands(records: Iterable[ArchivedRecord]) -> Iterator[tuple[str, Gone]]:
    for record in records:
        if record.value is None or b"forget" not in record.value:
            continue
        try:
            said = msgspec.json.decode(record.value, type=ForgetCelebrity)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        if is_celebrity_id(said.celebrity_id):
            yield said.celebrity_id, Gone(record.offset + 1, record.timestamp)


def _named(topic: str, said: _Said) -> list[str]:
    if topic == PushCelebrity.topic:
        try:
            return [celebrity_id(said.name, said.wikidata, said.tmdb)] if said.type == "celebrity" else []
        except (Rejected, TypeError, ValueError, AttributeError):
            return []
    return [name for name in (said.celebrity_id, said.conflict_with, said.recognised) if isinstance(name, str)]


def _is_of(topic: str, record: ArchivedRecord, said: _Said, name: str, people: Mapping[str, Gone]) -> bool:
    """Whether a record is of the life of a person that a forgetting ended; by its order where it has one."""
    gone = people.get(name)
    if gone is None or said.type in _KEPT_TYPES:
        return False
    if topic == FORGETS and record.offset < gone.order:
        return True
    if isinstance(said.order, int) and said.order:
        return said.order <= gone.order
    headers: Any = record.headers
    envelope, _ = read_envelope(headers, "")
    return caused_at(envelope.time, record.timestamp) <= gone.at


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
    gone = people.get(str(target.get("id")))
    return gone is not None and record.timestamp <= gone.at


def _bare(target: dict[str, Any]) -> dict[str, Any]:
    return {name: target[name] for name in ("id", "kind") if name in target}

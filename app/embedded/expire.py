"""Takes what sources do not let be stored any longer out of the archive: it becomes fillers, so that offsets stay."""

from __future__ import annotations

import base64
import binascii
import logging
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from app.embedded.files import write_atomically
from app.embedded.fillers import filler
from app.embedded.partition_log import partition_count, segment_files
from app.embedded.rewrite import rewrite_segment
from app.embedded.segment import UNREADABLE, ArchivedRecord

log = logging.getLogger(__name__)

LIMITED: Final = frozenset(
    {"ratings", "reviews", "facts", "film-mentions", "training-ratings", "training-reviews", "dead-letters"}
)
"""Archived topics whose limited records hold content. Those of pictures hold none: it lies in files."""
BOOK: Final = "limits.json"
NEVER: Final = "~"
"""Later than any date."""
_NAME: Final = b'"expires_at"'
_ESCAPE: Final = b"\\u"


class _Terms(msgspec.Struct, frozen=True):
    expires_at: str | None = None


class _Said(msgspec.Struct, frozen=True):
    """What a record says of its limit, or, as a dead letter, of the record that it holds."""

    terms: _Terms | None = None
    value_base64: Any = None


_said: Final = msgspec.json.Decoder(_Said).decode


class Book(msgspec.Struct, frozen=True):
    """The first limit in each topic, and how many records became fillers so far."""

    first: dict[str, str] = {}
    erased: int = 0


def read_limits(directory: Path) -> Book:
    """What is noted in an archive; nothing where nothing has a limit."""
    try:
        return msgspec.json.decode((directory / BOOK).read_bytes(), type=Book)
    except FileNotFoundError:
        return Book()


class Place(NamedTuple):
    """A segment that nobody appends to."""

    path: Path
    topic: str
    partition: int


class Limits:
    """Knows the first limit in each topic of one archive, so that nothing is read before something is over.

    Records may be noted in one thread while those before them expire in another.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._looked_through: dict[str, str] = {}
        known = read_limits(directory)
        self._first, self._erased = dict(known.first), known.erased

    def note(self, topic: str, records: Iterable[ArchivedRecord]) -> None:
        """Write down the first limit of records before they are archived: what a kill leaves is at worst too early."""
        if topic not in LIMITED:
            return
        first = min((end for record in records if (end := ends_at(record)) is not None), default=None)
        with self._lock:
            if first is not None and first < self._first.get(topic, NEVER):
                self._first[topic] = first
                self._save()

    def due(self, at: str) -> list[str]:
        """The topics in which something may be over at a moment (RFC 3339, UTC)."""
        return [topic for topic, first in self._first.items() if first <= at]

    def places(self, at: str) -> list[Place]:
        """The segments to look through, to be asked for while nobody appends to them; `expire` has to follow."""
        with self._lock:
            self._looked_through = {topic: self._first.pop(topic) for topic in self.due(at)}
        return [
            Place(path, topic, partition)
            for topic in self._looked_through
            for partition in range(partition_count(self._directory, topic) or 0)
            for path in segment_files(self._directory, topic, partition)
        ]

    def expire(self, places: Iterable[Place], at: str) -> int:
        """Make fillers of what is over in these segments; how many. Raises ArchiveDamagedError and OSError."""
        count, first = 0, dict.fromkeys(self._looked_through, NEVER)
        for path, topic, partition in places:

            def change(record: ArchivedRecord, topic: str = topic) -> ArchivedRecord:
                end = ends_at(record)
                if end is None or end > at:
                    first[topic] = min(first[topic], end or NEVER)
                    return record
                return filler(record.offset, record.timestamp)

            count += rewrite_segment(path, topic, partition, change)
        with self._lock:
            self._looked_through = {topic: end for topic, end in first.items() if end != NEVER}
            self._first = self._merged()
            self._looked_through = {}
            self._erased += count
            self._save()
        if count:
            log.info("archive: %d records that their sources do not let be stored any longer are erased", count)
        return count

    def _merged(self) -> dict[str, str]:
        both = {topic: self._looked_through.get(topic, NEVER) for topic in self._looked_through | self._first}
        return {topic: min(first, self._first.get(topic, NEVER)) for topic, first in both.items()}

    def _save(self) -> None:
        # A kill in the middle of it must not hide what was not looked through.
        write_atomically(self._directory / BOOK, msgspec.json.encode(Book(self._merged(), self._erased)))


def ends_at(record: ArchivedRecord) -> str | None:
    """Until when a record may be stored; None: for ever. A dead letter may be for as long as what it holds."""
    value = record.value
    if value is None or not (_may_end(value) or b"value_base64" in value):
        return None
    try:
        said = _said(value)
        if isinstance(said.value_base64, str):
            inner = base64.b64decode(said.value_base64)
            said = _said(inner) if _may_end(inner) else said
    except (*UNREADABLE, binascii.Error):
        return None
    return said.terms.expires_at if said.terms is not None else None


def _may_end(value: bytes) -> bool:
    """Whether it is worth decoding: others put blanks where they like, and may write any letter as an escape."""
    return _NAME in value or _ESCAPE in value

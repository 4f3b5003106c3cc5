"""Takes people who are forgotten out of the archive: their records become fillers, so that every offset stays."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from app.embedded.files import write_atomically
from app.embedded.forgettable import PEOPLE, Gone, erased
from app.embedded.partition_log import archived_topics, partition_count, read_records, segment_files
from app.embedded.rewrite import rewrite_segment
from app.embedded.segment import UNREADABLE, ArchivedRecord
from app.storage.tombstones import caused_at
from schemas.ids import is_celebrity_id
from schemas.pictures import FindDropped, ForgetCelebrity

log = logging.getLogger(__name__)

R = TypeVar("R")

FORGETS: Final = ForgetCelebrity.topic
DROPS: Final = FindDropped.topic
QUIET_SECONDS: Final = 10.0
"""Once so long no more finds came of people who are forgotten, those that came are erased,"""
MOST_SECONDS: Final = 300.0
"""and after so long in any case: each time whole segments are written anew."""
BOOK: Final = "forgotten.json"


class Book(msgspec.Struct):
    """Who is forgotten, up to which order and dropped find their records are erased, and how far both are read."""

    read_to: int = 0
    drops_read_to: int = 0
    people: dict[str, Gone] = {}
    erased: dict[str, int] = {}
    silenced: dict[str, int] = {}

    def owed(self) -> dict[str, Gone]:
        """Of whom there may be records that have to go."""
        done = {person: (self.erased.get(person, -1), self.silenced.get(person, 0)) for person in self.people}
        return {person: gone for person, gone in self.people.items() if gone.mark > done[person]}


class Eraser:
    """Keeps the book of one archive, and rewrites its segments. Raises ArchiveDamagedError and OSError.

    Whoever writes the archive shows it every record; it may be killed at any point and go on at the next start.
    """

    def __init__(self, directory: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._directory = directory
        self._clock = clock
        self._lock = threading.Lock()
        self._book = read_book(directory)
        self._heard: tuple[float, float] | None = None
        """When the first and the last find was dropped that is not erased."""

    def catch_up(self) -> None:
        """Find the commands and dropped finds that were archived and not noted before a kill."""
        archived = archived_topics(self._directory)
        if FORGETS in archived:
            for records in read_records(self._directory, FORGETS, 0):
                if records[-1].offset >= self._book.read_to:
                    self.note(records)
        if DROPS in archived and self._book.people:
            for records in read_records(self._directory, DROPS, 0):
                if records[-1].offset >= self._book.drops_read_to:
                    self.expect(DROPS, records)
        self._heard = None

    def note(self, records: Iterable[ArchivedRecord]) -> None:
        """Write down who is to be forgotten by records of the topic of these commands, once they are archived."""
        found = dict(_commands(records))
        end = max((record.offset for record in records), default=-1) + 1
        with self._lock:
            self._book.read_to = max(end, self._book.read_to)
            if found:
                self._book.people = {**self._book.people, **found}
                self._save()

    def expect(self, topic: str, records: Sequence[ArchivedRecord]) -> None:
        """Write down until when finds of people came after they were forgotten, by words about to be archived."""
        if topic != DROPS:
            return
        with self._lock:
            later: dict[str, Gone] = {}
            for person, found_at in _drops(records):
                gone = later.get(person) or self._book.people.get(person)
                if gone is not None and found_at > gone.until:
                    later[person] = msgspec.structs.replace(gone, silent=found_at)
            self._book.drops_read_to = max([self._book.drops_read_to, *(record.offset + 1 for record in records)])
            if later:
                now = self._clock()
                self._heard = (self._heard[0] if self._heard else now), now
                self._book.people = {**self._book.people, **later}
                self._save()

    @property
    def pending(self) -> bool:
        """Whether records have to go, and now is the time."""
        owed = self._book.owed()
        if not owed or self._heard is None:
            return bool(owed)
        (first, last), now = self._heard, self._clock()
        late = any(self._book.erased.get(person, -1) < gone.order for person, gone in owed.items())
        return late or now - last >= QUIET_SECONDS or now - first >= MOST_SECONDS

    def without(self, topic: str, records: list[ArchivedRecord]) -> list[ArchivedRecord]:
        """Records on their way into the archive, with fillers for those of people who are forgotten."""
        people = self._book.people
        return [erased(topic, record, people) for record in records] if people and topic in PEOPLE else records

    def erase(self) -> int:
        """Rewrite the segments that nobody appends to any more; how many records became fillers."""
        with self._lock:
            people, self._heard = self._book.people, None
        count = 0
        for topic, partition in _partitions(self._directory):
            for path in segment_files(self._directory, topic, partition):
                count += erase_segment(path, topic, partition, people)
        with self._lock:
            self._book.erased = {**self._book.erased, **{person: gone.order for person, gone in people.items()}}
            silenced = {person: gone.silent for person, gone in people.items() if gone.silent}
            self._book.silenced = {**self._book.silenced, **silenced}
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


def _partitions(directory: Path) -> Iterator[tuple[str, int]]:
    for topic in PEOPLE.intersection(archived_topics(directory)):
        for partition in range(partition_count(directory, topic) or 0):
            yield topic, partition


def _commands(records: Iterable[ArchivedRecord]) -> Iterator[tuple[str, Gone]]:
    for record, said in _read(records, ForgetCelebrity, b"forget"):
        if is_celebrity_id(said.celebrity_id):
            yield said.celebrity_id, Gone(record.offset + 1, record.timestamp)


def _drops(records: Iterable[ArchivedRecord]) -> Iterator[tuple[str, int]]:
    for record, said in _read(records, FindDropped, b"dropped"):
        yield said.celebrity_id, caused_at(said.found_at, record.timestamp)


def _read(records: Iterable[ArchivedRecord], kind: type[R], sign: bytes) -> Iterator[tuple[ArchivedRecord, R]]:
    """The records of one type among those of its topic; only what has its `sign` in it is worth decoding."""
    for record in records:
        if record.value is None or sign not in record.value:
            continue
        try:
            yield record, msgspec.json.decode(record.value, type=kind)
        except UNREADABLE:
            continue

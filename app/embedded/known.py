"""What an archive says was made of its source events, so that making it again adds only what is missing."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec

from agents.clean import row_of
from agents.messages import Message
from app.delivery.producer import Outgoing
from app.embedded.compact import TRAINING_SOURCES
from app.embedded.expire import read_limits
from app.embedded.history import records
from app.embedded.partition_log import archived_topics
from app.embedded.segment import UNREADABLE
from app.topology import FACTS, Stage
from schemas.base import Record
from schemas.catalogue import SOURCE_TOPICS
from schemas.entities import FilmFacts, FilmTally
from schemas.envelope import Headers
from schemas.events import DeadLettered, Facts

Origin = tuple[int, int]


class _Lesson(msgspec.Struct, frozen=True):
    partition: int
    offset: int
    facts: Facts | None = None
    ordinal: int | None = None


class _Letter(msgspec.Struct, frozen=True):
    id: str
    value_base64: str | None = None


_lesson: Final = msgspec.json.Decoder(_Lesson).decode
_letter: Final = msgspec.json.Decoder(_Letter).decode


class Known:
    """The derived events in an archive.

    Training records are known by a watermark for each source partition (they climb there), all others by what
    identifies them together with what they are about: where a power cut took a source record, another one
    stands at its place, and events whose ids come from places would be taken for each other.
    """

    def __init__(self) -> None:
        self.covered: dict[str, dict[int, int]] = {topic: {} for topic in TRAINING_SOURCES}
        """For each training topic, the last source offset of each partition that it has a record of."""
        self.told: dict[Origin, FilmFacts] = {}
        """The facts that training records brought, by the rating that they came with."""
        self.ordinals: dict[Origin, int] | None = None
        """Where sources' terms took records away: which of its film's ratings each was that left a training record."""
        self._ids: set[int] = set()
        self._topics: set[str] = set()

    @classmethod
    def of(cls, directory: Path, derived: set[str]) -> Known:
        """What the archive has of the topics in `derived`. Raises ArchiveDamagedError."""
        found = cls()
        if read_limits(directory).erased:
            found.ordinals = {}
        for topic in derived.intersection(archived_topics(directory)):
            if topic in TRAINING_SOURCES:
                found._note_lessons(directory, topic)
            elif topic not in SOURCE_TOPICS:
                found._topics.add(topic)
                for raw in records(directory, topic):
                    if raw.value is not None:
                        found._ids.add(_identity(topic, raw.key, raw.value, raw.headers))
        return found

    def has(self, record: Outgoing) -> bool:
        """Whether the archive has an event that a stage has made again."""
        covered = self.covered.get(record.topic)
        if covered is not None:
            lesson = _lesson(record.value or b"")
            return lesson.offset <= covered.get(lesson.partition, -1)
        return (
            record.topic in self._topics
            and _identity(record.topic, record.key, record.value, record.headers) in self._ids
        )

    def as_then(self, stage: Stage) -> Stage:
        """A stage that looks facts up, made to see those that it saw when the training records were made.

        Facts and ratings come on different topics, so only the training records say which came first. Ratings that
        are gone from the archive were counted then, and models know the others by their place among all.
        """
        if FACTS not in stage.looks_up:
            return stage
        run: Any = stage.run
        covered = next(self.covered[made.topic] for made in stage.emits if made.topic in self.covered)

        async def seeing(message: Message[Any], seen: Any, tallies: Any, facts: Any) -> AsyncIterator[Record]:
            done = message.offset <= covered.get(message.partition, -1)
            if done:
                told = self.told.get((message.partition, message.offset))
                facts = {} if told is None else {message.data.film_id: told}
            row = row_of(message.data)
            before = seen.get(row), tallies.get(message.data.film_id) or FilmTally()
            async for record in run(message, seen, tallies, facts):
                yield record
            if done and self.ordinals is not None:
                _count_as_then(
                    self.ordinals.get((message.partition, message.offset)), message, row, before, seen, tallies
                )

        return replace(stage, run=seeing)

    def _note_lessons(self, directory: Path, topic: str) -> None:
        covered = self.covered[topic]
        for raw in records(directory, topic):
            try:
                lesson = _lesson(raw.value or b"")
            except UNREADABLE:
                continue
            if self.ordinals is not None and lesson.ordinal is not None:
                self.ordinals[lesson.partition, lesson.offset] = lesson.ordinal
            covered[lesson.partition] = max(lesson.offset, covered.get(lesson.partition, -1))
            if lesson.facts is not None:
                digest = hashlib.blake2b(msgspec.json.encode(lesson.facts), digest_size=8).hexdigest()
                self.told[lesson.partition, lesson.offset] = FilmFacts(facts=lesson.facts, digest=digest)


def _count_as_then(
    ordinal: int | None, message: Message[Any], row: str, before: tuple[Any, FilmTally], seen: Any, tallies: Any
) -> None:
    """Give what was counted the place that it had; what left no training record was a repeat of what is gone."""
    film, (known, tally) = message.data.film_id, before
    now = seen.get(row)
    if now is None or now.offset != message.offset:
        return
    counted = tallies[film]
    if ordinal is not None:
        seen[row] = msgspec.structs.replace(now, ordinal=ordinal)
        tallies[film] = msgspec.structs.replace(counted, counted=max(tally.counted, ordinal))
        return
    tallies[film] = msgspec.structs.replace(counted, counted=tally.counted)
    if known is None:
        del seen[row]
    else:
        seen[row] = known


def _identity(topic: str, key: bytes | None, value: bytes | None, headers: Headers) -> int:
    if topic == DeadLettered.topic:
        try:
            letter = _letter(value or b"")
        except UNREADABLE:
            # Somebody else's: nothing that a stage makes again is like it.
            return hash((topic, key, value))
        return hash((topic, letter.id, letter.value_base64))
    return hash((topic, key, event_id(headers)))


def event_id(headers: Headers) -> bytes | None:
    """The `ce_id` of a record."""
    return next((value for name, value in headers if name == "ce_id"), None)


def not_there(directory: Path, forwarded: list[tuple[int, Outgoing]]) -> list[Outgoing]:
    """Of misplaced records that are sent on to a partition, those that are not there yet."""
    wanted = {(record.topic, partition, event_id(record.headers)): record for partition, record in forwarded}
    for topic in {record.topic for _, record in forwarded}:
        for raw in records(directory, topic):
            wanted.pop((topic, raw.partition, event_id(raw.headers)), None)
    return list(wanted.values())

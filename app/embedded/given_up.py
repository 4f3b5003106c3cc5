"""What had become a dead letter stays one when everything is made again, whatever would come of it by now.

Whoever mends the cause replays the letter: as a new record, which a stage that had meanwhile let the old one pass
would take for a repeat.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from app.delivery.raw import Raw, as_filler
from app.embedded.history import records
from app.embedded.partition_log import archived_topics
from app.embedded.replay import Feed
from app.embedded.segment import UNREADABLE
from app.topology import Kind, Stage
from schemas.events import DeadLettered

Place = tuple[str, int, int]
"""Topic, partition and offset of a record."""


class _Letter(msgspec.Struct, frozen=True):
    stage: Any = None
    reason: Any = None
    origin_topic: Any = None
    origin_partition: Any = None
    origin_offset: Any = None


_letter: Final = msgspec.json.Decoder(_Letter).decode


class GivenUp:
    """The records that each stage has given up, by what an archive has of dead letters."""

    def __init__(self) -> None:
        self._places: dict[str, set[Place]] = {}
        self._failed: dict[str, set[Place]] = {}

    @classmethod
    def of(cls, directory: Path) -> GivenUp:
        """All of them. Raises ArchiveDamagedError."""
        found = cls()
        for raw in records(directory, DeadLettered.topic) if DeadLettered.topic in archived_topics(directory) else ():
            try:
                said = _letter(raw.value or b"")
            except UNREADABLE:
                continue
            if isinstance(said.stage, str) and isinstance(said.origin_topic, str):
                places = (found._failed if said.reason == "failed" else found._places).setdefault(said.stage, set())
                places.add((said.origin_topic, said.origin_partition, said.origin_offset))
        return found

    def passed_over(self, stage: Stage, feed: Feed) -> Feed:
        """A feed of a stage that passes over what the stage has given up."""
        places = self._places.get(stage.name, set())
        if stage.kind is not Kind.LEARN:
            # A model that fails at a record may have learnt half of it, and has to do so again.
            places = places | self._failed.get(stage.name, set())
        return _PassingOver(feed, places) if places else feed


class _PassingOver:
    """Hands records on, but for some, whose places are kept."""

    def __init__(self, feed: Feed, places: set[Place]) -> None:
        self._feed = feed
        self._places = places

    async def process(self, batch: Sequence[Raw]) -> None:
        """Take some."""
        await self._feed.process([self._kept(raw) for raw in batch])

    async def close(self) -> None:
        """Finish what is in hand."""
        await self._feed.close()

    def _kept(self, raw: Raw) -> Raw:
        return as_filler(raw) if (raw.topic, raw.partition, raw.offset) in self._places else raw

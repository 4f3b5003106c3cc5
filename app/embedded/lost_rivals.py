"""What claims said of pictures whose rival was erased from the archive: they stay refused when claims are made again.

A picture of somebody else that was refused for the sake of a person's who was forgotten stays refused until a ruling.
Of why it was refused the archive has lost everything but the last word, which names nobody.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec

from agents.messages import Message
from app.embedded.erase import read_book
from app.embedded.history import records
from app.embedded.partition_log import archived_topics
from app.embedded.segment import UNREADABLE
from app.topology import CLAIMS, Stage
from schemas.base import Record
from schemas.entities import ClaimedItem
from schemas.pictures import ForgetCelebrity, ImageExamined, ImageFetched, ImageRejected, RuleImage


class _Said(msgspec.Struct, frozen=True):
    """A refusal, or that a picture was examined."""

    type: str | None = None
    item_id: str = ""
    celebrity_id: str = ""
    order: int = 0
    distance: int | None = None
    duplicate_of: str | None = None
    reason: str = ""


_said: Final = msgspec.json.Decoder(_Said).decode


class LostRivals:
    """Until which order items were refused for a rival's sake, and the last words on those whose rival is forgotten."""

    def __init__(self) -> None:
        self._until: dict[str, int] = {}
        self._closed: set[str] = set()
        self._words: defaultdict[int, list[_Said]] = defaultdict(list)

    @classmethod
    def of(cls, directory: Path) -> LostRivals:
        """What an archive says. Raises ArchiveDamagedError."""
        found = cls()
        if not read_book(directory).people:
            return found
        for topic in {ImageRejected.topic, ImageExamined.topic}.intersection(archived_topics(directory)):
            for raw in records(directory, topic):
                try:
                    found._note(_said(raw.value or b""))
                except UNREADABLE:
                    continue
        return found

    def _note(self, said: _Said) -> None:
        refused = said.type is None and said.distance is not None and said.duplicate_of is None
        if refused and said.item_id not in self._closed:
            # Only a forgetting takes the name of the rival and leaves the distance.
            self._closed.add(said.item_id)
            self._words[said.order].append(said)
        # What was accepted was examined under that order: an item that was so only later was refused at first.
        if refused or said.type == "examined":
            self._until[said.item_id] = min(said.order, self._until.get(said.item_id, said.order))

    def as_then(self, stage: Stage) -> Stage:
        """The claiming stage, made to refuse what it refused; what it said of that before the forgetting is erased."""
        if stage.table is not CLAIMS:
            return stage
        run: Any = stage.run

        async def seeing(message: Message[Any], items: Any, *others: Any) -> AsyncIterator[Record]:
            data = message.data
            order, until = message.offset + 1, self._until.get(getattr(data, "item_id", ""), 0)
            if isinstance(data, ImageFetched) and order < until:
                key = f"{data.celebrity_id}|{data.item_id}"
                if key not in items:
                    items[key] = ClaimedItem(fetched=data, verdict="conflict", order=order, distance=0)
                return
            async for record in run(message, items, *others):
                if not (isinstance(data, RuleImage) and order < until):
                    yield record
            if isinstance(data, ForgetCelebrity):
                self._close(items, order)

        return replace(stage, run=seeing)

    def _close(self, items: Any, order: int) -> None:
        for said in self._words.get(order, ()):
            key = f"{said.celebrity_id}|{said.item_id}"
            known = items.get(key)
            if known is not None and known.order < order:
                items[key] = ClaimedItem(
                    fetched=known.fetched,
                    verdict="withdrawn",
                    order=order,
                    distance=said.distance,
                    reason=said.reason,
                )

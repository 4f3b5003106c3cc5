"""What claims said of pictures whose rival was erased from the archive: they stay refused when claims are made again.

A picture of somebody else that was refused for the sake of a person's who was forgotten stays refused until a ruling.
Of why it was refused the archive has lost everything but later words: those by which the conflict went over to others
who held the picture then, and the last, which names nobody.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import replace
from heapq import heappop
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from agents.messages import Message
from app.embedded.erase import read_book
from app.embedded.history import records
from app.embedded.partition_log import archived_topics
from app.embedded.segment import UNREADABLE
from app.topology import CLAIMS, Stage
from schemas.base import Record
from schemas.entities import ClaimedItem
from schemas.pictures import ImageExamined, ImageFetched, ImageRejected, RuleImage


class _Said(msgspec.Struct, frozen=True):
    """A refusal, or that a picture was examined."""

    type: str | None = None
    item_id: str = ""
    celebrity_id: str = ""
    order: int = 0
    distance: int | None = None
    duplicate_of: str | None = None
    reason: str = ""
    verdict: Literal["duplicate", "conflict", "rejected"] = "rejected"
    conflict_with: str | None = None


_said: Final = msgspec.json.Decoder(_Said).decode


class LostRivals:
    """Until which order items were refused for a rival's sake, and the later words on them, by their order."""

    def __init__(self) -> None:
        self._until: dict[str, int] = {}
        self._orders: list[int] = []
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
        found._orders = sorted(found._words)
        return found

    def _note(self, said: _Said) -> None:
        refused = said.type is None and said.distance is not None
        if refused:
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
            # Rulings on what was the rival's are erased: what came of them for others is told before what follows.
            self._catch_up(items, order - 1)
            if isinstance(data, ImageFetched) and order < until:
                key = f"{data.celebrity_id}|{data.item_id}"
                if key not in items:
                    items[key] = ClaimedItem(fetched=data, verdict="conflict", order=order, distance=0)
                return
            async for record in run(message, items, *others):
                own = getattr(record, "item_id", "") == getattr(data, "item_id", "")
                if not (isinstance(data, RuleImage) and own and order < until):
                    yield record
            self._catch_up(items, order)

        return replace(stage, run=seeing)

    def _catch_up(self, items: Any, order: int) -> None:
        """Say what was said up to an order, where it was not said again."""
        while self._orders and self._orders[0] <= order:
            for said in self._words.pop(heappop(self._orders)):
                key = f"{said.celebrity_id}|{said.item_id}"
                known = items.get(key)
                if known is not None and known.order < said.order:
                    self._put(items, known, said)

    def _put(self, items: Any, known: ClaimedItem, said: _Said) -> None:
        if known.conflict_with is not None:
            del items[f"{known.conflict_with}|{said.item_id}"]
        row = ClaimedItem(
            fetched=known.fetched,
            verdict="withdrawn" if said.verdict == "rejected" else said.verdict,
            order=said.order,
            duplicate_of=said.duplicate_of,
            conflict_with=said.conflict_with,
            distance=said.distance,
            reason=said.reason,
        )
        for person in (said.celebrity_id, said.conflict_with):
            if person is not None:
                items[f"{person}|{said.item_id}"] = row

"""Tells a record that comes again from another that stands in its place, since the log was made anew or cut off.

Where a topic was deleted and created again, or brokers lost its end, offsets up to a stage's mark are given a second
time. A record there looks like one that was applied before. That the log ends before the mark tells it from one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from app.delivery.raw import Raw
from schemas.base import Rejected

LOOKS: Final = 4
LOOK_SECONDS: Final = 0.5
"""Between two looks at the end of a log: of a new leader's it may be known a moment later than its records."""

End = Callable[[str, int], int | None]
"""The end of a topic's partition, as the last fetch said it; None where that is not known."""


def unknown(topic: str, partition: int) -> int | None:
    """The end of a log that cannot be made anew."""
    return None


class Rewritten:
    """Of one stage: logs that end before its marks."""

    def __init__(self, end: End = unknown) -> None:
        self._end = end
        self._marks: dict[tuple[str, int], int] = {}

    async def among(self, again: Sequence[Raw], marks: Mapping[int, int]) -> list[Raw]:
        """Which of the records at or before the mark of their partition have not been applied."""
        found: list[Raw] = []
        for partition in {raw.partition for raw in again}:
            mark = marks[partition]
            if await self._ends_before(again[0].topic, partition, mark):
                found += [raw for raw in again if raw.partition == partition]
        return found

    async def _ends_before(self, topic: str, partition: int, mark: int) -> bool:
        # Once the new log has grown beyond the mark, nothing else tells what stands before it.
        if self._marks.get((topic, partition)) == mark:
            return True
        for look in range(LOOKS):
            end = self._end(topic, partition)
            if end is None or end > mark:
                return False
            if look < LOOKS - 1:
                await asyncio.sleep(LOOK_SECONDS)
        self._marks[topic, partition] = mark
        return True


def verdict(raw: Raw) -> Rejected:
    """Why such a record is a dead letter."""
    return Rejected(
        f"{raw.topic}-{raw.partition} ends before what was read of it: the topic was made anew or cut off, and this "
        "record stands where another did. Send it again once the topic has grown beyond that, or begin anew with "
        "another worker.app, a new database and none of the former topics"
    )

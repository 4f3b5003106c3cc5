"""Records that were sent on to the partition that they belong in: each counts once, however often it was sent.

After a crash or a freeze the next owner sends on again what was not committed yet. Behind a record that changed in the
meantime, that repeat would count as one more change, with a second prediction for the same cause. Whoever owns a
partition sends its records on in order, so that the last one that arrived from there tells which ones have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from app.delivery.raw import Raw
from app.delivery.table import PartitionRows
from schemas.envelope import Headers

MOVED_HEADER: Final = "marquee-moved"
"""Where a record stood first, as partition-offset of the same topic; always the last header."""


def with_origin(headers: Iterable[tuple[str, bytes]], partition: int, offset: int) -> Headers:
    """The headers of a record that is sent on from there."""
    return [*without_origin(headers), (MOVED_HEADER, b"%d-%d" % (partition, offset))]


def without_origin(headers: Iterable[tuple[str, bytes]]) -> Headers:
    """The headers of a record as it was before it was sent on."""
    return [header for header in headers if header[0] != MOVED_HEADER]


def origin_of(raw: Raw) -> tuple[int, int] | None:
    """The partition and offset that a record was sent on from."""
    if not raw.headers or raw.headers[-1][0] != MOVED_HEADER:
        return None
    partition, _, offset = (raw.headers[-1][1] or b"").partition(b"-")
    # Anyone may send anything.
    if not (partition.isdigit() and offset.isdigit() and len(partition + offset) <= len(str(1 << 63))):
        return None
    return int(partition), int(offset)


class Arrivals:
    """What of a batch was sent on, over what each partition's rows know of earlier batches."""

    def __init__(self, rows: Mapping[int, PartitionRows]) -> None:
        self._rows = rows
        self._last: dict[tuple[int, str, int], int] = {}

    def again(self, raw: Raw) -> bool:
        """Whether it arrived before, or what was sent on after it."""
        origin = origin_of(raw)
        if origin is None:
            return False
        source, offset = origin
        key = raw.partition, raw.topic, source
        last = self._last[key] if key in self._last else self._rows[raw.partition].moved(raw.topic, source)
        if offset <= last:
            return True
        self._last[key] = offset
        return False

    def save(self) -> None:
        """Write what arrived last; after the rows of the batch, as a mark."""
        for (partition, topic, source), offset in self._last.items():
            self._rows[partition].set_moved(topic, source, offset)

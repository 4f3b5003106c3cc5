"""A record as it came from the log, before anyone has looked inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from schemas.envelope import Headers
from schemas.ids import position_id

FILLER_HEADER: Final = "marquee-filler"
"""Marks records that only keep offsets in place after a restore; every reader passes over them."""


class Raw(msgspec.Struct, frozen=True, gc=False):
    """Bytes at a place in the log; `timestamp` in milliseconds since 1970.

    `nothing_from`: between that offset and this one the brokers had nothing to read (the end of a transaction, one that
    was taken back, what compaction removed); -1 where that is not known, or where there is no offset between.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    nothing_from: int = -1

    @property
    def position(self) -> str:
        """The id of a record that brought none."""
        return position_id(self.topic, self.partition, self.offset)

    @property
    def is_filler(self) -> bool:
        """Whether the record only keeps an offset in place."""
        return bool(self.headers) and self.headers[0][0] == FILLER_HEADER


def as_filler(raw: Raw) -> Raw:
    """A record of which nothing counts but its place."""
    return msgspec.structs.replace(raw, headers=[(FILLER_HEADER, b"1")])


class LogReader(Protocol):
    """Reads a stretch of a partition again."""

    async def beginning(self, topic: str, partition: int) -> int:
        """The first offset that the partition still has."""

    async def read(self, topic: str, partition: int, start: int, stop: int) -> Sequence[Raw]:
        """What stands at `start` to `stop` - 1; offsets without a record are passed over."""

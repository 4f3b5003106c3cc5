"""Which records a connector has sent before, so that a run can say how much of what it brought was new."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from hashlib import blake2b
from itertools import chain, islice
from typing import Final

MOST_KNOWN: Final = 100_000
"""Records of earlier runs that are remembered; 8 bytes each in a file. Of the present run, half as many and up."""


class Sent:
    """The latest records by a digest of their event ids, which are made from content: equal ids, equal records.

    It never takes a new record for an old one (but once in 2**64), and forgets the oldest: counts are lower bounds.
    """

    def __init__(self, earlier: bytes = b"", most: int = MOST_KNOWN) -> None:
        self._most = most
        self._earlier = set(_unpacked(earlier))
        # Two generations instead of one order: the older is let go of as a whole once the younger is full.
        self._young: dict[int, None] = {}
        self._old: dict[int, None] = {}

    def add(self, event_ids: Iterable[str]) -> int:
        """Remember records as sent; how many of them were sent before."""
        again = 0
        for event_id in event_ids:
            short = int.from_bytes(blake2b(event_id.encode(), digest_size=8).digest(), "little")
            again += short in self._young or short in self._old or short in self._earlier
            self._young[short] = None
            if len(self._young) * 2 >= self._most:
                self._young, self._old = {}, self._young
        return again

    def __bool__(self) -> bool:
        """Whether anything was sent since what was remembered."""
        return bool(self._young or self._old)

    def packed(self, earlier: bytes) -> bytes:
        """What to remember: what was sent now, then what was remembered before, as much as may be."""
        newest_first = chain(reversed(self._young), reversed(self._old), _unpacked(earlier))
        return array("Q", islice(dict.fromkeys(newest_first), self._most)).tobytes()


def _unpacked(packed: bytes) -> array[int]:
    whole = array("Q")
    # A file that was cut short is good up to its last whole digest.
    whole.frombytes(packed[: len(packed) // whole.itemsize * whole.itemsize])
    return whole

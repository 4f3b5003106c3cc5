"""Which records a connector has sent before, so that a run can say how much of what it brought was new."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import chain, islice
from typing import Final

MOST_KNOWN: Final = 100_000
"""Records of earlier runs that are remembered; 8 bytes each in a file. Of the present run, half as many and up."""

MOST_STATED: Final = 500_000
"""Records of this process that are known to be with the broker; 16 to 32 bytes each in memory."""


class Sent:
    """The latest records by a digest of their event ids, which are made from content: equal ids, equal records.

    It never takes a new record for an old one (but once in 2**63), and forgets the oldest: counts are lower bounds.
    """

    def __init__(self, earlier: bytes = b"", most: int = MOST_KNOWN) -> None:
        self._most = most
        self._earlier = Digests(_unpacked(earlier))
        # Two generations instead of one order: the older is let go of as a whole once the younger is full.
        self._young, self._old = Digests(), Digests()
        self._older = [self._earlier] if earlier else []

    def add(self, event_ids: Iterable[str]) -> int:
        """Remember records as sent; how many of them were sent before."""
        again = 0
        for event_id in event_ids:
            short = _short(event_id)
            again += not self._young.add(short) or any(short in each for each in self._older)
            if self._young.count * 2 >= self._most:
                self._young, self._old = Digests(), self._young
                self._older = [self._old, self._earlier]
        return again

    def knew(self, event_id: str) -> bool:
        """Whether an earlier run sent this record; that it is asked for is not remembered."""
        return _short(event_id) in self._earlier

    def __bool__(self) -> bool:
        """Whether anything was sent since what was remembered."""
        return bool(self._young.count or self._old.count)

    def packed(self, earlier: bytes) -> bytes:
        """What to remember: what was sent now, then what was remembered before, as much as may be."""
        old = (short for short in self._old if short not in self._young)
        before = (short for short in _unpacked(earlier) if short not in self._young and short not in self._old)
        return array("Q", islice(chain(self._young, old, before), self._most)).tobytes()


class Digests:
    """A set of numbers above 0, of less than 64 bits, in 16 to 32 bytes each: Python's own takes three times that."""

    def __init__(self, numbers: Iterable[int] = ()) -> None:
        self._slots = array("Q", bytes(8 * 64))
        self.count = 0
        for number in numbers:
            self.add(number)

    def add(self, number: int) -> bool:
        """Take a number; whether it is new."""
        place = self._place(number)
        if self._slots[place]:
            return False
        self._slots[place] = number
        self.count += 1
        if self.count * 2 > len(self._slots):
            self._grow()
        return True

    def __contains__(self, number: int) -> bool:
        """Whether it was taken."""
        return bool(self._slots[self._place(number)])

    def __iter__(self) -> Iterator[int]:
        """All of them, in no order."""
        return (number for number in self._slots if number)

    def _place(self, number: int) -> int:
        """Where it stands, or would: the numbers are digests, so their own bits spread them."""
        slots = self._slots
        last = len(slots) - 1
        place = number >> 1 & last
        while (found := slots[place]) and found != number:
            place = place + 1 & last
        return place

    def _grow(self) -> None:
        numbers, self._slots = self._slots, array("Q", bytes(8 * 2 * len(self._slots)))
        for number in numbers:
            if number:
                self._slots[self._place(number)] = number


class Stated:
    """Which records the broker got from this process and when, by whose they are: in memory, with its memory's end.

    What it knows was sent by them less than so many seconds ago; of what it does not know nothing is said.
    """

    def __init__(self, most: int = MOST_STATED) -> None:
        self._most = most
        self._sets: dict[bytes, tuple[float, Digests]] = {}

    def add(self, who: bytes, event_ids: Iterable[str], now: float, longest: float) -> None:
        """Remember records as sent now; what was remembered for longer than `longest` seconds goes."""
        since, numbers = self._sets.pop(who, (now, Digests()))
        if not 0 <= now - since < longest:
            since, numbers = now, Digests()
        for event_id in event_ids:
            numbers.add(_short(event_id))
        self._sets[who] = since, numbers
        # Whose were used least recently go first, and go whole: sent again, they are here again.
        while sum(each.count for _, each in self._sets.values()) > self._most:
            del self._sets[next(iter(self._sets))]

    def has(self, who: bytes, event_id: str, now: float, longest: float) -> bool:
        """Whether a record was sent less than `longest` seconds ago."""
        since, numbers = self._sets.get(who, (0.0, None))
        return numbers is not None and 0 <= now - since < longest and _short(event_id) in numbers


def _short(event_id: str) -> int:
    return int.from_bytes(blake2b(event_id.encode(), digest_size=8).digest(), "little") | 1


def _unpacked(packed: bytes) -> array[int]:
    whole = array("Q")
    # A file that was cut short is good up to its last whole digest.
    whole.frombytes(packed[: len(packed) // whole.itemsize * whole.itemsize])
    return whole

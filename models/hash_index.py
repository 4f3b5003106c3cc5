"""Finds the pictures that a picture is a copy of: exact search over perceptual hashes that lie in memory.

Up to 16,384 pictures every hash is compared. Of more, all but the youngest lie in buckets by 16-bit chunks of their
hashes, and only the buckets that can hold a match are compared (multi-index hashing, Norouzi, Punjani and Fleet 2012,
with a radius for each chunk as in Qin et al. 2018); both ways find exactly the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations, islice
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

PHASH64_BITS: Final = 10
"""Of 990 altered copies of 110 photos (quality 30 to 50, size to a quarter, brightness, watermark, 5 % cropped) 97.9 %
differ in this many bits or fewer, and none of 256,686 pairs of distinct photos."""
DHASH64_BITS: Final = 8
"""Finds copies that phash64 misses (180 of 180 in a second set, where phash64 alone found 174)."""
PHASH256_BITS: Final = 64
"""Confirms: 97.2 % of the same 990 copies; the nearest pair of distinct photos differed in 76."""

BLOCK: Final = 16_384
"""Hashes that are compared at a time, so that what is between stays in the second-level cache."""
_GROWTH: Final = 8
"""New buckets are made when the youngest are more than one in so many."""
_FREE: Final = -1
"""Pipeline version of a row whose picture was taken out."""
_WORDS: Final = 10
"""Words of 64 bits a picture: phash64, dhash64, four of phash256, four of the image id."""
_CHUNKS: Final = 4
_VALUES: Final = 1 << 16
# Two hashes within `PHASH64_BITS` are within one of these in its chunk, since else they differ in (2+1)*3 + (1+1) = 11
# bits or more; likewise for `DHASH64_BITS` with 9.
_RADII: Final = ((2, 2, 2, 1), (2, 1, 1, 1))
_NOTHING: Final = np.empty(0, np.int64)
_LIMITS: Final = np.array([[PHASH64_BITS], [DHASH64_BITS]], np.uint8)


class Hashes(NamedTuple):
    """What copies are recognised by: 16, 16 and 64 hexadecimal digits, and the version of the code that made them."""

    phash64: str
    dhash64: str
    phash256: str
    pipeline: int = 1


class Near(NamedTuple):
    """A stored picture and in how many bits of phash256 it differs."""

    image_id: str
    distance: int


def distance(one: Hashes, other: Hashes) -> int:
    """In how many bits of phash256 two pictures differ."""
    return _differing(one.phash256, other.phash256)


def is_copy(one: Hashes, other: Hashes) -> bool:
    """Whether two pictures show the same: phash64 or dhash64 is near, and phash256 confirms it.

    Hashes of two pipeline versions are never compared.
    """
    return (
        one.pipeline == other.pipeline
        and (
            _differing(one.phash64, other.phash64) <= PHASH64_BITS
            or _differing(one.dhash64, other.dhash64) <= DHASH64_BITS
        )
        and distance(one, other) <= PHASH256_BITS
    )


def _differing(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()


class HashIndex:
    """Pictures by their hashes, in arrays that double as they fill; image ids are SHA-256 in hexadecimal."""

    def __init__(self) -> None:
        self._short: Words = np.zeros((2, 1024), np.uint64)
        self._long: Words = np.zeros((1024, 4), np.uint64)
        self._ids: Bytes = np.zeros((1024, 32), np.uint8)
        self._pipelines: Ints = np.zeros(1024, np.int64)
        self._used = 0
        self._freed = 0
        self._buckets: _Buckets | None = None
        self._sorted = 0
        self._xor: Words = np.empty((2, BLOCK), np.uint64)
        self._bits: Bytes = np.empty((2, BLOCK), np.uint8)

    def __len__(self) -> int:
        return self._used - self._freed

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays, with what is kept for growth."""
        rows = self._short.nbytes + self._long.nbytes + self._ids.nbytes + self._pipelines.nbytes
        return rows + self._xor.nbytes + self._bits.nbytes + (self._buckets.nbytes if self._buckets else 0)

    def add(self, image_id: str, hashes: Hashes) -> None:
        """Put one picture in; whoever calls knows that it is not there."""
        self.extend([(image_id, hashes)])

    def extend(self, pictures: Iterable[tuple[str, Hashes]]) -> None:
        """Put many pictures in, each once."""
        remaining = iter(pictures)
        while block := list(islice(remaining, BLOCK)):
            self._append(block)
        if self._used - self._sorted > max(BLOCK, self._sorted // _GROWTH):
            self._sort()

    def remove(self, image_id: str, hashes: Hashes) -> None:
        """Take a picture out and wipe its row; its place is used again when new buckets are made."""
        rows = np.flatnonzero(self._short[0, : self._used] == _words(hashes)[0])
        same = (self._ids[rows] == _read(image_id).view(np.uint8)).all(axis=1)
        rows = rows[same & (self._pipelines[rows] != _FREE)]
        self._pipelines[rows] = _FREE
        self._short[:, rows] = 0
        self._long[rows] = 0
        self._ids[rows] = 0
        self._freed += rows.size

    def near(self, hashes: Hashes) -> list[Near]:
        """Every stored picture that `is_copy` holds for, the nearest first, those equally near by image id."""
        words = _words(hashes)
        rows = self._candidates(words[:2])
        if not rows.size:
            return []
        differing = np.add.reduce(np.bitwise_count(self._long[rows] ^ words[2:]), axis=1)
        found = [
            Near(self._ids[row].tobytes().hex(), bits)
            for row, bits, pipeline in zip(
                rows.tolist(), differing.tolist(), self._pipelines[rows].tolist(), strict=True
            )
            if bits <= PHASH256_BITS and pipeline == hashes.pipeline
        ]
        return sorted(found, key=lambda near: near[::-1])

    def _candidates(self, query: Words) -> Ints:
        """Rows within reach by either short hash, each once."""
        found = None if self._buckets is None else self._buckets.rows(self._short, query)
        if found is None:
            return self._scan(query, 0)
        return np.concatenate([found, self._scan(query, self._sorted)])

    def _scan(self, query: Words, start: int) -> Ints:
        found: list[Ints] = []
        column = query[:, np.newaxis]
        for at in range(start, self._used, BLOCK):
            width = min(BLOCK, self._used - at)
            xor, bits = self._xor[:, :width], self._bits[:, :width]
            np.bitwise_xor(self._short[:, at : at + width], column, out=xor)
            np.bitwise_count(xor, out=bits)
            near = bits <= _LIMITS
            if near.any():
                found.append((near[0] | near[1]).nonzero()[0] + at)
        if len(found) == 1:
            return found[0]
        return np.concatenate(found) if found else _NOTHING

    def _append(self, pictures: list[tuple[str, Hashes]]) -> None:
        read = _read("".join(h.phash64 + h.dhash64 + h.phash256 + image_id for image_id, h in pictures))
        start, stop = self._used, self._used + len(pictures)
        while stop > self._pipelines.size:
            self._grow()
        rows = read.reshape(-1, _WORDS)
        self._short[:, start:stop] = rows[:, :2].T
        self._long[start:stop] = rows[:, 2:6]
        self._ids[start:stop] = rows.view(np.uint8)[:, 6 * 8 :]
        self._pipelines[start:stop] = [hashes.pipeline for _, hashes in pictures]
        self._used = stop

    def _grow(self) -> None:
        # One array at a time, so that no more than the largest is there twice.
        self._short = np.concatenate([self._short, np.zeros_like(self._short)], axis=1)
        self._long = np.concatenate([self._long, np.zeros_like(self._long)])
        self._ids = np.concatenate([self._ids, np.zeros_like(self._ids)])
        self._pipelines = np.concatenate([self._pipelines, np.zeros_like(self._pipelines)])

    def _sort(self) -> None:
        """Close the gaps of what was taken out, and make the buckets anew."""
        if self._freed:
            kept = np.flatnonzero(self._pipelines[: self._used] != _FREE)
            self._short[:, : kept.size] = self._short[:, kept]
            for rows in (self._long, self._ids, self._pipelines):
                rows[: kept.size] = rows[kept]
            self._used, self._freed = int(kept.size), 0
        self._sorted = self._used
        self._buckets = _Buckets(self._short[:, : self._used])


class _Buckets:
    """Rows by the value of each of the eight 16-bit chunks of their two short hashes."""

    def __init__(self, short: Words) -> None:
        self._size = short.shape[1]
        chunks = short.view(np.uint16).reshape(2, self._size, _CHUNKS)
        tables = [chunks[i, :, j] for i in range(2) for j in range(_CHUNKS)]
        self._rows = np.concatenate([np.argsort(table, kind="stable").astype(np.int32) for table in tables])
        counts = np.concatenate([np.bincount(table, minlength=_VALUES) for table in tables])
        self._starts: Ints = np.concatenate([[0], np.cumsum(counts)])

    @property
    def nbytes(self) -> int:
        return self._rows.nbytes + self._starts.nbytes

    def rows(self, short: Words, query: Words) -> Ints | None:
        """Rows within reach, each once; None where looking at all of them is less work.

        That is so where many hashes share a chunk, as those of drawings on a plain ground do.
        """
        probes = _PROBES ^ query.view(np.uint16)[_TABLE_OF]
        starts = self._starts[probes]
        sizes = self._starts[probes + 1] - starts
        ends = sizes.cumsum()
        total = int(ends[-1])
        if total > self._size:
            return None
        rows = self._rows[np.repeat(starts - ends + sizes, sizes) + np.arange(total)]
        by_phash, by_dhash = np.split(rows, [int(ends[_PHASH_PROBES - 1])])
        found = np.concatenate(
            [
                by_phash[np.bitwise_count(short[0, by_phash] ^ query[0]) <= PHASH64_BITS],
                by_dhash[np.bitwise_count(short[1, by_dhash] ^ query[1]) <= DHASH64_BITS],
            ]
        )
        return np.unique(found).astype(np.int64) if found.size else found.astype(np.int64)


def _words(hashes: Hashes) -> Words:
    return _read(hashes.phash64 + hashes.dhash64 + hashes.phash256).astype(np.uint64)


def _read(digits: str) -> Words:
    """Hexadecimal digits as words of sixteen digits, which keep the order of their bytes."""
    return np.frombuffer(bytes.fromhex(digits), ">u8")


def _masks(radius: int) -> Iterator[int]:
    """Every 16-bit number with at most `radius` bits."""
    for ones in range(radius + 1):
        yield from (sum(1 << bit for bit in bits) for bits in combinations(range(16), ones))


def _probes() -> tuple[Ints, Ints]:
    """What to look at beside a query: masks, each in the numbers of its table, and which table that is."""
    radii = [radius for of_hash in _RADII for radius in of_hash]
    pairs: list[Any] = [
        (table * _VALUES + mask, table) for table, radius in enumerate(radii) for mask in _masks(radius)
    ]
    probes, tables = np.array(pairs, np.int64).T
    return np.ascontiguousarray(probes), np.ascontiguousarray(tables)


_PROBES, _TABLE_OF = _probes()
_PHASH_PROBES: Final = int((_TABLE_OF < _CHUNKS).sum())

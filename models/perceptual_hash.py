"""Perceptual hashes of a gray picture, so that two copies of one photo differ in few bits and two photos in many.

phash: the signs of the lowest frequencies of the DCT against their median (Zauner, 2010); dhash: whether brightness
rises from one pixel to the next. Bits stand in imagehash's order and are written as hex digits, so that the two tools
can be compared.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

Gray = NDArray[np.uint8]

PHASH64_SIDE: Final = 32
"""Side in pixels of what phash64 takes."""
PHASH256_SIDE: Final = 64
"""Side in pixels of what phash256 takes."""
DHASH64_SHAPE: Final = (8, 9)
"""Rows and columns of what dhash64 takes."""

_GRID: Final = 1024.0


def phash64(gray: Gray) -> str:
    """16 hex digits of a picture of 32x32 pixels. Raises ValueError for another shape."""
    return _phash(gray, PHASH64_SIDE, 8)


def phash256(gray: Gray) -> str:
    """64 hex digits of a picture of 64x64 pixels. Raises ValueError for another shape."""
    return _phash(gray, PHASH256_SIDE, 16)


def dhash64(gray: Gray) -> str:
    """16 hex digits of a picture of 8 rows and 9 columns. Raises ValueError for another shape."""
    _check(gray, DHASH64_SHAPE)
    return _hex(gray[:, 1:] > gray[:, :-1])


def distance(one: str, other: str) -> int:
    """How many bits differ. Raises ValueError where the two are not hashes of one kind."""
    if len(one) != len(other):
        raise ValueError(f"hashes of {4 * len(one)} and {4 * len(other)} bits are not comparable")
    return (int(one, 16) ^ int(other, 16)).bit_count()


def _phash(gray: Gray, side: int, kept: int) -> str:
    _check(gray, (side, side))
    rows = _basis(side, kept)
    # On a coarse grid rounding errors vanish: a mirrored or flat picture has frequencies of exactly zero, whose
    # sign would otherwise depend on the processor.
    low = np.rint(rows @ gray.astype(np.float64) @ rows.T * _GRID)
    middle = np.partition(low, (low.size // 2 - 1, low.size // 2), axis=None)[low.size // 2 - 1 : low.size // 2 + 1]
    return _hex(low > middle.mean())


@cache
def _basis(side: int, kept: int) -> NDArray[np.float64]:
    """The first rows of the DCT-II matrix, without the scale that all frequencies share."""
    places = 2 * np.arange(side) + 1
    return np.cos(np.pi * np.arange(kept)[:, None] * places / (2 * side))


def _hex(bits: NDArray[np.bool_]) -> str:
    return np.packbits(bits).tobytes().hex()


def _check(gray: Gray, shape: tuple[int, int]) -> None:
    if gray.shape != shape or gray.dtype != np.uint8:
        raise ValueError(f"needs 8-bit gray of {shape[1]}x{shape[0]}, not {gray.dtype} of shape {gray.shape}")

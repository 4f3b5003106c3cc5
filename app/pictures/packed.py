"""Unpacks pictures that a server packed though it was asked not to, as stores of files do that hold them packed."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator
from typing import Any, Final

MAGIC: Final = b"\x1f\x8b"
CODINGS: Final = ("gzip", "x-gzip")


class DamagedError(Exception):
    """What is packed cannot be unpacked, or ends in the middle."""


async def unpacked(parts: AsyncIterator[bytes | bytearray], most: int) -> AsyncIterator[bytes | bytearray]:
    """The plain bytes, at most `most` at once; what is only called packed comes as it is. Raises DamagedError.

    A packed file may be several behind one another; what else follows is passed over, as by every gzip.
    """
    inflating: Any = None
    plain = over = False
    held = b""
    async for part in parts:
        rest = held + bytes(part) if held else part
        held = b""
        while rest and not plain and not over:
            if inflating is None or inflating.eof:
                if rest == MAGIC[:1]:
                    # What follows tells whether it begins a packed file.
                    held, rest = bytes(rest), b""
                    break
                if not rest.startswith(MAGIC):
                    plain, over = inflating is None, inflating is not None
                    break
                inflating = zlib.decompressobj(zlib.MAX_WBITS | 16)
            try:
                yield inflating.decompress(rest, most)
            except zlib.error as error:
                raise DamagedError(f"what it packed cannot be unpacked: {error}") from error
            rest = inflating.unused_data if inflating.eof else inflating.unconsumed_tail
        if plain and rest:
            yield rest
    if inflating is None and held:
        yield held
    elif inflating is not None and not inflating.eof:
        raise DamagedError("what it packed ends in the middle")

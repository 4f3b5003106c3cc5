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
    """The plain bytes, at most `most` at once; what is only called packed comes as it is. Raises DamagedError."""
    inflating: Any = None
    plain = False
    async for part in parts:
        if inflating is None:
            plain = plain or not part.startswith(MAGIC)
            inflating = zlib.decompressobj(zlib.MAX_WBITS | 16)
        if plain:
            yield part
            continue
        while part:
            if inflating.eof:
                # A packed file may be several behind one another; what else follows is passed over, as by every gzip.
                if not part.startswith(MAGIC):
                    break
                inflating = zlib.decompressobj(zlib.MAX_WBITS | 16)
            try:
                yield inflating.decompress(part, most)
            except zlib.error as error:
                raise DamagedError(f"what it packed cannot be unpacked: {error}") from error
            part = inflating.unused_data if inflating.eof else inflating.unconsumed_tail
    if inflating is not None and not plain and not inflating.eof:
        raise DamagedError("what it packed ends in the middle")

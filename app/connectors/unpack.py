"""Decompression that no bomb can turn against the memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from app.connectors.errors import IncompleteError

SLICE: Final = 1 << 13


class Unpacker:
    """Decompresses gzip members one after the other, a little at a time, so that no bomb fills the memory."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self.ended = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The plain bytes that `data` gives. Raises IncompleteError where it is damaged."""
        for begin in range(0, len(data), SLICE):
            piece = data[begin : begin + SLICE]
            while piece:
                if self.ended:
                    # Tapes and block devices fill up with zeros, which every gzip passes over.
                    piece = piece.lstrip(b"\0")
                    if not piece:
                        break
                    self._member, self.ended = zlib.decompressobj(zlib.MAX_WBITS | 16), False
                try:
                    yield self._member.decompress(piece)
                except zlib.error as error:
                    raise IncompleteError(f"the compressed data is damaged: {error}") from error
                piece, self.ended = self._member.unused_data, self._member.eof

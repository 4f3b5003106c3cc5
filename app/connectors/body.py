"""Reads the body of an answer whole, up to a limit that also holds for what is compressed."""

from __future__ import annotations

import aiohttp

from app.connectors.errors import IncompleteError, MalformedError
from app.connectors.unpack import Unpacker

CHUNK = 1 << 16


async def read_body(response: aiohttp.ClientResponse, shown: str, limit: int) -> bytes:
    """The plain bytes of a body. Raises MalformedError over `limit`, IncompleteError for a damaged packing."""
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("identity", "", "gzip", "x-gzip"):
        raise MalformedError(f"{shown}: packed as {encoding[:50]}, which nobody asked for")
    unpacker = Unpacker() if "gzip" in encoding else None
    found = bytearray()
    async for chunk in response.content.iter_chunked(CHUNK):
        for plain in (chunk,) if unpacker is None else unpacker.feed(chunk):
            found += plain
            if len(found) > limit:
                raise MalformedError(f"{shown}: longer than {limit} bytes", bytes(found[:CHUNK]))
    if unpacker is not None and found and not unpacker.ended:
        raise IncompleteError(f"{shown}: the compressed body ends in the middle")
    return bytes(found)

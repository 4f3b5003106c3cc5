"""Reads bodies that clients may have compressed: here, since below the handlers nothing could be said of bad ones."""

from __future__ import annotations

import zlib
from typing import Any, Final

from aiohttp import web

from app.web.problems import Problem

WINDOWS: Final = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
OFFERED: Final = "gzip, deflate"
_CHUNK: Final = 1 << 16
_ZLIB: Final = 8


async def read_body(request: web.Request, most: int, too_large: str) -> bytes:
    """The body as it was before it was compressed, of which no more is ever held than `most` bytes.

    Raises Problem: 400, 413 with the text `too_large`, 415.
    """
    # Said before the bytes have travelled, where the client says how many there are.
    if (request.content_length or 0) > most:
        raise Problem(413, too_large)
    unpacker = _unpacker(request.headers.getall("Content-Encoding", []))
    body = bytearray()
    try:
        async for chunk in request.content.iter_chunked(_CHUNK):
            body += unpacker.feed(chunk, most + 1 - len(body)) if unpacker is not None else chunk
            if len(body) > most:
                raise Problem(413, too_large)
    except (zlib.error, ValueError, web.RequestPayloadError) as error:
        raise _misfit() from error
    if unpacker is not None and not unpacker.ended:
        raise _misfit()
    return bytes(body)


class _Unpacker:
    """One body, piece by piece."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._inflating: Any = None

    def feed(self, chunk: bytes, most: int) -> bytes:
        """At most so many bytes of what comes of the next piece; fewer only where there are no more of it.

        Raises zlib.error.
        """
        found = b""
        while chunk and len(found) < most:
            if self._inflating is None or self._inflating.eof:
                self._inflating = zlib.decompressobj(self._window(chunk))
            found += self._inflating.decompress(chunk, most - len(found))
            # gzip files may stand one behind the other.
            chunk = self._inflating.unused_data
        return found

    def _window(self, chunk: bytes) -> int:
        bare = self._encoding == "deflate" and chunk[0] & 0xF != _ZLIB
        # Some clients take deflate for the bare stream, without the header that RFC 9110 wants.
        return -zlib.MAX_WBITS if bare else WINDOWS[self._encoding]

    @property
    def ended(self) -> bool:
        """Whether the last stream came to its end; an empty body has none."""
        return self._inflating is None or bool(self._inflating.eof)


def _unpacker(headers: list[str]) -> _Unpacker | None:
    encoding = ", ".join(headers).strip().lower()
    if encoding in ("", "identity"):
        return None
    if encoding not in WINDOWS:
        detail = f"Content-Encoding: {encoding[:50]} is not read here: send the body as it is, or one of {OFFERED}."
        raise Problem(415, detail, headers={"Accept-Encoding": OFFERED})
    return _Unpacker(encoding)


def _misfit() -> Problem:
    return Problem(400, "The body does not fit its own headers: check Content-Encoding and its length.")

"""The bytes of a file or an address as a stream that goes on after a cut, compressed or not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import aiohttp

from app.connectors.errors import IncompleteError, MalformedError, NotFoundError, RetryableError, SourceError
from app.connectors.revalidation import conditions_of
from app.connectors.session import Session
from app.connectors.unpack import Unpacker

CHUNK: Final = 1 << 16
GZIP: Final = b"\x1f\x8b"


class Start(NamedTuple):
    """The first thing that a stream says: the byte it begins at, the content's version and its size if known.

    Where it is `packed` these are an archive's, and it begins at 0, or at its end: then there is nothing new in it.
    """

    at: int
    version: str | None
    size: int | None
    packed: bool = False


class Content(Protocol):
    """Bytes that can be read again. A stream may begin at `start` only if the content still has that `version`.

    `whole`: all of that version was read. Then a Start at `start` and nothing else says that it is still that version.
    """

    def stream(self, start: int = 0, version: str | None = None, whole: bool = False) -> AsyncGenerator[Start | bytes]:
        """A Start, then the bytes. Raises SourceError."""


def content_at(place: str, session: Session, retries: int) -> Content:
    """What lies at a path or an http(s) address; a relative one is looked for under `base_url` if there is one."""
    address = place if "://" in place or not session.home else session.url(place)
    return RemoteFile(address, session, retries) if "://" in address else LocalFile(Path(address))


class LocalFile:
    """A file. It is always read from its beginning: hashing what was read before is cheap and tells a new file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def stream(
        self, start: int = 0, version: str | None = None, whole: bool = False
    ) -> AsyncGenerator[Start | bytes]:
        """A Start at 0, then the bytes. Raises SourceError."""
        try:
            with self._path.open("rb") as file:
                yield Start(0, None, self._path.stat().st_size)
                while chunk := await asyncio.to_thread(file.read, CHUNK):
                    yield chunk
        except FileNotFoundError as error:
            raise NotFoundError(f"{self._path}: not there; check `path`") from error
        except OSError as error:
            raise SourceError(f"{self._path}: {error.strerror or error}") from error


class RemoteFile:
    """An address. After a cut it is asked for the rest, or read over where the server has no ranges."""

    def __init__(self, url: str, session: Session, retries: int) -> None:
        self._url = url
        self._shown = session.redact(url)
        self._session = session
        self._retries = retries

    async def stream(
        self, start: int = 0, version: str | None = None, whole: bool = False
    ) -> AsyncGenerator[Start | bytes]:
        """A Start, then the bytes; cuts are mended up to `retries` times in a row. Raises SourceError."""
        told: Start | None = None
        position, failures, skip = start, 0, 0
        while True:
            try:
                async with aclosing(self._attempt(position, version, whole and told is None)) as parts:
                    async for part in parts:
                        if isinstance(part, Start):
                            if told is None:
                                # Whoever reads decides what to do with a stream that begins elsewhere.
                                told, position, version = part, part.at, part.version
                                yield part
                            elif part.version != version:
                                raise IncompleteError(f"{self._shown}: changed while it was read; run again to read it")
                            skip = position - part.at
                            continue
                        rest, skip = part[skip:], max(0, skip - len(part))
                        if rest:
                            failures, position = 0, position + len(rest)
                            yield rest
            except RetryableError as error:
                failures += 1
                if failures > self._retries:
                    raise
                await self._session.pause(error, failures)
            else:
                return

    async def _attempt(self, start: int, version: str | None, whole: bool) -> AsyncGenerator[Start | bytes]:
        # Compressed on the way, ranges would count other bytes.
        headers = {"Accept-Encoding": "identity"}
        if start and version:
            headers |= {"Range": f"bytes={start}-", "If-Range": version}
        if start and version and whole:
            # Looked at before the range (RFC 9110, section 13.2.2), and known to servers without ranges too.
            headers["If-None-Match" if version.endswith('"') else "If-Modified-Since"] = version
        async with self._session.stream(self._url, headers) as response:
            unasked = {304: not conditions_of(headers, asking=True), 416: "Range" not in headers}
            if unasked.get(response.status):
                raise MalformedError(f"{self._shown}: {response.status}, though all of it was asked for")
            self._session.counters.not_modified += response.status == 304
            yield _started(response, start, version)
            if response.status in (304, 416):
                return
            async for chunk in response.content.iter_chunked(CHUNK):
                self._session.counters.bytes += len(chunk)
                yield chunk


def _started(response: aiohttp.ClientResponse, start: int, asked: str | None) -> Start:
    if response.status == 304:
        return Start(start, asked, start)
    headers = response.headers
    etag = headers.get("ETag", "")
    # A weak tag does not promise the same bytes, which is what going on in the middle needs.
    version = (etag if etag and not etag.startswith("W/") else None) or headers.get("Last-Modified")
    if response.status == 416:
        return Start(start, version, start)
    length = response.content_length
    at = start if response.status == 206 else 0
    return Start(at, version, None if length is None else at + length)


class Unzipped:
    """A stream, decompressed where it begins like gzip; `zipped` says whether its content is compressed in any way."""

    def __init__(self, stream: AsyncGenerator[Start | bytes]) -> None:
        self._stream = stream
        self.zipped = False

    async def parts(self) -> AsyncGenerator[Start | bytes]:
        """A Start (still in the packed bytes), then plain bytes. Raises IncompleteError where they end too early."""
        unpacker: Unpacker | None = None
        first = False
        async with aclosing(self._stream) as stream:
            async for part in stream:
                if isinstance(part, Start):
                    first, self.zipped = part.at == 0, part.packed
                    yield part
                    continue
                if first and part.startswith(GZIP):
                    unpacker, self.zipped = Unpacker(), True
                first = False
                for plain in (part,) if unpacker is None else unpacker.feed(part):
                    yield plain
        if unpacker is not None and not unpacker.ended:
            raise IncompleteError("the compressed data ends in the middle")

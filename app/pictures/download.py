"""Downloads pictures from strangers: every hop checked, every wait bounded, never more bytes than allowed."""

from __future__ import annotations

import asyncio
import hashlib
import random
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO, Final, NamedTuple, Self
from urllib.parse import urljoin, urlsplit

import aiohttp

from agents.errors import Unavailable
from app.connectors.fetch import MAX_REDIRECTS, REDIRECTS, USER_AGENT, retry_after
from app.connectors.guard import PrivateAddressError, allowed, authority, bracketed, guarded_connector
from app.pictures.packed import CODINGS, DamagedError, unpacked
from app.pictures.robots import MOST_BYTES, Robots, refused_by_tag
from app.settings import Fetch

CHUNK: Final = 1 << 16
GATHERED: Final = 1 << 18
"""Bytes of a picture that are kept in memory before they are written."""
TRIES: Final = 3
FIRST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 20.0
KEPT_HOSTS: Final = 10_000
_SECRETS: Final = re.compile(r"(?<=//)[^/?#]*@|[?#].*", re.DOTALL)


class Downloaded(NamedTuple):
    """A finished download: the temporary file, the SHA-256 of its bytes in hexadecimal digits, and how many."""

    path: Path
    sha256: str
    bytes: int


class RefusedError(Exception):
    """The picture is not fetched, for good: the text says why."""


class FailedError(Exception):
    """The picture could not be fetched this time; `after` seconds the server may answer, None where it never will."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


class Downloader:
    """Fetches pictures into temporary files, many at once, few from one host."""

    def __init__(
        self,
        fetch: Fetch,
        temporary: Callable[[], Path],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._fetch = fetch
        self._temporary = temporary
        self._sleep = sleep
        self._jitter = jitter
        self._all = asyncio.Semaphore(fetch.concurrency)
        self._hosts: dict[str, asyncio.Semaphore] = {}
        self._robots = Robots(self._small_file)
        self._guarded: aiohttp.ClientSession | None = None
        self._open: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        patience = aiohttp.ClientTimeout(total=self._fetch.seconds, connect=min(10.0, self._fetch.seconds))
        # Proxies of the environment would reach what the guard refuses, and cookies tell hosts who asks.
        self._guarded, self._open = (
            aiohttp.ClientSession(
                connector=connector,
                timeout=patience,
                # Pictures do not shrink by it, and what is unpacked all the same is held to the bytes allowed.
                headers={"User-Agent": USER_AGENT, "Accept": "image/*", "Accept-Encoding": "identity"},
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
            for connector in (guarded_connector(), aiohttp.TCPConnector(limit=0))
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        for session in (self._guarded, self._open):
            if session is not None:
                await session.close()

    async def download(self, url: str) -> Downloaded:
        """The picture's bytes in a temporary file, which is the caller's.

        Raises RefusedError and FailedError, and Unavailable where the disk does not take it.
        """
        try:
            host = authority(url)
        except ValueError as error:
            raise _at(url, _explained(error)) from error
        async with self._host(host), self._all:
            for attempt in range(1, TRIES + 1):
                try:
                    return await self._try(url)
                except FailedError as error:
                    if error.after is None or error.after > LONGEST_WAIT or attempt == TRIES:
                        raise
                    pause = max(error.after, FIRST_WAIT * 2 ** (attempt - 1))
                await self._sleep(pause * (1 + self._jitter()))
        raise AssertionError("the last try raises or returns")

    def _host(self, host: str) -> asyncio.Semaphore:
        if host not in self._hosts and len(self._hosts) >= KEPT_HOSTS:
            self._hosts = {name: places for name, places in self._hosts.items() if places.locked()}
        return self._hosts.setdefault(host, asyncio.Semaphore(self._fetch.per_host))

    async def _try(self, url: str) -> Downloaded:
        try:
            async with asyncio.timeout(self._fetch.seconds), self._answer(url) as response:
                self._judge(url, response)
                return await self._save(url, response)
        except TimeoutError as error:
            raise FailedError(f"{shown(url)}: not there within {self._fetch.seconds:g} s", 0.0) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _at(url, _explained(error)) from error

    @asynccontextmanager
    async def _answer(self, url: str) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer after redirects, each of which must be allowed by itself."""
        for _ in range(MAX_REDIRECTS + 1):
            await self._check(url)
            async with self._session(url).get(url, allow_redirects=False) as response:
                if response.status not in REDIRECTS or "Location" not in response.headers:
                    yield response
                    return
                url = urljoin(url, response.headers["Location"])
        raise RefusedError(f"{shown(url)}: more than {MAX_REDIRECTS} redirects")

    async def _check(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise RefusedError(f"{shown(url)}: only http and https addresses can be fetched")
        unreadable = "the site's robots.txt cannot be read now"
        try:
            allowed_by_site = await self._robots.allows(url)
        except RefusedError as error:
            raise _at(url, error) from error
        except FailedError as error:
            raise FailedError(f"{shown(url)}: {unreadable}: {error}", 0.0) from error
        if allowed_by_site is None:
            raise FailedError(f"{shown(url)}: {unreadable}", 0.0)
        if not allowed_by_site:
            raise RefusedError(f"{shown(url)}: the site's robots.txt does not allow it")

    def _session(self, url: str) -> aiohttp.ClientSession:
        session = self._open if allowed(url, self._fetch.allow) else self._guarded
        assert session is not None, "use it as a context manager"
        return session

    async def _small_file(self, url: str) -> tuple[int, bytes]:
        """A robots.txt, after redirects. Raises FailedError where no answer came, RefusedError where none may be asked.

        Their texts name no address: many pictures may wait for one robots.txt.
        """
        try:
            for _ in range(MAX_REDIRECTS + 1):
                async with self._session(url).get(url, allow_redirects=False) as response:
                    if response.status not in REDIRECTS or "Location" not in response.headers:
                        # `read` gives what there is at the moment, which need not be all.
                        found = bytearray()
                        async for chunk in response.content.iter_chunked(CHUNK):
                            found += chunk
                            if len(found) >= MOST_BYTES:
                                break
                        return response.status, bytes(found)
                    url = urljoin(url, response.headers["Location"])
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _explained(error) from error
        return 404, b""

    def _judge(self, url: str, response: aiohttp.ClientResponse) -> None:
        """Raises what fits an answer that is no picture to keep."""
        status = response.status
        if status == 429 or status >= 500:
            after = retry_after(response.headers.get("Retry-After"), time.time())
            raise FailedError(f"{shown(url)}: the server answered {status}", after or 0.0)
        if status != 200:
            raise FailedError(f"{shown(url)}: the server answered {status}")
        word = refused_by_tag(response.headers.getall("X-Robots-Tag", ()))
        if word is not None:
            raise RefusedError(f"{shown(url)}: the site refuses it with X-Robots-Tag: {word}")
        if (response.content_length or 0) > self._fetch.max_bytes:
            raise RefusedError(f"{shown(url)}: {response.content_length} bytes, {self._fetch.max_bytes} are allowed")

    async def _save(self, url: str, response: aiohttp.ClientResponse) -> Downloaded:
        digest, size, path = hashlib.sha256(), 0, self._temporary()
        try:
            with _disk():
                file = path.open("wb", buffering=0)
            with file:
                parts = _parts(response.content, self._fetch.max_bytes)
                if response.headers.get("Content-Encoding", "").strip().lower() in CODINGS:
                    parts = unpacked(parts, GATHERED)
                async for part in parts:
                    size += len(part)
                    if size > self._fetch.max_bytes:
                        raise RefusedError(f"{shown(url)}: more than the {self._fetch.max_bytes} bytes allowed")
                    digest.update(part)
                    with _disk():
                        _write(file, part)
        except DamagedError as error:
            path.unlink(missing_ok=True)
            raise FailedError(f"{shown(url)}: {error}", 0.0) from error
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return Downloaded(path, digest.hexdigest(), size)


async def _parts(content: aiohttp.StreamReader, most: int) -> AsyncIterator[bytes | bytearray]:
    """What comes, gathered, so that most pictures are hashed and written in one piece; beyond `most` nothing waits."""
    part, size = bytearray(), 0
    async for chunk in content.iter_any():
        part += chunk
        size += len(chunk)
        if len(part) >= GATHERED or size > most:
            yield part
            part = bytearray()
    if part:
        yield part


def _write(file: IO[bytes], part: bytes | bytearray) -> None:
    rest = memoryview(part)
    while rest:
        rest = rest[file.write(rest) :]


@contextmanager
def _disk() -> Iterator[None]:
    """What goes wrong here is this machine's fault and not the server's."""
    try:
        yield
    except OSError as error:
        raise Unavailable(f"the pictures' folder: {error}") from error


def shown(url: str) -> str:
    """An address as it may stand in a reason: without user, query and fragment, where secrets travel."""
    try:
        parts = urlsplit(url)
        host = bracketed(parts.hostname or "")
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        host = ""
    if not host:
        return _SECRETS.sub("", url)[:200]
    return f"{parts.scheme}://{host}{port}{parts.path}"[:300]


def _at(url: str, error: RefusedError | FailedError) -> RefusedError | FailedError:
    """The same, of an address."""
    reason = f"{shown(url)}: {error}"
    return FailedError(reason, error.after) if isinstance(error, FailedError) else RefusedError(reason)


def _explained(error: Exception) -> RefusedError | FailedError:
    cause = getattr(error, "os_error", None) or error.__cause__ or error
    if isinstance(cause, PrivateAddressError):
        return RefusedError(str(cause))
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return FailedError("the host's name is not known")
    if isinstance(error, ValueError):
        return RefusedError("not an address that can be fetched")
    return FailedError(str(error)[:200] or type(error).__name__, 0.0)

"""HTTP below the connectors' sessions: every hop guarded, redirects by hand, time-outs, one agent's name."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urljoin, urlsplit

import aiohttp
from yarl import URL

from app.connectors.cache import AnswerCache
from app.connectors.errors import RetryableError, SourceError
from app.connectors.guard import PrivateAddressError, allowed, authority, guarded_connector
from app.connectors.limits import Clock, Shared
from app.pictures.robots import MOST_BYTES, Robots
from app.version import VERSION

if TYPE_CHECKING:
    from app.settings import Settings

USER_AGENT: Final = f"marquee/{VERSION}"
MAX_REDIRECTS: Final = 5
REDIRECTS: Final = (301, 302, 303, 307, 308)
LONGEST_SHOWN: Final = 1000
_ENCODED: Final = re.compile(r"[!-~]+")
HARMLESS: Final = frozenset(
    {"accept", "accept-encoding", "accept-language", "if-modified-since", "if-none-match", "if-range", "range",
     "user-agent"}
)  # fmt: skip
"""Headers that may go on to another host than they were meant for."""


class Fetcher:
    """The way out of a process. `timeout` in seconds: to connect, and between two reads; ten times that for all.

    `max_body`: bytes of an answer that is read whole; `patience`: seconds that a run waits for a source that asks to;
    `cache`: what the process keeps of answers, where it has more than one way out.
    """

    def __init__(
        self,
        allow: tuple[str, ...] = (),
        timeout: float = 30.0,
        *,
        contact: str = "",
        max_body: int = 32 << 20,
        patience: float = 300.0,
        clock: Clock | None = None,
        cache: AnswerCache | None = None,
    ) -> None:
        self._allow = allow
        self._timeout = aiohttp.ClientTimeout(total=None, connect=timeout, sock_read=timeout)
        self.longest = timeout * 10
        self.agent = f"{USER_AGENT} ({contact})" if contact else USER_AGENT
        self.max_body = max_body
        self.patience = patience
        self.clock = clock or Clock()
        self.shared = Shared(self.clock)
        self.cache = cache or AnswerCache()
        self.robots = Robots(self._small_file, self.clock.now)
        self._guarded: aiohttp.ClientSession | None = None
        self._open: aiohttp.ClientSession | None = None

    @classmethod
    def of(cls, settings: Settings) -> Fetcher:
        """As the configuration wants it."""
        sources = settings.sources
        return cls(settings.fetch.allow, contact=sources.contact, max_body=sources.max_body, patience=sources.patience)

    async def __aenter__(self) -> Self:
        # Proxies of the environment would reach what the guard refuses, and cookies tell hosts who asks.
        options: dict[str, Any] = {
            "timeout": self._timeout,
            "headers": {"User-Agent": self.agent},
            "auto_decompress": False,
        }
        self._guarded = aiohttp.ClientSession(
            connector=guarded_connector(), cookie_jar=aiohttp.DummyCookieJar(), **options
        )
        self._open = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), **options)
        return self

    async def __aexit__(self, *_: object) -> None:
        for session in (self._guarded, self._open):
            if session is not None:
                await session.close()

    @asynccontextmanager
    async def request(
        self, url: str, headers: Mapping[str, str], method: str = "GET", data: bytes | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer after redirects, whatever its status. Raises SourceError."""
        try:
            async with await self._follow(url, headers, method, data) as response:
                yield response
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise _as_source_error(in_words(url), error) from None

    async def _follow(
        self, url: str, headers: Mapping[str, str], method: str, data: bytes | None
    ) -> aiohttp.ClientResponse:
        first = authority(url)
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._ask(url, headers, method, data)
            if response.status not in REDIRECTS or "Location" not in response.headers:
                return response
            response.release()
            url = urljoin(url, response.headers["Location"])
            if response.status == 303:
                method, data = "GET", None
            if authority(url) != first:
                # What was meant for one host, a credential or a body, does not go to another.
                headers = {name: value for name, value in headers.items() if name.lower() in HARMLESS}
                if data is not None:
                    raise SourceError(f"{url}: the redirect of a {method} leads to another host", only_here=True)
        raise SourceError(f"{url}: more than {MAX_REDIRECTS} redirects", only_here=True)

    async def _ask(
        self, url: str, headers: Mapping[str, str], method: str, data: bytes | None
    ) -> aiohttp.ClientResponse:
        if urlsplit(url).scheme not in ("http", "https"):
            raise SourceError(f"{url}: only http and https addresses can be fetched", only_here=True)
        session = self._open if allowed(url, self._allow) else self._guarded
        assert session is not None, "use it as a context manager"
        # Encoding what is encoded would make another address of it, but what sources write may not be encoded at all.
        target = URL(url, encoded=_ENCODED.fullmatch(url) is not None)
        return await session.request(method, target, headers=headers, data=data, allow_redirects=False)

    async def _small_file(self, url: str) -> tuple[int, bytes]:
        """A robots.txt. Raises SourceError, which must not be taken for a site that wants to be left alone."""
        async with self.request(url, {"Accept-Encoding": "identity"}) as response:
            if response.status >= 500 or response.status == 429:
                after = retry_after(response.headers.get("Retry-After"), self.clock.now())
                raise RetryableError(f"{url}: answered {response.status}", after)
            found = bytearray()
            async for chunk in response.content.iter_chunked(1 << 16):
                found += chunk
                if len(found) >= MOST_BYTES:
                    break
            return response.status, bytes(found)


def in_words(url: str) -> str:
    """An address as texts have it: of a long one not what is asked there, which may be a program."""
    return url if len(url) <= LONGEST_SHOWN else f"{url.partition('?')[0]}?…"


def retry_after(header: str | None, now: float) -> float | None:
    """Seconds that a Retry-After header asks for, given as seconds or as a date; None where it says nothing."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _as_source_error(url: str, error: Exception) -> SourceError:
    cause = getattr(error, "os_error", None) or error.__cause__
    if isinstance(cause, PrivateAddressError):
        return SourceError(f"{url}: {cause}", only_here=True)
    if isinstance(error, ValueError):
        return SourceError(f"{url}: not an address that can be fetched", only_here=True)
    if isinstance(error, TimeoutError):
        return RetryableError(f"{url}: nothing came in time", only_here=True)
    if isinstance(error, aiohttp.ClientPayloadError):
        return RetryableError(f"{url}: cut off", only_here=True)
    return RetryableError(f"{url}: {str(error) or type(error).__name__}", only_here=True)

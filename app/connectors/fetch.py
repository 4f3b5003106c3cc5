"""HTTP for connectors: guarded, with time-outs, and with errors grouped by what the runner does next."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import Final, Self
from urllib.parse import urljoin, urlsplit

import aiohttp

from app.connectors.errors import AuthFailedError, NotFoundError, RetryableError, SourceError
from app.connectors.guard import PrivateAddressError, allowed, guarded_connector

USER_AGENT: Final = "marquee/0.1"
MAX_REDIRECTS: Final = 5
REDIRECTS: Final = (301, 302, 303, 307, 308)


class Fetcher:
    """The HTTP session of one run. `timeout` in seconds: to connect, and between two reads."""

    def __init__(
        self, allow: tuple[str, ...] = (), timeout: float = 30.0, now: Callable[[], float] = time.time
    ) -> None:
        self._allow = allow
        self._timeout = aiohttp.ClientTimeout(total=None, connect=timeout, sock_read=timeout)
        self._now = now
        self._guarded: aiohttp.ClientSession | None = None
        self._open: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # Proxies of the environment would reach what the guard refuses.
        options = {"timeout": self._timeout, "headers": {"User-Agent": USER_AGENT}, "auto_decompress": False}
        self._guarded = aiohttp.ClientSession(connector=guarded_connector(), **options)  # type: ignore[arg-type]
        self._open = aiohttp.ClientSession(**options)  # type: ignore[arg-type]
        return self

    async def __aexit__(self, *_: object) -> None:
        for session in (self._guarded, self._open):
            if session is not None:
                await session.close()

    @asynccontextmanager
    async def get(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer to a GET, its status 200, 206 or 416, after redirects. Raises SourceError."""
        try:
            async with await self._follow(url, headers) as response:
                self._refuse(response)
                yield response
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _as_source_error(url, error) from error

    async def _follow(self, url: str, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._ask(url, headers)
            if response.status not in REDIRECTS or "Location" not in response.headers:
                return response
            url = urljoin(url, response.headers["Location"])
            response.release()
        raise SourceError(f"{url}: more than {MAX_REDIRECTS} redirects")

    async def _ask(self, url: str, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        if urlsplit(url).scheme not in ("http", "https"):
            raise SourceError(f"{url}: only http and https addresses can be fetched")
        session = self._open if allowed(url, self._allow) else self._guarded
        assert session is not None, "use it as a context manager"
        return await session.get(url, headers=headers, allow_redirects=False)

    def _refuse(self, response: aiohttp.ClientResponse) -> None:
        """Raises the SourceError that fits a status of failure."""
        status, url = response.status, response.url
        if status in (200, 206, 416):
            return
        if status in (404, 410):
            raise NotFoundError(f"{url}: not there ({status}); check the address")
        if status in (401, 403):
            raise AuthFailedError(f"{url}: access refused ({status})")
        if status == 429 or status >= 500:
            after = retry_after(response.headers.get("Retry-After"), self._now())
            raise RetryableError(f"{url}: the server answered {status}", after)
        raise SourceError(f"{url}: the server answered {status}")


def retry_after(header: str | None, now: float) -> float | None:
    """Seconds that a Retry-After header asks for, given as seconds or as a date; None where it says nothing."""
    if header is None:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - now)
    except ValueError:
        return None


def _as_source_error(url: str, error: Exception) -> SourceError:
    cause = getattr(error, "os_error", None) or error.__cause__
    if isinstance(cause, PrivateAddressError):
        return SourceError(f"{url}: {cause}")
    if isinstance(error, aiohttp.InvalidURL):
        return SourceError(f"{url}: not an address that can be fetched")
    if isinstance(error, TimeoutError):
        return RetryableError(f"{url}: nothing came in time")
    return RetryableError(f"{url}: {str(error) or type(error).__name__}")

"""The shared HTTP side of a connector: pace, quota, retries, breaker, robots, revalidation, credentials, counts."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Literal, TypeVar, cast
from urllib.parse import urlencode, urljoin

import aiohttp
import msgspec
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from app.connectors.account import Account
from app.connectors.answers import Answer, judge
from app.connectors.body import read_body
from app.connectors.cache import RunCache
from app.connectors.config import ConnectorConfig
from app.connectors.counters import Counters
from app.connectors.errors import (
    IncompleteError,
    MalformedError,
    QuotaExhaustedError,
    RetryableError,
    SourceError,
)
from app.connectors.fetch import Fetcher, in_words, retry_after
from app.connectors.guard import authority
from app.connectors.limits import Ledger
from app.connectors.manners import asked_pause
from app.connectors.redaction import Credentials
from app.connectors.revalidation import Revalidation, Validators

log = logging.getLogger(__name__)

T = TypeVar("T")
FIRST_WAIT: Final = 0.5
BACK_OFF: Final = wait_exponential_jitter(multiplier=FIRST_WAIT, max=60.0, jitter=FIRST_WAIT / 2)
Params = Mapping[str, str | int | float | None]
Method = Literal["GET", "POST"]


class Session:
    """What one connector asks its source with. Texts of the errors that it raises hold no credential."""

    def __init__(self, config: ConnectorConfig, fetcher: Fetcher, environ: Mapping[str, str] = os.environ) -> None:
        self._config = config
        self._fetcher = fetcher
        self._credentials = Credentials(config.token_env, environ)
        self._account = Account(config, fetcher.shared, fetcher.clock)
        self.revalidation = Revalidation(config, fetcher.clock.now)
        self.cache = RunCache(fetcher.cache, config, self._credentials, fetcher.clock.now)
        self.fault: Callable[[Answer], SourceError | None] = lambda answer: None
        self.counters = Counters()

    @property
    def clock(self) -> Callable[[], float]:
        """Seconds since 1970."""
        return self._fetcher.clock.now

    @property
    def home(self) -> str:
        """Where relative addresses begin; empty where nothing says so."""
        return self._config.home()

    # What the runner uses.

    def begin(self, name: str, validators: Validators, ledger: Ledger, reading: str) -> None:
        """Begin a run of the connector of a name with what was kept of the last one, and what it goes on reading."""
        self.revalidation.begin(validators)
        self.cache.begin(name, reading)
        self.counters = Counters()
        self._account.ledger = ledger

    def validators(self) -> Validators:
        """What to keep with a cursor. To be asked at a checkpoint only: kept earlier, a crash would lose records."""
        return self.revalidation.kept()

    def redact(self, text: str) -> str:
        """A text without credentials."""
        return self._credentials.text(text)

    def redact_raw(self, data: bytes) -> bytes:
        """Bytes without credentials."""
        return self._credentials.raw(data)

    # What connectors use.

    def token(self, variable: str | None = None) -> str:
        """The credential from the environment, by default the one of `token_env`. Raises AuthFailedError."""
        return self._credentials.need(variable)

    def token_if_set(self, variable: str | None = None) -> str | None:
        """The same where the service can do without."""
        return self._credentials.get(variable)

    def hide(self, value: str) -> None:
        """Keep a credential that was obtained meanwhile, such as the token of a log-in, out of all texts too."""
        self._credentials.hide(value)

    def url(self, place: str, params: Params | None = None) -> str:
        """An address: `place` itself if it is one, else under `base_url`; parameters that are None are left out."""
        home = self._config.home()
        url = place if "://" in place else f"{home.rstrip('/')}/{place.lstrip('/')}" if place else home
        given = {name: value for name, value in (params or {}).items() if value is not None}
        if not given:
            return url
        return f"{url}{'&' if '?' in url else '?'}{urlencode(given)}"

    async def get_json(self, place: str, params: Params | None = None, *, shape: Any = Any, **options: Any) -> Any:
        """The decoded answer of a GET, held to the type `shape`; options as for `ask`. Raises SourceError."""
        found: list[Any] = []
        await self.ask(place, params, decode=lambda answer: found.append(answer.json(shape)), **options)
        return found[-1]

    async def get_parsed(
        self, place: str, params: Params | None = None, *, parse: Callable[[bytes], T], **options: Any
    ) -> T:
        """What `parse` makes of the body of a GET; options as for `ask`. Raises SourceError."""
        found: list[T] = []
        await self.ask(place, params, decode=lambda answer: found.append(parse(answer.body)), **options)
        return found[-1]

    async def post_json(self, place: str, body: Any, params: Params | None = None, **options: Any) -> Any:
        """The decoded answer of a POST of JSON; options as for `ask`. Raises SourceError."""
        headers = {"Content-Type": "application/json", **options.pop("headers", {})}
        data = msgspec.json.encode(body)
        return await self.get_json(place, params, method="POST", data=data, headers=headers, **options)

    async def get_bytes(self, place: str, params: Params | None = None, **options: Any) -> bytes:
        """The body of a GET; options as for `ask`. Raises SourceError."""
        return (await self.ask(place, params, **options)).body

    async def get_text(self, place: str, params: Params | None = None, **options: Any) -> str:
        """The body of a GET as text; options as for `ask`. Raises SourceError."""
        return (await self.ask(place, params, **options)).text()

    async def ask(
        self,
        place: str,
        params: Params | None = None,
        *,
        method: Method = "GET",
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
        revalidate: bool = False,
        accept: tuple[str, ...] = (),
        bucket: str = "",
        cost: int = 1,
        limit: int | None = None,
        called: str | None = None,
        decode: Callable[[Answer], object] | None = None,
    ) -> Answer:
        """The whole answer, tried again as configured. Raises SourceError.

        `accept`: parts of media types of which one must be in the answer's; `revalidate`: ask only for what is newer
        than at the last kept checkpoint, with no body where nothing is (else that of an answer which did not change is
        the one that the process keeps); `bucket` and `cost`: which daily quota pays; `limit`: bytes of the body;
        `called`: the address in texts. `decode` is called with each answer, and what it raises is the answer's fault.
        """
        url = self.url(place, params)
        shown = self.redact(called or url)
        pause = await self._pause(url, shown)
        sent = {"Accept-Encoding": "gzip", **(headers or {})}
        if revalidate:
            sent |= self.revalidation.headers(shown)
        question = self.cache.question(method, url, sent, apart=revalidate)

        async def once() -> Answer:
            await self._pay(url, pause, bucket, cost)
            asked = sent | question.conditions()
            async with (
                asyncio.timeout(self._fetcher.longest),
                self._fetcher.request(url, asked, method, data) as response,
            ):
                whole = await self._whole(response, shown, limit or self._fetcher.max_body)
            answer = question.answered(whole, str(response.url), asked)
            with question.reading(answer):
                self._check(answer, bucket, accept)
                if decode is not None and answer.status != 304:
                    decode(answer)
            return answer

        answer = await self._try(url, once)
        if revalidate and answer.not_modified:
            self.revalidation.unchanged(shown)
        elif revalidate:
            self.revalidation.answered(shown, answer.headers)
        return answer

    @asynccontextmanager
    async def stream(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer to be read piece by piece, of status 200, 206, 304 or 416; not tried again. Raises SourceError."""
        try:
            await self._pay(url, await self._pause(url, self.redact(url)), "", 1)
            async with self._fetcher.request(url, headers) as response:
                if response.status not in (200, 206, 304, 416):
                    self._check(await self._whole(response, self.redact(url), self._fetcher.max_body), "", ())
                self.cache.changed()
                yield response
        except SourceError as error:
            raise self._credentials.clean(error) from None

    async def pause(self, error: RetryableError, failures: int) -> None:
        """Wait before the next try after so many failures. Raises RetryableError where the source asks for too much."""
        after = FIRST_WAIT * 2 ** (failures - 1) if error.after is None else error.after
        if after > self._fetcher.patience:
            raise self._impatient(error)
        self.counters.retries += 1
        log.warning("%s; trying again in %.1f s", error, after)
        await self._fetcher.clock.sleep(after)

    # How a request is made.

    async def _try(self, url: str, once: Callable[[], Any]) -> Answer:
        breaker = self._fetcher.shared.breaker(authority(url))
        breaker.check(authority(url))
        retrying = AsyncRetrying(
            stop=stop_after_attempt(self._config.retries + 1),
            retry=retry_if_exception(self._mends),
            wait=_wait,
            sleep=self._fetcher.clock.sleep,
            before_sleep=self._tell,
            reraise=True,
        )
        try:
            answer: Answer = await retrying(once)
        except (SourceError, TimeoutError) as error:
            if isinstance(error, TimeoutError):
                error = RetryableError(f"{in_words(url)}: too slow", only_here=True)
            failed = self._credentials.clean(error)
            breaker.note(not isinstance(failed, (RetryableError, IncompleteError, MalformedError)))
            if isinstance(failed, RetryableError) and (failed.after or 0) > self._fetcher.patience:
                raise self._impatient(failed) from None
            raise failed from None
        breaker.note(True)
        return answer

    def _mends(self, error: BaseException) -> bool:
        after = getattr(error, "after", None) or 0.0
        return isinstance(error, (RetryableError, IncompleteError, TimeoutError)) and after <= self._fetcher.patience

    def _tell(self, state: RetryCallState) -> None:
        self.counters.retries += 1
        error = state.outcome.exception() if state.outcome else None
        wait = state.next_action.sleep if state.next_action else 0.0
        log.warning("%s; trying again in %.1f s", self.redact(str(error) or "too slow"), wait)

    async def _pause(self, url: str, shown: str) -> float:
        try:
            return await asked_pause(self._fetcher, url, shown) if self._config.robots else 0.0
        except SourceError as error:
            raise self._credentials.clean(error) from None

    async def _pay(self, url: str, pause: float, bucket: str, cost: int) -> None:
        if pause:
            await self._fetcher.shared.spacing(authority(url)).wait(pause)
        self.counters.quota += await self._account.pay(bucket, cost)
        self.counters.requests += 1

    async def _whole(self, response: aiohttp.ClientResponse, shown: str, limit: int) -> Answer:
        body = b"" if response.status == 304 else await read_body(response, shown, limit)
        self.counters.bytes += len(body)
        self.counters.throttled += response.status == 429
        self.counters.not_modified += response.status == 304
        following = cast(Any, response.links).get("next", {}).get("url")
        return Answer(
            shown,
            response.status,
            response.headers,
            body,
            str(urljoin(str(response.url), str(following))) if following else None,
            response.status == 304,
        )

    def _check(self, answer: Answer, bucket: str, accept: tuple[str, ...]) -> None:
        after = retry_after(answer.headers.get("Retry-After"), self.clock())
        error = self.fault(answer) or judge(answer, after, self._config.token_env is not None)
        if isinstance(error, RetryableError) and error.after is None:
            error.after = after
        if isinstance(error, QuotaExhaustedError) and error.until is None:
            error = self._account.exhausted(bucket, str(error))
        if error is not None:
            raise error
        if accept and not answer.not_modified and not any(part in answer.content_type for part in accept):
            raise answer.malformed(" or ".join(accept))

    def _impatient(self, error: RetryableError) -> RetryableError:
        text = f"{error}; it asks for {error.after or 0:.0f} s of patience: run again later"
        return RetryableError(self.redact(text), error.after)


def _wait(state: RetryCallState) -> float:
    """The source's own word, else back-off with jitter."""
    error = state.outcome.exception() if state.outcome else None
    after = getattr(error, "after", None)
    return BACK_OFF(state) if after is None else float(after)

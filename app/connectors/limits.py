"""What keeps connectors from asking too much: pace, daily quota and circuit breaker, shared by all of a process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol
from zoneinfo import ZoneInfo

import msgspec
from aiolimiter import AsyncLimiter

from agents.due import stamp_of
from app.connectors.errors import QuotaExhaustedError, RetryableError

UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
OPENS_AFTER: Final = 5
STAYS_OPEN: Final = 300.0


class Clock(msgspec.Struct, frozen=True):
    """Time as a dependency: seconds since 1970, and a way to let some pass."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class Pace:
    """A rate such as 5/s. By second and minute it is kept evenly, without bursts; by hour and day as a budget."""

    def __init__(self, rate: str) -> None:
        number, _, unit = rate.partition("/")
        self._rate, self._period = int(number), UNITS[unit]
        self._budget = self._period >= UNITS["h"]
        self._limiter = AsyncLimiter(*((self._rate, self._period) if self._budget else (1, self._period / self._rate)))

    async def wait(self) -> None:
        """Return when the next request may go. Raises RetryableError where an hour's or a day's budget is spent."""
        if self._budget and not self._limiter.has_capacity():
            after = self._period / self._rate
            raise RetryableError(f"the rate of {self._rate} in {self._period} s is used up", after)
        await self._limiter.acquire()


class Spent(msgspec.Struct, frozen=True):
    """What was used of a quota on a day of its time zone, and whether the source said that nothing is left."""

    day: str = ""
    used: int = 0
    over: bool = False


class Ledger(Protocol):
    """Where spent quotas outlive the process, by account."""

    def spent(self, account: str) -> Spent:
        """What is kept; nothing spent where nothing is."""

    def spend(self, account: str, spent: Spent) -> None:
        """Keep it before the request goes out."""


class Memory:
    """A ledger for looks and tests, which forgets."""

    def __init__(self) -> None:
        self._spent: dict[str, Spent] = {}

    def spent(self, account: str) -> Spent:
        """What is kept; nothing spent where nothing is."""
        return self._spent.get(account, Spent())

    def spend(self, account: str, spent: Spent) -> None:
        """Keep it."""
        self._spent[account] = spent


class Quota:
    """A number of requests a day, renewed at midnight of a time zone (RFC 5545's sense: also on a day of 23 hours)."""

    def __init__(self, account: str, limit: str, zone: str, ledger: Ledger, now: Callable[[], float]) -> None:
        self._account = account
        self._limit = int(limit.partition("/")[0])
        self._zone = ZoneInfo(zone)
        self._ledger = ledger
        self._now = now

    def spend(self, cost: int) -> None:
        """Count a request before it is made. Raises QuotaExhaustedError with the time of renewal."""
        today = self._today()
        if today.over:
            # Others ask under the same account, or it has a smaller quota than the configuration says.
            raise self._error(
                f"the source said that its quota is spent, after {today.used} of {self._limit} requests from here"
            )
        if today.used + cost > self._limit:
            # What is left may do for a request that costs less.
            raise self._error(f"{today.used} of {self._limit} requests of the day are used")
        self._ledger.spend(self._account, Spent(today.day, today.used + cost))

    def exhausted(self, why: str) -> QuotaExhaustedError:
        """The error for a quota of which the source says that it is spent, whatever our own count."""
        today = self._today()
        self._ledger.spend(self._account, Spent(today.day, today.used, over=True))
        return self._error(why)

    def _error(self, why: str) -> QuotaExhaustedError:
        until = midnight_after(self._now(), self._zone)
        return QuotaExhaustedError(f"{why}; the quota is renewed at {stamp_of(until)}", until)

    def _today(self) -> Spent:
        found = self._ledger.spent(self._account)
        return found if found.day == self._day() else Spent(self._day())

    def _day(self) -> str:
        return datetime.fromtimestamp(self._now(), self._zone).date().isoformat()


def midnight_after(now: float, zone: ZoneInfo) -> float:
    """The moment at which the next day begins there, in seconds since 1970."""
    tomorrow = datetime.fromtimestamp(now, zone).date() + timedelta(days=1)
    return datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=zone).astimezone(UTC).timestamp()


class Breaker:
    """Stops asking a host that fails again and again; after a while one request may try it.

    Own code: it is thirty lines, and the one maintained library for asyncio has had no release for two years.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._failures = 0
        self._until = 0.0

    def check(self, host: str) -> None:
        """Raises RetryableError while it is open."""
        left = self._until - self._now()
        if self._failures >= OPENS_AFTER and left > 0:
            raise RetryableError(f"{host}: failed {self._failures} times in a row, left alone for now", left)

    def note(self, good: bool) -> None:
        """How a request ended, after its retries."""
        self._failures = 0 if good else self._failures + 1
        self._until = self._now() + STAYS_OPEN


class Spacing:
    """Keeps a pause between the requests to one host, whoever makes them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._free = 0.0

    def left(self) -> float:
        """Seconds until the next request may begin."""
        return max(0.0, self._free - self._clock.now())

    async def wait(self, pause: float) -> None:
        """Wait for this request's turn; the next one's is so many seconds later."""
        begin = max(self._free, self._clock.now())
        self._free = begin + pause
        if begin > self._clock.now():
            await self._clock.sleep(begin - self._clock.now())


class Shared:
    """What the connectors of a process share: one pace an account, one breaker and one spacing a host."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._paces: dict[tuple[str, str], Pace] = {}
        self._breakers: dict[str, Breaker] = {}
        self._spacings: dict[str, Spacing] = {}

    def pace(self, account: str, rate: str) -> Pace:
        """The pace of an account."""
        return self._paces.setdefault((account, rate), Pace(rate))

    def spacing(self, host: str) -> Spacing:
        """The pause that a host:port asks for between requests."""
        return self._spacings.setdefault(host, Spacing(self._clock))

    def breaker(self, host: str) -> Breaker:
        """The breaker of a host:port."""
        return self._breakers.setdefault(host, Breaker(self._clock.now))

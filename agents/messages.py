"""What a stage is handed: the decoded record with where it came from."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Generic, TypeVar

import msgspec

from schemas.base import Record, Rejected
from schemas.envelope import Envelope
from schemas.moments import readable

R = TypeVar("R", bound=Record, covariant=True)


class Message(msgspec.Struct, Generic[R], frozen=True):
    """A record at its place in the log; `timestamp` is the broker's, in milliseconds since 1970."""

    data: R
    envelope: Envelope
    topic: str
    partition: int
    offset: int
    timestamp: int

    @property
    def received_at(self) -> str:
        """When the record entered the log, RFC 3339 in UTC with milliseconds.

        Raises Rejected for a moment of no calendar, as a sender's clock in microseconds gives.
        """
        try:
            return rfc3339(self.timestamp)
        except (ValueError, OverflowError) as error:
            raise Rejected(f"timestamp: {self.timestamp} is no moment in milliseconds since 1970") from error


@lru_cache(maxsize=4096)
def rfc3339(milliseconds: int) -> str:
    """Milliseconds since 1970 as RFC 3339 in UTC; kept, because the events of a batch share theirs.

    Raises ValueError or OverflowError outside the years 1 to 9999.
    """
    seconds, rest = divmod(milliseconds, 1000)
    return f"{_second(seconds)}.{rest:03d}Z"


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    # Where events come one at a time, each has a millisecond of its own.
    # As strftime writes it, a year before 1000 has fewer than four digits.
    return datetime.fromtimestamp(seconds, UTC).isoformat().removesuffix("+00:00")


def readable_moment(name: str, text: str | None) -> str | None:
    """A date, or date and time, of ISO 8601 (RFC 3339 is a part of that) in a form that every reader takes.

    Raises Rejected for a text that is none.
    """
    if text is None:
        return None
    try:
        return readable(text)
    except ValueError as error:
        raise Rejected(f"{name}: {text[:50]!r} is no moment such as 2026-01-31T12:00:00Z") from error

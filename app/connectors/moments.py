"""Moments as sources state them in numbers, of which some are none."""

from __future__ import annotations

from typing import Final

from agents.messages import rfc3339

LAST: Final = 1e14
"""Milliseconds since 1970 that are still a moment, in the year 5138; what is above is of another unit, or none."""


def is_moment(milliseconds: float) -> bool:
    """Whether so many since 1970 are a moment at which something may have been said."""
    return 0 < milliseconds < LAST


def stated(milliseconds: float) -> str | None:
    """Milliseconds since 1970 as RFC 3339 in UTC; None for what is no moment: a record loses its time and no more."""
    return rfc3339(int(milliseconds)) if is_moment(milliseconds) else None

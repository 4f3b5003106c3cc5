"""Moments as others write them: ISO 8601, of which RFC 3339 is a part."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

_LEAP_SECOND: Final = re.compile(r"(.+:\d\d):60(\D.*|)")


def moment(text: str) -> datetime:
    """The moment that a text names; without an offset it is UTC. Raises ValueError.

    RFC 3339 allows `t` and `z`, and a leap second (23:59:60 in UTC), which is taken for the second after it.
    """
    written = text.upper()
    leap = _LEAP_SECOND.fullmatch(written)
    found = datetime.fromisoformat(f"{leap[1]}:59{leap[2]}" if leap else written)
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    if leap is None:
        return found
    try:
        found += timedelta(seconds=1)
        at = found.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"no second follows {text!r}") from error
    if (at.hour, at.minute, at.second) != (0, 0, 0):
        raise ValueError(f"no leap second is at {text!r}")
    return found


@lru_cache(maxsize=4096)
def readable(text: str) -> str:
    """The moment in a form that every reader of dates takes: the text itself, unless it is of the rarer RFC 3339.

    Raises ValueError for a text that is no date, or date and time.
    """
    try:
        # Nearly all are: whoever predicts waits for this.
        datetime.fromisoformat(text)
    except ValueError:
        return moment(text).isoformat().replace("+00:00", "Z")
    return text

"""When a connector's schedule is due: five cron fields in a time zone, right over daylight saving, with catch-up."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from schemas.ids import NAMESPACE, fenced
from schemas.moments import moment

MOST_AT_ONCE: Final = 1000
"""Dates that one look takes over; the next look goes on behind them."""
EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(9000, 1, 1, tzinfo=UTC)
"""Between them the dates of a schedule can be counted in every time zone."""


class BadScheduleError(ValueError):
    """The schedule or its time zone cannot be used; the text says why."""


def check_schedule(schedule: str, timezone: str) -> None:
    """Raises BadScheduleError for what is no five-field cron expression or no time zone."""
    next(_dates(schedule, timezone, datetime(2026, 1, 1, tzinfo=UTC)), None)


def due_dates(schedule: str, timezone: str, after: datetime, now: datetime, catchup: bool) -> list[datetime]:
    """The logical dates in UTC after `after` and not after `now`, oldest first; only the newest without `catchup`.

    A time that daylight saving skips is due when the clock has jumped, one that it repeats is due once. Raises
    BadScheduleError.
    """
    found = list(islice(_until(now, _dates(schedule, timezone, after)), MOST_AT_ONCE))
    if catchup or not found:
        return found
    while len(found) == MOST_AT_ONCE:
        rest = list(islice(_until(now, _dates(schedule, timezone, found[-1])), MOST_AT_ONCE))
        if not rest:
            break
        found = rest
    return found[-1:]


def dates_between(
    schedule: str, timezone: str, start: datetime, end: datetime, most: int | None = None
) -> list[datetime]:
    """The logical dates from `start` to `end`, both included, as a backfill asks for them; the first `most` of them.

    Raises BadScheduleError.
    """
    before = start - timedelta(seconds=1)
    return list(islice(_until(end, _dates(schedule, timezone, before)), most))


def date_before(schedule: str, timezone: str, at: datetime) -> datetime | None:
    """The last logical date before a moment; None where there was none in the eight years before."""
    for days in (1, 7, 32, 366, 8 * 366):
        found = dates_between(schedule, timezone, at - timedelta(days=days), at - timedelta(seconds=1))
        if found:
            return found[-1]
    return None


def next_date(schedule: str, timezone: str, after: datetime) -> datetime | None:
    """The first logical date after a moment, None where there will be none (such as 30 February)."""
    return next(_dates(schedule, timezone, after), None)


def run_id(connector: str, trigger: str, logical_date: datetime | str) -> str:
    """The id of a run; whoever computes it for the same date gets the same."""
    at = logical_date if isinstance(logical_date, str) else stamp(logical_date)
    return str(uuid.uuid5(NAMESPACE, f"run|{fenced(connector)}|{trigger}|{at}"))


def stamp(moment: datetime) -> str:
    """RFC 3339 in UTC, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def stamp_of(seconds: float) -> str:
    """RFC 3339 in UTC, to the second, of seconds since 1970."""
    return stamp(datetime.fromtimestamp(seconds, UTC))


def span(begin: str, end: str) -> tuple[datetime, datetime]:
    """The moments from when to when something is asked for; a day alone is meant whole.

    Raises ValueError, which names `from` or `to`.
    """
    first, last = _said("from", begin), _said("to", end)
    if not EARLIEST <= first < LATEST:
        raise ValueError(f"from: {begin!r} lies outside of the years {EARLIEST.year} to {LATEST.year - 1}")
    return first, last + timedelta(days=1, seconds=-1) if len(end) <= len("2026-05-01") else last


def _said(name: str, text: str) -> datetime:
    try:
        return moment(text)
    except ValueError as error:
        raise ValueError(f"{name}: {text!r} is no time; write it like 2026-05-01T06:00:00Z or 2026-05-01") from error


def _dates(schedule: str, timezone: str, after: datetime) -> Iterator[datetime]:
    try:
        zone = ZoneInfo(timezone)
    except (KeyError, ValueError, OSError) as error:
        raise BadScheduleError(f"timezone: {timezone!r} is not known; say it like Europe/Berlin") from error
    if len(schedule.split()) != 5:
        raise BadScheduleError(f"schedule: {schedule!r} needs five fields: minute hour day month weekday")
    try:
        local = CronSim(schedule, after.astimezone(zone))
    except CronSimError as error:
        raise BadScheduleError(f"schedule: {schedule!r} is no cron expression ({error})") from error
    last = after.astimezone(UTC)
    for date in local:
        at = date.astimezone(UTC)
        if at > last:
            last = at
            yield at


def _until(end: datetime, dates: Iterator[datetime]) -> Iterator[datetime]:
    for date in dates:
        if date > end:
            return
        yield date

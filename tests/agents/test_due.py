"""Schedules by an injected clock: time zones, daylight saving both ways, leap days, month ends, catch-up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from agents.due import BadScheduleError, check_schedule, dates_between, due_dates, next_date, run_id, stamp

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"


def at(text: str, zone: str = "UTC") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def due(schedule: str, zone: str, start: str, end: str) -> list[str]:
    found = due_dates(schedule, zone, at(start, zone), at(end, zone), catchup=True)
    return [date.astimezone(ZoneInfo(zone)).isoformat() for date in found]


@pytest.mark.parametrize(
    ("zone", "before", "after", "expected"),
    [
        # The clock jumps from 02:00 to 03:00: a job of 02:30 runs once, when the clock has jumped.
        (BERLIN, "2026-03-28T12:00", "2026-03-30T12:00", ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]),
        (NEW_YORK, "2026-03-07T12:00", "2026-03-09T12:00", ["2026-03-08T03:00:00-04:00", "2026-03-09T02:30:00-04:00"]),
        # The hour from 02:00 stands twice in Berlin, the one from 01:00 in New York: a fixed time runs once.
        (BERLIN, "2026-10-24T12:00", "2026-10-26T12:00", ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]),
        (NEW_YORK, "2026-10-31T12:00", "2026-11-02T12:00", ["2026-11-01T02:30:00-05:00", "2026-11-02T02:30:00-05:00"]),
    ],
)
def test_a_nightly_job_runs_once_a_night_when_the_clock_changes(zone, before, after, expected):
    assert due("30 2 * * *", zone, before, after) == expected


def test_the_repeated_hour_of_new_york_holds_a_fixed_time_once():
    assert due("30 1 * * *", NEW_YORK, "2026-10-31T12:00", "2026-11-02T00:00") == ["2026-11-01T01:30:00-04:00"]


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK])
def test_an_hourly_job_runs_every_real_hour_when_the_clock_changes(zone):
    for start, hours in (("2026-03-01T00:30", 45 * 24), ("2026-10-20T00:30", 20 * 24)):
        begin = at(start, zone)
        found = due_dates("0 * * * *", zone, begin, begin + timedelta(hours=hours), catchup=True)
        gaps = {later - earlier for earlier, later in pairwise(found)}
        assert gaps == {timedelta(hours=1)}


def test_the_29th_of_february_is_due_in_leap_years_only():
    found = dates_between("0 6 29 2 *", "UTC", at("2023-01-01T00:00"), at("2033-01-01T00:00"))
    assert [date.year for date in found] == [2024, 2028, 2032]


def test_the_31st_is_due_where_there_is_one_and_l_is_the_last_day_of_each_month():
    year = (at("2026-01-01T00:00"), at("2026-12-31T23:59"))
    assert [date.month for date in dates_between("0 0 31 * *", "UTC", *year)] == [1, 3, 5, 7, 8, 10, 12]
    last_days = [date.day for date in dates_between("0 0 L * *", "UTC", *year)]
    assert last_days == [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]


def test_after_three_days_down_catch_up_runs_every_date_and_otherwise_only_the_newest():
    down, up = at("2026-05-01T00:10"), at("2026-05-04T00:10")
    all_of_them = due_dates("0 */6 * * *", "UTC", down, up, catchup=True)
    assert len(all_of_them) == 12
    assert due_dates("0 */6 * * *", "UTC", down, up, catchup=False) == all_of_them[-1:]


def test_a_month_of_minutes_is_caught_up_in_pieces_and_skipped_in_one():
    down, up = at("2026-05-01T00:00"), at("2026-06-01T00:00")
    first = due_dates("* * * * *", "UTC", down, up, catchup=True)
    assert (len(first), first[0]) == (1000, at("2026-05-01T00:01"))
    assert due_dates("* * * * *", "UTC", first[-1], up, catchup=True)[0] == first[-1] + timedelta(minutes=1)
    assert due_dates("* * * * *", "UTC", down, up, catchup=False) == [up]


def test_nothing_is_due_before_its_time():
    assert due_dates("0 0 * * *", "UTC", at("2026-05-01T00:00"), at("2026-05-01T23:59"), catchup=True) == []
    assert next_date("0 0 * * *", "UTC", at("2026-05-01T00:00")) == at("2026-05-02T00:00")


def test_every_logical_date_has_one_id_whoever_computes_it():
    dates = dates_between("0 * * * *", BERLIN, at("2026-10-24T00:00"), at("2026-10-27T00:00"))
    ids = {run_id("guardian", "schedule", date) for date in dates}
    assert len(ids) == len(dates) == 73
    assert run_id("guardian", "schedule", dates[0]) == run_id("guardian", "schedule", stamp(dates[0]))


@pytest.mark.parametrize(
    ("schedule", "zone", "reason"),
    [
        ("* * * *", "UTC", "five fields"),
        ("@daily", "UTC", "five fields"),
        ("61 * * * *", "UTC", "no cron expression"),
        ("0 0 * * *", "Europe/Berlinn", "is not known"),
        ("0 0 * * *", "../../etc/passwd", "is not known"),
    ],
)
def test_a_schedule_that_cannot_be_used_is_refused_with_a_reason(schedule, zone, reason):
    with pytest.raises(BadScheduleError, match=reason):
        check_schedule(schedule, zone)

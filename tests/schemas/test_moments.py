"""Every form of a moment that RFC 3339 allows."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from schemas.moments import moment, readable


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2026-01-01t12:00:00z", "2026-01-01T12:00:00Z"),
        ("2026-01-01T12:00:00z", "2026-01-01T12:00:00Z"),
        ("2026-01-01t12:00:00.5+01:00", "2026-01-01t12:00:00.5+01:00"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
        ("2016-12-31t23:59:60.25z", "2017-01-01T00:00:00.250000Z"),
        ("2016-12-31T15:59:60-08:00", "2016-12-31T16:00:00-08:00"),
        ("2017-01-01T05:29:60+05:30", "2017-01-01T05:30:00+05:30"),
        ("2016-12-31T23:59:60", "2017-01-01T00:00:00Z"),
        ("2026-01-31", "2026-01-31"),
        ("2026-01-31T12:00:00.123+01:00", "2026-01-31T12:00:00.123+01:00"),
    ],
)
def test_a_moment_is_read_and_told_so_that_every_reader_takes_it(text: str, same: str) -> None:
    assert readable(text) == same
    assert moment(text) == moment(same)
    assert datetime.fromisoformat(same)


@pytest.mark.parametrize(
    "text",
    [
        "", "z", "2026-13-45", "2016-12-31T23:58:60Z", "2016-12-31T12:59:60Z", "2016-12-31T23:59:61Z", "23:59:60",
        "2016-12-31T23:59:60:60Z", "9999-12-31T23:59:60Z", "2016-12-31T23:59:60+60:60", "yesterday:60",
    ],
)  # fmt: skip
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        readable(text)


def test_a_moment_without_an_offset_is_in_utc() -> None:
    assert moment("2026-01-31T12:00:00") == datetime(2026, 1, 31, 12, tzinfo=UTC)

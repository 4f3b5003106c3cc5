"""Quotas of a day, wherever that day begins and however long it is."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest

from app.collecting.ledger import EventStore
from app.connectors.base import ConnectorConfig, FilmTarget, Request
from app.connectors.errors import QuotaExhaustedError
from app.connectors.known import request_for
from app.connectors.limits import Memory, Quota, Spent, midnight_after
from app.connectors.registry import config_of
from app.connectors.runner import CursorStore
from app.settings import CelebrityEntry, ConfigError, FilmEntry, Settings
from schemas.entities import ScrapeState

LOS_ANGELES = ZoneInfo("America/Los_Angeles")


@pytest.mark.parametrize(
    ("now", "hours"),
    [
        (datetime(2026, 3, 8, 0, 0, tzinfo=LOS_ANGELES), 23),
        (datetime(2026, 11, 1, 0, 0, tzinfo=LOS_ANGELES), 25),
        (datetime(2028, 2, 29, 0, 0, tzinfo=LOS_ANGELES), 24),
        (datetime(2026, 12, 31, 23, 0, tzinfo=LOS_ANGELES), 1),
    ],
)
def test_a_day_ends_at_midnight_also_when_clocks_change(now: datetime, hours: int) -> None:
    assert midnight_after(now.timestamp(), LOS_ANGELES) - now.timestamp() == hours * 3600


def test_a_quota_is_renewed_with_the_day_and_not_before() -> None:
    clock = [datetime(2026, 11, 1, 12, tzinfo=LOS_ANGELES).timestamp()]
    quota = Quota("a", "2/d", "America/Los_Angeles", Memory(), lambda: clock[0])
    quota.spend(1)
    quota.spend(1)
    with pytest.raises(QuotaExhaustedError, match="2 of 2") as raised:
        quota.spend(1)
    assert raised.value.until is not None
    clock[0] = raised.value.until - 1
    with pytest.raises(QuotaExhaustedError):
        quota.spend(1)
    clock[0] += 1
    quota.spend(2)


def test_what_a_source_says_is_spent_stays_so_for_the_day() -> None:
    ledger = Memory()
    quota = Quota("a", "100/d", "UTC", ledger, lambda: 0.0)
    assert quota.exhausted("the source says so").until == 86400
    with pytest.raises(QuotaExhaustedError):
        quota.spend(1)
    assert ledger.spent("a") == Spent("1970-01-01", 0, over=True)


def test_a_quota_that_the_source_says_is_spent_is_told_from_one_that_was_used_up_here() -> None:
    clock = [0.0]
    quota = Quota("a", "100/d", "UTC", Memory(), lambda: clock[0])
    for _ in range(7):
        quota.spend(1)
    quota.exhausted("quota exceeded")
    said = "the source said that its quota is spent, after 7 of 100 requests from here"
    for _ in range(2):
        with pytest.raises(QuotaExhaustedError) as raised:
            quota.spend(1)
        assert str(raised.value) == f"{said}; the quota is renewed at 1970-01-02T00:00:00Z"
        assert raised.value.until == 86400
    clock[0] = 86400
    quota.spend(100)
    with pytest.raises(QuotaExhaustedError, match=r"100 of 100 requests of the day are used; .* 1970-01-03"):
        quota.spend(1)


def test_a_spent_quota_is_known_from_the_file_and_from_the_events_of_the_same_day(tmp_path: Path) -> None:
    over, used = Spent("2026-11-01", 7, over=True), Spent("2026-11-01", 9)
    for told, filed in ((over, used), (used, over)):
        CursorStore(tmp_path).spend("a", filed)
        state = ScrapeState(state={"spent": {"a": msgspec.to_builtins(told)}})
        assert EventStore(tmp_path, state).spent("a") == over
    CursorStore(tmp_path).spend("a", Spent("2026-11-02", 1))
    assert EventStore(tmp_path, state).spent("a") == Spent("2026-11-02", 1)


def test_what_is_spent_is_kept_in_files(tmp_path: Path) -> None:
    CursorStore(tmp_path).spend("kind|host/../x:80|TOKEN", Spent("2026-11-01", 7))
    assert CursorStore(tmp_path).spent("kind|host/../x:80|TOKEN") == Spent("2026-11-01", 7)
    assert CursorStore(tmp_path).spent("other") == Spent()
    for file in (tmp_path / "connectors" / "quotas").iterdir():
        file.write_text("{")
    assert CursorStore(tmp_path).spent("kind|host/../x:80|TOKEN") == Spent()


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"rate": "fast"}, "rate"),
        ({"rate": "0/s"}, "rate"),
        ({"quota": "100/h"}, "quota"),
        ({"timezone": "Mars/Olympus"}, "is no time zone; write it like"),
        ({"quota_timezone": ""}, "is no time zone"),
        ({"schedule": "every day"}, "needs five fields"),
        ({"token_env": "secret-itself"}, "token_env"),
        ({"retries": -1}, "retries"),
    ],
)
def test_keys_that_all_kinds_share_are_checked(keys: dict[str, object], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        config_of("x", {"kind": "csv", "path": "x", **keys})


def test_keys_that_all_kinds_share_have_a_form() -> None:
    keys = {"rate": "1/s", "quota": "9/d", "timezone": "Europe/Berlin", "schedule": "0 */6 * * *", "token_env": "A_1"}
    config = config_of("x", {"kind": "csv", "path": "x", "terms": {"train_allowed": False}, **keys})
    assert isinstance(config, ConnectorConfig)
    assert (config.terms.train_allowed, config.terms.ttl_days) == (False, None)


def test_a_run_is_about_what_the_configuration_follows() -> None:
    settings = Settings(
        films=(FilmEntry(title="Inception", imdb="tt1375666"), FilmEntry(title="Solaris", year=1972)),
        celebrities=(CelebrityEntry(name="Tilda Swinton", wikidata="Q200534"),),
    )
    request = request_for(settings, "x")
    assert isinstance(request, Request)
    assert request.films[0] == FilmTarget(film_id="tt1375666", title="Inception", imdb="tt1375666")
    assert request.films[1].film_id.startswith("local:")
    assert request.people[0].celebrity_id == "Q200534"

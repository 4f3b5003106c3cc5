"""The `sql` connector on real SQLite files: the contract, and what is read in which order."""

from __future__ import annotations

import sqlite3
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from app.connectors.errors import NotFoundError, SourceError
from app.connectors.registry import config_of
from app.connectors.runner import CursorStore
from app.connectors.sql_places import before
from app.settings import ConfigError
from tests.connectors.local_suite import LocalSuite, fault_of, opened, read
from tests.connectors.sql_source import ROWS, keys, sqlite
from tests.connectors.suite import NAME, FakeClock


def table_of(tmp_path: Path, **more: Any) -> dict[str, Any]:
    """A filled file, and the table that reads it."""
    path = tmp_path / "scores.db"
    if not path.exists():
        sqlite(path).dispose()
    return keys(url=f"sqlite+aiosqlite:///{path}", **more)


def do(tmp_path: Path, *statements: str) -> None:
    """Change the file."""
    connection = sqlite3.connect(tmp_path / "scores.db")
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


class TestSqliteByKey(LocalSuite):
    """Rows in the order of their number."""

    records = ROWS
    topics = {"ratings"}  # noqa: RUF012

    @pytest.fixture
    def keys(self, tmp_path: Path) -> dict[str, Any]:
        """The filled file."""
        return table_of(tmp_path)


class TestSqliteByChange(TestSqliteByKey):
    """Rows in the order of their changes, from a query."""

    @pytest.fixture
    def keys(self, tmp_path: Path) -> dict[str, Any]:
        """The filled file, by a query with a name of its own for a column."""
        table = table_of(tmp_path, updated="changed", query="SELECT id, film, stars, who, changed FROM scores;")
        return {name: value for name, value in table.items() if name != "table"}


async def test_a_row_is_a_rating_under_its_own_id_with_its_author_hidden(tmp_path: Path) -> None:
    _, broker = await read(table_of(tmp_path), tmp_path)
    first = broker.records("ratings")[0]
    assert (first["film_id"], first["value"], first["best"], first["worst"]) == ("tt0133093", 2.0, 5.0, 1.0)
    assert (first["source"], first["source_record_id"], first["kind"]) == (NAME, "1", "single")
    assert first["observed_at"] == "2026-01-01T00:00:00.000Z"
    assert len(first["author"]) == 16
    assert first["author"] != "u1"


async def test_later_rows_are_read_and_earlier_ones_not_again(tmp_path: Path) -> None:
    table = table_of(tmp_path)
    await read(table, tmp_path)
    do(tmp_path, "INSERT INTO scores VALUES (251, 'tt0133093', 4, 'new', NULL)")
    _, broker = await read(table, tmp_path)
    assert [rating["source_record_id"] for rating in broker.records("ratings")] == ["251"]


async def test_a_row_that_changed_replaces_what_was_read_of_it(tmp_path: Path) -> None:
    table = table_of(tmp_path, updated="changed")
    await read(table, tmp_path)
    do(tmp_path, "UPDATE scores SET stars = 5, changed = '2026-06-01 00:00:00' WHERE id = 5")
    report, broker = await read(table, tmp_path)
    (rating,) = broker.records("ratings")
    assert (rating["source_record_id"], rating["value"]) == ("5", 5.0)
    assert (report.status, report.notes) == ("success", [])


async def test_rows_without_a_key_are_told_of_by_the_check(tmp_path: Path) -> None:
    table = table_of(tmp_path, updated="changed")
    do(tmp_path, "UPDATE scores SET changed = NULL WHERE id = 3")
    async with opened(table) as connector:
        assert "rows without changed or id are never read: give them a value" in await connector.check()


async def test_rows_without_a_key_are_put_away_as_one_and_told_of_once(tmp_path: Path) -> None:
    table = table_of(tmp_path, updated="changed")
    do(tmp_path, "UPDATE scores SET changed = NULL WHERE id = 3")
    report, broker = await read(table, tmp_path)
    assert (report.status, len(broker.sent())) == ("partial", ROWS - 1)
    (letter,) = broker.records("dead-letters")
    assert "rows without changed or id are never read" in letter["error"]
    assert "COALESCE(changed, ...) AS changed" in letter["error"]
    report, broker = await read(table, tmp_path)
    assert (report.status, broker.sent(), broker.sent(dead=True)) == ("success", [], [])
    do(tmp_path, "UPDATE scores SET changed = '2026-06-01 00:00:00' WHERE id = 3")
    report, broker = await read(table, tmp_path)
    assert [rating["source_record_id"] for rating in broker.records("ratings")] == ["3"]
    do(tmp_path, "UPDATE scores SET changed = NULL WHERE id = 4")
    assert (await read(table, tmp_path))[0].refused == 1


async def test_a_query_that_fills_the_gaps_reads_rows_without_a_key(tmp_path: Path) -> None:
    query = "SELECT id, film, stars, who, COALESCE(changed, '1970-01-01 00:00:00') AS changed FROM scores"
    table = {name: each for name, each in table_of(tmp_path, updated="changed", query=query).items() if name != "table"}
    do(tmp_path, "UPDATE scores SET changed = NULL WHERE id = 3")
    report, broker = await read(table, tmp_path)
    assert (report.status, len(broker.sent())) == ("success", ROWS)


def test_before_the_first_of_all_days_is_the_beginning() -> None:
    assert before([datetime(1, 1, 1), 7], 60) is None
    assert before([date(1, 1, 1)], 60) is None
    assert before([datetime(2026, 1, 1, 0, 1), 7], 60) == [datetime(2026, 1, 1), 7]


async def test_a_run_begins_so_many_numbers_before_the_end_of_the_last(tmp_path: Path) -> None:
    table = table_of(tmp_path, overlap=10)
    assert (await read(table, tmp_path))[0].duplicates == 0
    do(tmp_path, "DELETE FROM scores WHERE id = 245", "INSERT INTO scores VALUES (251, 'tt0133093', 4, 'new', NULL)")
    report, _ = await read(table, tmp_path)
    assert (report.records, report.duplicates) == (10, 9)
    assert CursorStore(tmp_path).load(NAME).cursor["after"] == [["int", "251"]]
    report, _ = await read(table_of(tmp_path, key="who", overlap=10), tmp_path / "text")
    assert report.status == "success"
    report, _ = await read(table_of(tmp_path, key="who", overlap=10), tmp_path / "text")
    assert "a str has no number or moment before it" in (report.error or "")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("stars = 9", "outside the scale of 1 to 5"),
        ("stars = 'many'", "no number"),
        ("stars = NULL", "value: is empty"),
        ("film = 'Alien'", "none of the known forms"),
        ("changed = 'yesterday'", "neither seconds"),
        ("film = x'ff00'", "not UTF-8"),
    ],
)
async def test_a_row_without_sense_is_put_away_and_costs_no_other(tmp_path: Path, change: str, reason: str) -> None:
    table = table_of(tmp_path)
    do(tmp_path, f"UPDATE scores SET {change} WHERE id = 60")
    report, broker = await read(table, tmp_path)
    assert (report.status, report.refused, len(broker.sent())) == ("partial", 1, ROWS - 1)
    assert report.faults[0][0] == 60
    assert reason in report.faults[0][1]


async def test_the_file_is_not_written_even_by_a_query_that_would(tmp_path: Path) -> None:
    table = table_of(tmp_path)
    del table["table"]
    before = (tmp_path / "scores.db").read_bytes()
    table["query"] = "WITH gone AS (SELECT 1) DELETE FROM scores RETURNING id, film, stars, who, changed"
    report, broker = await read(table, tmp_path)
    assert report.status == "failed"
    assert broker.sent() == []
    assert (tmp_path / "scores.db").read_bytes() == before


async def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    error = await fault_of(keys(url=f"sqlite+aiosqlite:///{tmp_path}/none.db"))
    assert isinstance(error, NotFoundError)
    assert not (tmp_path / "none.db").exists()


async def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    error = await fault_of(table_of(tmp_path, table="elsewhere"))
    assert isinstance(error, NotFoundError)
    assert "elsewhere" in str(error)


async def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    table = table_of(tmp_path)
    table["columns"] = {**table["columns"], "lang": "language"}
    error = await fault_of(table)
    assert "language" in str(error)


async def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "scores.db").write_bytes(b"certainly not a database " * 100)
    assert "not a database" in str(await fault_of(table_of(tmp_path)))


async def test_a_file_that_another_program_holds_is_tried_again_and_then_left(tmp_path: Path) -> None:
    table, clock = table_of(tmp_path, retries=2), FakeClock()
    table["url"] += "?timeout=0.05"
    holder = sqlite3.connect(tmp_path / "scores.db")
    holder.execute("BEGIN EXCLUSIVE")
    report, _ = await read(table, tmp_path, clock=clock)
    holder.close()
    assert (report.status, report.reaction, report.retries) == ("failed", "retry", 2)
    assert "locked" in (report.error or "")
    assert len(clock.slept) == 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"url": None}, "give either `url`, or `url_env`"),
        ({"url_env": "MARQUEE_DB"}, "give either `url`, or `url_env`"),
        ({"url": "postgresql+asyncpg://me:secret@db/x"}, "holds a password"),
        ({"url": "mysql+aiomysql://db/x?password=secret"}, "holds a password"),
        ({"query": "SELECT 1"}, "either `table` or `query`"),
        ({"table": None, "query": "DELETE FROM scores"}, "has to be a SELECT"),
        ({"columns": {"film_id": "film"}}, "needs `value`"),
        ({"columns": {"value": "stars"}}, "a film needs one of"),
        ({"target": "reviews"}, "needs `text`"),
        ({"target": "facts"}, "needs at least a title"),
        ({"scale": "5:1"}, "no room"),
    ],
)
def test_keys_that_contradict_each_other_are_told_before_a_run(change: dict[str, Any], reason: str) -> None:
    table = {**keys(url="sqlite+aiosqlite:///x.db"), **change}
    with pytest.raises(ConfigError, match=reason):
        config_of(NAME, {name: value for name, value in table.items() if value is not None})


async def test_an_unknown_dialect_and_a_missing_driver_are_told(tmp_path: Path) -> None:
    assert "nosuchdb" in str(await fault_of(keys(url="nosuchdb://host/x")))
    assert "needs the driver asyncmy" in str(await fault_of(keys(url="mysql+asyncmy://host/x")))
    assert "none that SQLAlchemy knows" in str(await fault_of(keys(url="not a url")))


async def test_without_the_extra_the_error_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    error = await fault_of(table_of(tmp_path))
    assert "[sources]" in str(error)
    assert type(error) is SourceError


async def test_a_cursor_keeps_moments_and_numbers_apart(tmp_path: Path) -> None:
    await read(table_of(tmp_path, updated="changed"), tmp_path)
    assert CursorStore(tmp_path).load(NAME).cursor["after"] == [["str", "2026-01-01 00:35:00"], ["int", "250"]]

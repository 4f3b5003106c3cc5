"""The `sql` connector on a real PostgreSQL: the contract, its types, its logins, and that it only reads."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from app.connectors.base import Observed, Request
from app.connectors.errors import AuthFailedError, NotFoundError, RetryableError, SourceError
from app.connectors.runner import CursorStore
from app.embedded.ports import free_port
from tests.connectors.local_suite import LocalSuite, fault_of, opened, read
from tests.connectors.postgres import PASSWORD, PostgresMissingError, postgres
from tests.connectors.sql_source import ROWS, fill, keys
from tests.connectors.suite import NAME, FakeClock

pytestmark = pytest.mark.connectors
REQUIRE = "MARQUEE_REQUIRE_CONNECTORS"
VARIABLE = "MARQUEE_TEST_DATABASE"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The server's address, with its password."""
    try:
        with postgres() as url:
            yield url
    except PostgresMissingError as missing:
        if os.environ.get(REQUIRE) == "1":
            pytest.fail(f"{REQUIRE}=1, but {missing}")
        pytest.skip(f"NO POSTGRESQL: {missing}")


@pytest.fixture
def database(server: str) -> str:
    """The server with the table as it should be."""
    asyncio.run(fill(server))
    return server


class TestPostgresByKey(LocalSuite):
    """Rows in the order of their number."""

    records = ROWS
    topics = {"ratings"}  # noqa: RUF012

    @pytest.fixture
    def environ(self, database: str) -> dict[str, str]:
        """The address with the password in it."""
        return {VARIABLE: database}

    @pytest.fixture
    def keys(self) -> dict[str, Any]:
        """By the variable's name."""
        return keys(url_env=VARIABLE)


class TestPostgresByChange(TestPostgresByKey):
    """Rows in the order of their changes, which share moments."""

    @pytest.fixture
    def keys(self) -> dict[str, Any]:
        """By time, then number."""
        return keys(url_env=VARIABLE, updated="changed")


async def run(database: str, tmp_path: Path, **more: Any) -> tuple[Any, Any]:
    """A run on that address."""
    return await read(keys(url_env=VARIABLE, **more), tmp_path, environ={VARIABLE: database})


async def test_times_with_a_zone_uuids_and_exact_numbers_order_rows_as_well(database: str, tmp_path: Path) -> None:
    made = (
        "DROP TABLE IF EXISTS typed",
        """CREATE TABLE typed AS SELECT md5(id::text)::uuid AS id, film, stars, who,
           changed AT TIME ZONE 'UTC' AS changed, stars * 1000000000000 + id AS exact FROM scores""",
    )
    await fill(database, *made)
    for order in ({"key": "id"}, {"key": "id", "updated": "changed"}, {"key": "exact"}):
        folder = tmp_path / str(order)
        report, broker = await run(database, folder, table="typed", **order)
        assert (report.status, len({event for _, event, _ in broker.sent()})) == ("success", ROWS), (order, report)
        _, again = await run(database, folder, table="typed", **order)
        assert again.sent() == []
        kept = CursorStore(folder).load(NAME).cursor["after"]
        assert [each[0] for each in kept] == {
            "id": ["UUID"], "exact": ["Decimal"],
        }.get(order["key"] if len(order) == 1 else "", ["datetime", "UUID"])  # fmt: skip


async def test_a_row_that_is_committed_after_later_ones_were_read_is_found_by_an_overlap(
    database: str, tmp_path: Path
) -> None:
    order = {"key": "id", "updated": "changed"}
    late = "INSERT INTO scores VALUES (901, 'tt0133093', 4, 'late', '2026-03-01 00:00:00')"
    early = "INSERT INTO scores VALUES (902, 'tt0133093', 4, 'early', '2026-03-01 00:00:05')"
    engine = create_async_engine(database)
    try:
        async with engine.connect() as slow:
            await slow.execute(text(late))
            await fill(database, early, table=False)
            for overlap in (0, 60):
                report, _ = await run(database, tmp_path / str(overlap), **order, overlap=overlap)
                assert (report.records, report.duplicates) == (ROWS + 1, 0)
            await slow.commit()
    finally:
        await engine.dispose()
    found = {}
    for overlap in (0, 60):
        report, broker = await run(database, tmp_path / str(overlap), **order, overlap=overlap)
        found[overlap] = [each["source_record_id"] for each in broker.records("ratings")]
    assert found == {0: [], 60: ["901", "902"]}
    # What an overlap brings again is known to be the same.
    assert report.duplicates == 1


@pytest.mark.parametrize(
    ("column", "key"),
    [("changed::date", "date"), ("stars::double precision", "float"), ("changed AT TIME ZONE 'UTC'", "datetime")],
)
async def test_an_overlap_fits_the_type_of_the_key(database: str, tmp_path: Path, column: str, key: str) -> None:
    query = f"SELECT id, film, stars, who, changed, {column} AS place FROM scores"
    table = {**{n: e for n, e in keys(url_env=VARIABLE).items() if n != "table"}, "query": query, "updated": "place"}
    for _ in range(2):
        report, _ = await read({**table, "overlap": 90_000}, tmp_path, environ={VARIABLE: database})
        assert (report.status, report.error) == ("success", None)
    assert report.records == report.duplicates > 0
    assert CursorStore(tmp_path).load(NAME).cursor["after"][0][0] == key


async def test_nothing_is_written_whatever_the_query_does(database: str, tmp_path: Path) -> None:
    await fill(
        database,
        """CREATE OR REPLACE FUNCTION wipe() RETURNS int LANGUAGE sql AS
           'DELETE FROM scores RETURNING id'""",
        table=False,
    )
    query = "SELECT s.*, wipe() FROM (SELECT 1 AS id, 'tt1375666' AS film, 1 AS stars, 'x' AS who, NULL AS changed) s"
    report, _ = await read(
        {name: each for name, each in keys(url_env=VARIABLE, query=query).items() if name != "table"},
        tmp_path,
        environ={VARIABLE: database},
    )
    assert report.status == "failed"
    assert "read-only transaction" in (report.error or "")
    _, broker = await run(database, tmp_path / "after")
    assert len(broker.sent()) == ROWS


async def test_a_schema_may_be_named_and_names_are_taken_as_they_are(database: str, tmp_path: Path) -> None:
    await fill(
        database,
        'CREATE SCHEMA IF NOT EXISTS "Odd"',
        'DROP TABLE IF EXISTS "Odd"."select"',
        'CREATE TABLE "Odd"."select" AS SELECT * FROM scores',
    )
    _, broker = await run(database, tmp_path, table="Odd.select")
    assert len(broker.sent()) == ROWS


async def test_a_wrong_password_pauses_the_connector_and_is_shown_nowhere(
    database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = database.replace(PASSWORD, "wr0ng-s3cret")
    report, _ = await run(wrong, tmp_path)
    assert (report.status, report.reaction, report.retries) == ("failed", "pause", 0)
    assert "wr0ng-s3cret" not in str(report) + caplog.text + (tmp_path / "connectors" / f"{NAME}.json").read_text()
    assert isinstance(await fault_of(keys(url_env=VARIABLE), {VARIABLE: wrong}), AuthFailedError)


async def test_a_table_that_may_not_be_read_pauses_the_connector(database: str, tmp_path: Path) -> None:
    await fill(database, "DROP ROLE IF EXISTS guest", "CREATE ROLE guest LOGIN PASSWORD 'g'", table=False)
    parts = urlsplit(database)
    guest = f"postgresql://guest:g@{parts.hostname}:{parts.port}/postgres"
    report, _ = await run(guest, tmp_path)
    assert (report.reaction, report.error_class) == ("pause", "AuthFailed")
    assert "permission denied" in (report.error or "")


async def test_what_is_not_there_is_named(database: str) -> None:
    missing = await fault_of(keys(url_env=VARIABLE, table="elsewhere"), {VARIABLE: database})
    assert isinstance(missing, NotFoundError)
    assert "elsewhere" in str(missing)
    base = await fault_of(keys(url_env=VARIABLE), {VARIABLE: f"{database}x"})
    assert isinstance(base, NotFoundError)
    column = await fault_of(keys(url_env=VARIABLE, key="number"), {VARIABLE: database})
    assert type(column) is SourceError
    assert "number" in str(column)


async def test_a_server_that_is_not_there_is_tried_again_and_then_left(tmp_path: Path) -> None:
    clock = FakeClock()
    url = f"postgresql+asyncpg://127.0.0.1:{free_port()}/x"
    report, _ = await read(keys(url=url, retries=2), tmp_path, clock=clock)
    assert (report.status, report.reaction, report.retries) == ("failed", "retry", 2)
    assert isinstance(await fault_of(keys(url=url)), RetryableError)


async def test_a_connection_that_is_cut_in_the_middle_is_opened_again(database: str, tmp_path: Path) -> None:
    table, clock = keys(url_env=VARIABLE), FakeClock()
    async with opened(table, {VARIABLE: database}, clock) as connector:
        got = 0
        async for said in connector.read(Request(NAME), {}):
            got += isinstance(said, Observed)
            if got == 60:
                await fill(
                    database,
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                    " AND backend_type = 'client backend'",
                    table=False,
                )
    assert got == ROWS
    assert len(clock.slept) == 1


async def test_without_its_address_in_the_environment_nothing_is_asked(tmp_path: Path) -> None:
    report, _ = await read(keys(url_env=VARIABLE), tmp_path)
    assert (report.reaction, report.requests) == ("pause", 0)
    assert VARIABLE in (report.error or "")

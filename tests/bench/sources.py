"""Part `sources`: 100,000 rows of CSV, XML and SQL through their connectors: memory, and rows a second beside peers."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiosqlite
import asyncpg
import polars
from lxml import etree

from app.connectors.fetch import Fetcher
from app.connectors.registry import config_of, make
from app.connectors.runner import CursorStore, run_connector
from app.delivery.producer import Outgoing
from tests.bench.options import Options
from tests.bench.processes import resident_mb
from tests.bench.report import Report, Table, progress
from tests.connectors.postgres import PostgresMissingError, postgres

ROWS: Final = 100_000
EARLY: Final = 10_000
FILMS: Final = 1000
FLAT_MB: Final = 16.0
"""Growth from the 10,000th row to the last that is still called constant."""
FIELDS: Final = {"film_id": "film", "value": "stars", "author": "who", "time": "at", "id": "id"}
XML_FIELDS: Final = {"film_id": "@film", "value": "stars", "author": "who", "time": "at", "id": "@id"}
CREATE: Final = "CREATE TABLE scores (id INTEGER PRIMARY KEY, film TEXT, stars REAL, who TEXT, at INTEGER)"
SELECT: Final = "SELECT id, film, stars, who, at FROM scores ORDER BY id"

Row = tuple[int, str, float, str, int]
Peer = Callable[[], Awaitable[int]]


class Counted:
    """Takes what a runner sends and forgets it; looks at the memory early and at the end."""

    def __init__(self) -> None:
        self.records = 0
        self.early = 0.0

    async def send(self, records: Iterable[Outgoing]) -> None:
        """Count a batch."""
        self.records += sum(1 for _ in records)
        if not self.early and self.records >= EARLY:
            self.early = resident_mb(os.getpid(), alone=True)


async def run(options: Options, report: Report) -> None:
    """Each source through its connector, then through a library alone."""
    folder = options.scratch / "sources"
    folder.mkdir()
    table = Table(
        f"{ROWS:,} rows of a source to events, beside a library that only reads them",
        ("", "rows/s", "MB at 10k", "MB at 100k", "", "peer", "rows/s"),
    )
    for name, keys, peer_name, peer in _files(folder):
        await _measure(table, report, folder, name, keys, {}, peer_name, peer)
    await _sqlite(folder)
    path = folder / "scores.db"
    keys = {"kind": "sql", "table": "scores", "columns": FIELDS, "scale": "1:5", "url": f"sqlite+aiosqlite:///{path}"}
    await _measure(table, report, folder, "sql, SQLite", keys, {}, "aiosqlite", lambda: _aiosqlite(path))
    try:
        async with _postgres() as url:
            variable = "MARQUEE_BENCH_DATABASE"
            keys = {**{key: each for key, each in keys.items() if key != "url"}, "url_env": variable}
            peer = _asyncpg_alone(url.replace("+asyncpg", ""))
            await _measure(table, report, folder, "sql, PostgreSQL", keys, {variable: url}, "asyncpg", peer)
    except PostgresMissingError as missing:
        table.notes.append(f"NO POSTGRESQL: {missing}")
    table.notes += [
        "a connector checks, encodes and hashes each row and keeps a cursor each 1,000 rows; peers do not",
        f"constant: at most {FLAT_MB:.0f} MB more at the last row than at the 10,000th",
    ]
    report.show(table)


async def _measure(
    table: Table, report: Report, folder: Path, name: str, keys: dict[str, Any], environ: dict[str, str],
    peer_name: str, peer: Peer,
) -> None:  # fmt: skip
    sink = Counted()
    async with Fetcher() as fetcher:
        connector = make(config_of("bench", keys), fetcher, environ)
        began = time.perf_counter()
        ran = await run_connector("bench", connector, sink, CursorStore(folder / name))
        rate = ROWS / (time.perf_counter() - began)
    late = resident_mb(os.getpid(), alone=True)
    if (ran.status, sink.records) != ("success", ROWS):
        raise RuntimeError(f"{name}: {sink.records} records: {ran}")
    began = time.perf_counter()
    if await peer() != ROWS:
        raise RuntimeError(f"{peer_name} read another number of rows")
    alone = ROWS / (time.perf_counter() - began)
    said = "constant" if late - sink.early <= FLAT_MB else "GROWS"
    table.add(name, f"{rate:,.0f}", f"{sink.early:.0f}", f"{late:.0f}", said, peer_name, f"{alone:,.0f}")
    figures = {"rows_s": rate, "mb_early": sink.early, "mb_late": late, "peer": peer_name, "peer_rows_s": alone}
    report.figures.setdefault("sources", {})[name] = figures
    progress(f"{name}: {rate:,.0f} rows/s, {sink.early:.0f} -> {late:.0f} MB; {peer_name}: {alone:,.0f} rows/s")


def _rows() -> Iterable[Row]:
    return ((n, f"tt{n % FILMS + 1:07d}", n % 5 + 1.0, f"u{n // 20}", 1_000_000_000 + n) for n in range(1, ROWS + 1))


def _files(folder: Path) -> Iterable[tuple[str, dict[str, Any], str, Peer]]:
    """CSV in two layouts and XML, made one before it is read."""
    ratings, columns, document = folder / "ratings.csv", folder / "columns.csv", folder / "ratings.xml"
    with ratings.open("w") as file:
        file.write("userId,film_id,rating,timestamp\n")
        file.writelines(f"{who},{film},{stars},{at}\n" for _, film, stars, who, at in _rows())
    yield "csv, MovieLens", {"kind": "csv", "path": str(ratings)}, "polars", lambda: _polars(ratings)
    with columns.open("w") as file:
        file.write("id,film,stars,who,at\n")
        file.writelines(",".join(map(str, row)) + "\n" for row in _rows())
    keys = {"kind": "csv", "path": str(columns), "columns": FIELDS, "scale": "1:5"}
    yield "csv, own columns", keys, "polars", lambda: _polars(columns)
    with document.open("w") as file:
        file.write("<ratings>\n")
        for n, film, stars, who, at in _rows():
            file.write(f'<rating id="{n}" film="{film}"><stars>{stars}</stars><who>{who}</who><at>{at}</at></rating>\n')
        file.write("</ratings>\n")
    keys = {"kind": "xml", "path": str(document), "record": "rating", "fields": XML_FIELDS, "scale": "1:5"}
    yield "xml", keys, "lxml.iterparse", lambda: _iterparse(document)


async def _polars(path: Path) -> int:
    return polars.scan_csv(path).collect().height


async def _iterparse(path: Path) -> int:
    found = 0
    for _, element in etree.iterparse(str(path), tag="rating"):
        found += element.get("film") is not None and element.findtext("stars") is not None
        element.clear()
        while element.getprevious() is not None:
            del element.getparent()[0]
    return found


async def _sqlite(folder: Path) -> None:
    async with aiosqlite.connect(folder / "scores.db") as database:
        await database.execute(CREATE)
        await database.executemany("INSERT INTO scores VALUES (?, ?, ?, ?, ?)", _rows())
        await database.commit()


async def _aiosqlite(path: Path) -> int:
    async with aiosqlite.connect(path) as database, database.execute(SELECT) as cursor:
        found = 0
        while rows := await cursor.fetchmany(1000):
            found += len(list(rows))
        return found


@asynccontextmanager
async def _postgres() -> AsyncIterator[str]:
    manager = postgres()
    url = await asyncio.to_thread(manager.__enter__)
    try:
        database = await asyncpg.connect(url.replace("+asyncpg", ""))
        await database.execute(CREATE)
        await database.copy_records_to_table("scores", records=list(_rows()))
        await database.execute("ANALYZE scores")
        await database.close()
        yield url
    finally:
        await asyncio.to_thread(manager.__exit__, None, None, None)


def _asyncpg_alone(url: str) -> Peer:
    async def peer() -> int:
        database = await asyncpg.connect(url)
        found = 0
        async with database.transaction(readonly=True):
            async for _ in database.cursor(SELECT, prefetch=1000):
                found += 1
        await database.close()
        return found

    return peer

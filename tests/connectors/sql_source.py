"""A table of ratings, the same in every database, and the keys that read it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

ROWS = 250
FILMS = ("tt1375666", "tt0133093", "tt0111161")
CREATE = """CREATE TABLE scores (
    id INTEGER PRIMARY KEY, film VARCHAR(20), stars NUMERIC(4, 1), who VARCHAR(40), changed TIMESTAMP
)"""
INSERT = "INSERT INTO scores VALUES (:id, :film, :stars, :who, :changed)"
COLUMNS = {"film_id": "film", "value": "stars", "author": "who", "time": "changed", "id": "id"}


def keys(**more: Any) -> dict[str, Any]:
    """The connector's table, but for its url."""
    base = {"kind": "sql", "table": "scores", "columns": COLUMNS, "key": "id", "scale": "1:5", "page_size": 40}
    return {**base, **more}


def rows(first: int = 1, count: int = ROWS) -> list[dict[str, Any]]:
    """Seven rows share each moment, so that pages end in the middle of one."""
    start = datetime(2026, 1, 1)
    return [
        {
            "id": n,
            "film": FILMS[n % 3],
            "stars": n % 5 + 1,
            "who": f"u{n}",
            "changed": start + timedelta(minutes=n // 7),
        }
        for n in range(first, first + count)
    ]


def sqlite(path: Any) -> Engine:
    """A SQLite file with the table in it."""
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.execute(text(CREATE))
        connection.execute(text(INSERT), [{**row, "changed": str(row["changed"])} for row in rows()])
    return engine


async def fill(url: str, *statements: str, table: bool = True) -> None:
    """The table, new, in a database that is reached asynchronously, and what else is to be done."""
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        if table:
            await connection.execute(text("DROP TABLE IF EXISTS scores"))
            await connection.execute(text(CREATE))
            await connection.execute(text(INSERT), rows())
        for statement in statements:
            await connection.execute(text(statement))
    await engine.dispose()

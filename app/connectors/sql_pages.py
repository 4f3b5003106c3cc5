"""Pages of a table or query in the order of its key, each behind the last row of the one before, read only."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from app.connectors.errors import NotFoundError, SourceError
from app.connectors.extras import extra
from app.connectors.sql_errors import as_source_error

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

DRIVERS: Final = {"postgresql": "asyncpg", "postgres": "asyncpg", "sqlite": "aiosqlite"}
CONNECT_SECONDS: Final = 30
READ_ONLY: Final = {
    "postgresql": "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "sqlite": "PRAGMA query_only = ON",
    "mysql": "SET SESSION TRANSACTION READ ONLY",
    "mariadb": "SET SESSION TRANSACTION READ ONLY",
}


class Pages:
    """A database as a source of rows. Use as a context manager; every method raises SourceError."""

    def __init__(
        self, url: str, table: str | None, query: str | None, columns: Sequence[str], key: Sequence[str]
    ) -> None:
        """`columns` are read, `key` (the last one unique) orders them. Raises SourceError."""
        self._engine, self.place = _engine(url)
        self._columns, self._key = list(dict.fromkeys((*columns, *key))), tuple(key)
        self._table, self._query = table, query

    async def close(self) -> None:
        """Leave the database."""
        with suppress(Exception):
            await self._engine.dispose()

    async def page(self, after: Sequence[Any] | None, size: int) -> list[dict[str, Any]]:
        """The next rows behind the key `after`, at most `size`."""
        return await self._rows(self._statement(after, size), size, self._columns)

    async def unordered(self) -> bool:
        """Whether there are rows whose key is NULL, which no page holds."""
        sa = extra("sqlalchemy", "sql")
        rows = self._source()
        nulls = sa.or_(*(rows.c[name].is_(None) for name in self._key))
        return bool(await self._rows(sa.select(rows.c[self._key[-1]]).where(nulls).limit(1), 1, self._key[-1:]))

    def _source(self) -> Any:
        sa = extra("sqlalchemy", "sql")
        exact = sa.sql.quoted_name
        columns = [sa.column(exact(name, True)) for name in self._columns]
        if self._query is not None:
            return sa.text(self._query.strip().rstrip(";")).columns(*columns).subquery("source")
        schema, _, name = (self._table or "").rpartition(".")
        return sa.table(exact(name, True), *columns, schema=exact(schema, True) if schema else None)

    def _statement(self, after: Sequence[Any] | None, size: int) -> Any:
        sa = extra("sqlalchemy", "sql")
        rows = self._source()
        key = [rows.c[name] for name in self._key]
        statement = sa.select(*(rows.c[name] for name in self._columns))
        if after is None:
            statement = statement.where(*(column.is_not(None) for column in key))
        else:
            bound = [sa.literal(value, _type(sa, value)) for value in after]
            statement = statement.where(sa.tuple_(*key) > sa.tuple_(*bound) if len(key) > 1 else key[0] > bound[0])
        return statement.order_by(*key).limit(size)

    async def _rows(self, statement: Any, size: int, names: Sequence[str]) -> list[dict[str, Any]]:
        try:
            async with self._engine.connect() as connection:
                await _read_only(connection)
                streamed = await connection.stream(statement.execution_options(yield_per=size))
                return [dict(zip(names, row, strict=True)) for row in await streamed.all()]
        except Exception as error:
            raise as_source_error(self.place, error) from None


async def _read_only(connection: AsyncConnection) -> None:
    order = READ_ONLY.get(connection.dialect.name)
    if order is not None:
        await connection.exec_driver_sql(order)
        # What a session may do is decided when a transaction begins: let the next one begin now.
        await connection.commit()


def _type(sa: Any, value: Any) -> Any:
    return sa.DateTime(timezone=value.tzinfo is not None) if isinstance(value, datetime) else None


def _engine(text: str) -> tuple[AsyncEngine, str]:
    """An engine, and the database's address as people may read it. Raises SourceError."""
    sa, engines = extra("sqlalchemy", "sql"), extra("sqlalchemy.ext.asyncio", "sql")
    try:
        url = sa.engine.make_url(text)
    except Exception:
        raise SourceError(
            "the url is none that SQLAlchemy knows: write it like postgresql+asyncpg://host/name"
        ) from None
    if "+" not in url.drivername and url.drivername in DRIVERS:
        name = "postgresql" if url.drivername == "postgres" else url.drivername
        url = url.set(drivername=f"{name}+{DRIVERS[url.drivername]}")
    shown = url.render_as_string(hide_password=True)
    if url.get_backend_name() == "sqlite":
        url = _existing(url)
    try:
        engine: AsyncEngine = engines.create_async_engine(
            url, pool_size=1, max_overflow=0, pool_timeout=CONNECT_SECONDS
        )
    except ImportError as error:
        raise SourceError(f"{shown}: needs the driver {error.name}: install it, or marquee's extra [sources]") from None
    except Exception as error:
        raise SourceError(f"{shown}: {str(error).splitlines()[0]}") from None
    return engine, shown


def _existing(url: Any) -> Any:
    """A SQLite file, opened so that it is neither made nor written."""
    path = url.database or ""
    # Connecting would make the file, and an address of its own could ask to write it.
    if path.startswith("file:") or path in ("", ":memory:"):
        raise SourceError("sqlite: name a file, such as sqlite+aiosqlite:///ratings.db")
    if not Path(path).is_file():
        raise NotFoundError(f"{path}: not there; check `url`")
    return url.set(database=Path(path).absolute().as_uri(), query={**url.query, "mode": "ro", "uri": "true"})

"""Kind `sql`: rows of a relational database in the order of a key, page by page, resuming behind the last one."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from typing import Annotated, Any, ClassVar, Final

from msgspec import Meta

from app.connectors.base import Checkpoint, Connector, ConnectorConfig, Cursor, Note, Refused, Request, Said
from app.connectors.config import Variable
from app.connectors.database_url import check_url
from app.connectors.errors import RetryableError, SourceError
from app.connectors.fields import Fields, Mapped, check_fields, ends_of
from app.connectors.followed import Followed
from app.connectors.passed import basis_of
from app.connectors.rows import RowReader
from app.connectors.session import Session
from app.connectors.sql_pages import Pages
from app.connectors.sql_places import before, packed, unpacked

Column = Annotated[str, Meta(min_length=1, max_length=128)]
_READS: Final = re.compile(r"\s*(?:select|with|table|values)\b", re.IGNORECASE)


class Config(Mapped, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """`[connectors.NAME]` with `kind = "sql"`."""

    url: Annotated[str, Meta(description="SQLAlchemy address without a password: sqlite+aiosqlite:///x.db")] | None = (
        None
    )
    url_env: Variable | None = None
    table: Annotated[str, Meta(pattern=r"^\S+$", description="table or schema.table, written exactly")] | None = None
    query: Annotated[str, Meta(description="a SELECT that gives the columns, instead of a table")] | None = None
    columns: Annotated[Fields, Meta(description="which column is what")]
    key: Annotated[Column, Meta(description="column with a unique value: orders the rows")] = "id"
    updated: (
        Annotated[Column, Meta(description="column that grows when a row changes: comes before the key")] | None
    ) = None
    page_size: Annotated[int, Meta(ge=1, le=100_000, description="rows of one question")] = 1000
    overlap: Annotated[
        float,
        Meta(
            ge=0,
            description="seconds of `updated`, else numbers of `key`, by which a run begins before the last one's end, "
            "for rows that are committed late",
        ),
    ] = 0


class SqlConnector(Connector[Config]):
    """Reads a table or query; each row is one rating, review or film."""

    kind: ClassVar[str] = "sql"
    spec: ClassVar[type[ConnectorConfig]] = Config

    def __init__(self, config: Config, session: Session) -> None:
        super().__init__(config, session)
        check_fields("columns", config.columns, config.target)
        ends_of(config.scale)
        check_url(config.url, config.url_env)
        if (config.table is None) == (config.query is None):
            raise SourceError("table: give either `table` or `query`")
        if config.query is not None and not _READS.match(config.query):
            raise SourceError("query: has to be a SELECT")
        self._columns = config.columns.named()
        self._key = (config.updated, config.key) if config.updated else (config.key,)

    async def check(self) -> str:
        """What the first row has, and whether some have no key. Raises SourceError."""
        pages = self._pages()
        try:
            rows = await pages.page(None, 1)
            keyless = await pages.unordered()
        finally:
            await pages.close()
        known = ", ".join(name for name, column in self._columns.items() if rows and rows[0][column] is not None)
        missed = f"; {self._missed()}" if keyless else ""
        return f"{pages.place}: {f'a row with {known}' if rows else 'no rows'}{missed}"

    async def read(self, request: Request, cursor: Cursor) -> AsyncGenerator[Said]:
        """Rows behind the cursor. Raises SourceError."""
        config, source, followed = self.config, self.source(request), Followed(request.films, self.config.films)
        meaning = (config.url, config.url_env, config.table, config.query, config.columns, config.target, config.scale)
        more = (config.rating_kind, config.film_kind, config.separator, self._key)
        basis = basis_of(source, followed.basis, meaning, more)
        after, done, changed = _begun(cursor, basis, len(self._key))
        after, keyless = before(after, config.overlap), bool(cursor.get("keyless")) and not changed
        for note in (*changed, *followed.notes):
            yield note
        reader, pages = RowReader(config, source, followed), self._pages()
        try:
            full = True
            while full:
                rows = await self._page(pages, after)
                full = len(rows) == config.page_size
                for row in rows:
                    done += 1
                    found = reader.read(
                        {name: row[column] for name, column in self._columns.items()}, str(row[config.key]), done
                    )
                    if found is not None:
                        yield found
                if rows:
                    after = [rows[-1][name] for name in self._key]
                    yield Checkpoint(self._cursor(after, done, basis, keyless), done)
            missed = await pages.unordered()
            if missed and not keyless:
                yield Refused(0, self._missed(), b"")
            if missed != keyless and after is not None:
                yield Checkpoint(self._cursor(after, done, basis, missed), done)
        finally:
            await pages.close()

    def _cursor(self, after: list[Any], rows: int, basis: str, keyless: bool) -> Cursor:
        kept = {"after": [packed(value) for value in after], "rows": rows, "basis": basis}
        # Told once, until there are none any more.
        return {**kept, "keyless": True} if keyless else kept

    def _missed(self) -> str:
        names = " or ".join(self._key)
        way = f"COALESCE({self._key[0]}, ...) AS {self._key[0]}"
        return f"rows without {names} are never read: give them a value, or read them by a `query` with {way}"

    async def _page(self, pages: Pages, after: list[Any] | None) -> list[dict[str, Any]]:
        failures = 0
        while True:
            self.session.counters.requests += 1
            try:
                return await pages.page(after, self.config.page_size)
            except RetryableError as error:
                failures += 1
                if failures > self.config.retries:
                    raise
                await self.session.pause(error, failures)

    def _pages(self) -> Pages:
        config = self.config
        url = config.url or self.session.token(config.url_env)
        return Pages(url, config.table, config.query, list(self._columns.values()), self._key)


def _begun(cursor: Cursor, basis: str, width: int) -> tuple[list[Any] | None, int, list[Note]]:
    """The key to go on behind, how many rows came before it, and what to tell."""
    if not cursor:
        return None, 0, []
    try:
        after = [unpacked(kept) for kept in cursor["after"]]
        if cursor["basis"] == basis and len(after) == width:
            return after, int(cursor["rows"]), []
    except (KeyError, TypeError, ValueError, ArithmeticError):
        pass
    return None, 0, [Note("the configuration is another than last time: reading from the beginning")]

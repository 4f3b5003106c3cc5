"""Kind `csv`: a table in the layout of MovieLens, of IMDb or of its own, read as a stream that resumes."""

from __future__ import annotations

import csv as stdlib_csv
import hashlib
import io
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing
from functools import partial
from typing import Annotated, ClassVar, Final, Protocol

import msgspec
from msgspec import Meta

from app.connectors.base import (
    Checkpoint,
    Connector,
    ConnectorConfig,
    Cursor,
    Note,
    Observed,
    Refused,
    Request,
    Said,
)
from app.connectors.column_rows import ColumnRows
from app.connectors.content import Content, Unzipped, content_at
from app.connectors.errors import SourceError
from app.connectors.fields import Fields, Mapped, check_fields, ends_of
from app.connectors.followed import Followed
from app.connectors.imdb_tsv import ImdbRows, is_imdb
from app.connectors.lines import MAX_LINE, Lines, Mark
from app.connectors.movielens import Films, RatingRows, cells_of, layout_of
from app.connectors.passed import basis_of
from app.connectors.rows import RowReader
from app.connectors.session import Session
from app.connectors.zipped import content_of
from schemas.base import Rejected
from schemas.ids import derived_id

ROWS_A_CHECKPOINT: Final = 1000
MAX_TABLE: Final = 256 << 20

Place = Annotated[str, Meta(min_length=1, max_length=4096)]


class Config(Mapped, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """`[connectors.NAME]` with `kind = "csv"`."""

    path: Annotated[str, Meta(min_length=1, description="file or http(s) address; may be gzip, or a zip archive")]
    member: Annotated[Place | None, Meta(description="name or pattern of the file in a zip archive")] = None
    base_url: Annotated[str, Meta(description="where relative paths are looked for, if not on this machine")] = ""
    links: Annotated[Place | None, Meta(description="MovieLens: file with movieId, imdbId, tmdbId")] = None
    movies: Annotated[Place | None, Meta(description="MovieLens: file with movieId, title, genres")] = None
    scale: Annotated[str, Meta(pattern=r"^\d+(\.\d+)?:\d+(\.\d+)?$", description="the file's scale as worst:best")] = (
        "0.5:5"
    )
    columns: Annotated[Fields | None, Meta(description="which column is what, in a layout of its own")] = None
    header: Annotated[bool, Meta(description="whether the first line names the columns; else they are 1, 2, …")] = True
    delimiter: Annotated[str, Meta(min_length=1, max_length=1, description="stands between cells")] = ","
    quote: Annotated[str, Meta(max_length=1, description="stands around cells; empty: nothing does")] = '"'
    null: Annotated[str, Meta(description="what an empty cell looks like, such as \\N")] = ""


class Progress(msgspec.Struct, frozen=True):
    """The cursor: how far the ratings are read, and under which conditions."""

    mark: Mark = Mark()
    header: str = ""
    basis: str = ""
    """What the rows were read with: other links or another scale make other events of the same rows."""
    facts: str = ""
    """Digest of the films whose facts are out."""


class Rows(Protocol):
    """Makes records of the lines of one layout."""

    @property
    def pending(self) -> bool:
        """Whether the last line belongs to a row that is not whole yet."""

    def read(self, line: bytes, number: int) -> Iterable[Observed | Refused]:
        """What a line gives."""

    def end(self) -> Iterable[Refused]:
        """What is left."""


class CsvConnector(Connector[Config]):
    """Reads a table; each row is one rating, review or film as its layout says, of MovieLens, IMDb or the user."""

    kind: ClassVar[str] = "csv"
    spec: ClassVar[type[ConnectorConfig]] = Config

    def __init__(self, config: Config, session: Session) -> None:
        super().__init__(config, session)
        self._worst, self._best = ends_of(config.scale)
        columns = config.columns.named() if config.columns is not None else {}
        if config.columns is not None:
            check_fields("columns", config.columns, config.target)
        if not config.header and not (columns and all(name.isdecimal() and int(name) for name in columns.values())):
            raise SourceError("header: without one, `columns` has to give numbers from 1")

    async def check(self) -> str:
        """The columns of the file, by a light look at its beginning. Raises SourceError."""
        lines = Lines(self._content(), Mark())
        async with aclosing(lines.read()) as read:
            async for line in read:
                self._rows(Films(""), "", Followed((), "all"), line)
                return f"columns {line.decode('utf-8', 'replace').strip()}"
        raise SourceError(f"{self.config.path}: is empty")

    async def read(self, request: Request, cursor: Cursor) -> AsyncGenerator[Said]:
        """Facts of the films, then ratings from the cursor on. Raises SourceError."""
        try:
            begun = msgspec.convert(cursor, Progress)
        except msgspec.ValidationError:
            yield Note("what was kept of the last run is not a place in such a file: reading from the beginning")
            begun = Progress()
        source, followed = self.source(request), Followed(request.films, self.config.films)
        for note in followed.notes:
            yield note
        films, digest = await self._films(source)
        if begun.facts != digest:
            for n, fact in enumerate(films.facts(), 1):
                if followed.canonical(fact.film_id) is not None:
                    yield Observed(fact, derived_id(f"{source}|{fact!r}", "csv-facts"), n)
                if n % ROWS_A_CHECKPOINT == 0:
                    yield Checkpoint(cursor, 0)
        basis = f"{self._basis(source, digest)}|{followed.basis}"
        if begun.basis != basis and begun.mark.line:
            yield Note("the configuration, links or movies are others than last time: reading from the beginning")
        same = begun.basis == basis
        begun = Progress(begun.mark if same else Mark(), begun.header if same else "", basis, digest)
        async with aclosing(self._lines(begun, partial(self._rows, films, source, followed))) as said:
            async for each in said:
                yield each

    async def _lines(self, begun: Progress, make: Callable[[bytes], Rows]) -> AsyncGenerator[Said]:
        lines, rows, header = Lines(self._content(), begun.mark), None, begun.header

        def checkpoint() -> Checkpoint:
            total = None if lines.mark.zipped else lines.total
            now = Progress(lines.mark, header, begun.basis, begun.facts)
            return Checkpoint(msgspec.to_builtins(now), lines.mark.byte, total)

        async with aclosing(lines.read()) as read:
            async for line in read:
                if lines.number == 1:
                    if lines.restarted:
                        yield Note("the file is not the one that was begun: reading from the beginning")
                    rows, header = make(line), line.decode("utf-8", "replace").strip()
                    if self.config.header:
                        continue
                rows = rows or make(header.encode())
                if line.strip() or rows.pending:
                    for each in rows.read(line, lines.number):
                        yield each
                if lines.number % ROWS_A_CHECKPOINT == 0 and not rows.pending:
                    yield checkpoint()
        if not header:
            raise SourceError(f"{self.config.path}: is empty")
        for each in rows.end() if rows is not None else ():
            yield each
        yield checkpoint()

    def _rows(self, films: Films, source: str, followed: Followed, header: bytes) -> Rows:
        config = self.config
        try:
            if config.columns is not None:
                reader = RowReader(config, source, followed)
                return ColumnRows(
                    header if config.header else None, config.columns.named(), reader, config.delimiter, config.quote,
                    config.null,
                )  # fmt: skip
            if is_imdb(header):
                return ImdbRows(header, source, followed)
            layout = layout_of(cells_of(header))
            return MovieLensRows(RatingRows(layout, films, source, self._worst, self._best), followed)
        except Rejected as error:
            raise SourceError(f"{config.path}: {error}") from error

    def _basis(self, source: str, digest: str) -> str:
        config = self.config
        meaning = (config.path, config.member, config.scale, config.columns, config.target, config.rating_kind)
        form = (config.header, config.delimiter, config.quote, config.null, config.separator, config.film_kind)
        return basis_of(source, digest, meaning, form)

    def _content(self) -> Content:
        return content_of(self.config.path, self.config.member, self.session, self.config.retries)

    async def _films(self, source: str) -> tuple[Films, str]:
        films, digest = Films(source), hashlib.blake2b(digest_size=16)
        # Links first: they decide under which id a film of the movies file goes.
        for place, add in ((self.config.links, films.add_links), (self.config.movies, films.add_movies)):
            if place is not None:
                text = await self._whole(place)
                digest.update(text)
                add(stdlib_csv.DictReader(io.StringIO(text.decode("utf-8-sig", "replace")), restval=""))
        return films, digest.hexdigest()

    async def _whole(self, place: str) -> bytes:
        found = bytearray()
        async with aclosing(Unzipped(content_at(place, self.session, self.config.retries).stream()).parts()) as parts:
            async for part in parts:
                if isinstance(part, bytes):
                    found += part
                if len(found) > MAX_TABLE:
                    raise SourceError(f"{place}: larger than {MAX_TABLE >> 20} MiB")
        return bytes(found)


class MovieLensRows:
    """Makes ratings of lines in the layout of MovieLens."""

    pending: Final = False

    def __init__(self, rows: RatingRows, followed: Followed) -> None:
        self._rows, self._followed = rows, followed

    def read(self, line: bytes, number: int) -> Iterator[Observed | Refused]:
        """The event of a line, or why it gives none."""
        try:
            if len(line) >= MAX_LINE:
                raise Rejected(f"longer than {MAX_LINE} bytes")
            record, event_id = self._rows.parse(line, number)
        except Rejected as error:
            yield Refused(number, str(error), line)
        else:
            if self._followed.canonical(record.film_id) is not None:
                yield Observed(record, event_id, number)

    def end(self) -> Iterator[Refused]:
        """Nothing is ever left."""
        yield from ()

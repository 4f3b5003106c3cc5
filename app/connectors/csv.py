"""Kind `csv`: a rating file in the MovieLens layout, local or at an address, read as a stream that resumes."""

from __future__ import annotations

import csv as stdlib_csv
import hashlib
import io
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, ClassVar, Final

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
from app.connectors.content import Content, Unzipped, content_at
from app.connectors.errors import SourceError
from app.connectors.lines import MAX_LINE, Lines, Mark
from app.connectors.movielens import Films, RatingRows, cells_of, layout_of
from app.connectors.session import Session
from schemas.base import Rejected
from schemas.ids import derived_id

ROWS_A_CHECKPOINT: Final = 1000
MAX_TABLE: Final = 256 << 20

Place = Annotated[str, Meta(min_length=1, max_length=4096)]


class Config(ConnectorConfig, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """`[connectors.NAME]` with `kind = "csv"`."""

    path: Annotated[str, Meta(min_length=1, description="file or http(s) address of the ratings; may end in .gz")]
    base_url: Annotated[str, Meta(description="where relative paths are looked for, if not on this machine")] = ""
    links: Annotated[Place | None, Meta(description="file with movieId, imdbId, tmdbId")] = None
    movies: Annotated[Place | None, Meta(description="file with movieId, title, genres")] = None
    scale: Annotated[str, Meta(pattern=r"^\d+(\.\d+)?:\d+(\.\d+)?$", description="the file's scale as worst:best")] = (
        "0.5:5"
    )


class Progress(msgspec.Struct, frozen=True):
    """The cursor: how far the ratings are read, and under which conditions."""

    mark: Mark = Mark()
    header: str = ""
    basis: str = ""
    """What the rows were read with: other links or another scale make other events of the same rows."""
    facts: str = ""
    """Digest of the films whose facts are out."""


class CsvConnector(Connector[Config]):
    """Reads a rating file; each row is one rating, each row of the movies file the facts of one film."""

    kind: ClassVar[str] = "csv"
    spec: ClassVar[type[ConnectorConfig]] = Config

    def __init__(self, config: Config, session: Session) -> None:
        super().__init__(config, session)
        worst, best = (float(part) for part in config.scale.split(":"))
        if worst >= best:
            raise SourceError(f"scale: {config.scale} has no room between its ends")
        self._worst, self._best = worst, best

    async def check(self) -> str:
        """The columns of the file, by a light look at its beginning. Raises SourceError."""
        lines = Lines(self._content(self.config.path), Mark())
        async with aclosing(lines.read()) as read:
            async for line in read:
                self._rows(line, Films(""), "")
                return f"columns {line.decode().strip()}"
        raise SourceError(f"{self.config.path}: is empty")

    async def read(self, request: Request, cursor: Cursor) -> AsyncGenerator[Said]:
        """Facts of the films, then ratings from the cursor on. Raises SourceError."""
        try:
            begun = msgspec.convert(cursor, Progress)
        except msgspec.ValidationError:
            yield Note("what was kept of the last run is not a place in such a file: reading from the beginning")
            begun = Progress()
        source = self.source(request)
        films, digest = await self._films(source)
        if begun.facts != digest:
            for n, fact in enumerate(films.facts(), 1):
                yield Observed(fact, derived_id(f"{source}|{fact!r}", "csv-facts"), n)
                if n % ROWS_A_CHECKPOINT == 0:
                    yield Checkpoint(cursor, 0)
        basis = f"{source}|{self.config.path}|{self.config.scale}|{digest}"
        if begun.basis != basis and begun.mark.line:
            yield Note("path, scale, source, links or movies are others than last time: reading from the beginning")
        same = begun.basis == basis
        begun = Progress(begun.mark if same else Mark(), begun.header if same else "", basis, digest)
        async with aclosing(self._ratings(begun, films, source)) as said:
            async for each in said:
                yield each

    async def _ratings(self, begun: Progress, films: Films, source: str) -> AsyncGenerator[Said]:
        lines, rows, header = Lines(self._content(self.config.path), begun.mark), None, begun.header

        def checkpoint() -> Checkpoint:
            total = None if lines.mark.zipped else lines.total
            now = Progress(lines.mark, header, begun.basis, begun.facts)
            return Checkpoint(msgspec.to_builtins(now), lines.mark.byte, total)

        async with aclosing(lines.read()) as read:
            async for line in read:
                if lines.number == 1:
                    if lines.restarted:
                        yield Note("the file is not the one that was begun: reading from the beginning")
                    rows, header = self._rows(line, films, source), line.decode().strip()
                    continue
                rows = rows or self._rows(header.encode(), films, source)
                if line.strip():
                    yield parsed(rows, line, lines.number)
                if lines.number % ROWS_A_CHECKPOINT == 0:
                    yield checkpoint()
        if not header:
            raise SourceError(f"{self.config.path}: is empty")
        yield checkpoint()

    def _rows(self, header: bytes, films: Films, source: str) -> RatingRows:
        try:
            return RatingRows(layout_of(cells_of(header)), films, source, self._worst, self._best)
        except Rejected as error:
            raise SourceError(f"{self.config.path}: {error}") from error

    def _content(self, place: str) -> Content:
        return content_at(place, self.session, self.config.retries)

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
        async with aclosing(Unzipped(self._content(place).stream()).parts()) as parts:
            async for part in parts:
                if isinstance(part, bytes):
                    found += part
                if len(found) > MAX_TABLE:
                    raise SourceError(f"{place}: larger than {MAX_TABLE >> 20} MiB")
        return bytes(found)


def parsed(rows: RatingRows, line: bytes, number: int) -> Observed | Refused:
    """The event of a line, or why it gives none."""
    try:
        if len(line) >= MAX_LINE:
            raise Rejected(f"longer than {MAX_LINE} bytes")
        record, event_id = rows.parse(line, number)
    except Rejected as error:
        return Refused(number, str(error), line)
    return Observed(record, event_id, number)

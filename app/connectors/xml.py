"""Kind `xml`: records of an XML document, local or at an address, packed or not, read as a stream that resumes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Annotated, ClassVar

from msgspec import Meta

from app.connectors.base import Connector, ConnectorConfig, Cursor, Observed, Refused, Request, Said
from app.connectors.errors import SourceError
from app.connectors.extras import extra
from app.connectors.fields import Fields, Mapped, check_fields, ends_of
from app.connectors.followed import Followed
from app.connectors.passed import Piece, Standing, basis_of, each_new, standing
from app.connectors.plain import Plain
from app.connectors.rows import Row, RowReader
from app.connectors.session import Session
from app.connectors.xml_records import NAME, XmlRecords, field_path
from app.connectors.zipped import content_of


class Config(Mapped, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """`[connectors.NAME]` with `kind = "xml"`."""

    path: Annotated[str, Meta(min_length=1, description="file or http(s) address; may be gzip, or a zip archive")]
    member: Annotated[str, Meta(min_length=1, description="name or pattern of the file in a zip archive")] | None = None
    record: Annotated[str, Meta(pattern=f"^{NAME}$", description="name of the elements that are records")]
    fields: Annotated[Fields, Meta(description="paths below a record: @film, score, author/name, score/@max")]


class XmlConnector(Connector[Config]):
    """Reads an XML document; each element of the configured name is one rating, review or film."""

    kind: ClassVar[str] = "xml"
    spec: ClassVar[type[ConnectorConfig]] = Config

    def __init__(self, config: Config, session: Session) -> None:
        super().__init__(config, session)
        check_fields("fields", config.fields, config.target)
        self._paths = {name: field_path(name, place) for name, place in config.fields.named().items()}
        ends_of(config.scale)

    async def check(self) -> str:
        """Which fields the first record has, by a light look at the beginning. Raises SourceError."""
        async with aclosing(self._rows(self._plain())) as rows:
            async for row in rows:
                known = ", ".join(name for name, value in row.items() if value is not None)
                return f"a record `{self.config.record}` with {known or 'none of the fields'}"
        raise SourceError(f"{self.config.path}: has no element `{self.config.record}`")

    async def read(self, request: Request, cursor: Cursor) -> AsyncGenerator[Said]:
        """Records from the cursor on. Raises SourceError."""
        config, source, followed = self.config, self.source(request), Followed(request.films, self.config.films)
        meaning = (config.path, config.member, config.record, config.fields, config.target, config.scale)
        basis = basis_of(source, followed.basis, meaning, config.rating_kind, config.film_kind, config.separator)
        kept, notes = standing(cursor, basis)
        for note in (*notes, *followed.notes):
            yield note
        reader, plain = RowReader(config, source, followed), self._plain()
        async with aclosing(each_new(kept, partial(self._pieces, plain, reader), lambda: plain.ended)) as said:
            async for each in said:
                yield each

    async def _pieces(self, plain: Plain, reader: RowReader, begun: Standing) -> AsyncGenerator[Piece]:
        async with aclosing(self._rows(plain, begun)) as rows:
            async for row in rows:
                yield Piece(repr(row).encode("utf-8", "replace"), partial(_read, reader, row))

    async def _rows(self, plain: Plain, begun: Standing | None = None) -> AsyncGenerator[Row]:
        config = self.config
        records = XmlRecords(extra("lxml.etree", self.kind), config.record, self._paths, config.path)
        async with aclosing(plain.parts(begun)) as parts:
            async for part in parts:
                for row in records.feed(part):
                    yield row
        records.close()

    def _plain(self) -> Plain:
        return Plain(content_of(self.config.path, self.config.member, self.session, self.config.retries))


def _read(reader: RowReader, row: Row, number: int) -> Observed | Refused | None:
    return reader.read(row, f"record {number}", number)

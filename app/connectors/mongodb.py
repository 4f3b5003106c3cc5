"""Kind `mongodb`: documents of a collection in the order of a key, page by page, resuming behind the last one."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from app.connectors.base import Checkpoint, Connector, ConnectorConfig, Cursor, Note, Request, Said
from app.connectors.config import Variable
from app.connectors.database_url import check_url
from app.connectors.errors import MalformedError, RetryableError, SourceError
from app.connectors.fields import Fields, Mapped, check_fields, ends_of
from app.connectors.followed import Followed
from app.connectors.mongo_pages import Document, MongoPages, packed, unpacked, value_at
from app.connectors.passed import basis_of
from app.connectors.rows import RowReader
from app.connectors.session import Session

Name = Annotated[str, Meta(min_length=1, max_length=255)]


class Config(Mapped, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """`[connectors.NAME]` with `kind = "mongodb"`."""

    url: Annotated[str, Meta(pattern=r"^mongodb(\+srv)?://", description="address without a password")] | None = None
    url_env: Variable | None = None
    database: Annotated[Name, Meta(description="where the address names none")] | None = None
    collection: Name
    where: Annotated[dict[str, Any], Meta(description="a filter in MongoDB's own words")] = {}  # noqa: RUF012
    fields: Annotated[Fields, Meta(description="which field is what; dots lead into documents: film.imdb")]
    key: Annotated[Name, Meta(description="field with a unique value of one type: orders the documents")] = "_id"
    updated: (
        Annotated[Name, Meta(description="field that grows when a document changes: comes before the key")] | None
    ) = None
    page_size: Annotated[int, Meta(ge=1, le=100_000, description="documents of one question")] = 1000


class MongoConnector(Connector[Config]):
    """Reads a collection; each document is one rating, review or film."""

    kind: ClassVar[str] = "mongodb"
    spec: ClassVar[type[ConnectorConfig]] = Config

    def __init__(self, config: Config, session: Session) -> None:
        super().__init__(config, session)
        check_fields("fields", config.fields, config.target)
        ends_of(config.scale)
        check_url(config.url, config.url_env)
        if any(name.startswith("$") and name in ("$where", "$expr") for name in config.where):
            raise SourceError("where: $where and $expr run programs in the database: name fields instead")
        self._fields = config.fields.named()
        self._key = (config.updated, config.key) if config.updated else (config.key,)

    async def check(self) -> str:
        """What the first document has. Raises SourceError."""
        pages = self._pages()
        try:
            found = await pages.page(None, 1, list(self._fields.values()))
        finally:
            pages.close()
        known = ", ".join(name for name, path in self._fields.items() if found and value_at(found[0], path) is not None)
        what = f"a document with {known or 'none of the fields'}" if found else "no documents"
        return f"{pages.place}: {self.config.collection} has {what}"

    async def read(self, request: Request, cursor: Cursor) -> AsyncGenerator[Said]:
        """Documents behind the cursor. Raises SourceError."""
        config, source, followed = self.config, self.source(request), Followed(request.films, self.config.films)
        meaning = (config.url, config.url_env, config.database, config.collection, config.where, config.fields)
        more = (config.target, config.scale, config.rating_kind, config.film_kind, config.separator, self._key)
        basis = basis_of(source, followed.basis, meaning, more)
        after, done, changed = _begun(cursor, basis, len(self._key))
        for note in (*changed, *followed.notes):
            yield note
        reader, pages = RowReader(config, source, followed), self._pages()
        try:
            full = True
            while full:
                documents = await self._page(pages, after)
                full = len(documents) == config.page_size
                for document in documents:
                    done += 1
                    place = str(value_at(document, config.key))
                    row = {name: value_at(document, path) for name, path in self._fields.items()}
                    found = reader.read(row, place, done)
                    if found is not None:
                        yield found
                if documents:
                    after = self._place(documents[-1])
                    yield Checkpoint({"after": packed(after), "documents": done, "basis": basis}, done)
        finally:
            pages.close()

    def _place(self, document: Document) -> list[Any]:
        key = [value_at(document, name) for name in self._key]
        if any(part is None or isinstance(part, (list, dict)) for part in key):
            raise MalformedError(f"{self.config.collection}: a document's key {key} orders nothing")
        return key

    async def _page(self, pages: MongoPages, after: list[Any] | None) -> list[Document]:
        failures = 0
        while True:
            self.session.counters.requests += 1
            try:
                return await pages.page(after, self.config.page_size, list(self._fields.values()))
            except RetryableError as error:
                failures += 1
                if failures > self.config.retries:
                    raise
                await self.session.pause(error, failures)

    def _pages(self) -> MongoPages:
        config = self.config
        url = config.url or self.session.token(config.url_env)
        return MongoPages(url, config.database, config.collection, config.where, self._key)


def _begun(cursor: Cursor, basis: str, width: int) -> tuple[list[Any] | None, int, list[Note]]:
    """The key to go on behind, how many documents came before it, and what to tell."""
    if not cursor:
        return None, 0, []
    try:
        after = unpacked(cursor["after"])
        if cursor["basis"] == basis and len(after) == width:
            return after, int(cursor["documents"]), []
    except (KeyError, TypeError, ValueError):
        pass
    return None, 0, [Note("the configuration is another than last time: reading from the beginning")]

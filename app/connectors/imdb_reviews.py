"""Kind `imdb_reviews`: the Large Movie Review Dataset, as a folder or as the archive it is published in."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar, Final

from msgspec import Meta

from app.connectors.acl_imdb import (
    MAX_ADDRESSES,
    MAX_REVIEW,
    Addresses,
    ReviewName,
    film_of,
    parse_addresses,
    parse_addresses_name,
    parse_name,
    parse_review,
)
from app.connectors.base import Connector, ConnectorConfig, Cursor, Observed, Refused, Request, Said, Terms, observed
from app.connectors.config import Attribution
from app.connectors.content import content_at
from app.connectors.errors import NotFoundError, SourceError
from app.connectors.fields import Scope
from app.connectors.followed import Followed
from app.connectors.passed import Piece, Standing, basis_of, each_new, standing
from app.connectors.plain import Plain
from app.connectors.session import Session
from app.connectors.tar_stream import BadEntry, Entry, Wanted, entries
from schemas.base import Rejected

MOST_PADDING: Final = 1 << 20
GROUPS: Final = ("test/neg", "test/pos", "train/neg", "train/pos", "train/unsup")


class ImdbReviewsTerms(Terms, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The authors ask to be named."""

    attribution: Attribution = "Large Movie Review Dataset (Maas et al., ACL 2011)"


class Config(ConnectorConfig, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """`[connectors.NAME]` with `kind = "imdb_reviews"`."""

    path: Annotated[str, Meta(min_length=1, description="folder, or file or http(s) address of the tar or tar.gz")]
    films: Annotated[Scope, Meta(description="whether all films are read or those that are followed")] = "all"
    unlabelled: Annotated[bool, Meta(description="whether reviews without a score are read too")] = True
    terms: Terms = ImdbReviewsTerms()


class ImdbReviewsConnector(Connector[Config]):
    """Reads aclImdb; each file is one review, whose film is named by the list of addresses beside it."""

    kind: ClassVar[str] = "imdb_reviews"
    spec: ClassVar[type[ConnectorConfig]] = Config

    def __init__(self, config: Config, session: Session) -> None:
        super().__init__(config, session)
        self._ended: tuple[str | None, int] = (None, 0)
        self._groups = GROUPS if config.unlabelled else GROUPS[:-1]

    async def check(self) -> str:
        """What stands first, by a light look at the beginning. Raises SourceError."""
        async with aclosing(self._entries(lambda path: MAX_REVIEW if parse_name(path) else 0, Standing())) as found:
            async for entry in found:
                return f"{entry.name} is there"
        raise SourceError(f"{self.config.path}: holds no review such as train/pos/0_9.txt")

    async def read(self, request: Request, cursor: Cursor) -> AsyncGenerator[Said]:
        """Reviews from the cursor on. Raises SourceError."""
        source, followed = self.source(request), Followed(request.films, self.config.films)
        kept, notes = standing(cursor, basis_of(source, followed.basis, self.config.path, self._groups))
        for note in (*notes, *followed.notes):
            yield note
        reviews = _Reviews(source, followed)
        async with aclosing(each_new(kept, partial(self._pieces, reviews), lambda: self._ended)) as said:
            async for each in said:
                yield each

    async def _pieces(self, reviews: _Reviews, begun: Standing) -> AsyncGenerator[Piece]:
        looked = False
        async with aclosing(self._entries(self._wanted, begun)) as found:
            async for entry in found:
                if isinstance(entry, BadEntry):
                    yield Piece(repr(entry).encode(), partial(_refused, entry))
                elif (name := parse_name(entry.name)) is None:
                    reviews.addresses |= _addresses(entry)
                else:
                    if name.group not in reviews.addresses and not looked:
                        looked = True
                        reviews.addresses |= await self._all_addresses()
                    proof = entry.name.encode("utf-8", "replace") + b"\0" + entry.body
                    yield Piece(proof, partial(reviews.read, name, entry.body))

    def _wanted(self, path: str) -> int:
        name = parse_name(path)
        if name is not None:
            return MAX_REVIEW if name.group in self._groups else 0
        return MAX_ADDRESSES if parse_addresses_name(path) in self._groups else 0

    async def _all_addresses(self) -> Addresses:
        """What an archive says behind its reviews of the films that they are about. Raises SourceError."""
        found: Addresses = {}
        wanted = partial(_only_addresses, self._groups)
        async with aclosing(self._entries(wanted, Standing())) as files:
            async for entry in files:
                if isinstance(entry, Entry):
                    found |= _addresses(entry)
                if len(found) == len(self._groups):
                    break
        if not found:
            raise SourceError(f"{self.config.path}: no urls_pos.txt or the like says which film a review is about")
        return found

    async def _entries(self, wanted: Wanted, begun: Standing) -> AsyncGenerator[Entry | BadEntry]:
        place = self.config.path
        folder = None if "://" in place or self.session.home else Path(place)
        files = _folder(folder, wanted) if folder is not None and folder.is_dir() else self._archive(wanted, begun)
        async with aclosing(files) as found:
            async for entry in found:
                yield entry

    async def _archive(self, wanted: Wanted, begun: Standing) -> AsyncGenerator[Entry | BadEntry]:
        plain = Plain(content_at(self.config.path, self.session, self.config.retries))
        async with aclosing(plain.parts(begun)) as parts, aclosing(entries(parts, wanted, self.config.path)) as found:
            async for entry in found:
                yield entry
            # The archive's own end stands a little before that of the file, behind which its size is known.
            left = MOST_PADDING
            async for part in parts:
                left -= len(part)
                if left < 0:
                    break
        self._ended = plain.ended


class _Reviews:
    """Makes records of files."""

    def __init__(self, source: str, followed: Followed) -> None:
        self._source, self._followed = source, followed
        self.addresses: Addresses = {}

    def read(self, name: ReviewName, body: bytes, number: int) -> Observed | Refused | None:
        try:
            found, address = film_of(name, self.addresses)
            film = self._followed.canonical(found)
            if film is None:
                return None
            return observed(parse_review(name, body, film, address, self._source), number)
        except Rejected as error:
            return Refused(number, f"{name.id}: {error}", body)


def _only_addresses(groups: tuple[str, ...], path: str) -> int:
    return MAX_ADDRESSES if parse_addresses_name(path) in groups else 0


def _addresses(entry: Entry) -> Addresses:
    return {parse_addresses_name(entry.name) or "": parse_addresses(entry.body)}


def _refused(entry: BadEntry, number: int) -> Refused:
    name = entry.name.encode("utf-8", "backslashreplace")[:500]
    return Refused(number, f"{name.decode()}: {entry.reason}", name)


async def _folder(folder: Path, wanted: Wanted) -> AsyncGenerator[Entry | BadEntry]:
    """The wanted files of a folder in an order that does not depend on the disk. Raises SourceError."""
    seen = False
    for group in ("test", "train", *GROUPS):
        for name in await asyncio.to_thread(_names, folder / group):
            path = f"{group}/{name}"
            most = wanted(path)
            seen = True
            if most:
                yield await asyncio.to_thread(_file, folder / group / name, path, most)
    if not seen:
        raise NotFoundError(f"{folder}: has none of the folders train/pos, train/neg and so on; check `path`")


def _names(folder: Path) -> list[str]:
    try:
        found = [entry.name for entry in os.scandir(folder) if not entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise SourceError(f"{folder}: {error.strerror or error}") from error
    return sorted(found, key=_number)


def _number(name: str) -> tuple[int, str]:
    number = name.partition("_")[0]
    return (int(number) if number.isascii() and number.isdigit() else -1), name


def _file(path: Path, name: str, most: int) -> Entry | BadEntry:
    try:
        if path.is_symlink():
            return BadEntry(name, f"is a link to {os.readlink(path)[:100]!r}")
        with path.open("rb") as file:
            body = file.read(most + 1)
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from error
    return Entry(name, body) if len(body) <= most else BadEntry(name, "more bytes than any review has")

"""Pages of a MongoDB collection in the order of a key, each behind the last document of the one before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from bson import json_util
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.decimal128 import Decimal128
from bson.errors import BSONError
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.errors import ConfigurationError, ConnectionFailure, InvalidURI, OperationFailure, PyMongoError

from app.connectors.errors import AuthFailedError, MalformedError, RetryableError, SourceError
from app.storage.client import briefly

SELECTION_MS: Final = 10_000
QUESTION_MS: Final = 60_000
REFUSED: Final = (13, 18, 8000)
"""Codes of MongoDB: not authorised, authentication failed, the same on Atlas."""
EXACT: Final = json_util.JSONOptions(json_mode=json_util.JSONMode.CANONICAL, tz_aware=True)
Document = dict[str, Any]


class MongoPages:
    """A collection as a source of documents; every method raises SourceError."""

    def __init__(
        self, url: str, database: str | None, collection: str, where: Mapping[str, Any], key: Sequence[str]
    ) -> None:
        """`key`: the fields that order documents, the last of them unique. Raises SourceError."""
        self.place = f"mongodb://{_host(url)}"
        options: CodecOptions[Document] = CodecOptions(
            tz_aware=True, unicode_decode_error_handler="replace", datetime_conversion=DatetimeConversion.DATETIME_AUTO
        )
        try:
            self._client: AsyncIOMotorClient[Document] = AsyncIOMotorClient(
                url, serverSelectionTimeoutMS=SELECTION_MS, socketTimeoutMS=QUESTION_MS, appname="marquee"
            )
            found = self._client.get_default_database(database) if database is None else self._client[database]
            self._collection = found.get_collection(collection, codec_options=options)
        except (ConfigurationError, InvalidURI, PyMongoError, ValueError) as error:
            raise SourceError(f"{self.place}: {error}") from None
        self._where, self._key = dict(where), tuple(key)

    def close(self) -> None:
        """Leave the database."""
        self._client.close()

    async def page(self, after: Sequence[Any] | None, size: int, fields: Sequence[str]) -> list[Document]:
        """The next documents behind the key `after`, at most `size`, with the named fields."""
        parts = [part for part in (self._where, self._behind(after)) if part]
        where = {"$and": parts} if len(parts) > 1 else parts[0] if parts else {}
        # Whole fields, not what lies in them: not every server of this protocol reaches into documents here.
        shown = {path.partition(".")[0]: 1 for path in (*fields, *self._key)}
        order = [(name, 1) for name in self._key]
        try:
            found = self._collection.find(where, shown).sort(order).limit(size).batch_size(size)
            return [document async for document in found]
        except Exception as error:
            raise as_source_error(self.place, error) from None

    def _behind(self, after: Sequence[Any] | None) -> Document:
        if after is None:
            # A document without the field would come first for ever: null orders before everything.
            return {} if len(self._key) == 1 else {self._key[0]: {"$ne": None}}
        *before, last = self._key
        if not before:
            return {last: {"$gt": after[0]}}
        (first,) = before
        return {"$or": [{first: {"$gt": after[0]}}, {first: after[0], last: {"$gt": after[1]}}]}


def value_at(document: Mapping[str, Any], path: str) -> Any:
    """What lies at a path such as `film.imdb`, through lists as MongoDB looks through them; None for nothing."""
    found: Any = document
    for step in path.split("."):
        if isinstance(found, list):
            found = [each[step] for each in found if isinstance(each, dict) and step in each]
        else:
            found = found.get(step) if isinstance(found, dict) else None
    return found.to_decimal() if isinstance(found, Decimal128) else found


def packed(values: Sequence[Any]) -> str:
    """A key as Extended JSON, which brings back the same types."""
    return json_util.dumps(list(values), json_options=EXACT)


def unpacked(text: str) -> list[Any]:
    """The key. Raises ValueError for what is none."""
    try:
        found = json_util.loads(text, json_options=EXACT)
    except (TypeError, KeyError, BSONError) as error:
        raise ValueError(str(error)) from error
    if not isinstance(found, list):
        raise ValueError("no list")
    return found


def as_source_error(place: str, error: Exception) -> SourceError:
    """The driver's error as one of ours."""
    text = f"{place}: {' '.join(str(error).split())[:500]}"
    if isinstance(error, OperationFailure) and error.code in REFUSED:
        return AuthFailedError(f"{text}; check the login and what it may read")
    if isinstance(error, (ConnectionFailure, OSError)) or getattr(error, "timeout", False):
        return RetryableError(f"{place}: MongoDB does not answer ({briefly(error)}): start it, or mend the address")
    if isinstance(error, BSONError):
        return MalformedError(f"{text}: a document cannot be read")
    return SourceError(text)


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        return "?"

"""Documents in MongoDB: few, large, unordered requests, because a worker shares its time with the models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from pymongo import DeleteMany, IndexModel, ReplaceOne, UpdateOne
from pymongo.errors import BulkWriteError

from app.settings import Mongo
from app.storage.client import DriverCollection, answering, connect
from app.storage.documents import Change, Document, Filter, Sort
from app.storage.store import Store

_DUPLICATE_KEY: Final = 11000
AT_ONCE: Final = 1000
"""Documents a request: those of all stages wait for one another, and each has to be answered within its time."""
_Write = ReplaceOne[Document] | UpdateOne


class MongoStore(Store):
    """Everything that one worker keeps in MongoDB."""

    def __init__(self, mongo: Mongo) -> None:
        super().__init__(MongoDocuments(mongo))


class MongoDocuments:
    """A database of a MongoDB server."""

    def __init__(self, mongo: Mongo) -> None:
        self._client, self._database = connect(mongo)

    def __getitem__(self, name: str) -> MongoCollection:
        return MongoCollection(self._database[name])

    async def ping(self) -> None:
        """Return if the server answers; raises Unavailable."""
        with answering():
            await self._client.admin.command("ping")

    def close(self) -> None:
        """Disconnect."""
        self._client.close()


class MongoCollection:
    """A collection of a MongoDB server."""

    def __init__(self, driver: DriverCollection) -> None:
        self._driver = driver

    async def add(self, documents: Sequence[Document]) -> None:
        """Insert what is new."""
        if not documents:
            return
        try:
            with answering():
                await self._driver.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            _duplicates(error)

    async def replace(self, documents: Sequence[Document], guard: str) -> int:
        """Put whole documents in place of older ones."""
        return await self._write(
            [_replace(document, guard, upsert=True) for document in documents],
            lambda index: _replace(documents[index], guard, upsert=False),
        )

    async def merge(self, changes: Sequence[Change]) -> int:
        """Apply changes."""
        return await self._write(
            [_update(change, upsert=True) for change in changes],
            lambda index: _update(changes[index], upsert=False),
        )

    async def get(self, ids: Sequence[str]) -> list[Document]:
        """Documents by id."""
        if not ids:
            return []
        with answering():
            return await self._driver.find({"_id": {"$in": list(ids)}}).to_list(None)

    async def find(
        self, where: Filter, sort: Sort = (), limit: int | None = None, fields: Sequence[str] = ()
    ) -> list[Document]:
        """Documents that match."""
        if "$and" in where:
            # Words are searched with `find`, which stops at the limit; the embedded server's aggregation does not.
            cursor = self._driver.find(where, list(fields) or None)
            cursor = cursor.sort(list(sort)) if sort else cursor
            cursor = cursor.limit(limit) if limit is not None else cursor
            with answering():
                return await cursor.to_list(None)
        steps: list[dict[str, Any]] = [{"$match": where}] if where else []
        steps += [{"$sort": dict(sort)}] if sort else []
        steps += [{"$limit": limit}] if limit is not None else []
        steps += [{"$project": dict.fromkeys(fields, 1)}] if fields else []
        return await self._aggregate(steps)

    async def totals(self, where: Filter, by: str, of: str) -> list[tuple[str, int, float]]:
        """Counts and sums by a field."""
        group = {"_id": f"${by}", "n": {"$sum": 1}, "total": {"$sum": f"${of}"}}
        rows = await self._aggregate([{"$match": where}, {"$group": group}])
        return sorted((str(row["_id"]), int(row["n"]), float(row["total"])) for row in rows)

    async def count(self, where: Filter) -> int:
        """How many match, exactly."""
        steps: list[dict[str, Any]] = [{"$match": where}] if where else []
        rows = await self._aggregate([*steps, {"$count": "n"}])
        return int(rows[0]["n"]) if rows else 0

    async def remove(self, ids: Sequence[str], where: Filter | None = None) -> None:
        """Take documents away."""
        if ids:
            with answering():
                await self._driver.bulk_write([DeleteMany({"_id": {"$in": list(ids)}, **(where or {})})])

    async def clear(self) -> None:
        """Take all documents away and keep the indexes."""
        with answering():
            await self._driver.delete_many({})

    async def index(self, keys: Sequence[Sort], sparse: bool = False) -> None:
        """Make indexes that are not there yet."""
        options = {"sparse": True} if sparse else {}
        with answering():
            await self._driver.create_indexes([IndexModel(list(key), **options) for key in keys])

    async def _aggregate(self, steps: list[dict[str, Any]]) -> list[Document]:
        # The embedded server uses an index in a `$match`, and reads everything for the same filter in `find`.
        with answering():
            return await self._driver.aggregate(steps).to_list(None)

    async def _write(self, writes: Sequence[_Write], without_upsert: Callable[[int], _Write]) -> int:
        """Write in any order; how many found or made their document."""
        reached = 0
        for begin in range(0, len(writes), AT_ONCE):
            reached += await self._request(writes[begin : begin + AT_ONCE], begin, without_upsert)
        return reached

    async def _request(self, writes: Sequence[_Write], begin: int, without_upsert: Callable[[int], _Write]) -> int:
        try:
            with answering():
                result = (await self._driver.bulk_write(writes, ordered=False)).bulk_api_result
        except BulkWriteError as error:
            # Either a newer document is there, or another worker made it between the server's look and its insert.
            # Only the second kind still matches, and now there is nothing left to insert.
            again = [without_upsert(begin + index) for index in _duplicates(error)]
            return _reached(error.details) + await self._write(again, without_upsert)
        return _reached(result)


def _replace(document: Document, guard: str, *, upsert: bool) -> ReplaceOne[Document]:
    return ReplaceOne({"_id": document["_id"], guard: {"$lte": document[guard]}}, document, upsert=upsert)


def _update(change: Change, *, upsert: bool) -> UpdateOne:
    where: Document = {"_id": change.id}
    if change.guard is not None:
        where[change.guard] = {"$lte": change.fields[change.guard]}
    update: Document = {"$set": change.fields}
    # MongoDB refuses one field in both, and the embedded server lets this one win.
    initial = {name: value for name, value in change.initial.items() if name not in change.fields}
    if initial:
        update["$setOnInsert"] = initial
    return UpdateOne(where, update, upsert=upsert)


def _reached(result: Mapping[str, Any]) -> int:
    return int(result["nMatched"]) + int(result["nUpserted"])


def _duplicates(error: BulkWriteError) -> list[int]:
    """Which requests failed because their `_id` is there; the error itself where anything else went wrong."""
    failures = error.details["writeErrors"]
    if error.details.get("writeConcernErrors") or any(failure["code"] != _DUPLICATE_KEY for failure in failures):
        raise error
    return [failure["index"] for failure in failures]

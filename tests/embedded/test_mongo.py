"""The embedded database does what Marquee's projections ask of MongoDB, also after a kill."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorGridFSBucket
from pymongo import ReplaceOne, UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure, WriteError

from app.embedded.mongo import Mongo
from app.embedded.ports import PortBook
from app.embedded.servers import start_server

pytestmark = pytest.mark.embedded


@pytest.fixture
async def db(mongo: str) -> AsyncIterator[Any]:
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(mongo)
    yield client.get_default_database()
    client.close()


async def test_an_upsert_by_id_inserts_once_and_then_replaces(db: Any) -> None:
    for score in (1.5, 2.5, 2.5):
        await db.films.replace_one({"_id": "tt1"}, {"_id": "tt1", "score": score, "of": [{"n": None}]}, upsert=True)
    assert [doc async for doc in db.films.find()] == [{"_id": "tt1", "score": 2.5, "of": [{"n": None}]}]


async def test_bulk_writes_upsert_and_count(db: Any) -> None:
    writes = [
        UpdateOne({"_id": f"k{n}"}, {"$set": {"v": n}, "$setOnInsert": {"first": n}}, upsert=True) for n in range(500)
    ]
    again = [
        UpdateOne({"_id": f"k{n}"}, {"$set": {"v": -n}, "$setOnInsert": {"first": 0}}, upsert=True) for n in range(500)
    ]
    first = await db.films.bulk_write(writes, ordered=False)
    second = await db.films.bulk_write([*again, ReplaceOne({"_id": "x"}, {"_id": "x"}, upsert=True)], ordered=False)
    assert (first.upserted_count, second.upserted_count, second.matched_count) == (500, 1, 500)
    assert await db.films.find_one({"_id": "k7"}) == {"_id": "k7", "v": -7, "first": 7}


async def test_a_pointer_only_moves_forward(db: Any) -> None:
    async def advance(to: int) -> None:
        await db.pointers.update_one({"_id": "model", "applied": {"$lt": to}}, {"$set": {"applied": to}}, upsert=True)

    await advance(5)
    await advance(9)
    with pytest.raises(DuplicateKeyError):
        await advance(7)
    assert await db.pointers.find_one() == {"_id": "model", "applied": 9}


async def test_bulk_writes_name_the_one_that_failed(db: Any) -> None:
    await db.pointers.insert_one({"_id": "a", "off": 5})
    behind = UpdateOne({"_id": "a", "off": {"$lt": 3}}, {"$set": {"off": 3}}, upsert=True)
    fresh = UpdateOne({"_id": "b", "off": {"$lt": 3}}, {"$set": {"off": 3}}, upsert=True)
    with pytest.raises(BulkWriteError) as failed:
        await db.pointers.bulk_write([behind, fresh], ordered=False)
    assert [(error["index"], error["code"]) for error in failed.value.details["writeErrors"]] == [(0, 11000)]
    assert {doc["_id"]: doc["off"] async for doc in db.pointers.find()} == {"a": 5, "b": 3}


async def test_a_unique_index_refuses_a_second_document(db: Any) -> None:
    await db.ratings.create_index([("film_id", 1), ("source", 1)], unique=True)
    await db.ratings.insert_one({"_id": 1, "film_id": "tt1", "source": "s"})
    await db.ratings.insert_one({"_id": 2, "film_id": "tt1", "source": "t"})
    with pytest.raises(DuplicateKeyError):
        await db.ratings.insert_one({"_id": 3, "film_id": "tt1", "source": "s"})


async def test_documents_are_sorted_and_limited_as_asked(db: Any) -> None:
    await db.films.insert_many([{"_id": f"m{n:03d}", "r": n * 37 % 10, "t": f"Title {n}"} for n in range(300)])
    expected = sorted(range(300), key=lambda n: (-(n * 37 % 10), n))[5:15]
    found = db.films.find({}, {"_id": 1}).sort([("r", -1), ("_id", 1)]).skip(5).limit(10)
    assert [doc["_id"] async for doc in found] == [f"m{n:03d}" for n in expected]
    matching = db.films.find({"t": {"$regex": "^title 29", "$options": "i"}}).sort("_id", 1)
    assert [doc["_id"] async for doc in matching] == ["m029", *(f"m{n}" for n in range(290, 300))]
    assert await db.films.estimated_document_count() == 300


async def test_writers_at_the_same_time_lose_nothing(db: Any) -> None:
    async def count_up() -> None:
        for _ in range(5):
            await db.c.bulk_write([UpdateOne({"_id": n}, {"$inc": {"n": 1}}, upsert=True) for n in range(20)])

    await asyncio.gather(*(count_up() for _ in range(6)))
    assert [doc["n"] async for doc in db.c.find()] == [30] * 20


async def test_gridfs_keeps_bytes(db: Any) -> None:
    bucket = AsyncIOMotorGridFSBucket(db)
    content = bytes(range(256)) * 4000
    file_id = await bucket.upload_from_stream("model.bin", content, metadata={"n": 1})
    assert await (await bucket.open_download_stream(file_id)).read() == content
    await bucket.delete(file_id)
    assert [found async for found in bucket.find({})] == []


async def test_what_it_refuses_that_mongodb_can_do(db: Any) -> None:
    """When this fails, the server has learnt something: the notes in `Mongo` can go."""
    await db.films.insert_one({"_id": "tt1", "n": 1})
    with pytest.raises(WriteError):
        await db.films.update_one({"_id": "tt1"}, [{"$set": {"n": 2}}])
    with pytest.raises(WriteError):
        await db.films.insert_one({"_id": "tt2", "n": float("nan")})
    with pytest.raises(OperationFailure):
        await db["film-history"].insert_one({"_id": 1})


async def test_what_it_does_otherwise_than_mongodb(db: Any) -> None:
    """When this fails, the server has learnt something: the notes in `Mongo` can go."""
    await db.films.insert_many([{"_id": "null", "n": None}, {"_id": "text", "n": "s"}, {"_id": "missing"}])
    assert [doc["_id"] async for doc in db.films.find({"n": {"$exists": False}}).sort("_id", 1)] == ["missing", "null"]
    assert [doc["_id"] async for doc in db.films.find({"n": {"$gt": 1}})] == ["text"]
    await db.films.update_one({"_id": "text"}, {"$set": {"n": float("nan")}})
    assert await db.films.find_one({"_id": "text"}) == {"_id": "text", "n": None}
    await db.numbered.insert_many([{"_id": 2}, {"_id": 10}])
    assert [doc["_id"] async for doc in db.numbered.find().sort("_id", 1)] == [10, 2]


async def test_acknowledged_documents_survive_a_kill(tmp_path: Path) -> None:
    server = await start_server(Mongo, tmp_path, PortBook(tmp_path / "ports.json"), Mongo.name)
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(server.url)
    films = client.get_default_database().films
    for start in range(0, 500, 100):
        ids = [f"tt{n:04d}" for n in range(start, start + 100)]
        await films.bulk_write([ReplaceOne({"_id": each}, {"_id": each}, upsert=True) for each in ids])
    await server.child.kill()
    server.child.start()
    await server.child.wait_ready(server.answers, 60)
    assert [doc["_id"] async for doc in films.find().sort("_id", 1)] == [f"tt{n:04d}" for n in range(500)]
    client.close()
    await server.child.stop()

"""What only a server can do: be absent, be slow, be no primary, and let two workers race."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ExecutionTimeout,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from agents.errors import Unavailable
from app.embedded.mongo import Mongo as Server
from app.embedded.ports import free_port
from app.settings import Mongo
from app.storage.client import answering
from app.storage.documents import Change
from app.storage.mongo import AT_ONCE, MongoCollection, MongoStore
from tests.storage.events import FILM, film, prediction, rating


def bulk_error(*codes: int, concerns: tuple[int, ...] = ()) -> BulkWriteError:
    failures = [{"index": index, "code": code, "errmsg": "x"} for index, code in enumerate(codes)]
    results = {"nMatched": 0, "nUpserted": 0, "writeConcernErrors": [{"code": code} for code in concerns]}
    return BulkWriteError({**results, "writeErrors": failures})


@pytest.mark.parametrize(
    "error",
    [
        AutoReconnect("gone"),
        NetworkTimeout("slow"),
        ServerSelectionTimeoutError("nobody"),
        NotPrimaryError("secondary"),
        ExecutionTimeout("slow", 50),
        OperationFailure("not writable primary", 10107),
        OperationFailure("stepping down", 189),
        bulk_error(11602),
        bulk_error(concerns=(91,)),
    ],
    ids=repr,
)
def test_what_waiting_can_mend_is_unavailable(error: PyMongoError) -> None:
    with pytest.raises(Unavailable, match="MongoDB"), answering():
        raise error


@pytest.mark.parametrize(
    "error", [OperationFailure("bad query", 2), OperationFailure("not allowed", 13), bulk_error(121)], ids=repr
)
def test_what_waiting_cannot_mend_passes_as_it_is(error: PyMongoError) -> None:
    with pytest.raises(type(error)) as caught, answering():
        raise error
    assert caught.value is error


async def test_a_server_that_is_not_there_makes_every_call_unavailable() -> None:
    store = MongoStore(Mongo(url=f"mongodb://127.0.0.1:{free_port()}/marquee", timeout=0.3))
    calls = [
        store.ping(),
        store.ensure_indexes(),
        store.projections.put_films([film()]),
        store.projections.put_ratings([rating(0)]),
        store.projections.put_ratings([rating(1, replaces=8.0)]),
        store.projections.put_predictions([prediction(0, 1)]),
        store.films.films(search="a"),
        store.films.film(FILM),
        store.films.history(FILM),
        store.films.counts(),
        store.pointers.advance("m", 1, "d", {}),
        store.pointers.recent("m"),
        store.clear_projections(),
    ]
    for call in calls:
        with pytest.raises(Unavailable):
            await call
    store.close()


@pytest.mark.embedded
async def test_a_server_that_comes_back_is_used_again_and_kept_what_was_written(tmp_path: Path) -> None:
    server = Server(tmp_path, free_port())
    server.child.start()
    await server.child.wait_ready(server.answers, server.start_seconds)
    store = MongoStore(Mongo(url=server.url, timeout=2.0))
    try:
        await store.projections.put_ratings([rating(0)])
        await server.child.kill()
        with pytest.raises(Unavailable):
            await store.projections.put_ratings([rating(1, "u2")])
        await server.child.restart()
        await server.child.wait_ready(server.answers, server.start_seconds)
        await store.projections.put_ratings([rating(0), rating(1, "u2")])
        assert (await store.films.counts()).ratings == 2
    finally:
        store.close()
        await server.child.stop()


class Racing:
    """A driver's collection in which another worker inserts between the server's look and its insert, once."""

    def __init__(self, driver: Any, other: dict[str, Any]) -> None:
        self._driver = driver
        self._other: dict[str, Any] | None = other

    async def bulk_write(self, writes: list[Any], ordered: bool) -> Any:
        if self._other is None:
            return await self._driver.bulk_write(writes, ordered=ordered)
        await self._driver.insert_one(self._other)
        self._other = None
        rest = (await self._driver.bulk_write(writes[1:], ordered=ordered)).bulk_api_result if writes[1:] else {}
        results = {"nMatched": rest.get("nMatched", 0), "nUpserted": rest.get("nUpserted", 0), "writeConcernErrors": []}
        raise BulkWriteError({**results, "writeErrors": [{"index": 0, "code": 11000, "errmsg": "E11000"}]})


@pytest.mark.embedded
async def test_a_newer_write_that_loses_the_race_to_insert_is_made_all_the_same(mongo: str) -> None:
    store = MongoStore(Mongo(url=mongo, timeout=30.0))
    driver = store.documents["films"]._driver  # type: ignore[attr-defined]
    racing = MongoCollection(Racing(driver, {"_id": "a", "n": 0, "title": "A"}))  # type: ignore[arg-type]
    assert await racing.merge([Change("a", {"n": 4}, guard="n"), Change("b", {"n": 1}, guard="n")]) == 2
    assert await store.documents["films"].find({}, [("_id", 1)]) == [
        {"_id": "a", "n": 4, "title": "A"},
        {"_id": "b", "n": 1},
    ]
    store.close()


@pytest.mark.embedded
async def test_an_older_write_that_loses_the_race_to_insert_stays_out(mongo: str) -> None:
    store = MongoStore(Mongo(url=mongo, timeout=30.0))
    driver = store.documents["ratings"]._driver  # type: ignore[attr-defined]
    racing = MongoCollection(Racing(driver, {"_id": "a", "offset": 9}))  # type: ignore[arg-type]
    assert await racing.replace([{"_id": "a", "offset": 4}], "offset") == 0
    assert await store.documents["ratings"].get(["a"]) == [{"_id": "a", "offset": 9}]
    store.close()


class Counting:
    """A driver's collection that counts what each request holds, of which the last of all is there already."""

    def __init__(self) -> None:
        self.held: list[int] = []

    async def bulk_write(self, writes: list[Any], ordered: bool) -> Any:
        self.held.append(len(writes))
        if len(self.held) == 3:
            error = {"index": len(writes) - 1, "code": 11000, "errmsg": "E11000"}
            results = {"nMatched": 0, "nUpserted": len(writes) - 1, "writeConcernErrors": []}
            raise BulkWriteError({**results, "writeErrors": [error]})
        self.last = writes[-1]
        return SimpleNamespace(bulk_api_result={"nMatched": 0, "nUpserted": len(writes)})


async def test_a_large_batch_is_written_in_requests_that_are_answered_in_time() -> None:
    driver = Counting()
    collection = MongoCollection(driver)  # type: ignore[arg-type]
    changes = [Change(f"film {n}", {"n": n}, guard="n") for n in range(2 * AT_ONCE + 500)]
    assert await collection.merge(changes) == len(changes)
    assert driver.held == [AT_ONCE, AT_ONCE, 500, 1]
    assert driver.last._filter["_id"] == changes[-1].id
    assert await collection.merge([]) == 0


@pytest.mark.embedded
async def test_the_database_of_the_address_is_used_and_indexes_may_be_made_again(mongo: str) -> None:
    store = MongoStore(Mongo(url=mongo, timeout=30.0))
    await store.ensure_indexes()
    await store.ensure_indexes()
    await store.projections.put_films([film(title="A")])
    driver = store.documents["films"]._driver  # type: ignore[attr-defined]
    assert driver.database.name == mongo.rpartition("/")[2]
    keys = [index["key"] for index in (await driver.index_information()).values()]
    assert [("title_key", 1), ("film_id", 1)] in keys
    store.close()

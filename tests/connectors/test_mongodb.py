"""The `mongodb` connector on the embedded database: the contract, and how documents become records."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from bson import Decimal128, ObjectId
from bson.errors import InvalidBSON
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.errors import AutoReconnect, NetworkTimeout, OperationFailure

from app.connectors.errors import AuthFailedError, MalformedError, RetryableError, SourceError
from app.connectors.mongo_pages import as_source_error, packed, unpacked, value_at
from app.connectors.registry import config_of
from app.embedded.ports import free_port
from app.settings import ConfigError
from tests.connectors.local_suite import LocalSuite, fault_of, opened, read
from tests.connectors.suite import NAME, FakeClock

DOCUMENTS = 250
FILMS = ("tt1375666", "tt0133093", "tt0111161")
FIELDS = {"imdb": "film.imdb", "text": "body", "value": "stars", "time": "changed", "author": "by.name", "lang": "lang"}


def document(n: int) -> dict[str, Any]:
    """The n-th review; seven share each moment."""
    return {
        "_id": ObjectId(f"{n:024x}"),
        "film": {"imdb": FILMS[n % 3]},
        "body": f"Review number {n}, which says enough.",
        "stars": n % 10 + 1,
        "by": {"name": f"person {n}"},
        "changed": datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=n // 7),
        "lang": "en",
    }


@pytest.fixture
async def collection(mongo: str) -> AsyncIterator[Any]:
    """A filled collection."""
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(mongo)
    found = client.get_default_database()["reviews"]
    await found.insert_many([document(n) for n in range(1, DOCUMENTS + 1)])
    yield found
    client.close()


def table_of(url: str, **more: Any) -> dict[str, Any]:
    """The connector's table."""
    base = {"kind": "mongodb", "url": url, "collection": "reviews", "target": "reviews", "fields": FIELDS}
    return {**base, "scale": "1:10", "page_size": 40, **more}


@pytest.mark.embedded
class TestMongoById(LocalSuite):
    """Documents in the order of their ids."""

    records = DOCUMENTS
    topics = {"reviews"}  # noqa: RUF012

    @pytest.fixture
    def keys(self, mongo: str, collection: Any) -> dict[str, Any]:
        """The filled collection."""
        return table_of(mongo)


@pytest.mark.embedded
class TestMongoByChange(TestMongoById):
    """Documents in the order of their changes, which share moments."""

    @pytest.fixture
    def keys(self, mongo: str, collection: Any) -> dict[str, Any]:
        """By time, then id."""
        return table_of(mongo, updated="changed")


@pytest.mark.embedded
async def test_a_document_is_a_review_under_its_own_id_with_its_author_hidden(
    mongo: str, collection: Any, tmp_path: Path
) -> None:
    _, broker = await read(table_of(mongo), tmp_path)
    first = broker.records("reviews")[0]
    assert (first["film_id"], first["rating"], first["best"], first["lang"]) == ("tt0133093", 2.0, 10.0, "en")
    assert first["source_record_id"] == f"{1:024x}"
    assert first["observed_at"] == "2026-01-01T00:00:00.000Z"
    assert "person" not in str(first)


@pytest.mark.embedded
async def test_new_and_changed_documents_are_read_and_no_others(mongo: str, collection: Any, tmp_path: Path) -> None:
    table = table_of(mongo, updated="changed")
    await read(table, tmp_path)
    late = datetime(2026, 6, 1, tzinfo=UTC)
    # Put in anew, because the embedded database makes text of a moment that it is told to $set.
    await collection.delete_one({"_id": ObjectId(f"{5:024x}")})
    await collection.insert_one({**document(5), "changed": late, "stars": 9})
    await collection.insert_one({**document(999), "changed": late})
    _, broker = await read(table, tmp_path)
    assert [(review["source_record_id"], review["rating"]) for review in broker.records("reviews")] == [
        (f"{5:024x}", 9.0),
        (f"{999:024x}", 10.0),
    ]


@pytest.mark.embedded
async def test_a_filter_is_asked_together_with_the_place(mongo: str, collection: Any, tmp_path: Path) -> None:
    for order in ({}, {"updated": "changed"}):
        table = table_of(mongo, where={"stars": {"$gte": 9}}, page_size=7, **order)
        _, broker = await read(table, tmp_path / str(order))
        assert len(broker.sent()) == DOCUMENTS // 5


@pytest.mark.embedded
async def test_a_document_without_sense_is_put_away_and_costs_no_other(
    mongo: str, collection: Any, tmp_path: Path
) -> None:
    await collection.update_one({"_id": ObjectId(f"{60:024x}")}, {"$set": {"stars": {"of": "ten"}}})
    await collection.update_one({"_id": ObjectId(f"{61:024x}")}, {"$set": {"body": ["one", "two"]}})
    await collection.update_one({"_id": ObjectId(f"{62:024x}")}, {"$set": {"film": None}})
    report, broker = await read(table_of(mongo), tmp_path)
    assert (report.status, report.refused, len(broker.sent())) == ("partial", 3, DOCUMENTS - 3)
    assert [row for row, _ in report.faults] == [60, 61, 62]
    assert "a table where a value is due" in report.faults[0][1]
    assert "2 values where one is due" in report.faults[1][1]
    assert "needs a letter or digit" in report.faults[2][1]


@pytest.mark.embedded
async def test_what_is_not_there_is_told_by_the_check(mongo: str, collection: Any) -> None:
    async with opened(table_of(mongo, collection="elsewhere")) as connector:
        assert "no documents" in await connector.check()


async def test_a_server_that_is_not_there_is_tried_again_and_then_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.connectors.mongo_pages.SELECTION_MS", 200)
    clock, url = FakeClock(), f"mongodb://127.0.0.1:{free_port()}/x"
    report, _ = await read(table_of(url, retries=2), tmp_path, clock=clock)
    assert (report.status, report.reaction, report.retries, len(clock.slept)) == ("failed", "retry", 2, 2)
    error = await fault_of(table_of(url))
    assert isinstance(error, RetryableError)
    assert "MongoDB does not answer" in str(error)
    assert "Topology" not in str(error)


async def test_an_address_without_a_database_says_which_key_to_set() -> None:
    error = await fault_of(table_of("mongodb://127.0.0.1:1"))
    assert type(error) is SourceError
    assert "database" in str(error)


async def test_a_secret_address_is_taken_from_the_environment_and_shown_nowhere(tmp_path: Path) -> None:
    url = "mongodb://me:s3cret@127.0.0.1:1/x?bad option=1"
    table = {name: value for name, value in table_of("").items() if name != "url"} | {"url_env": "MARQUEE_TEST_MONGO"}
    report, _ = await read(table, tmp_path, environ={"MARQUEE_TEST_MONGO": url})
    assert report.status == "failed"
    assert "s3cret" not in str(report)
    bare, _ = await read(table, tmp_path)
    assert (bare.reaction, "MARQUEE_TEST_MONGO" in (bare.error or "")) == ("pause", True)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"url_env": "MARQUEE_DB"}, "give either `url`, or `url_env`"),
        ({"url": "mongodb://me:secret@host/x"}, "holds a password"),
        ({"url": "postgres://host/x"}, "matching regex"),
        ({"where": {"$where": "sleep(1000)"}}, "run programs in the database"),
        ({"fields": {"imdb": "film.imdb"}}, "needs `text`"),
        ({"fields": {"imdb": "film.imdb", "body": "x"}}, "unknown key `body`"),
    ],
)
def test_keys_that_contradict_each_other_are_told_before_a_run(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        config_of(NAME, {**table_of("mongodb://127.0.0.1/x"), **change})


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OperationFailure("Authentication failed.", 18), AuthFailedError),
        (OperationFailure("not authorized on x", 13), AuthFailedError),
        (OperationFailure("bad operator", 2), SourceError),
        (AutoReconnect("connection closed"), RetryableError),
        (NetworkTimeout("timed out"), RetryableError),
        (OperationFailure("over time", 50), RetryableError),
        (InvalidBSON("not a document"), MalformedError),
    ],
)
def test_the_drivers_errors_are_grouped_by_what_to_do(error: Exception, kind: type[SourceError]) -> None:
    assert type(as_source_error("mongodb://host", error)) is kind


def test_a_path_leads_through_documents_and_lists() -> None:
    found = {"a": {"b": [{"c": 1}, {"d": 0}, {"c": 2}]}, "n": Decimal128("8.5"), "l": ["x"]}
    assert value_at(found, "a.b.c") == [1, 2]
    assert value_at(found, "n") == Decimal("8.5")
    assert value_at(found, "l") == ["x"]
    assert value_at(found, "a.x.y") is None
    assert value_at(found, "n.x") is None


@pytest.mark.parametrize("key", [[ObjectId(), 7], [datetime(2026, 1, 1, tzinfo=UTC), "x"], [2**40, 1.5]])
def test_a_key_comes_back_as_what_it_was(key: list[Any]) -> None:
    assert unpacked(packed(key)) == key


@pytest.mark.parametrize("text", ["", "{", "7", '[{"$oid": 7}]'])
def test_a_key_that_is_none_is_told(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        unpacked(text)

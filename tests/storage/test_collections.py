"""What every collection does, in memory and in a database."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from app.storage.documents import Change, Collection, joined
from app.storage.memory import MemoryStore
from app.storage.store import Store


@pytest.fixture
def things(store: Store) -> Collection:
    return store.documents["things"]


async def names(things: Collection, where: dict[str, Any], **more: Any) -> list[str]:
    return [document["_id"] for document in await things.find(where, [("_id", 1)], **more)]


async def test_adding_what_is_there_changes_nothing_and_adds_the_rest(things: Collection) -> None:
    await things.add([{"_id": "a", "n": 1}])
    await things.add([{"_id": "a", "n": 2}, {"_id": "b", "n": 2}, {"_id": "b", "n": 3}])
    assert await things.find({}, [("_id", 1)]) == [{"_id": "a", "n": 1}, {"_id": "b", "n": 2}]


async def test_replacing_leaves_nothing_of_the_older_document(things: Collection) -> None:
    assert await things.replace([{"_id": "a", "n": 1, "old": True}], "n") == 1
    assert await things.replace([{"_id": "a", "n": 2}], "n") == 1
    assert await things.get(["a"]) == [{"_id": "a", "n": 2}]


async def test_an_older_document_does_not_replace_a_newer_one_and_does_not_hold_up_others(things: Collection) -> None:
    await things.replace([{"_id": "a", "n": 5}], "n")
    assert await things.replace([{"_id": "a", "n": 4}, {"_id": "b", "n": 1}], "n") == 1
    assert await things.find({}, [("_id", 1)]) == [{"_id": "a", "n": 5}, {"_id": "b", "n": 1}]


async def test_merging_keeps_what_it_does_not_name(things: Collection) -> None:
    await things.merge([Change("a", {"x": 1}, {"n": 0})])
    await things.merge([Change("a", {"y": 2}, {"n": 9})])
    assert await things.get(["a"]) == [{"_id": "a", "x": 1, "y": 2, "n": 0}]


async def test_what_a_document_begins_with_gives_way_to_what_is_written_over_it(things: Collection) -> None:
    await things.merge([Change("a", {"status": "over", "n": 3}, {"status": "waiting", "asked": 1}, guard="n")])
    assert await things.get(["a"]) == [{"_id": "a", "status": "over", "n": 3, "asked": 1}]


async def test_a_guarded_merge_lets_equal_and_newer_through(things: Collection) -> None:
    reached = [await things.merge([Change("a", {"n": n, "v": v}, guard="n")]) for n, v in ((3, 1), (3, 2), (2, 3))]
    assert reached == [1, 1, 0]
    assert await things.get(["a"]) == [{"_id": "a", "n": 3, "v": 2}]


async def test_nothing_to_write_is_nothing_to_do(things: Collection) -> None:
    await things.add([])
    await things.remove([])
    assert await things.replace([], "n") == await things.merge([]) == await things.count({}) == 0


async def test_numbers_texts_and_nested_values_come_back_as_they_went_in(things: Collection) -> None:
    document: dict[str, Any] = {
        "_id": joined("tmdb:movie/1", 'it\'s "q" %|', "é\n"),
        "int": 2**53 + 1,
        "float": 0.1 + 0.2,
        "whole": 8.0,
        "yes": True,
        "none": None,
        "text": "O'Brien \\ 映画",
        "facts": {"a.b": [1, {"c": None}], "$d": 0.5},
    }
    await things.replace([document], "int")
    (found,) = await things.get([document["_id"]])
    assert found == document
    assert isinstance(found["whole"], float)


async def test_filters_compare_numbers_and_texts(things: Collection) -> None:
    await things.add([{"_id": name, "n": n, "t": t} for name, n, t in (("a", 1, "x"), ("b", 2, "y"), ("c", 3, "z"))])
    await things.add([{"_id": "d"}])
    assert await names(things, {"n": 2}) == ["b"]
    assert await names(things, {"n": {"$gt": 1}}) == ["b", "c"]
    assert await names(things, {"n": {"$gte": 1, "$lt": 3}}) == ["a", "b"]
    assert await names(things, {"t": {"$gt": "x"}, "n": {"$lte": 2}}) == ["b"]
    assert await names(things, {"t": {"$ne": "y"}}) == ["a", "c", "d"]
    assert await names(things, {"n": {"$eq": None}}) == ["d"]
    assert await names(things, {"$and": [{"t": {"$regex": "y"}}], "n": 2}) == ["b"]
    assert await names(things, {"n": {"$gt": 1}}, limit=1) == ["b"]


async def test_words_and_absent_values_are_found_together(things: Collection) -> None:
    await things.add([{"_id": "a", "t": "dark city"}, {"_id": "b", "t": "city", "n": 1}, {"_id": "c", "t": "city"}])
    where = {"$and": [{"t": {"$regex": "city"}}], "n": {"$eq": None}, "_id": {"$gt": "a"}}
    assert await names(things, where) == ["c"]


async def test_sorting_is_by_the_first_field_then_the_next_and_absent_values_are_least(things: Collection) -> None:
    await things.add([{"_id": "a", "n": 2, "k": 1}, {"_id": "b", "n": 10, "k": 2}, {"_id": "c", "n": 2, "k": 3}])
    await things.add([{"_id": "d", "k": 4}])
    found = await things.find({}, [("n", -1), ("k", 1)])
    assert [document["_id"] for document in found] == ["b", "a", "c", "d"]


async def test_only_the_named_fields_are_fetched(things: Collection) -> None:
    await things.add([{"_id": "a", "n": 2, "long": "text"}])
    assert await things.find({"n": 2}, fields=["n"]) == [{"_id": "a", "n": 2}]


async def test_totals_are_by_group_in_order(things: Collection) -> None:
    rows = (("a", "y", 1.5), ("b", "x", 2.5), ("c", "y", 3.0))
    await things.add([{"_id": name, "film": "f", "by": by, "v": v} for name, by, v in rows])
    await things.add([{"_id": "other", "film": "g", "by": "y", "v": 9.0}])
    assert await things.totals({"film": "f"}, by="by", of="v") == [("x", 1, 2.5), ("y", 2, 4.5)]
    assert await things.totals({"film": "none"}, by="by", of="v") == []


async def test_what_is_removed_is_gone_and_what_is_cleared_is_empty(things: Collection) -> None:
    await things.add([{"_id": name} for name in "abc"])
    await things.remove(["a", "unknown"])
    assert await names(things, {}) == ["b", "c"]
    await things.clear()
    assert await things.count({}) == 0


async def test_a_document_in_hand_is_not_the_one_that_is_kept(things: Collection) -> None:
    mine: dict[str, Any] = {"_id": "a", "n": 1, "facts": {"x": 1}}
    await things.replace([mine], "n")
    mine["facts"]["x"] = 2
    (found,) = await things.get(["a"])
    found["facts"]["x"] = 3
    assert (await things.get(["a"]))[0]["facts"] == {"x": 1}


def test_ids_of_different_parts_differ() -> None:
    parts = [("a|b", "c"), ("a", "b|c"), ("a", "b", "c"), ("a%7Cb", "c"), ("a", "b%7Cc")]
    assert len({joined(*part) for part in parts}) == len(parts)


async def test_nested_numbers_keep_every_digit_through_merges_and_are_sorted_and_filtered_by_path(
    things: Collection,
) -> None:
    values = {"a": 0.1 + 0.2, "b": 7.333333333333333, "c": 2 / 3}
    for turn in (0, 1):
        await things.merge([Change(name, {"n": turn, "deep": {"v": value}}) for name, value in values.items()])
    await things.merge([Change("d", {"n": 1})])
    found = await things.find({"deep.v": {"$gte": 0.0}}, [("deep.v", -1)])
    assert [(document["_id"], document["deep"]["v"]) for document in found] == [
        ("b", values["b"]),
        ("c", values["c"]),
        ("a", values["a"]),
    ]
    assert await names(things, {"deep.v": values["c"]}) == ["c"]
    assert await names(things, {"deep.v": {"$lt": values["c"]}}) == ["a"]
    assert await names(things, {"deep.v": {"$eq": None}}) == ["d"]


async def test_a_database_has_one_name_for_as_long_as_it_is_there(store: Store) -> None:
    names = set(await asyncio.gather(*(store.identity() for _ in range(5))))
    await store.clear_projections()
    assert {await store.identity()} == names
    assert len(names) == 1
    assert names != {await MemoryStore().identity()}

"""Pointers to snapshots only move forward."""

from __future__ import annotations

import asyncio

from app.storage.pointers import Pointer, SnapshotPointers
from app.storage.store import Store


async def test_a_model_without_snapshots_has_no_pointer(store: Store) -> None:
    assert await store.pointers.latest("m") is None
    assert await store.pointers.recent("m") == []


async def test_a_pointer_says_what_it_was_given(store: Store) -> None:
    facts = {"lessons": {"n": 3}, "metrics": {"mae": 0.31}, "created_at": 1.5, "versions": ["a", "b"]}
    assert await store.pointers.advance("m", 0, "digest", facts)
    assert await store.pointers.latest("m") == Pointer("m", 0, "digest", facts)


async def test_a_pointer_moves_forward_only(store: Store) -> None:
    moved = [await store.pointers.advance("m", offset, f"d{offset}", {}) for offset in (5, 9, 7, 9, 10)]
    assert moved == [True, True, False, False, True]
    assert [(p.applied_offset, p.digest) for p in await store.pointers.recent("m")] == [
        (10, "d10"),
        (9, "d9"),
        (5, "d5"),
    ]


async def test_models_have_pointers_of_their_own(store: Store) -> None:
    await store.pointers.advance("m", 5, "a", {})
    assert await store.pointers.advance("n", 3, "b", {})
    assert [pointer.digest for pointer in await store.pointers.recent("m")] == ["a"]


async def test_no_more_pointers_are_kept_than_wanted(store: Store) -> None:
    pointers = SnapshotPointers(store.documents, kept=3)
    for offset in range(8):
        await pointers.advance("m", offset, f"d{offset}", {})
        await store.pointers.advance("other", offset, f"d{offset}", {})
    assert [pointer.applied_offset for pointer in await pointers.recent("m")] == [7, 6, 5]
    assert await store.documents["former_snapshots"].count({"model": "m"}) == 3
    assert len(await store.pointers.recent("other")) == 8


async def test_of_two_owners_that_meet_the_further_one_wins(store: Store) -> None:
    await asyncio.gather(*(store.pointers.advance("m", offset, f"d{offset}", {}) for offset in (3, 9, 4, 8)))
    latest = await store.pointers.latest("m")
    assert latest is not None
    assert latest.digest == "d9"


async def test_a_forgotten_model_starts_again(store: Store) -> None:
    for offset in (5, 9):
        await store.pointers.advance("m", offset, "d", {})
    await store.pointers.forget("m")
    assert await store.pointers.recent("m") == []
    assert await store.pointers.advance("m", 1, "new", {})
    assert [pointer.digest for pointer in await store.pointers.recent("m")] == ["new"]

"""Pictures are let go when their time is over: those, their files, and no others'."""

from __future__ import annotations

from collections.abc import Sequence

from agents.messages import rfc3339
from app.storage.store import Store
from schemas.base import Record
from schemas.pictures import RuleImage
from schemas.terms import SourceTerms
from tests.storage.picture_events import KEANU, START, TILDA, accepted, found, item, kept, sha

DAY = 86_400_000


def at(day: float) -> str:
    return rfc3339(START + round(day * DAY))


def until(day: float) -> SourceTerms:
    return SourceTerms(expires_at=at(day), attribution="Shown with it.")


async def sweep(store: Store, day: float) -> tuple[int, list[Record], list[tuple[str, str]]]:
    told: list[Record] = []
    erased: list[tuple[str, str]] = []

    async def tell(words: Sequence[Record]) -> None:
        told.extend(words)

    async def erase(files: Sequence[tuple[str, str]]) -> None:
        erased.extend(files)

    return await store.picture_expiry.sweep(at(day), tell, erase), told, erased


async def test_what_is_over_is_ruled_out_and_its_files_go_once(store: Store) -> None:
    await store.pictures.put_found(
        [found(1, terms=until(1)), found(2, terms=until(5)), found(3), found(4, terms=until(1))]
    )
    await store.pictures.put_accepted([accepted(n, n) for n in (1, 2, 3)])
    await store.pictures.put_kept([kept(n, n) for n in (1, 2, 3)])
    assert await sweep(store, 0.9) == (0, [], [])
    count, told, erased = await sweep(store, 1)
    note = f"its source lets it be stored until {at(1)}"
    # The fourth was never fetched.
    word = RuleImage(item_id=item(1), celebrity_id=TILDA, decision="reject", note=note, over=True)
    assert (count, told) == (2, [word])
    assert {area for area, _ in erased} == {"original", "clean", "thumbnail"}
    assert ("original", sha(1)) in erased
    assert ("original", sha(2)) not in erased
    assert await sweep(store, 1) == (0, [], [])
    page = await store.people.images(TILDA, None, 10, None)
    assert [each.attribution for each in sorted(page.items, key=lambda each: each.url)] == [
        "Shown with it.", "Shown with it.", None, "Shown with it.",
    ]  # fmt: skip


async def test_a_source_that_still_shows_a_picture_moves_its_end_on(store: Store) -> None:
    await store.pictures.put_found([found(1, terms=until(1))])
    await store.pictures.put_accepted([accepted(1, 1)])
    await store.pictures.put_found([found(1, second=9, terms=until(3))])
    assert (await sweep(store, 2))[0] == 0
    assert (await sweep(store, 3))[0] == 1


async def test_a_file_that_somebody_else_has_too_stays(store: Store) -> None:
    await store.pictures.put_found([found(1, terms=until(1)), found(1, KEANU)])
    await store.pictures.put_accepted([accepted(1, 1), accepted(1, 2, KEANU)])
    count, told, erased = await sweep(store, 1)
    assert (count, len(told), erased) == (1, 1, [])

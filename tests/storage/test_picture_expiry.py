"""Pictures are let go when their time is over: those, their files, and no others'."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from agents.fetch import FOUND_TOO_LATE
from agents.messages import rfc3339
from app.storage import picture_expiry
from app.storage.store import Store
from schemas.base import Record
from schemas.pictures import RuleImage
from schemas.terms import SourceTerms
from tests.storage.picture_events import KEANU, START, TILDA, accepted, found, item, kept, rejected, sha

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
    # The fourth is yet to be fetched.
    word = RuleImage(item_id=item(1), celebrity_id=TILDA, decision="reject", note=note, over=True)
    assert (count, told) == (1, [word])
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
    await store.pictures.put_kept([kept(1, 1)])
    await store.pictures.put_found([found(1, second=9, terms=until(3))])
    assert (await sweep(store, 2))[0] == 0
    assert (await sweep(store, 3))[0] == 1


async def test_a_file_that_somebody_else_has_too_stays(store: Store) -> None:
    await store.pictures.put_found([found(1, terms=until(1)), found(1, KEANU)])
    await store.pictures.put_accepted([accepted(1, 1), accepted(1, 2, KEANU)])
    await store.pictures.put_kept([kept(1, 1)])
    count, told, erased = await sweep(store, 1)
    assert (count, len(told), [area for area, _ in erased]) == (1, 1, ["clean", "thumbnail"])


async def test_a_term_that_ends_while_its_picture_is_under_way_is_kept_until_there_is_something_to_let_go_of(
    store: Store,
) -> None:
    await store.pictures.put_found([found(1, terms=until(1))])
    assert await sweep(store, 1) == (0, [], [])
    await store.pictures.put_accepted([accepted(1, 1)])
    assert await sweep(store, 1) == (0, [], [])
    await store.pictures.put_kept([kept(1, 1)])
    count, told, erased = await sweep(store, 1)
    assert (count, len(told), {area for area, _ in erased}) == (1, 1, {"original", "clean", "thumbnail"})
    assert await sweep(store, 1) == (0, [], [])


async def test_a_claimed_picture_that_is_never_judged_goes_all_the_same(store: Store) -> None:
    await store.pictures.put_found([found(1, terms=until(1))])
    await store.pictures.put_accepted([accepted(1, 1)])
    assert await sweep(store, 1.9) == (0, [], [])
    count, told, erased = await sweep(store, 2.1)
    assert (count, len(told), erased) == (1, 1, [("original", sha(1))])


async def test_the_term_of_an_address_ends_once_it_was_refused_and_is_not_being_asked_for_again(store: Store) -> None:
    await store.pictures.put_found([found(n, terms=until(1)) for n in (1, 2, 3)])
    await store.pictures.put_rejected(
        [rejected(1, verdict="rejected"), rejected(2, verdict="failed"), rejected(3, verdict="failed")]
    )
    # What failed is asked for again when it is found again; what was refused for good is not.
    await store.pictures.put_found([found(n, second=9, terms=until(1)) for n in (1, 3)])
    assert await sweep(store, 1) == (2, [], [])
    await store.pictures.put_rejected([rejected(3, second=9, verdict="failed")])
    assert await sweep(store, 1) == (1, [], [])


async def test_an_address_that_is_found_again_after_its_term_was_over_is_under_way_again(store: Store) -> None:
    await store.pictures.put_found([found(1, terms=until(0))])
    await store.pictures.put_rejected(
        [rejected(1, verdict="rejected", reason=f"{FOUND_TOO_LATE} {at(0)}, which was over when it was found")]
    )
    await store.pictures.put_found([found(1, second=9, terms=until(1))])
    assert await sweep(store, 1) == (0, [], [])


async def test_a_sweep_gets_past_all_that_is_under_way(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_expiry, "AT_ONCE", 2)
    await store.pictures.put_found([found(n, terms=until(1)) for n in range(9)])
    await store.pictures.put_rejected([rejected(n, verdict="rejected") for n in range(0, 9, 2)])
    assert await sweep(store, 1) == (5, [], [])

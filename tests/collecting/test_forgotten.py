"""Which targets of runs nobody may be asked about any more, by the tombstones of people and the lives of targets."""

from __future__ import annotations

from typing import Any

from agents.messages import Message
from app.collecting.forgotten import TRUSTED_SECONDS, Forgotten
from app.storage.memory import MemoryStore
from schemas.envelope import Envelope
from schemas.pictures import CelebrityRegistered, PersonForgotten
from schemas.scrapes import Target

AT = 1_700_000_000_000


def person(name: str, life: int | None = 0) -> Target:
    return Target(id=name, kind="person", name=name, life=life)


async def forget(store: MemoryStore, name: str, order: int) -> None:
    said = PersonForgotten(celebrity_id=name, order=order)
    await store.pictures.forget([Message(said, Envelope(f"f{order}", "c"), said.topic, 0, order, AT + order)])


async def register(store: MemoryStore, name: str) -> None:
    said = CelebrityRegistered(celebrity_id=name, name=name)
    await store.pictures.put_celebrities([Message(said, Envelope("r", "c"), said.topic, 0, 9, AT + 60_000)])


async def test_targets_of_a_life_that_is_over_are_told_from_those_of_a_later_one_and_from_films() -> None:
    store = MemoryStore()
    await forget(store, "Q1", 5)
    old, new, film = person("Q1"), person("Q1", life=5), Target(id="tt0000001")
    asked = (old, new, person("Q2"), film)
    forgotten = Forgotten(store.people)
    assert await forgotten.among(asked) == {old}
    await forget(store, "Q1", 9)
    assert await forgotten.among(asked) == {old, new}


async def test_a_target_that_says_nothing_of_lives_goes_by_whether_the_person_is_known_now() -> None:
    store = MemoryStore()
    untold = person("Q1", life=None)
    forgotten = Forgotten(store.people)
    assert await forgotten.among([untold]) == set()
    await forget(store, "Q1", 5)
    assert await forgotten.among([untold]) == {untold}
    await register(store, "Q1")
    assert await forgotten.among([untold]) == set()


async def test_who_was_forgotten_is_read_once_until_somebody_else_is_and_again_after_a_while() -> None:
    store, now = MemoryStore(), [0.0]
    await forget(store, "Q1", 5)
    read: list[dict[str, int]] = []

    class Counted:
        async def last_forgotten(self) -> Any:
            return await store.people.last_forgotten()

        async def known(self, celebrity_ids: list[str]) -> set[str]:
            return await store.people.known(celebrity_ids)

        async def graves(self) -> dict[str, int]:
            read.append(await store.people.graves())
            return read[-1]

    forgotten = Forgotten(Counted(), clock=lambda: now[0])
    for seconds, graves in ((0.0, {"Q1": 5}), (1.0, {"Q1": 5}), (TRUSTED_SECONDS + 1, {"Q1": 5})):
        now[0] = seconds
        assert await forgotten.among([person("Q1")]) == {person("Q1")}
        assert read[-1] == graves
    assert len(read) == 2
    await forget(store, "Q2", 6)
    assert await forgotten.among([person("Q1"), person("Q2")]) == {person("Q1"), person("Q2")}
    assert len(read) == 3

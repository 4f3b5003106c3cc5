"""What is under way: nobody is said to be erased before it is over, and nobody loses the bytes that it is about."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

import pytest

from agents.messages import Message
from agents.ports import Examination, Fetched, NotFetched
from app.pictures.under_way import UnderWay
from app.storage.parts import FileName
from app.storage.tombstones import Tombstone
from schemas.envelope import Envelope
from schemas.pictures import ImageFound
from tests.storage.picture_events import accepted

SHA = "ab" * 32


class Folder:
    """Which originals are there, which of them a document names, and who was forgotten."""

    def __init__(self) -> None:
        self.there: set[str] = set()
        self.names: set[str] = set()
        self.holders: set[str] = set()
        self.graves: dict[str, Tombstone] = {}
        self.under_way = UnderWay(self, self, self)

    def find(self, area: str, sha256: str) -> str | None:
        return f"{area}/{sha256}" if area == "original" and sha256 in self.there else None

    async def named(self, names: Collection[FileName]) -> set[FileName]:
        return {name for name in names if name[1] in self.names}

    async def naming(self, name: FileName) -> set[str]:
        return self.holders

    async def tombstones(self, people: Collection[str]) -> dict[str, Tombstone]:
        return {person: grave for person, grave in self.graves.items() if person in people}

    async def erase(self, files: Sequence[FileName]) -> None:
        self.there -= {sha256 for _, sha256 in files}

    async def forget(self, person: str, at: int = 5) -> None:
        """Remove what the documents of a person say, and the file that they name."""
        self.graves[person] = Tombstone(person, 7, at, "e")
        await self.under_way.erase([("original", SHA)])
        self.holders.discard(person)

    async def ask(self, message: Message[Any], *sections: Any) -> Fetched:
        self.there.add(SHA)
        return fetched(SHA)

    async def fetch(self, person: str, at: int = 0) -> None:
        await self.under_way.following(self.ask)(find(person, at))


def find(person: str, at: int = 0) -> Message[Any]:
    said = ImageFound(celebrity_id=person, source="commons", url="http://host/1.jpg")
    return Message(said, Envelope("e", "e"), said.topic, 0, 0, at)


def fetched(sha256: str) -> Fetched:
    hashes = {"phash64": "0" * 16, "dhash64": "0" * 16, "phash256": "0" * 64}
    return Fetched(image_id=sha256, width=9, height=9, format="jpeg", bytes=9, pipeline=1, **hashes)


async def test_a_fetch_counts_until_it_is_over_and_its_file_until_it_is_gone_or_has_a_name() -> None:
    folder, answer = Folder(), asyncio.Event()
    under_way = folder.under_way

    async def ask(message: Message[Any], *sections: Any) -> Fetched:
        await answer.wait()
        folder.there.add(SHA)
        return fetched(SHA)

    asked = [asyncio.create_task(under_way.following(ask)(find("Q1"))) for _ in range(2)]
    await asyncio.sleep(0)
    assert (await under_way.left("Q1"), await under_way.left("Q2")) == (2, 0)
    answer.set()
    await asyncio.gather(*asked)
    assert await under_way.left("Q1") == 1
    folder.names.add(SHA)
    assert await under_way.left("Q1") == 0
    folder.names.clear()
    assert await under_way.left("Q1") == 1
    folder.there.clear()
    assert await under_way.left("Q1") == 0


@pytest.mark.parametrize("answer", [None, NotFetched(verdict="failed", reason="404"), OSError("no"), "cancelled"])
async def test_a_fetch_that_leaves_no_file_counts_for_nothing_once_it_is_over(answer: Any) -> None:
    under_way = Folder().under_way

    async def ask(message: Message[Any], *sections: Any) -> Any:
        if answer == "cancelled":
            await asyncio.Event().wait()
        if isinstance(answer, Exception):
            raise answer
        return answer

    task = asyncio.create_task(under_way.following(ask)(find("Q1")))
    await asyncio.sleep(0)
    if answer == "cancelled":
        assert await under_way.left("Q1") == 1
        task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await under_way.left("Q1") == 0


async def test_the_file_of_somebody_forgotten_stays_while_it_was_put_away_for_somebody_else() -> None:
    folder = Folder()
    await folder.fetch("Q1")
    folder.holders, folder.names = {"Q1"}, {SHA}
    await folder.fetch("Q2", at=3)
    await folder.forget("Q1")
    assert folder.there == {SHA}
    # The other's document names it by now, and is all that keeps it.
    folder.holders = {"Q2"}
    await folder.forget("Q2")
    assert folder.there == set()


async def test_a_file_that_was_put_away_for_people_who_are_all_forgotten_goes() -> None:
    folder = Folder()
    await folder.fetch("Q1")
    await folder.fetch("Q2", at=3)
    await folder.forget("Q2")
    assert folder.there == {SHA}
    await folder.forget("Q1")
    assert folder.there == set()


async def test_what_was_found_of_somebody_after_they_were_forgotten_and_pushed_again_is_theirs() -> None:
    folder = Folder()
    await folder.forget("Q2")
    await folder.fetch("Q2", at=6)
    await folder.forget("Q1")
    assert folder.there == {SHA}


async def test_a_picture_whose_bytes_go_in_the_moment_that_they_are_there_again_is_asked_for_again() -> None:
    folder, asked = Folder(), []

    async def ask(message: Message[Any], *sections: Any) -> Fetched:
        asked.append(message)
        # The first time they were there before, and somebody who is erased takes them along.
        folder.there = {SHA} if len(asked) > 1 else set()
        return fetched(SHA)

    await folder.under_way.following(ask)(find("Q1"))
    assert (len(asked), folder.there) == (2, {SHA})


async def test_the_copy_that_an_examination_made_stays_with_its_thumbnail_for_whom_it_was_made() -> None:
    removed: list[FileName] = []

    class Both(Folder):
        def find(self, area: str, sha256: str) -> str | None:
            return sha256

        async def erase(self, files: Sequence[FileName]) -> None:
            removed.extend(files)

    folder = Both()

    async def examine(message: Message[Any]) -> Examination:
        return Examination(sha256=SHA, path="clean")

    said = accepted(1, 9, "Q2")
    await folder.under_way.following(examine)(said)
    names: list[FileName] = [("original", SHA), ("clean", SHA), ("thumbnail", SHA)]
    await folder.under_way.erase(names)
    assert removed == [("original", SHA)]
    folder.graves["Q2"] = Tombstone("Q2", 9, 0, "e")
    await folder.under_way.erase(names[1:])
    assert removed == names

"""What is not erased of a person before their fetches are over: those that run, and files that nothing names."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

import pytest

from agents.messages import Message
from agents.ports import Fetched, NotFetched
from app.pictures.under_way import UnderWay
from app.storage.parts import FileName
from schemas.envelope import Envelope
from schemas.pictures import ImageFound

SHA = "ab" * 32


class Folder:
    """Which originals are there, and which of them a document names."""

    def __init__(self) -> None:
        self.there: set[str] = set()
        self.named: set[str] = set()

    def find(self, area: str, sha256: str) -> str | None:
        return f"{area}/{sha256}" if area == "original" and sha256 in self.there else None

    async def which(self, names: Collection[FileName]) -> set[FileName]:
        return {name for name in names if name[1] in self.named}


def find(person: str) -> Message[Any]:
    said = ImageFound(celebrity_id=person, source="commons", url="http://host/1.jpg")
    return Message(said, Envelope("e", "e"), said.topic, 0, 0, 0)


def fetched(sha256: str) -> Fetched:
    hashes = {"phash64": "0" * 16, "dhash64": "0" * 16, "phash256": "0" * 64}
    return Fetched(image_id=sha256, width=9, height=9, format="jpeg", bytes=9, pipeline=1, **hashes)


async def test_a_fetch_counts_until_it_is_over_and_its_file_until_it_is_gone_or_has_a_name() -> None:
    folder, answer = Folder(), asyncio.Event()
    under_way = UnderWay(folder, folder.which)

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
    folder.named.add(SHA)
    assert await under_way.left("Q1") == 0
    folder.named.clear()
    assert await under_way.left("Q1") == 1
    folder.there.clear()
    assert await under_way.left("Q1") == 0


@pytest.mark.parametrize("answer", [None, NotFetched(verdict="failed", reason="404"), OSError("no"), "cancelled"])
async def test_a_fetch_that_leaves_no_file_counts_for_nothing_once_it_is_over(answer: Any) -> None:
    folder = Folder()
    under_way = UnderWay(folder, folder.which)

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

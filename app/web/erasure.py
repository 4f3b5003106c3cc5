"""Proves that nothing is left of a person: every place that may know something counts what it has."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Protocol

from app.storage.picture_queries import PictureQueries
from app.web.people_shapes import Erasure, Left


class Trace(Protocol):
    """A place that may know something of a person. Raises Unavailable where it cannot say."""

    async def __call__(self, celebrity_id: str) -> list[Left]:
        """What is left there."""


class Files(Protocol):
    """Where the files of pictures lie."""

    def find(self, area: Any, sha256: str) -> str | None:
        """The path below the root of a picture in an area; None where it is not there."""


class StoredTrace:
    """What is left in the documents, and of the files that they name; files go before the documents do."""

    def __init__(self, people: PictureQueries, files: Files) -> None:
        self._people = people
        self._files = files

    async def __call__(self, celebrity_id: str) -> list[Left]:
        """One count a collection and a folder."""
        documents, names = await self._people.left(celebrity_id)
        there = await asyncio.to_thread(lambda: [area for area, sha256 in names if self._files.find(area, sha256)])
        areas = ("original", "clean", "thumbnail")
        return [
            *(Left(f"documents: {where}", count) for where, count in documents.items()),
            *(Left(f"files: {area}", there.count(area)) for area in areas),
        ]


async def erasure(people: PictureQueries, traces: Iterable[Trace], celebrity_id: str) -> Erasure:
    """What is left of a person in all places."""
    told = await people.forgotten(celebrity_id)
    found = await asyncio.gather(*(trace(celebrity_id) for trace in traces))
    left = [each for part in found for each in part]
    erased = told is not None and not any(each.left for each in left)
    return Erasure(
        celebrity_id=celebrity_id,
        erased=erased,
        event_id=told.event_id if told else None,
        at=told.at if told else None,
        left=left,
    )

"""Proves that nothing is left of a person: every place that may know something counts what it has."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
from yarl import URL

from app.delivery.topics import FOR_EVER
from app.embedded.erase import left, read_book
from app.embedded.forgettable import PEOPLE, Gone
from app.embedded.history import archive_dir
from app.learning.snapshots import SnapshotKeeper
from app.settings import Settings
from app.storage.picture_queries import PictureQueries
from app.storage.picture_views import Forgotten
from app.storage.tombstones import caused_at
from app.web.people_shapes import Erasure, Later, Left
from app.web.problems import Problem
from models.face_learner import MODEL

DAY_MS: Final = 86_400_000


class Trace(Protocol):
    """A place that may know something of a person. Raises Unavailable where it cannot say."""

    async def __call__(self, celebrity_id: str) -> Sequence[Left | Later]:
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


class GroupTrace:
    """What is left in the tables and models of all workers, each asked for its own."""

    def __init__(
        self,
        own: Callable[[str], Awaitable[list[Left]]],
        members: Callable[[], list[URL]],
        ask: Callable[[URL], Awaitable[tuple[int, bytes]]],
    ) -> None:
        self._own = own
        self._members = members
        self._ask = ask

    async def __call__(self, celebrity_id: str) -> list[Left]:
        """One count a table; a worker that does not answer counts as one, since nobody knows."""
        path = "/celebrities/" + celebrity_id.replace("/", "%2F") + "/erasure"
        others = (self._theirs(url.join(URL(path, encoded=True))) for url in self._members())
        found: Counter[str] = Counter()
        for part in await asyncio.gather(self._own(celebrity_id), *others):
            for each in part:
                found[each.where] += each.left
        return [Left(where, count) for where, count in found.items()]

    async def _theirs(self, address: URL) -> list[Left]:
        try:
            status, body = await self._ask(address)
        except Problem:
            status, body = 503, b""
        if status != 200:
            return [Left(f"tables: the worker at {address.origin()} does not say", 1)]
        return msgspec.json.decode(body, type=Erasure).left


class ArchiveTrace:
    """What is left in the archive beside this worker, where there is one."""

    def __init__(self, people: PictureQueries, directory: Path) -> None:
        self._people = people
        self._directory = archive_dir(directory)

    async def __call__(self, celebrity_id: str) -> list[Left]:
        """Archived records that name the person; all of them are read, so this takes its time."""
        told = await self._people.forgotten(celebrity_id)
        if told is None or not self._directory.exists():
            return []
        return [Left("archive: records", await asyncio.to_thread(self._count, celebrity_id, told))]

    def _count(self, celebrity_id: str, told: Forgotten) -> int:
        # Whoever writes the archive says when it is done: nothing is worth reading before.
        book = read_book(self._directory)
        if book.erased.get(celebrity_id, -1) < told.order:
            return 1
        silent = book.people[celebrity_id].silent if celebrity_id in book.people else 0
        return left(self._directory, celebrity_id, Gone(told.order, caused_at(told.at, 1 << 62), silent))


class SnapshotTrace:
    """Snapshots of the face model from before the person was forgotten."""

    def __init__(self, people: PictureQueries, keeper: SnapshotKeeper) -> None:
        self._people = people
        self._keeper = keeper

    async def __call__(self, celebrity_id: str) -> list[Left]:
        """Pointers and files."""
        told = await self._people.forgotten(celebrity_id)
        pointers, files = await self._keeper.stale(MODEL, told.order) if told is not None else ((), ())
        return [Left("model: older snapshots", len(pointers) + len(files))]


class BrokerTrace:
    """Until when the broker's topics tell of the person: it can only let go of all that is old."""

    def __init__(self, people: PictureQueries, settings: Settings) -> None:
        self._people = people
        self._settings = settings

    async def __call__(self, celebrity_id: str) -> list[Later]:
        """A line for the topics, and one for the tables' changelogs."""
        told = await self._people.forgotten(celebrity_id)
        if told is None:
            return []
        if self._settings.broker.embedded:
            return [Later("the embedded broker, which keeps what it has in memory", "it is stopped")]
        assert not PEOPLE.intersection(FOR_EVER)
        days = self._settings.topics.retention_days
        return [
            Later("Kafka: the topics of the celebrity path", f"{days:g} days after {told.at} (topics.retention_days)"),
            Later("Kafka: changelogs of the tables", "the brokers compact them"),
        ]


async def erasure(people: PictureQueries, traces: Iterable[Trace], celebrity_id: str) -> Erasure:
    """What is left of a person in all places."""
    told = await people.forgotten(celebrity_id)
    found = await asyncio.gather(*(trace(celebrity_id) for trace in traces))
    every = [each for part in found for each in part]
    counts = [each for each in every if isinstance(each, Left)]
    return Erasure(
        celebrity_id=celebrity_id,
        erased=told is not None and not any(each.left for each in counts),
        event_id=told.event_id if told else None,
        at=told.at if told else None,
        left=counts,
        later=[each for each in every if isinstance(each, Later)],
    )

"""Knows whose pictures are being fetched here, and which files came of it that nothing may name yet."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final, Protocol

from agents.messages import Message
from agents.ports import Fetched
from app.storage.parts import FileName
from schemas.pictures import ImageFound

MOST: Final = 10_000
"""Files that are remembered: whoever is to be forgotten is asked about while the last ones are on their way."""
ORIGINAL: Final = "original"

Ask = Callable[..., Awaitable[Any]]


class Files(Protocol):
    """Where the files of pictures lie."""

    def find(self, area: Any, sha256: str) -> str | None:
        """The path below the root of a picture in an area; None where it is not there."""


class UnderWay:
    """Counts what is not erased of a person before their fetches are over and each file is gone or has a name."""

    def __init__(self, files: Files, named: Callable[[Collection[FileName]], Awaitable[set[FileName]]]) -> None:
        self._files = files
        self._named = named
        self._asking: Counter[str] = Counter()
        self._fetched: dict[tuple[str, str], None] = {}

    def following(self, ask: Ask) -> Ask:
        """The asking half of the stage that fetches, with an eye on what it asks for."""

        async def asked(message: Message[ImageFound], *sections: Any) -> Any:
            person = message.data.celebrity_id
            self._asking[person] += 1
            try:
                answer = await ask(message, *sections)
                if isinstance(answer, Fetched):
                    self._note(person, answer.image_id)
                return answer
            finally:
                self._asking[person] -= 1
                if not self._asking[person]:
                    del self._asking[person]

        return asked

    async def left(self, celebrity_id: str) -> int:
        """Fetches that are not over, and files of such that lie there without a name. Raises Unavailable."""
        found = [sha256 for person, sha256 in self._fetched if person == celebrity_id]
        there = await asyncio.to_thread(lambda: [sha256 for sha256 in found if self._files.find(ORIGINAL, sha256)])
        lying = {(ORIGINAL, sha256) for sha256 in there}
        nameless = lying - await self._named(lying) if lying else lying
        return self._asking[celebrity_id] + len(nameless)

    def _note(self, person: str, sha256: str) -> None:
        while len(self._fetched) >= MOST:
            del self._fetched[next(iter(self._fetched))]
        self._fetched[person, sha256] = None

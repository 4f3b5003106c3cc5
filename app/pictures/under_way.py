"""Knows whose pictures are being fetched and examined here, and which files came of it that nothing may name yet."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, Final, Protocol

from agents.messages import Message
from agents.ports import Examination, Fetched, PictureEraser
from app.storage.parts import FileName
from app.storage.tombstones import Moment, Tombstone, moment_of
from schemas.pictures import ImageAccepted, ImageFound

MOST: Final = 10_000
"""Files that are remembered: whoever is to be forgotten is asked about while the last ones are on their way."""
TRIES: Final = 3

Ask = Callable[..., Awaitable[Any]]


class Files(Protocol):
    """Where the files of pictures lie."""

    def find(self, area: Any, sha256: str) -> str | None:
        """The path below the root of a picture in an area; None where it is not there."""


class People(Protocol):
    """The documents of people and their pictures. Calls raise Unavailable while the store does not answer."""

    async def named(self, names: Collection[FileName]) -> set[FileName]:
        """Which of these files any document names."""

    async def naming(self, name: FileName) -> set[str]:
        """The people whose documents name a file."""

    async def tombstones(self, people: Collection[str]) -> dict[str, Tombstone]:
        """Those of these people who were ever forgotten, or found without being wanted."""


class UnderWay:
    """Counts what is not erased of a person before their pictures are through and each file is gone or has a name.

    Whatever else lets go of files does it here, so that nobody loses the bytes that another person's event is about to
    speak of.
    """

    def __init__(self, files: Files, eraser: PictureEraser, people: People) -> None:
        self._files = files
        self._eraser = eraser
        self._people = people
        self._asking: Counter[str] = Counter()
        self._made: dict[FileName, dict[str, Moment]] = {}
        """What was put away, for whom, and when it was asked for."""
        self._erasing = asyncio.Lock()

    def following(self, ask: Ask) -> Ask:
        """The asking half of a stage that puts files away, with an eye on what it asks for."""

        async def asked(message: Message[ImageFound | ImageAccepted], *sections: Any) -> Any:
            person = message.data.celebrity_id
            self._asking[person] += 1
            try:
                for _ in range(TRIES):
                    answer = await ask(message, *sections)
                    name = _put_away(answer)
                    if name is None or await self._is_safe(name, message):
                        break
                return answer
            finally:
                self._asking[person] -= 1
                if not self._asking[person]:
                    del self._asking[person]

        return asked

    async def left(self, celebrity_id: str) -> int:
        """What is asked for and not answered, and files of answers that lie there nameless. Raises Unavailable."""
        found = [name for name, people in self._made.items() if celebrity_id in people]
        lying = set(await asyncio.to_thread(lambda: [name for name in found if self._files.find(*name)]))
        nameless = lying - await self._people.named(lying) if lying else lying
        return self._asking[celebrity_id] + len(nameless)

    async def erase(self, files: Sequence[FileName]) -> None:
        """Remove files, but for those that were put away for somebody whose documents are yet to name them.

        Raises Unavailable where the disk does not let them go, or the store does not answer.
        """
        async with self._erasing:
            gone = [name for name in files if not await self._is_awaited(name)]
            if gone:
                await self._eraser.erase(gone)

    async def _is_safe(self, name: FileName, message: Message[ImageFound | ImageAccepted]) -> bool:
        """Whether a file that was put away is there, now that nobody removes it any more."""
        # Where the bytes were there before, somebody may have removed them since.
        async with self._erasing:
            people = self._made.pop(name, {})
            while len(self._made) >= MOST:
                del self._made[next(iter(self._made))]
            self._made[name] = people | {message.data.celebrity_id: moment_of(message)}
            return self._files.find(*name) is not None

    async def _is_awaited(self, name: FileName) -> bool:
        area, sha256 = name
        # Whoever has the cleaned copy may be looking at its thumbnail.
        name = ("clean", sha256) if area == "thumbnail" else name
        made = self._made.get(name)
        if not made:
            return False
        naming, graves = await self._people.naming(name), await self._people.tombstones(list(made))
        waiting = ((moment, graves.get(person)) for person, moment in made.items() if person not in naming)
        return any(grave is None or moment.outlives(grave) for moment, grave in waiting)


def _put_away(answer: Any) -> FileName | None:
    if isinstance(answer, Fetched):
        return "original", answer.image_id
    if isinstance(answer, Examination) and answer.sha256 is not None:
        return "clean", answer.sha256
    return None

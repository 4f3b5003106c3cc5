"""Removes the files of pictures that nothing names: those of a fetch that a crash cut off before its event was sent.

Asked again, a server may send other bytes; then no event will ever name the first ones. A file goes when it is old,
no document names it, everything that was under way is through, still no document does, and nobody has put the same
bytes away since.

Nothing goes from a folder that the documents of another database are about too: only they could tell. Each database is
noted in the folder as soon as it answers, which is before any file of a first start is old.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final

from aiokafka.errors import KafkaError
from mode import Service

from agents.errors import Unavailable
from app.observe import metrics
from app.pictures.files import PictureFiles, Stored
from app.storage.parts import FileName

log = logging.getLogger(__name__)

MOST: Final = 2000
"""Files looked at in one go."""
SURELY: Final = 500
"""So many files without a name may come of crashes. More than these, and more than have one, are a sign that the
documents are not those of the files: then nothing is removed."""
BREATH_SECONDS: Final = 5.0
ROUNDS: Final = 4
"""Looks in the time after which a file is old."""


class Sweeper(Service):  # type: ignore[misc]
    """Looks at each file once it is `after` seconds old, every file of the folder after a start."""

    def __init__(
        self,
        files: PictureFiles,
        named: Callable[[Collection[FileName]], Awaitable[set[FileName]]],
        passed: Callable[[], Awaitable[bool]],
        after: float,
        identity: Callable[[], Awaitable[str]],
        clock: Callable[[], float] = time.time,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._files = files
        self._named = named
        self._passed = passed
        self._after = after
        self._identity = identity
        self._clock = clock
        self._seen: Stored | None = None
        self._whole = 0
        self._others: set[str] = set()

    @Service.task  # type: ignore[untyped-decorator]
    async def _watch(self) -> None:
        while not self.should_stop:
            more = False
            try:
                if not self._after:
                    await self._is_shared()
                    return
                more = await self.sweep()
            except (Unavailable, KafkaError, OSError, TimeoutError) as error:
                log.info("pictures: orphan files are looked for later: %s", error)
            except Exception:
                log.exception("pictures: orphan files could not be looked for, trying again")
            await self.sleep(BREATH_SECONDS if more else max(1.0, self._after / ROUNDS))

    async def _is_shared(self) -> bool:
        """Note the own database in the folder; whether others are noted there."""
        own = await self._identity()
        await asyncio.to_thread(self._files.mark, own)
        others = await asyncio.to_thread(self._files.owners) - {own}
        if others - self._others and self._after:
            log.warning(
                "pictures: another Marquee keeps its pictures in %s too, so no orphan is removed there: give each its "
                "own [storage] images; if that one is gone, remove %s",
                self._files.root,
                " and ".join(f"owners/{name}" for name in sorted(others)),
            )
        self._others = others
        return bool(others)

    async def sweep(self) -> bool:
        """Look at the next files that are old enough; whether there may be more. Raises Unavailable, KafkaError."""
        if await self._is_shared():
            return False
        before = round((self._clock() - self._after) * 1e9)
        found = await asyncio.to_thread(self._files.put_between, self._seen, before, MOST)
        if not found:
            return False
        suspects = await self._nameless(found)
        if suspects:
            if not await self._passed():
                log.info("pictures: %d files wait for what is under way before they are orphans", len(suspects))
                return False
            suspects = await self._nameless(suspects)
        self._whole += len(found) - len(suspects)
        if len(suspects) > max(SURELY, self._whole):
            log.warning(
                "pictures: no document names %d of the files in %s, which is too many to be left over from crashes, so "
                "they stay: is this the right folder, and is [mongo] url the right database?",
                len(suspects),
                self._files.root,
            )
        else:
            await asyncio.to_thread(self._remove, suspects)
        self._seen = found[-1]
        return len(found) == MOST

    async def _nameless(self, files: list[Stored]) -> list[Stored]:
        named = await self._named({(each.area, each.sha256) for each in files})
        return [each for each in files if (each.area, each.sha256) not in named]

    def _remove(self, orphans: list[Stored]) -> None:
        for orphan in orphans:
            if self._files.remove_old(orphan):
                metrics.ORPHANS.labels(orphan.area).inc()
                log.info("pictures: %s is removed: nothing names it", orphan.relative)

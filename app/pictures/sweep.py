"""Removes the files of pictures that nothing names: those of a fetch that a crash cut off before its event was sent.

Asked again, a server may send other bytes; then no event will ever name the first ones. A file goes when it is old,
no document names it, everything that was under way is through, still no document does, and nobody has put the same
bytes away since. Once anybody is forgotten, files from before this start need not be old: whose they were, nobody knows
any more where the documents were made again without the person, or what was under way was cut off by a kill.

Nothing goes from a folder that the documents of another database are about too: only they could tell. Each database is
noted in the folder as soon as it answers, which is before any file of a first start is old.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
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
LOOK_SECONDS: Final = 2.0
STUCK_SECONDS: Final = 300.0
LINGER_SECONDS: Final = 5.0
"""So long after a worker was killed, what decodes for it may still put a file away."""


@dataclass
class _Pass:
    """How far the files of a folder are looked through."""

    seen: Stored | None = None
    whole: int = 0
    """Files that stay as they should."""
    doubtful: int = 0
    """Files without a name that stay because they are too many."""


class Sweeper(Service):  # type: ignore[misc]
    """Looks at each file once it is `after` seconds old, every file of the folder after a start.

    Once `forgotten` names anybody, it looks through all files that were there when it began, however young.
    """

    def __init__(
        self,
        files: PictureFiles,
        named: Callable[[Collection[FileName]], Awaitable[set[FileName]]],
        passed: Callable[[], Awaitable[bool]],
        after: float,
        identity: Callable[[], Awaitable[str]],
        forgotten: Callable[[], Awaitable[object | None]],
        clock: Callable[[], float] = time.time,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._files = files
        self._named = named
        self._passed = passed
        self._after = after
        self._identity = identity
        self._forgotten = forgotten
        self._clock = clock
        self._others: set[str] = set()
        self._old = _Pass()
        self._earlier = _Pass()
        self._began = clock() + LINGER_SECONDS
        self.through = False
        """Whether all files from before this start are named by somebody or gone."""

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
        if others - self._others:
            log.warning(
                "pictures: another Marquee keeps its pictures in %s too, so no orphan is removed there and no "
                "forgetting proved: give each its own [storage] images; if that one is gone, remove %s",
                self._files.root,
                " and ".join(f"owners/{name}" for name in sorted(others)),
            )
        self._others = others
        return bool(others)

    @Service.task  # type: ignore[untyped-decorator]
    async def _watch_forgotten(self) -> None:
        while not (self.through or self.should_stop):
            try:
                await self.sweep_earlier()
            except (Unavailable, KafkaError, OSError, TimeoutError) as error:
                log.info("pictures: files from before this start are looked through later: %s", error)
            except Exception:
                log.exception("pictures: files from before this start could not be looked through, trying again")
            await self.sleep(STUCK_SECONDS if self._earlier.doubtful else LOOK_SECONDS)

    async def sweep(self) -> bool:
        """Look at the next files that are old enough; whether there may be more. Raises Unavailable, KafkaError."""
        if await self._is_shared():
            return False
        return bool(await self._look(self._old, round((self._clock() - self._after) * 1e9)))

    async def sweep_earlier(self) -> None:
        """Look through all files from before this start, once anybody is forgotten. Raises Unavailable, KafkaError."""
        if self.through or self._clock() < self._began or await self._forgotten() is None:
            return
        if await self._is_shared():
            return
        if self._earlier.doubtful:
            self._earlier = _Pass()
        while more := await self._look(self._earlier, round(self._began * 1e9)):
            pass
        self.through = more is not None and not self._earlier.doubtful

    async def _look(self, done: _Pass, before: int) -> bool | None:
        """Look at the next files that were put away before a moment, in ns since 1970; whether there may be more.

        None where some of them wait for what is under way, so that they are to be looked at again.
        """
        found = await asyncio.to_thread(self._files.put_between, done.seen, before, MOST)
        if not found:
            return False
        suspects = await self._nameless(found)
        if suspects:
            if not await self._passed():
                log.info("pictures: %d files wait for what is under way before they are orphans", len(suspects))
                return None
            suspects = await self._nameless(suspects)
        done.whole += len(found) - len(suspects)
        if len(suspects) > max(SURELY, done.whole):
            done.doubtful += len(suspects)
            log.warning(
                "pictures: no document names %d of the files in %s, which is too many to be left over from crashes, so "
                "they stay: is this the right folder, and is [mongo] url the right database?",
                len(suspects),
                self._files.root,
            )
        else:
            await asyncio.to_thread(self._remove, suspects)
        done.seen = found[-1]
        return len(found) == MOST

    async def _nameless(self, files: list[Stored]) -> list[Stored]:
        named = await self._named({(each.area, each.sha256) for each in files})
        return [each for each in files if (each.area, each.sha256) not in named]

    def _remove(self, orphans: list[Stored]) -> None:
        for orphan in orphans:
            if self._files.remove_old(orphan):
                metrics.ORPHANS.labels(orphan.area).inc()
                log.info("pictures: %s is removed: nothing names it", orphan.relative)

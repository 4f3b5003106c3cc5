"""Asks the outside world for a whole batch at once: a stage waits for the slowest answer, not for the sum."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from agents.errors import MustStopError, Unavailable
from app.delivery.guard import Misplaced, Reader
from app.delivery.raw import Raw
from schemas.base import Rejected

log = logging.getLogger(__name__)

ASK_SECONDS: Final = 240.0
"""For one answer with all that a port tries; a port has shorter time-outs of its own."""


class Asker:
    """The asking half of a REACH stage. An answer is whatever the port says; a port's exception is an answer too."""

    def __init__(
        self,
        ask: Callable[..., Awaitable[Any]],
        reader: Reader,
        pause: Callable[[Exception, int], Awaitable[None]],
        attempts: int,
    ) -> None:
        self._ask = ask
        self._reader = reader
        self._pause = pause
        self._attempts = attempts

    async def answers(self, todo: Sequence[Raw], sections: dict[int, tuple[Any, ...]]) -> list[Any]:
        """One answer a record, in order; None for records that cannot be read, which are refused where they are run."""
        tasks = [asyncio.ensure_future(self._answer(raw, sections[raw.partition])) for raw in todo]
        try:
            return await asyncio.gather(*tasks)
        finally:
            # What stops one of them stops the batch.
            for task in tasks:
                task.cancel()

    async def _answer(self, raw: Raw, sections: tuple[Any, ...]) -> Any:
        try:
            message = self._reader.read(raw)
        except (Rejected, Misplaced):
            return None
        attempt = 1
        while True:
            try:
                # Not `wait_for`, which makes a task of its own for each picture.
                async with asyncio.timeout(ASK_SECONDS):
                    return await self._ask(message, *sections)
            except (MustStopError, Rejected):
                raise
            except Exception as error:
                # Waiting mends what is unavailable; another fault is tried as often as any event's.
                if not isinstance(error, Unavailable) and attempt >= self._attempts:
                    return error
                await self._pause(error, attempt)
            attempt += 1

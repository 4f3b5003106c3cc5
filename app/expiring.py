"""Sees to it that nothing is stored for longer than its source allows."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from mode import Service

from agents.errors import Unavailable
from agents.messages import rfc3339
from app.delivery.outset import first_event
from app.delivery.producer import Outgoing, Sender
from app.observe import metrics
from app.storage.documents import IMAGES
from app.storage.expiry import Expiry
from app.storage.picture_expiry import Erase, PictureExpiry
from schemas.base import Record
from schemas.catalogue import encode
from schemas.ids import derived_id

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 5.0


class ExpiryService(Service):  # type: ignore[misc]
    """Sweeps every so often, on the one worker for which `owner` says so; another may do it as well without harm."""

    def __init__(
        self,
        expiry: Expiry,
        pictures: PictureExpiry,
        sink: Sender,
        erase: Erase,
        every: float,
        owner: Callable[[], bool],
        now: Callable[[], float] = time.time,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._expiry = expiry
        self._pictures = pictures
        self._sink = sink
        self._erase = erase
        self._every = every
        self._owner = owner
        self._now = now

    @Service.task  # type: ignore[untyped-decorator]
    async def _keep(self) -> None:
        while not self.should_stop:
            pause = LOOK_SECONDS
            try:
                if self._owner():
                    await self.sweep()
                    pause = self._every
            except Unavailable as error:
                log.warning("what may no longer be stored is removed once MongoDB answers: %s", error)
            except Exception:
                # Whatever it is, it must neither stop the worker nor end the sweeping.
                log.exception("what may no longer be stored could not be removed, trying again")
            await self.sleep(pause)

    async def sweep(self) -> dict[str, int]:
        """Remove what is over by the clock; how many documents, by collection. Raises Unavailable."""
        at = rfc3339(int(self._now() * 1000))
        gone = await self._expiry.sweep(at, self._tell)
        gone[IMAGES] = await self._pictures.sweep(at, self._tell, self._erase)
        for name, count in gone.items():
            metrics.EXPIRED.labels(name).inc(count)
        if any(gone.values()):
            told = ", ".join(f"{count} {name}" for name, count in gone.items() if count)
            log.info("removed, since their sources do not let them be stored any longer: %s", told)
        return gone

    async def _tell(self, words: Sequence[Record]) -> None:
        await self._sink.send([self._outgoing(word) for word in words])

    def _outgoing(self, word: Record) -> Outgoing:
        return first_event(word, derived_id(encode(word).decode(), "expired"), self._now())

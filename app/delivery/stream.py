"""A Faust stream that hands over whatever is waiting, and acknowledges it when the work is done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial

from faust.streams import Stream

from app.delivery.raw import Raw
from app.delivery.stretch import Stretch

BUSY_BATCH = 8
"""A batch this large says that events come faster than one at a time; then waiting a little makes larger ones."""


class Batch:
    """Stretches of one stream in the order of their delivery, to be settled when their effects are durable.

    `done` is set by whoever has seen to that before the next batch; `handed_on` by whoever calls `settle` later.
    """

    __slots__ = ("done", "handed_on", "records", "settle")

    def __init__(self, stretches: list[Stretch], settle: Callable[[list[Stretch], bool], None]) -> None:
        self.records: list[Raw] = [record for stretch in stretches for record in stretch.records]
        self.settle = partial(settle, stretches)
        self.done = False
        self.handed_on = False

    def parts(self, size: int) -> list[list[Raw]]:
        """The records in pieces of up to `size`; a stretch may hold more than a stage takes at once."""
        return [self.records[start : start + size] for start in range(0, len(self.records), size)]


class BatchStream(Stream):  # type: ignore[misc]
    """Adds `take_ready`; the rest of Faust's stream stays as it is."""

    async def take_ready(self, size: int, linger: float, busy_from: int = BUSY_BATCH) -> AsyncIterator[Batch]:
        """Batches of up to `size` waiting events, waiting `linger` seconds for more while traffic is dense.

        Traffic is dense where the last batch had at least `busy_from` events; with 0 every batch is waited for. A
        stretch stays in one piece, so a single one may be larger.

        A batch that is left with `done` set is acknowledged, one that was handed on when its `settle` is called. One
        that is left with neither is forgotten unacknowledged, which is right only while stopping or losing the
        partition: the events are read again by the next owner.
        """
        self._finalized = True
        started = await self.maybe_start()
        last = 0
        try:
            while not self.should_stop:
                batch = Batch(await self._gather(size, linger if last >= busy_from else 0.0), self._settle)
                last = len(batch.records)
                if last:
                    try:
                        yield batch
                    finally:
                        if not batch.handed_on:
                            batch.settle(batch.done)
        except StopAsyncIteration:
            return
        finally:
            self._channel_stop_iteration(self.channel)
            if started:
                await self.stop()
                self.service_reset()

    async def _gather(self, size: int, linger: float) -> list[Stretch]:
        first = await self.channel.__anext__()
        if linger and len(first.records) + self._queued() < size:
            await asyncio.sleep(linger)
        return self._waiting(first, size)

    def _queued(self) -> int:
        return sum(len(stretch.records) for stretch in self.channel.queue._queue)

    def _waiting(self, first: Stretch, size: int) -> list[Stretch]:
        app = self.app
        queue = self.channel.queue
        queued = queue._queue
        generation = app.consumer_generation_id
        active = app.flow_control.is_active()
        found: list[Stretch] = []
        count = 0
        stretch = first
        while True:
            # What was delivered before a rebalance is read again after it; taking it now would be out of order.
            if active and stretch.generation == generation:
                app.consumer.begin(stretch)
                found.append(stretch)
                count += len(stretch.records)
            if not queued or count + len(queued[0].records) > size:
                return found
            stretch = queue.get_nowait()

    def _settle(self, stretches: list[Stretch], done: bool) -> None:
        for stretch in stretches:
            self.app.consumer.finish(stretch, done)
            self.events_total += len(stretch.records)

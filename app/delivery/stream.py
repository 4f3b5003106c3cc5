"""A Faust stream that hands over whatever is waiting, and acknowledges it when the work is done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from faust.events import Event
from faust.streams import Stream

BUSY_BATCH = 8
"""A batch this large says that events come faster than one at a time; then waiting a little makes larger ones."""


class Batch:
    """Events of one stream in offset order; `done` is set by the stage once every effect is durable."""

    __slots__ = ("done", "events")

    def __init__(self, events: list[Event]) -> None:
        self.events = events
        self.done = False


class BatchStream(Stream):  # type: ignore[misc]
    """Adds `take_ready`; the rest of Faust's stream stays as it is."""

    async def take_ready(self, size: int, linger: float, busy_from: int = BUSY_BATCH) -> AsyncIterator[Batch]:
        """Batches of up to `size` waiting events, waiting `linger` seconds for more while traffic is dense.

        Traffic is dense where the last batch had at least `busy_from` events; with 0 every batch is waited for.

        A batch that is left with `done` set is acknowledged. One that is left without is forgotten unacknowledged,
        which is right only while stopping or losing the partition: the events are read again by the next owner.
        """
        self._finalized = True
        started = await self.maybe_start()
        last = 0
        try:
            while not self.should_stop:
                batch = Batch(await self._gather(size, linger if last >= busy_from else 0.0))
                last = len(batch.events)
                if batch.events:
                    try:
                        yield batch
                    finally:
                        self._settle(batch)
        except StopAsyncIteration:
            return
        finally:
            self._channel_stop_iteration(self.channel)
            if started:
                await self.stop()
                self.service_reset()

    async def _gather(self, size: int, linger: float) -> list[Event]:
        first = await self.channel.__anext__()
        if linger and self.channel.queue.qsize() < size:
            await asyncio.sleep(linger)
        return self._waiting(first, size)

    def _waiting(self, first: Event, size: int) -> list[Event]:
        app = self.app
        begin = app.consumer.begin
        queue = self.channel.queue
        generation = app.consumer_generation_id
        active = app.flow_control.is_active()
        events: list[Event] = []
        event: Any = first
        while True:
            message = event.message
            # What was delivered before a rebalance is read again after it; taking it now would be out of order.
            if active and message.generation_id == generation:
                begin(message)
                events.append(event)
            if len(events) >= size or queue.empty():
                return events
            event = queue.get_nowait()

    def _settle(self, batch: Batch) -> None:
        consumer = self.app.consumer
        for event in batch.events:
            if batch.done:
                event.ack()
            consumer.finish(event.message)
        self.events_total += len(batch.events)

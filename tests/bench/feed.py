"""A steady feed of ratings and the predictions that come back, matched by where each rating stands in the log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer, TopicPartition

from app.delivery.fetching import RawConsumer
from app.delivery.producer import Outgoing
from schemas.events import RatingPredicted
from schemas.ids import position_id

RATE = 200.0


class Cause(msgspec.Struct):
    """The part of a prediction that says what it answers."""

    cause_id: str


@dataclass
class Feed:
    """Sends ratings at a steady rate; `sent` and `seen` hold clock readings by the id of the rating."""

    bootstrap: str
    records: Iterator[Outgoing]
    partitions: int
    sent: dict[str, float] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)
    repeats: int = 0
    asked: int = 0
    _new: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def open(self) -> Any:
        """Connected for as long as the block lasts."""
        self._producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, acks="all")
        # The clock reads when a prediction came: stalls of the reader would count against whoever is measured.
        self._consumer = RawConsumer(
            bootstrap_servers=self.bootstrap, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        await self._producer.start()
        await self._consumer.start()
        self._consumer.assign([TopicPartition(RatingPredicted.topic, n) for n in range(self.partitions)])
        reading = asyncio.create_task(self._read())
        try:
            yield self
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            await self._consumer.stop()
            await self._producer.stop()

    async def _read(self) -> None:
        decode = msgspec.json.Decoder(Cause).decode
        while True:
            found = await self._consumer.getmany(timeout_ms=500)
            now = time.perf_counter()
            for records in found.values():
                for record in records:
                    cause = decode(record.value).cause_id
                    self.repeats += cause in self.seen
                    self.seen.setdefault(cause, now)
            self._new.set()

    async def one(self) -> None:
        """Send the next rating."""
        record = next(self.records)
        self.asked += 1
        now = time.perf_counter()
        future = await self._producer.send(record.topic, record.value, record.key)
        future.add_done_callback(lambda done: self._note(done.result(), now))

    def _note(self, place: Any, now: float) -> None:
        self.sent[position_id(place.topic, place.partition, place.offset)] = now

    async def steadily(self, seconds: float) -> None:
        """Send at `RATE` for so long; what falls behind is sent at once, and its delay counts."""
        started = time.perf_counter()
        for n in range(int(seconds * RATE)):
            pause = started + n / RATE - time.perf_counter()
            if pause > 0:
                await asyncio.sleep(pause)
            await self.one()

    async def answered(self, timeout: float, since: float = 0.0) -> float:
        """When the first prediction after `since` came. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            while True:
                later = [at for at in self.seen.values() if at > since]
                if later:
                    return min(later)
                self._new.clear()
                await self._new.wait()

    async def settled(self, timeout: float) -> bool:
        """Whether every rating sent got its prediction in time."""
        give_up = time.perf_counter() + timeout
        # The last ones may not even have been acknowledged yet.
        while len(self.sent) < self.asked or not self.sent.keys() <= self.seen.keys():
            if time.perf_counter() > give_up:
                return False
            await asyncio.sleep(0.1)
        return True

"""The way out of a rebuild: what the archive has is passed over, the rest is put on the broker and handed on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from aiokafka import AIOKafkaProducer

from app.delivery.producer import Outgoing, partition_of
from app.delivery.raw import Raw
from app.embedded.known import Known
from app.embedded.lane import Lane
from schemas.catalogue import SOURCE_TOPICS
from schemas.events import DeadLettered

HandOn = Callable[[str, Sequence[Raw]], Awaitable[None]]


class Outlet:
    """Where stages send their events while they are run again.

    `now` is the time that new records get; the caller sets it to that of the records in hand, so that the same
    archive gives the same topics.
    """

    def __init__(
        self,
        producer: AIOKafkaProducer,
        counts: Mapping[str, int],
        ends: Mapping[tuple[str, int], int],
        known: Known,
        hand_on: HandOn,
        restored: Callable[[], Awaitable[None]],
    ) -> None:
        self.now = 0
        self.made = 0
        """Records that were put on the broker."""
        self.forwarded: list[tuple[int, Outgoing]] = []
        """Misplaced source records with the partition that they belong in."""
        self._counts, self._known, self._hand_on, self._restored = counts, known, hand_on, restored
        self._lanes = {
            # Models and decisions are made again side by side, and both may have dead letters.
            (topic, n): Lane(producer, topic, n, ends.get((topic, n), 0), alone=topic != DeadLettered.topic)
            for topic, count in counts.items()
            for n in range(count)
        }
        self._archived = {topic for topic, _ in ends}

    async def send(self, records: Iterable[Outgoing]) -> None:
        """Put records on the broker that the archive has not, and hand them to the stages that read them."""
        new: dict[str, list[Raw]] = {}
        for record in records:
            count = self._counts[record.topic]
            partition = 0 if count == 1 else partition_of(record.key, count)
            if record.topic in SOURCE_TOPICS:
                self.forwarded.append((partition, record))
            elif not self._known.has(record):
                raw = self._raw(record, partition, self._lanes[record.topic, partition].end)
                await self._put(raw)
                new.setdefault(record.topic, []).append(raw)
        for topic, raws in new.items():
            await self._hand_on(topic, raws)

    async def put(self, record: Outgoing) -> None:
        """Put one record on the broker, whatever is known of it, for the worker to read."""
        count = self._counts[record.topic]
        partition = 0 if count == 1 else partition_of(record.key, count)
        await self._put(self._raw(record, partition, 0))

    async def flush(self) -> None:
        """Return once everything is on the broker."""
        for lane in self._lanes.values():
            await lane.flush()
        for lane in self._lanes.values():
            await lane.arrived()

    def _raw(self, record: Outgoing, partition: int, offset: int) -> Raw:
        return Raw(record.topic, partition, offset, self.now, record.key, record.value, record.headers)

    async def _put(self, raw: Raw) -> None:
        if raw.topic in self._archived:
            await self._restored()
        self.made += 1
        await self._lanes[raw.topic, raw.partition].add(raw.timestamp, raw.key, raw.value, raw.headers)

"""Tables recovered without holes, which Faust leaves where one rebalance meets another.

Faust applies any changelog row above the last one that it saw. Rows that a rebalance dropped on their way (cleared
queues, a read position written after the partition was given up) are then missing for ever, while the mark of the
source, which comes last, says that everything is there. Here rows are applied only in unbroken order; what is left is
read again from the log before the stages start.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, Final

import faust
import rocksdict
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.types import TP

from agents.errors import MustStopError
from app.delivery.contiguity import KafkaLogReader
from app.delivery.transport import bootstrap_servers

log = logging.getLogger(__name__)

STRETCH: Final = 20_000
"""Rows held in memory while they are read again."""


class Plain(Recovery):  # type: ignore[misc]
    """Faust's recovery, which says in words what to do about a changelog that is shorter than the table made of it."""

    logger = logging.getLogger("faust.tables.recovery")

    async def _build_offsets(self, consumer: Any, tps: set[TP], destination: Any, title: str) -> None:
        """Where reading begins, by partition. Raises MustStopError for changelogs that were deleted or cut."""
        await super()._build_offsets(consumer, tps, destination, title)
        ends = self.active_highwaters
        for tp in sorted(tps) if title == "active" else ():
            if destination[tp] and destination[tp] > ends[tp]:
                told = (
                    f"{tp.topic}-{tp.partition} ends at {ends[tp] + 1}, before what is here of it, which ends at "
                    f"{destination[tp] + 1}: it was deleted or cut in Kafka. Stop the workers, remove "
                    f"{self.app.conf.tabledir} of each, and start them: tables are then made again from their "
                    "changelogs, and where those are gone from all that their source topics still have"
                )
                log.error(told)
                raise MustStopError(told)


class PlainTables(TableManager):  # type: ignore[misc]
    """Faust's tables with that recovery."""

    logger = logging.getLogger("faust.tables.manager")
    _recovery: Plain | None

    @property
    def recovery(self) -> Plain:
        """The recovery of all tables."""
        if self._recovery is None:
            self._recovery = Plain(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery


class WholeRecovery(faust.Table):  # type: ignore[misc]
    """A table in RocksDB whose persisted offset says that every row up to there is applied."""

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        """Apply the rows that follow on what is applied; the others are left for `on_recovery_completed`."""
        super().apply_changelog_batch(self._following(batch))

    def _following(self, batch: Iterable[Any]) -> list[Any]:
        applied: dict[int, int] = {}
        found = []
        for event in batch:
            partition, offset = event.message.partition, event.message.offset
            # Rows that arrive late may be of a partition that is another worker's by now.
            if partition not in self.data._dbs:
                continue
            if offset == applied.setdefault(partition, self.applied(partition)) + 1:
                found.append(event)
                applied[partition] = offset
        return found

    def applied(self, partition: int) -> int:
        """The changelog offset up to which every row is in RocksDB; -1 where there is none."""
        offset = self.data._db_for_partition(partition).get(self.data.offset_key)
        return -1 if offset is None else int(offset)

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Read what is still missing; the worker stops where that fails."""
        generation = self.app.consumer_generation_id
        try:
            for tp in active_tps:
                await self._complete(tp, generation)
        except Exception as error:
            # Faust does not look at what comes of this call.
            log.exception("%s: the table cannot be recovered, this worker stops", self.name)
            await self.app.crash(error)
            return
        await super().on_recovery_completed(active_tps, standby_tps)

    async def _complete(self, tp: TP, generation: int) -> None:
        end = self.app.tables.recovery.active_highwaters.get(tp, -1) + 1
        reader = KafkaLogReader(bootstrap_servers(self.app))
        while self._still_ours(tp, generation) and (start := self.applied(tp.partition) + 1) < end:
            stop = min(end, start + STRETCH)
            rows = await reader.read(tp.topic, tp.partition, start, stop)
            # While they were read, the partition may have gone, or come back with newer rows.
            if self._still_ours(tp, generation) and self.applied(tp.partition) + 1 == start:
                log.warning("%s: recovery left out %d rows from %s on, read again", self.name, len(rows), start)
                self._put(tp.partition, ((row.key or b"", row.value) for row in rows), stop - 1)

    def _still_ours(self, tp: TP, generation: int) -> bool:
        return tp.partition in self.data._dbs and self.app.consumer_generation_id == generation

    def _put(self, partition: int, rows: Iterable[tuple[bytes, bytes | None]], offset: int) -> None:
        """Write rows together with the changelog offset that they reach."""
        batch = rocksdict.WriteBatch(raw_mode=True)
        for key, value in rows:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.put(self.data.offset_key, str(offset).encode())
        self.data._db_for_partition(partition).write(batch)

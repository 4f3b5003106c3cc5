"""Runs one stage on batches of raw records: effects first, then events, then state with its mark, then the ack."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from agents.errors import MustStopError, Unavailable
from agents.messages import Message
from app.delivery.commit import Made
from app.delivery.guard import Misplaced, Reader, dead_letter, forwarded, outgoing
from app.delivery.membership import Abandoned, Membership
from app.delivery.moved import Arrivals
from app.delivery.producer import Outgoing, Sender
from app.delivery.raw import LogReader, Raw
from app.delivery.reach import Asker
from app.delivery.rewritten import End, Rewritten, unknown, verdict
from app.delivery.table import PartitionRows, Rows, Section
from app.observe import metrics
from app.observe.traces import Tracer
from app.topology import Kind, Stage
from schemas.base import Record, Rejected

log = logging.getLogger(__name__)

BACKOFF_SECONDS: Final = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)


class StageTable(Protocol):
    """A table as the runner uses it."""

    def rows(self, partition: int, uncommitted: Sequence[Rows] = ()) -> PartitionRows:
        """A fresh view of one partition, over rows that will be in the table soon."""

    async def write(self, partition: int, rows: Rows) -> None:
        """Make the rows of one partition durable."""


class StageWorker:
    """One stage with its table, its readers and its way out.

    Raises MustStopError from `process` where going on would lose events; Abandoned when told to stop meanwhile.
    """

    def __init__(
        self,
        stage: Stage,
        table: StageTable,
        looked_up: Sequence[StageTable],
        sender: Sender,
        log_reader: LogReader,
        reader: Reader,
        attempts: int,
        stopping: Callable[[], bool],
        tracer: Tracer | None = None,
        membership: Membership | None = None,
        end: End = unknown,
    ) -> None:
        if stage.run is None or stage.table is None:
            raise ValueError(f"stage {stage.name} has nothing to run here")
        self.stage = stage
        self._run: Any = stage.run
        self._sections = stage.table.sections
        self._table = table
        self._looked_up = tuple(zip(looked_up, (spec.sections for spec in stage.looks_up), strict=True))
        self._sender = sender
        self._log_reader = log_reader
        self._reader = reader
        self._attempts = attempts
        self._stopping = stopping
        self._tracer = tracer
        self._membership = membership or Membership()
        self._rewritten = Rewritten(end)
        self._asker = Asker(stage.ask, reader, self._pause, attempts) if stage.ask is not None else None

    async def process(self, batch: Sequence[Raw]) -> None:
        """Apply a batch; when this returns, every effect of it is durable."""
        made = await self.work(batch)
        await self.send(made)
        await self.write(made)

    async def work(self, batch: Sequence[Raw], uncommitted: Callable[[int], Sequence[Rows]] = lambda _: ()) -> Made:
        """What a batch makes, over what earlier ones made that is not in the table yet."""
        await self._membership.sure(self._stopping)
        started = time.perf_counter()
        partitions = {raw.partition for raw in batch}
        rows = {partition: self._table.rows(partition, uncommitted(partition)) for partition in partitions}
        todo, again = await self._contiguous(batch, rows)
        letters = await self._misread(again, rows) if again else []
        if not todo:
            return Made(letters)
        work = [raw for raw in todo if not raw.is_filler]
        out = await self._keep(work) if self.stage.kind is Kind.KEEP else await self._decide(work, rows)
        self._mark(todo, rows)
        metrics.STAGE_SECONDS.labels(self.stage.name).observe(time.perf_counter() - started)
        return Made(letters + out, {partition: view.batch for partition, view in rows.items()}, len(todo))

    async def send(self, made: Made) -> None:
        """Make the events durable that were made. Raises Abandoned where the partitions may be another's by now."""
        await self._membership.sure(self._stopping)
        if made.out:
            await self._sender.send(made.out)

    async def write(self, made: Made) -> None:
        """Make the rows durable; after the events, so that the marks never say more than is true.

        Raises Abandoned where the partitions may be another's by now, whose newer rows these would lie behind.
        """
        await self._membership.sure(self._stopping)
        await asyncio.gather(*(self._table.write(partition, rows) for partition, rows in made.rows.items()))
        metrics.EVENTS.labels(self.stage.name).inc(made.events)

    async def _contiguous(self, batch: Sequence[Raw], rows: dict[int, PartitionRows]) -> tuple[list[Raw], list[Raw]]:
        """The batch without what was applied before, and with what delivery left out; what was applied before."""
        applied: dict[int, int] = {}
        todo: list[Raw] = []
        again: list[Raw] = []
        topic = batch[0].topic
        for raw in batch:
            last = applied.get(raw.partition)
            if last is None:
                mark = rows[raw.partition].mark(topic)
                last = mark if mark is not None else await self._before_first(raw)
            if raw.offset <= last and self._is_open(raw, rows):
                todo.append(raw)
                continue
            if raw.offset <= last:
                metrics.DUPLICATES.labels(self.stage.name).inc()
                again.append(raw)
                applied[raw.partition] = last
                continue
            if raw.offset > last + 1 and not 0 <= raw.nothing_from <= last + 1:
                todo += await self._missed(raw, last + 1)
            todo.append(raw)
            applied[raw.partition] = raw.offset
        return todo, again

    async def _misread(self, again: Sequence[Raw], rows: dict[int, PartitionRows]) -> list[Outgoing]:
        """Dead letters of what only seems to have been applied before."""
        marks = {
            partition: -1 if (mark := own.mark(again[0].topic)) is None else mark for partition, own in rows.items()
        }
        others = await self._rewritten.among(again, marks)
        return [self._give_up(raw, "rejected", verdict(raw), 1) for raw in others if not raw.is_filler]

    async def _before_first(self, raw: Raw) -> int:
        """The last offset that nobody has to apply, for a stage that has applied none of a partition."""
        return -1 if raw.offset == 0 else await self._log_reader.beginning(raw.topic, raw.partition) - 1

    def _is_open(self, raw: Raw, rows: dict[int, PartitionRows]) -> bool:
        """Whether it was passed over when everything was made again, since the world had not answered."""
        return self._asker is not None and raw.offset in rows[raw.partition].left_open(raw.topic)

    def _mark(self, todo: Sequence[Raw], rows: dict[int, PartitionRows]) -> None:
        for partition, last in {raw.partition: raw for raw in todo}.items():
            own, end = rows[partition], last.offset
            if self._asker is not None and (opened := own.left_open(last.topic)):
                own.leave_open(last.topic, opened - {raw.offset for raw in todo if raw.partition == partition})
                end = max(end, own.mark(last.topic) or 0)
            own.set_mark(last.topic, end)

    async def _missed(self, raw: Raw, start: int) -> Sequence[Raw]:
        missed = await self._log_reader.read(raw.topic, raw.partition, start, raw.offset)
        if missed:
            metrics.GAP_EVENTS.labels(self.stage.name).inc(len(missed))
            log.warning(
                "%s: delivery skipped %d events of %s-%d before offset %d; read again and applied in order",
                self.stage.name,
                len(missed),
                raw.topic,
                raw.partition,
                raw.offset,
            )
        return missed

    async def _decide(self, todo: Sequence[Raw], rows: dict[int, PartitionRows]) -> list[Outgoing]:
        arrivals = Arrivals(rows)
        todo = [raw for raw in todo if self._first(raw, rows, arrivals)]
        sections = {partition: self._views(partition, own) for partition, own in rows.items()}
        if self._asker is None:
            handed = [sections[raw.partition] for raw in todo]
        else:
            answers = await self._asker.answers(todo, sections)
            handed = [(answer, *sections[raw.partition]) for raw, answer in zip(todo, answers, strict=True)]
        out: list[Outgoing] = []
        for raw, given in zip(todo, handed, strict=True):
            out += await self._one(raw, rows[raw.partition], given)
        arrivals.save()
        return out

    def _first(self, raw: Raw, rows: dict[int, PartitionRows], arrivals: Arrivals) -> bool:
        """Whether it is no repeat of a record that was sent on."""
        again = arrivals.again(raw) and not self._is_open(raw, rows)
        if again:
            metrics.DUPLICATES.labels(self.stage.name).inc()
        return not again

    def _views(self, partition: int, own: PartitionRows) -> tuple[Section[Any], ...]:
        views = [Section(own, prefix, entity) for prefix, entity in self._sections.items()]
        for table, sections in self._looked_up:
            other = table.rows(partition)
            views += [Section(other, prefix, entity) for prefix, entity in sections.items()]
        return tuple(views)

    async def _one(self, raw: Raw, own: PartitionRows, given: tuple[Any, ...]) -> list[Outgoing]:
        """The events that one record makes; a dead letter where it cannot be read or handled."""
        attempt = 1
        while True:
            try:
                started = time.time_ns() if self._tracer is not None else 0
                message = self._reader.read(raw)
                made = [record async for record in self._run(message, *given)]
                out = [outgoing(record, self.stage.name, message, n) for n, record in enumerate(made)]
                own.save()
                if self._tracer is not None:
                    self._tracer.handled(self.stage.name, bool(self.stage.emits), message, started)
                return out
            except Misplaced as misplaced:
                metrics.REROUTED.labels(self.stage.name).inc()
                return [forwarded(raw, misplaced.key)]
            except Rejected as error:
                own.undo()
                return [self._give_up(raw, "rejected", error, attempt)]
            except MustStopError:
                raise
            except Unavailable as error:
                own.undo()
                await self._pause(error, attempt)
            except Exception as error:
                own.undo()
                # What is pure fails the same way every time; what was asked for has been tried as often already.
                if self.stage.kind is Kind.DECIDE or self._asker is not None or attempt >= self._attempts:
                    return [self._give_up(raw, "failed", error, attempt)]
                await self._pause(error, attempt)
            attempt += 1

    async def _keep(self, todo: Sequence[Raw]) -> list[Outgoing]:
        messages: list[Message[Record]] = []
        letters: list[Outgoing] = []
        origins: list[Raw] = []
        for raw in todo:
            try:
                messages.append(self._reader.read(raw))
                origins.append(raw)
            except Rejected as error:
                letters.append(self._give_up(raw, "rejected", error, 1))
        return letters + await self._keep_all(messages, origins)

    async def _keep_all(self, messages: list[Message[Record]], origins: list[Raw]) -> list[Outgoing]:
        """Write a batch; where it fails for another reason than the store's absence, find the culprit by halves."""
        if not messages:
            return []
        attempt = 1
        while True:
            # Not below, where what is raised is taken for a fault of the records.
            await self._membership.sure(self._stopping)
            try:
                started = time.time_ns()
                await self._run(messages)
                for message in messages if self._tracer else ():
                    assert self._tracer is not None
                    self._tracer.handled(self.stage.name, False, message, started)
                return []
            except MustStopError:
                raise
            except Unavailable as error:
                await self._pause(error, attempt)
            except Exception as error:
                if len(messages) > 1:
                    half = len(messages) // 2
                    first = await self._keep_all(messages[:half], origins[:half])
                    return first + await self._keep_all(messages[half:], origins[half:])
                if attempt >= self._attempts:
                    return [self._give_up(origins[0], "failed", error, attempt)]
                await self._pause(error, attempt)
            attempt += 1

    def _give_up(self, raw: Raw, reason: str, error: Exception, attempts: int) -> Outgoing:
        metrics.DEAD_LETTERS.labels(self.stage.name, reason).inc()
        metrics.ERRORS.labels(self.stage.name, type(error).__name__).inc()
        log.warning("%s: %s becomes a dead letter: %s", self.stage.name, raw.position, error)
        return dead_letter(raw, self.stage.name, reason, error, attempts)

    async def _pause(self, error: Exception, attempt: int) -> None:
        metrics.RETRIES.labels(self.stage.name).inc()
        metrics.ERRORS.labels(self.stage.name, type(error).__name__).inc()
        if attempt in {1, 5, 20} or attempt % 100 == 0:
            log.warning("%s: try %d failed, trying again: %r", self.stage.name, attempt, error)
        if self._stopping():
            raise Abandoned
        await asyncio.sleep(BACKOFF_SECONDS[min(attempt, len(BACKOFF_SECONDS)) - 1])
        if self._stopping():
            raise Abandoned

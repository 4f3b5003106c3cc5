"""Turns the rows of the topology into Faust agents and tables."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

import faust
from faust.types import TP

from app.delivery.commit import REST_SECONDS, GroupCommit
from app.delivery.contiguity import KafkaLogReader
from app.delivery.guard import Reader
from app.delivery.membership import Abandoned
from app.delivery.producer import Fenced, Producer
from app.delivery.stage_worker import StageWorker
from app.delivery.stream import BUSY_BATCH
from app.delivery.table import ROCKSDB_OPTIONS, BatchTable, Rows
from app.delivery.topics import partitions
from app.delivery.transport import end_of
from app.observe.traces import make_tracer
from app.settings import Settings
from app.topology import Kind, Stage, TableSpec, Topology
from schemas.base import Layout

log = logging.getLogger(__name__)

_GOLDEN: Final = (5**0.5 - 1) / 2
"""Multiples of it, without their whole parts, lie as far apart as any: however many there are."""


class SpecTable:
    """A Faust table under the sections of its spec, with the producer that its changelog goes through."""

    def __init__(self, spec: TableSpec, table: BatchTable, changelogs: Fenced) -> None:
        self.spec = spec
        self.table = table
        self.rows = table.rows
        self._changelogs = changelogs

    async def write(self, partition: int, rows: Rows) -> None:
        """Make the rows of one partition durable."""
        await self.table.write(self._changelogs, partition, rows)


def make_tables(app: faust.App, topology: Topology, changelogs: Producer, settings: Settings) -> dict[str, SpecTable]:
    """The table of each stage that keeps state, cut like the topic that the stage reads."""
    return {
        name: SpecTable(
            spec,
            app.Table(
                name,
                key_type=bytes,
                value_type=bytes,
                partitions=1 if layout is Layout.SINGLE else settings.topics.partitions,
                # Faust's store takes its driver out of the mapping it is given.
                options=dict(ROCKSDB_OPTIONS),
                extra_topic_configs={"min.cleanable.dirty.ratio": "0.2", "segment.ms": "3600000"},
            ),
            Fenced(changelogs),
        )
        for name, (spec, layout) in topology.tables.items()
    }


def make_agents(
    app: faust.App, topology: Topology, tables: dict[str, SpecTable], producer: Producer, settings: Settings
) -> None:
    """One agent a stage, named like it; what LEARNs is run by a service instead (`app.learning`)."""
    counts = partitions(settings)
    tracer = make_tracer(f"{settings.worker.app}/{settings.worker.id}")
    log_reader = KafkaLogReader(settings.servers)
    app.patience = settings.delivery.patience
    app.patient_topics = read_by_none_but(topology, lambda stage: stage.patient)
    app.quiet_topics = read_by_none_but(topology, lambda stage: stage.patient or stage.aside)
    waits = lingers(topology, settings)
    for stage in topology.stages:
        if stage.kind is Kind.LEARN or stage.table is None:
            continue
        worker = StageWorker(
            stage,
            table=tables[stage.table.name],
            looked_up=[tables[spec.name] for spec in stage.looks_up],
            sender=Fenced(producer),
            log_reader=log_reader,
            reader=Reader(
                stage.reads, counts[stage.topic], settings.delivery.max_value, placed=bool(stage.table.sections)
            ),
            attempts=settings.delivery.attempts,
            stopping=lambda: bool(app.should_stop or app.consumer.suspend_flow.is_set()),
            tracer=tracer,
            membership=app.membership,
            end=lambda topic, partition: end_of(app.consumer, TP(topic, partition)),
        )
        topic = app.topic(stage.topic, key_type=bytes, value_type=bytes, partitions=counts[stage.topic])
        app.agent(topic, name=stage.name, concurrency=1)(_body(app, stage, worker, waits[stage.name]))


def read_by_none_but(topology: Topology, those: Callable[[Stage], bool]) -> frozenset[str]:
    """The topics that no other stage reads; learners are none of these, for they have consumers of their own."""
    others = {stage.topic for stage in topology.stages if stage.run is not None and not those(stage)}
    return frozenset(stage.topic for stage in topology.stages) - others


def lingers(topology: Topology, settings: Settings) -> dict[str, tuple[float, int]]:
    """Seconds that each stage waits for more, and the size of batch from which on.

    One look brings what all patient stages have to do: each waits for another share of the patience, neighbours for
    shares that lie far apart, so that what others wait for gets its turn between any two of them.
    """
    delivery = settings.delivery
    patient = [stage.name for stage in topology.stages if stage.patient]
    shares = {name: (n * _GOLDEN) % 1.0 for n, name in enumerate(patient)}
    waits = {name: (share * delivery.patience, 0) for name, share in shares.items()}
    # A film that is rated for the first time passes several stages aside: one by one, it would cost each of them and
    # the broker as much as a full batch, which those that others wait for have to wait for as well.
    waits |= {stage.name: (delivery.patience / 2, 0) for stage in topology.stages if stage.aside}
    return {stage.name: waits.get(stage.name, (delivery.linger, BUSY_BATCH)) for stage in topology.stages}


def _body(
    app: faust.App, stage: Stage, worker: StageWorker, waiting: tuple[float, int]
) -> Callable[[Any], Awaitable[None]]:
    async def failed(error: Exception) -> None:
        # Raising would only restart the agent; what reaches this point means that going on loses events.
        log.error("%s: this worker stops", stage.name, exc_info=error)
        await app.crash(error)

    committing = GroupCommit(worker.send, worker.write, failed, rest=REST_SECONDS)

    async def run(stream: Any) -> None:
        async for batch in stream.take_ready(stage.batch, *waiting):
            try:
                await committing.begin_anew()
                *parts, last = batch.parts(stage.batch)
                if stage.kind is Kind.KEEP:
                    for part in (*parts, last):
                        await worker.process(part)
                    batch.done = True
                else:
                    for part in parts:
                        await committing.put(await worker.work(part, committing.uncommitted), _nobody_waits)
                    made = await worker.work(last, committing.uncommitted)
                    batch.handed_on = True
                    await committing.put(made, batch.settle)
            except Abandoned:
                log.info("%s: %d events left to whoever owns their partition next", stage.name, len(batch.records))
            except Exception as error:
                await failed(error)

    run.__name__ = run.__qualname__ = stage.name
    run.__doc__ = purpose(stage)
    return run


def purpose(stage: Stage) -> str | None:
    """What `faust agents` says of a stage: the words of its function, since a partial would tell of itself."""
    return inspect.getdoc(getattr(stage.run, "func", stage.run))


def _nobody_waits(done: bool) -> None:
    """The end of the batch settles all of it."""

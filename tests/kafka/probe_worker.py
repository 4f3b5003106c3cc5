"""A worker that counts ticks, as stock Faust or as Marquee runs it; started by the tests of starts and rebalances."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, MutableMapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import faust
import msgspec
from faust.transport.consumer import Consumer

import schemas.catalogue
from agents.messages import Message
from schemas.base import Entity, Record
from schemas.events import DeadLettered


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """What one start is to be like."""

    app: str
    id: str
    servers: str
    partitions: int
    status: str
    data: str
    stock: bool = False
    pause: float = 0.002
    keep_pause: float = 0.0
    seek_delay: float = 0.0
    buffer: int = 4096
    poll: int = 500
    proxy: int | None = None

    @property
    def source(self) -> str:
        """The topic that is counted."""
        return f"{self.app}-ticks"

    @property
    def sink(self) -> str:
        """Where counts go."""
        return f"{self.app}-tocks"


class Tick(Record, frozen=True, kw_only=True):
    """Something to count."""

    topic: ClassVar[str] = "ticks"
    key_field: ClassVar[str] = "name"

    name: str


class Tock(Record, frozen=True, kw_only=True):
    """The how-manieth of its name a tick was."""

    topic: ClassVar[str] = "tocks"
    key_field: ClassVar[str] = "name"

    name: str
    partition: int
    offset: int
    count: int


class Count(Entity):
    """How many ticks of a name there were."""

    count: int = 0


def name_topics(probe: Probe) -> None:
    """Give the records of this start topics of their own, and the catalogue nothing else."""
    Tick.topic, Tock.topic = probe.source, probe.sink
    schemas.catalogue.RECORDS = (Tick, Tock, DeadLettered)  # type: ignore[misc]


def main(probe: Probe) -> None:
    """Run until told to stop."""
    if probe.seek_delay:
        _delay_seeks(probe.seek_delay)
    if probe.proxy:
        _dial(int(probe.servers.rpartition(":")[2]), probe.proxy)
    app = _stock(probe) if probe.stock else _marquee(probe)
    faust.Worker(app, loglevel="INFO").execute_from_commandline()


def _delay_seeks(seconds: float) -> None:
    seek = Consumer.perform_seek

    async def slowly(self: Any) -> None:
        await asyncio.sleep(seconds)
        await seek(self)

    Consumer.perform_seek = slowly


def _dial(port: int, proxy: int) -> None:
    """Connections to the broker go through the proxy, whatever address the broker gives itself."""
    connect = asyncio.BaseEventLoop.create_connection

    async def dial(self: Any, factory: Any, host: Any = None, to: Any = None, **kwargs: Any) -> Any:
        return await connect(self, factory, host, proxy if to == port else to, **kwargs)

    asyncio.BaseEventLoop.create_connection = dial  # type: ignore[method-assign, assignment]


def _report(app: faust.App, probe: Probe, status: Callable[[], dict[str, Any]]) -> None:
    @app.task  # type: ignore[untyped-decorator]
    async def report() -> None:
        path = Path(probe.status)
        while not app.should_stop:
            fresh = path.with_suffix(".new")
            fresh.write_text(json.dumps(status()))
            fresh.replace(path)
            await asyncio.sleep(0.1)


def _stock(probe: Probe) -> faust.App:
    app = faust.App(
        probe.app,
        broker=f"kafka://{probe.servers}",
        store="memory://",
        datadir=probe.data,
        stream_buffer_maxsize=probe.buffer,
        broker_max_poll_records=probe.poll,
        topic_partitions=probe.partitions,
        topic_replication_factor=1,
        table_standby_replicas=0,
        topic_disable_leader=True,
        web_enabled=False,
        worker_redirect_stdouts=False,
    )
    app.Table("count", key_type=bytes, value_type=bytes, partitions=probe.partitions)
    topic = app.topic(probe.source, key_type=bytes, value_type=bytes, partitions=probe.partitions)
    processed: list[tuple[int, int]] = []

    @app.agent(topic)  # type: ignore[untyped-decorator]
    async def count(stream: Any) -> None:
        async for event in stream.events():
            await asyncio.sleep(probe.pause)
            processed.append((event.message.partition, event.message.offset))

    _report(app, probe, lambda: {"processed": processed})
    return app


def _marquee(probe: Probe) -> faust.App:
    name_topics(probe)
    from app.delivery.producer import Producer
    from app.delivery.topics import declare, partitions, wait_for_kafka
    from app.delivery.transport import assert_supported
    from app.faust_app import make_faust_app
    from app.observe import metrics
    from app.runner import make_agents, make_tables
    from app.settings import load
    from app.topology import Kind, Stage, TableSpec, Topology

    async def count(message: Message[Tick], counts: MutableMapping[str, Count]) -> AsyncIterator[Record]:
        await asyncio.sleep(probe.pause)
        name = message.data.name
        row = Count(count=counts.get(name, Count()).count + 1)
        counts[name] = row
        yield Tock(name=name, partition=message.partition, offset=message.offset, count=row.count)

    kept = Path(probe.status).with_suffix(".kept").open("a")

    async def keep(messages: Sequence[Message[Tick]]) -> None:
        await asyncio.sleep(probe.keep_pause)
        kept.write("".join(f"{message.partition} {message.offset}\n" for message in messages))
        kept.flush()

    topology = Topology(
        (
            Stage("count", (Tick,), Kind.DECIDE, count, (Tock,), TableSpec("count", {"": Count}), batch=100),
            Stage("keep", (Tick,), Kind.KEEP, keep, table=TableSpec("keep", {}), batch=100),
        )
    )
    assert_supported()
    settings = load()
    producer = Producer(settings.servers, partitions(settings))

    class Parts:
        pressed = False

        async def prepare(self) -> None:
            await wait_for_kafka(settings, asyncio.Event())
            await declare(settings)
            await producer.start()

        def give_up(self) -> None:
            producer.give_up()

        async def close(self) -> None:
            await producer.stop()

    app = make_faust_app(settings, Parts())
    app.conf.stream_buffer_maxsize = probe.buffer
    app.conf.broker_max_poll_records = probe.poll
    tables = make_tables(app, topology, producer, settings)
    make_agents(app, topology, tables, producer, settings)

    def status() -> dict[str, Any]:
        ready = app.consumer.gate_open and not app.rebalancing and not app.in_recovery
        owned = {tp.partition for tp in app.assignor.assigned_actives() if tp.topic == probe.source} if ready else ()
        return {
            "ready": ready,
            "gaps": sum(metrics.GAP_EVENTS.labels(stage.name)._value.get() for stage in topology.stages),
            "duplicates": sum(metrics.DUPLICATES.labels(stage.name)._value.get() for stage in topology.stages),
            "marks": {
                stage.name: {p: tables[stage.name].rows(p).mark(probe.source) for p in owned}
                for stage in topology.stages
            },
            "rows": {p: _rows(tables["count"].table.database(p)) for p in owned},
        }

    _report(app, probe, status)
    return app


def _rows(database: Any) -> dict[str, int]:
    return {key.decode(): json.loads(value)["count"] for key, value in database.items() if key.startswith(b"name-")}


if __name__ == "__main__":
    main(msgspec.json.decode(sys.argv[1], type=Probe))

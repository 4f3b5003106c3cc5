"""Sets up starts and rebalances of probe workers on a broker, and reads what they left behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from app.delivery.producer import Outgoing, Producer, partition_of
from app.delivery.table import MARK_PREFIX
from app.delivery.transport import true_ends
from app.embedded.ports import LOOPBACK
from app.embedded.process import Child
from tests.kafka.probe_worker import Probe

ROOT: Final = Path(__file__).parents[2]
PATIENCE: Final = 120.0
"""Seconds until a start counts as hung; a loaded machine takes long."""
NAMES: Final = tuple(f"name-{n}" for n in range(40))


class Place(NamedTuple):
    """Where a record stands."""

    partition: int
    offset: int


async def wait_for(
    condition: Callable[[], Any], what: Callable[[], str], *workers: ProbeWorker, patience: float = PATIENCE
) -> None:
    """Return once `condition` holds. Raises AssertionError saying what was missing, at once where a worker ended."""
    give_up = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < give_up, what()
        assert all(worker.runs for worker in workers), f"a worker ended; {what()}"
        await asyncio.sleep(0.05)


class ProbeWorker:
    """One probe worker process, which may be killed and started again."""

    def __init__(self, probe: Probe, directory: Path) -> None:
        self.probe = probe
        address = {
            "MARQUEE_BROKER__URL": f"kafka://{probe.servers}",
            "MARQUEE_BROKER__SESSION_TIMEOUT": "6",
            "MARQUEE_TOPICS__PARTITIONS": str(probe.partitions),
            "MARQUEE_WORKER__APP": probe.app,
            "MARQUEE_WORKER__ID": probe.id,
            "MARQUEE_WORKER__LOG": "human",
            "MARQUEE_STORAGE__DATA": probe.data,
        }
        command = [sys.executable, "-m", "tests.kafka.probe_worker", msgspec.json.encode(probe).decode()]
        env = {**os.environ, **address, "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"}
        self._child = Child(f"{probe.app}-{probe.id}", command, directory, env=env, stop_seconds=30.0)

    def start(self) -> None:
        """Start the process."""
        Path(self.probe.status).unlink(missing_ok=True)
        (Path(self.probe.data) / "workers" / self.probe.id).mkdir(parents=True, exist_ok=True)
        self._child.start()

    @property
    def runs(self) -> bool:
        """Whether the process is there."""
        return self._child.running

    @property
    def status(self) -> dict[str, Any]:
        """What the worker says of itself; empty while it does not run."""
        return self.last if self.runs else {}

    @property
    def last(self) -> dict[str, Any]:
        """What the worker said last in this life; empty before it said anything."""
        path = Path(self.probe.status)
        return json.loads(path.read_text()) if path.exists() else {}  # type: ignore[no-any-return]

    @property
    def marks(self) -> dict[int, int | None]:
        """The last counted offset of each partition that it owns."""
        return {int(partition): mark for partition, mark in self.status.get("marks", {}).get("count", {}).items()}

    @property
    def applied(self) -> int:
        """Events of the partitions that it owns that its count table holds."""
        return sum(mark + 1 for mark in self.marks.values() if mark is not None)

    @property
    def kept(self) -> Counter[Place]:
        """What the KEEP stage wrote, over all lives of this worker."""
        path = Path(self.probe.status).with_suffix(".kept")
        lines = path.read_text().splitlines() if path.exists() else []
        return Counter(Place(*map(int, line.split())) for line in lines)

    async def stop(self) -> None:
        """End as a deployment would."""
        self._child.signal(signal.SIGTERM)
        await self._child.stop()

    async def kill(self) -> None:
        """End as a crash would."""
        await self._child.kill()

    def log(self) -> str:
        """The end of what it logged."""
        return self._child.log_file.read_text(errors="replace")[-4000:]


class Lab:
    """One application id with its topics on one broker."""

    def __init__(self, bootstrap: str, directory: Path, app: str, partitions: int) -> None:
        self.bootstrap = bootstrap
        self.directory = directory
        self.app = app
        self.partitions = partitions
        self.produced: list[tuple[Place, str]] = []
        self._ends: Counter[int] = Counter()
        self.source, self.sink = f"{app}-ticks", f"{app}-tocks"
        self.changelog = f"{app}-count-changelog"

    async def prepare(self, rows: int) -> None:
        """Make the topics, and fill the changelog with rows that nobody asks for."""
        compacted = {"cleanup.policy": "compact"}
        topics = [NewTopic(name, self.partitions, 1) for name in (self.source, self.sink)]
        changelogs = (self.changelog, f"{self.app}-keep-changelog")
        topics += [NewTopic(name, self.partitions, 1, topic_configs=compacted) for name in changelogs]
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            await admin.create_topics(topics)
        finally:
            await admin.close()
        await self.put_rows(self.changelog, ((f"pad-{n}", b'{"count":0}') for n in range(rows)))

    async def put_rows(self, changelog: str, rows: Iterable[tuple[str, bytes]]) -> None:
        """Put rows on every partition of a changelog."""
        found = [(key.encode(), value) for key, value in rows]
        async with self._producer() as producer:
            for partition in range(self.partitions):
                await producer.send_to(changelog, partition, found)

    async def tick(self, count: int) -> None:
        """Send ticks, names in turn."""
        start = len(self.produced)
        sent: list[Outgoing] = []
        for n in range(start, start + count):
            name = NAMES[n % len(NAMES)]
            partition = partition_of(name.encode(), self.partitions)
            self.produced.append((Place(partition, self._ends[partition]), name))
            self._ends[partition] += 1
            sent.append(Outgoing(self.source, name.encode(), json.dumps({"name": name}).encode(), []))
        async with self._producer() as producer:
            await producer.send(sent)

    async def commit(self, offset: int) -> None:
        """Set the group's offsets, as an earlier life would have left them."""
        targets = [TopicPartition(self.source, partition) for partition in range(self.partitions)]
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, group_id=self.app, enable_auto_commit=False)
        await consumer.start()
        try:
            consumer.assign(targets)
            await consumer.commit(dict.fromkeys(targets, offset))
        finally:
            await consumer.stop()

    async def mark(self, offset: int) -> None:
        """Set the marks of both stages in their changelogs, as an earlier life would have left them."""
        row = (f"{MARK_PREFIX}{self.source}", str(offset).encode())
        for changelog in (self.changelog, f"{self.app}-keep-changelog"):
            await self.put_rows(changelog, [row])

    def worker(self, id: str = "w1", **options: Any) -> ProbeWorker:  # noqa: A002  as in the settings
        """A worker of this application, not started."""
        probe = Probe(
            app=self.app,
            id=id,
            servers=self.bootstrap,
            partitions=self.partitions,
            status=str(self.directory / f"{self.app}-{id}.json"),
            data=str(self.directory / f"{self.app}-{id}"),
            **options,
        )
        return ProbeWorker(probe, self.directory)

    @property
    def places(self) -> set[Place]:
        """Where every tick stands."""
        return {place for place, _ in self.produced}

    @property
    def ends(self) -> dict[int, int]:
        """Where each partition of the source ends."""
        return dict(self._ends)

    @property
    def totals(self) -> Counter[str]:
        """How many ticks of each name there are."""
        return Counter(name for _, name in self.produced)

    async def records(self, topic: str) -> list[Any]:
        """Everything that stands on a topic, in the order of each partition."""
        targets = [TopicPartition(topic, partition) for partition in range(self.partitions)]
        found: list[Any] = []
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            consumer.assign(targets)
            hints = await consumer.end_offsets(targets)
            ends = await true_ends([self.bootstrap], {tp: end for tp, end in hints.items() if end})
            for tp, end in ends.items():
                while await consumer.position(tp) < end:
                    found += (await consumer.getmany(tp, timeout_ms=200)).get(tp, [])
        finally:
            await consumer.stop()
        return found

    async def stored(self) -> tuple[dict[str, int], dict[int, int]]:
        """What a worker that recovers from the changelog alone would know: counts by name, marks by partition."""
        counts: dict[str, int] = {}
        marks: dict[int, int] = {}
        for record in await self.records(self.changelog):
            key = record.key.decode()
            if key.startswith(MARK_PREFIX):
                marks[record.partition] = int(record.value)
            elif key in NAMES:
                counts[key] = json.loads(record.value)["count"]
        return counts, marks

    async def tocks(self) -> Mapping[Place, set[tuple[str, int]]]:
        """What the count stage emitted for each tick; more than one value would be a contradiction."""
        found: dict[Place, set[tuple[str, int]]] = {}
        for record in await self.records(self.sink):
            tock = json.loads(record.value)
            place = Place(tock["partition"], tock["offset"])
            found.setdefault(place, set()).add((tock["name"], tock["count"]))
        return found

    @asynccontextmanager
    async def _producer(self) -> AsyncIterator[Producer]:
        producer = Producer([self.bootstrap], dict.fromkeys((self.source, self.sink), self.partitions))
        await producer.start()
        try:
            yield producer
        finally:
            await producer.stop()


@asynccontextmanager
async def running(*workers: ProbeWorker) -> AsyncIterator[None]:
    """Kill whatever of these still runs at the end; show their logs where the test failed."""
    try:
        yield
    except BaseException:
        for worker in workers:
            print(f"--- {worker.probe.app} {worker.probe.id}\n{worker.log()}")  # noqa: T201
        raise
    finally:
        for worker in workers:
            await worker.kill()


@asynccontextmanager
async def far_away(port: int, seconds: float) -> AsyncIterator[int]:
    """The port of a proxy behind which a loopback port is `seconds` away, each way."""
    tasks: set[asyncio.Task[None]] = set()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        arriving: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def deliver() -> None:
            data = b"-"
            while data:
                due, data = await arriving.get()
                await asyncio.sleep(max(0.0, due - loop.time()))
                writer.write(data)
            writer.close()

        task = asyncio.create_task(deliver())
        data = b"-"
        while data:
            try:
                data = await reader.read(1 << 18)
            except OSError:
                data = b""
            arriving.put_nowait((loop.time() + seconds, data))
        await task

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(LOOPBACK, port)
        for pair in ((reader, back), (there, writer)):
            task = asyncio.create_task(carry(*pair))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, LOOPBACK, 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

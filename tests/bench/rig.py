"""Broker and database for the measurements: a real Apache Kafka where Java is there, else the embedded broker."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from app.embedded.broker import Broker
from app.embedded.mongo import Mongo
from app.embedded.ports import LOOPBACK, PortBook, free_port
from app.embedded.servers import start_server
from tests.bench.processes import Measured, cpu_seconds
from tests.kafka_server import VERSION, KafkaMissingError, KafkaServer


class Rig:
    """One broker and one database for a whole run; every measurement begins with no topics and a new database."""

    def __init__(self, directory: Path, embedded: bool = False) -> None:
        self.directory = directory
        self._embedded = embedded
        self.note = f"broker: Apache Kafka {VERSION}, one node; MongoDB: nx-27017, as in embedded mode"
        self._kafka: KafkaServer | None = None
        self._tansu: Broker | None = None
        self._mongo: Mongo | None = None
        self._runs = 0
        self._web_port = free_port()

    async def __aenter__(self) -> Self:
        if self._embedded:
            self.note = "broker: the embedded one; MongoDB: nx-27017"
        else:
            await self._start_kafka()
        ports = PortBook(self.directory / "ports.json")
        self._mongo = await start_server(Mongo, self.directory / "mongo", ports, Mongo.name)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._kafka is not None:
            await self._kafka.stop()
        for server in (self._mongo, self._tansu):
            if server is not None:
                await server.child.stop()

    async def _start_kafka(self) -> None:
        try:
            self._kafka = KafkaServer(self.directory / "kafka")
            await self._kafka.start()
        except KafkaMissingError as missing:
            self.note = f"NO APACHE KAFKA ({missing}): measured on the embedded broker instead; MongoDB: nx-27017"

    @property
    def is_kafka(self) -> bool:
        """Whether the broker is a real Apache Kafka."""
        return self._kafka is not None

    @property
    def bootstrap(self) -> str:
        """host:port of the broker."""
        server = self._kafka or self._tansu
        assert server is not None, "fresh() comes first"
        return server.bootstrap

    @property
    def name(self) -> str:
        """What this measurement calls its consumer group and database."""
        return f"bench{self._runs}"

    @property
    def web_url(self) -> str:
        """Where the worker of this measurement serves HTTP."""
        return f"http://{LOOPBACK}:{self._web_port}"

    async def fresh(self) -> Path:
        """Empty the broker; the folder of the next measurement."""
        self._runs += 1
        self._web_port = free_port()
        if self._kafka is not None:
            await _delete_topics(self.bootstrap)
        else:
            if self._tansu is not None:
                await self._tansu.child.stop()
            place = self.directory / "tansu"
            self._tansu = await start_server(Broker, place, PortBook(place / "ports.json"), Broker.name)
        directory = self.directory / f"run-{self._runs}"
        directory.mkdir()
        return directory

    async def create(self, topics: Mapping[str, int]) -> None:
        """Make topics with these numbers of partitions."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            answer = await admin.create_topics([NewTopic(name, count, 1) for name, count in topics.items()])
        finally:
            await admin.close()
        failed = [error for error in answer.topic_errors if error[1]]
        if failed:
            raise RuntimeError(f"topics were not made: {failed}")

    def server_cpu(self) -> tuple[float, ...]:
        """Processor seconds of the broker and of the database so far."""
        broker = self._kafka.pid if self._kafka else self._tansu.child.pid if self._tansu else None
        mongo = self._mongo.child.pid if self._mongo else None
        return tuple(cpu_seconds(pid) if pid else float("nan") for pid in (broker, mongo))

    def environ(self, directory: Path, partitions: int) -> dict[str, str]:
        """The settings of a worker of its own: new group, new tables, new database, no MLflow."""
        assert self._mongo is not None
        return {
            "MARQUEE_BROKER__URL": f"kafka://{self.bootstrap}",
            "MARQUEE_BROKER__EMBEDDED": "false" if self.is_kafka else "true",
            "MARQUEE_MONGO__URL": f"{self._mongo.url.rpartition('/')[0]}/{self.name}",
            "MARQUEE_MLFLOW__TRACKING_URI": "",
            "MARQUEE_STORAGE__DATA": str(directory / "data"),
            "MARQUEE_TOPICS__PARTITIONS": str(partitions),
            "MARQUEE_WORKER__APP": self.name,
            "MARQUEE_WEB__PORT": str(self._web_port),
        }

    def worker(self, directory: Path, partitions: int, profile: Path | None = None, **settings: str) -> Measured:
        """A real worker, as `faust -A app worker` starts it; under the sampler where `profile` names its output.

        Further settings are named as in `section__key`.
        """
        entry = ["-m", "faust"] if profile is None else ["-m", "tests.bench.sampled_worker", str(profile)]
        arguments = [*entry, "-A", "app", "worker", "-l", "info"]
        further = {f"MARQUEE_{key.upper()}": value for key, value in settings.items()}
        return Measured("worker", directory, arguments, self.environ(directory, partitions) | further)

    def peer(self, module: str, directory: Path, *arguments: str) -> Measured:
        """A process of `tests.bench.peers`, in a consumer group of its own, with a folder to write to."""
        place = str(directory / "state")
        command = ["-m", f"tests.bench.peers.{module}", self.bootstrap, self.name, place, *arguments]
        return Measured(module, directory, command)


@contextmanager
def scratch(keep: Path | None) -> Iterator[Path]:
    """The folder for everything that a run writes: `keep`, or one that goes with the run."""
    if keep is not None:
        keep.mkdir(parents=True)
        yield keep.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="marquee-bench-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


async def _delete_topics(bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        old = [topic for topic in await admin.list_topics() if not topic.startswith("__")]
        if old:
            await admin.delete_topics(old)
        # A topic can only be made again once the old one is gone from the metadata.
        while set(old) & set(await admin.list_topics()):  # noqa: ASYNC110  the broker tells nobody
            await asyncio.sleep(0.1)
    finally:
        with suppress(KafkaError):
            await admin.close()

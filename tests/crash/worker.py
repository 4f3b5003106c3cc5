"""A worker as it is run for real, in a process of its own, with a web server to ask and a log to read."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import aiohttp

from app.embedded.ports import LOOPBACK, free_port
from app.embedded.process import Child
from tests.crash.servers import Servers

ROOT: Final = Path(__file__).parents[2]
PATIENCE: Final = 180.0
"""Seconds until a test counts as hung; a loaded machine takes long."""
_ASKING: Final = aiohttp.ClientTimeout(total=10.0)


class WorkerProcess:
    """One `faust -A app worker`; `program` is what Python is to run instead of `faust`, with the same arguments."""

    def __init__(
        self,
        servers: Servers,
        app: str,
        name: str = "worker-1",
        partitions: int = 4,
        program: str = "faust",
        **settings: Any,
    ):
        self.name = name
        self.port = free_port()
        self.url = f"http://{LOOPBACK}:{self.port}"
        self.servers = servers
        self.app = app
        self.partitions = partitions
        self.data = servers.directory / f"{app}-data"
        empty = servers.directory / "marquee.toml"
        empty.touch()
        environ = {key: value for key, value in os.environ.items() if not key.startswith("MARQUEE_")}
        environ |= {
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "MARQUEE_CONFIG": str(empty),
            "MARQUEE_BROKER__URL": f"kafka://{servers.bootstrap}",
            "MARQUEE_BROKER__EMBEDDED": str(servers.embedded).lower(),
            "MARQUEE_MONGO__URL": servers.mongo,
            "MARQUEE_MLFLOW__TRACKING_URI": servers.mlflow,
            "MARQUEE_STORAGE__DATA": str(self.data),
            "MARQUEE_TOPICS__PARTITIONS": str(partitions),
            "MARQUEE_WORKER__APP": app,
            "MARQUEE_WORKER__ID": name,
            "MARQUEE_WORKER__LOG": "human",
            "MARQUEE_WEB__PORT": str(self.port),
        }
        self.environ = environ | {f"MARQUEE_{key.upper()}": str(value) for key, value in settings.items()}
        command = [sys.executable, "-m", program, "-A", "app", "worker", "-l", "info"]
        self._child = Child(f"{app}-{name}", command, servers.directory, env=self.environ, stop_seconds=60.0)

    def start(self) -> None:
        """Start the process."""
        self._child.start()

    async def kill9(self) -> None:
        """End as a crash would."""
        await self._child.kill()

    async def stop(self) -> int:
        """End as a deployment would; the exit status."""
        self._child.signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            return await self._child.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send the process a signal."""
        self._child.signal(number)

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._child.pid

    @property
    def runs(self) -> bool:
        """Whether the process is there."""
        return self._child.running

    def printed(self) -> str:
        """Everything that it has logged, over all its lives."""
        return self._child.log_file.read_text(errors="replace") if self._child.log_file.exists() else ""

    def recoveries(self) -> tuple[int, int]:
        """How often a model came back from a snapshot, and how often it was learnt from the start of its log."""
        said = self.printed()
        return len(re.findall(r"future-rating: snapshot at offset", said)), len(
            re.findall(r"future-rating: no snapshot", said)
        )

    async def get(self, path: str) -> tuple[int, Any, dict[str, str]]:
        """The status, JSON and headers that the web server answers with; (0, None, {}) where it does not."""
        try:
            async with aiohttp.ClientSession(timeout=_ASKING) as http, http.get(self.url + path) as answer:
                return answer.status, await answer.json(content_type=None), dict(answer.headers)
        except (aiohttp.ClientError, TimeoutError, OSError):
            return 0, None, {}

    async def ready(self, patience: float = PATIENCE) -> float:
        """Return once it is ready; how many seconds that took."""
        started = time.monotonic()
        async with asyncio.timeout(patience):
            while (await self.get("/readyz"))[0] != 200:
                assert self.runs, f"{self.name} ended:\n{self.printed()[-4000:]}"
                await asyncio.sleep(0.1)
        return time.monotonic() - started


async def marquee(worker: WorkerProcess, *arguments: str) -> Any:
    """What a `marquee` command prints as JSON, with the settings of a worker. Raises AssertionError where it fails."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "app", *arguments, "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=worker.environ,
        cwd=worker.servers.directory,
    )
    said, complaints = await process.communicate()
    assert process.returncode == 0, complaints.decode()
    return json.loads(said)


async def until(
    condition: Callable[[], Awaitable[Any]],
    what: str,
    *workers: WorkerProcess,
    patience: float = PATIENCE,
    every: float = 0.1,
) -> None:
    """Return once the awaited `condition` holds. Raises AssertionError, at once where one of the workers has ended."""
    give_up = time.monotonic() + patience
    while not await condition():
        assert time.monotonic() < give_up, f"after {patience:.0f} s still not: {what}"
        for worker in workers:
            assert worker.runs, f"{worker.name} ended while waiting for: {what}\n{worker.printed()[-6000:]}"
        await asyncio.sleep(every)

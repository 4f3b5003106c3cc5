"""Worker processes: started with an environment of their own, started again when they die, stopped in time."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from app.embedded.ports import PortBook, is_free, listens
from app.embedded.process import Child, EmbeddedError
from app.settings import Settings

log = logging.getLogger(__name__)

COMMAND: Final = (sys.executable, "-m", "faust", "-A", "app", "worker", "-l", "warn", "--without-web")
STOP_SECONDS: Final = 45.0
SHORT_LIFE: Final = 20.0
SHORT_LIVES: Final = 4
PAUSES: Final = (0.5, 1.0, 2.0, 5.0, 10.0)
TAIL_LINES: Final = 5
POLL_SECONDS: Final = 0.1


class WorkerGaveUpError(EmbeddedError):
    """A worker dies as soon as it is started; the text ends with its last words."""


def worker_names(settings: Settings, count: int) -> list[str]:
    """Stable names for the members of the consumer group: worker-1, worker-2, …"""
    if count == 1:
        return [settings.worker.id]
    stem = re.sub(r"-\d+$", "", settings.worker.id)
    return [f"{stem}-{n}" for n in range(1, count + 1)]


def pick_port(wanted: int | None, default: int, book: PortBook, name: str) -> int:
    """The wanted port, else the default one where it is free, else another. Raises EmbeddedError for a taken one."""
    if wanted:
        if not is_free(wanted):
            raise EmbeddedError(f"port {wanted} is taken: choose another with --web-port")
        return wanted
    if wanted is None and default and is_free(default):
        return default
    return book.port(name)


def worker_child(
    name: str, data_dir: Path, web_port: int, environment: Mapping[str, str], config: Path | None
) -> Child:
    """The process of one worker, with its log under the data directory."""
    env = process_environment(name, data_dir, environment, config) | {"MARQUEE_WEB__PORT": str(web_port)}
    return Child(name, COMMAND, data_dir.absolute(), env=env, stop_seconds=STOP_SECONDS)


def process_environment(
    name: str, data_dir: Path, environment: Mapping[str, str], config: Path | None
) -> dict[str, str]:
    """What a process that works under the name of a worker has in its environment."""
    env = {**os.environ, **environment}
    env |= {
        "MARQUEE_WORKER__ID": name,
        "MARQUEE_STORAGE__DATA": str(data_dir.absolute()),
        "PYTHONUNBUFFERED": "1",
    }
    if config is not None:
        env["MARQUEE_CONFIG"] = str(config.absolute())
    return env


class KeptUp:
    """One process that is started again whenever it ends by itself."""

    def __init__(
        self,
        child: Child,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.child = child
        self.restarts = 0
        self._sleep = sleep
        self._clock = clock

    async def run(self) -> None:
        """Until cancelled. Raises WorkerGaveUpError where it dies at once again and again."""
        short = 0
        while True:
            started = self._clock()
            self.child.start()
            status = await self.child.wait()
            short = short + 1 if self._clock() - started < SHORT_LIFE else 1
            if short >= SHORT_LIVES:
                raise WorkerGaveUpError(
                    f"{self.child.name} ended {short} times right after its start (status {status}). "
                    f"Log {self.child.log_file}: {tail(self.child.log_file)}"
                )
            log.warning("%s ended with status %s; starting it again", self.child.name, status)
            await self._sleep(PAUSES[min(short, len(PAUSES)) - 1])
            self.restarts += 1


def tail(path: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log, as one."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 16_384))
            found = file.read().decode(errors="replace").strip().splitlines()
    except OSError:
        return "it left no log"
    return " / ".join(line.strip() for line in found[-lines:]) or "it said nothing"


class Workers:
    """Several workers as one: started together, all of them watched, stopped together."""

    def __init__(self, children: Mapping[str, tuple[Child, int]]) -> None:
        self._kept = [KeptUp(child) for child, _ in children.values()]
        self._ports = [port for _, port in children.values()]
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start all of them."""
        self._tasks = [asyncio.create_task(kept.run()) for kept in self._kept]

    async def listening(self) -> None:
        """Return once each web server listens. Raises WorkerGaveUpError."""
        for port in self._ports:
            while not await listens(port):
                for task in self._tasks:
                    if task.done():
                        task.result()
                await asyncio.sleep(POLL_SECONDS)

    async def watch(self) -> None:
        """Wait for what cannot be mended: raises WorkerGaveUpError."""
        await asyncio.gather(*self._tasks)

    async def stop(self) -> None:
        """Ask each to stop, which is when it has let go of its partitions, and kill those that do not in time."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(kept.child.stop() for kept in self._kept))

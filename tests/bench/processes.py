"""Processes that are measured from outside: processor time and memory as the kernel counts them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from app.embedded.process import Child

ROOT = Path(__file__).parents[2]
_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Measured:
    """A Python module run as a process of its own, with its log under `directory`."""

    def __init__(
        self, name: str, directory: Path, arguments: Iterable[str], environ: Mapping[str, str] | None = None
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        arguments = list(arguments)
        self._sampled = "tests.bench.sampled_worker" in arguments
        environment = {key: value for key, value in os.environ.items() if not key.startswith("MARQUEE_")}
        environment |= {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **(environ or {})}
        # A shell enters the folder, so that no settings file of the caller's is read.
        enter = ["/bin/sh", "-c", 'cd "$0" && exec "$@"', str(directory)]
        self._child = Child(name, [*enter, sys.executable, *arguments], directory, env=environment, stop_seconds=60.0)

    async def __aenter__(self) -> Self:
        self._child.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._child.stop()

    @property
    def pid(self) -> int:
        """The process id. Raises RuntimeError with the log's last line where the process has ended."""
        pid = self._child.pid
        if pid is None:
            raise RuntimeError(f"{self._child.name} ended: {self._child.last_words()}")
        return pid

    @property
    def running(self) -> bool:
        """Whether it is there."""
        return self._child.running

    def toggle_samples(self) -> None:
        """Tell a sampled process that what counts begins or ends now; others are left alone."""
        if self._sampled:
            os.kill(self.pid, signal.SIGRTMIN)

    def start(self) -> None:
        """Start it, again after `kill9`."""
        self._child.start()

    async def stop(self) -> None:
        """End it in order."""
        await self._child.stop()

    async def kill9(self) -> None:
        """End it as a crash would."""
        await self._child.kill()

    def log(self) -> str:
        """Everything it has printed."""
        return self._child.log_file.read_text(errors="replace")


async def answer(peer: str, *arguments: str) -> Any:
    """What a process of `tests.bench.peers` prints as JSON when it ends. Raises RuntimeError."""
    command = (sys.executable, "-m", f"tests.bench.peers.{peer}", *arguments)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, cwd=ROOT)
    output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{peer} failed, see above")
    return json.loads(output)


@dataclass(frozen=True)
class Moment:
    """A reading of clock and processor time, in seconds: of a process, and of the servers beside it."""

    wall: float
    cpu: float
    counted: int
    servers: tuple[float, ...]

    @classmethod
    def now(cls, pid: int, counted: int = 0, servers: tuple[float, ...] = ()) -> Moment:
        """Of a process with its threads and children."""
        return cls(time.perf_counter(), cpu_seconds(pid), counted, servers)


def cpu_seconds(pid: int) -> float:
    """Processor time of a process and its children so far; NaN where the system does not show it."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return float("nan")
    return sum(map(int, fields[11:15])) / _TICK + sum(cpu_seconds(child) for child in _children(pid))


def resident_mb(pid: int, alone: bool = False) -> float:
    """Resident memory of a process, and of its children unless `alone`, in MB; NaN where the system hides it."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return float("nan")
    return pages * _PAGE / 1e6 + sum(resident_mb(child) for child in ([] if alone else _children(pid)))


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += map(int, task.read_text().split())
    return found

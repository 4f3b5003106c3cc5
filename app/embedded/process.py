"""One supervised child process: start, wait until it answers, stop, restart; it never outlives its parent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from app.embedded import leftovers

_TETHER: Final = str(Path(__file__).with_name("tether.py"))
_POLL_SECONDS: Final = 0.05
_LOG_BYTES: Final = 10 << 20


class EmbeddedError(Exception):
    """An embedded server cannot do its part; the text says which, why and where its log lies."""


class ChildEndedError(EmbeddedError):
    """The process ended by itself, for instance because its port was taken in the meantime."""


class NotReadyError(EmbeddedError):
    """The process runs but did not answer in time."""


class Child:
    """A child process with a log file and a pid file under `directory`.

    Start it from a thread that lives as long as the child should (the event loop's): on Linux the kernel
    ends the child together with the thread that started it.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        directory: Path,
        *,
        env: Mapping[str, str] | None = None,
        nice: int = 0,
        stop_seconds: float = 10.0,
    ) -> None:
        self.name = name
        self.command = tuple(command)
        self.log_file = directory / "logs" / f"{name}.log"
        self.pid_file = directory / "run" / f"{name}.pid"
        self._env = dict(env) if env is not None else None
        self._nice = nice
        self._stop_seconds = stop_seconds
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process is not None and self.running else None

    @property
    def running(self) -> bool:
        """Whether the process is there (it may not answer yet)."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process, ending first what an earlier run under this directory left of it."""
        if self.running:
            return
        leftovers.end_leftover(self.pid_file)
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        if self.log_file.exists() and self.log_file.stat().st_size > _LOG_BYTES:
            self.log_file.replace(self.log_file.with_suffix(".log.1"))
        tether = (sys.executable, "-I", "-S", _TETHER, str(os.getpid()), str(self._nice))
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [*tether, *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._env,
                # Ctrl-C in the terminal is for Marquee alone, which stops its servers last and in order.
                start_new_session=True,
            )
        leftovers.remember(self.pid_file, self._process.pid)

    async def wait_ready(self, answers: Callable[[], Awaitable[bool]], timeout: float) -> None:
        """Return when `answers` says yes. Raises ChildEndedError or NotReadyError."""
        give_up = time.monotonic() + timeout
        while not await answers():
            if not self.running:
                raise ChildEndedError(f"{self.name} ended at once: {self.last_words()} (log: {self.log_file})")
            if time.monotonic() > give_up:
                raise NotReadyError(f"{self.name} does not answer after {timeout:g} s (log: {self.log_file})")
            await asyncio.sleep(_POLL_SECONDS)

    async def wait(self) -> int:
        """The exit status, once the process has ended."""
        if self._process is None:
            raise RuntimeError(f"{self.name} has not been started")
        # Polled, so that the child belongs to no event loop: fixtures start it in one and stop it in another.
        while (status := self._process.poll()) is None:  # noqa: ASYNC110
            await asyncio.sleep(_POLL_SECONDS)
        return status

    async def stop(self) -> None:
        """Ask the process to end; kill it and its group where it does not in time."""
        if self.running:
            self.signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(self._stop_seconds):
                    await self.wait()
            except TimeoutError:
                await self.kill()
        self._process = None
        leftovers.forget(self.pid_file)

    async def kill(self) -> None:
        """End the process and its group with SIGKILL, as a crash would."""
        if self._process is not None and self.running:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self.wait()

    async def restart(self) -> None:
        """Stop and start again with the same command."""
        await self.stop()
        self.start()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process, if it runs."""
        if self._process is not None and self.running:
            self._process.send_signal(number)

    def last_words(self) -> str:
        """The last line of the log."""
        with suppress(OSError):
            lines = self.log_file.read_text(errors="replace").strip().splitlines()
            return lines[-1][:300] if lines else "it said nothing"
        return "it left no log"

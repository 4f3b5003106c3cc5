"""Runs jobs on hostile files in processes that may die of them, so that neither loop nor worker does.

Standard pools do not do: one dead process breaks concurrent.futures' whole pool, and neither can end a job that hangs.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import signal
import sys
from asyncio.subprocess import Process
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final, ParamSpec, Self, TypeVar, cast, get_type_hints

import msgspec

from agents.errors import Unavailable
from app.embedded import tether
from app.pictures import sandbox_child
from app.pictures.decode import Reason
from app.pictures.sandbox_child import BROKEN, DONE, ENVIRONMENT, HEADER, OUT_OF_MEMORY, READY, UNUSABLE

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

MEMORY: Final = 1536 << 20
"""Bytes of address space of a process; OpenCV with both face models takes about a half of it."""
_WINDOW: Final = 8
"""Jobs that a process is given before it has answered, so that it need not wait for a busy event loop."""
_ANSWER_BYTES: Final = 4 << 20
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 2.0
_TRIES: Final = 2
_KEPT_ENVIRONMENT: Final = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR", "TZ")
"""Secrets travel in the environment, and these processes read what strangers wrote."""


class Failed(msgspec.Struct, frozen=True):
    """No answer: the process of this job was ended or died, twice where that need not be the job's fault."""

    reason: Reason


class _DiedError(Exception):
    """A process ended, or has to be ended; what that says of its job, and whether another try could go better."""

    def __init__(self, text: str, reason: Reason = Reason.CRASHED, *, final: bool = False) -> None:
        super().__init__(text)
        self.reason = reason
        self.final = final


@cache
def _decoder(job: Callable[..., Any]) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(get_type_hints(job)["return"])


class _Job:
    """One call and who waits for it."""

    def __init__(self, job: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.name = job.__qualname__
        self.request = pickle.dumps((job, args))
        self.answer = _decoder(job).decode
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.tries = 0

    def settle(self, kind: int, payload: bytes) -> None:
        """Hand an answer on. Raises _DiedError where it is none, or the process has to be replaced."""
        if kind == DONE:
            try:
                self.resolve(self.answer(payload))
            except msgspec.DecodeError as error:
                raise _DiedError(f"answered what {self.name} does not: {error}") from error
        elif kind == OUT_OF_MEMORY:
            raise _DiedError("ran out of memory", Reason.TOO_MUCH_MEMORY)
        elif kind == UNUSABLE:
            self.fail(Unavailable(f"pictures: {payload.decode(errors='replace')}"))
        elif kind == BROKEN:
            log.error("%s failed:\n%s", self.name, payload.decode(errors="replace"))
            self.resolve(Failed(Reason.ERROR))
        else:
            raise _DiedError("answered nonsense")

    def fail(self, error: Exception) -> None:
        """The job was not done and can be asked for again."""
        if not self.future.done():
            self.future.set_exception(error)

    def resolve(self, answer: Any) -> None:
        """Hand an answer to whoever waits for it, if anybody still does."""
        if not self.future.done():
            self.future.set_result(answer)


class _Worker:
    """A process and the jobs that it was given, in order."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process = process
        self.given: deque[_Job] = deque()
        self._jobs, self._answers = process.stdin, process.stdout

    def give(self, job: _Job) -> None:
        """Put a job at the end of what is to be done."""
        self.given.append(job)
        self._jobs.write(HEADER.pack(len(job.request), DONE) + job.request)

    async def answer(self, seconds: float) -> tuple[int, bytes]:
        """The next answer. Raises _DiedError where there is none in time."""
        try:
            async with asyncio.timeout(seconds):
                size, kind = HEADER.unpack(await self._answers.readexactly(HEADER.size))
                if size > _ANSWER_BYTES:
                    raise _DiedError(f"answers with {size} bytes")
                return kind, await self._answers.readexactly(size)
        except TimeoutError:
            raise _DiedError(f"did not answer in {seconds:g} s", Reason.TOO_SLOW) from None
        except (asyncio.IncompleteReadError, OSError):
            status = await self._end()
            if status == -signal.SIGPROF:
                raise _DiedError("computed for too long", Reason.TOO_SLOW, final=True) from None
            raise _DiedError(f"ended with status {status}") from None

    async def stop(self) -> None:
        """Let it end by itself if it has nothing to do; else end it."""
        self._jobs.close()
        await (self.kill() if self.given else self._end())

    async def kill(self) -> None:
        """End it at once, and what it may have started."""
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        # asyncio waits for the ends of its pipes too, and does not read on in a full one.
        with suppress(TimeoutError):
            await asyncio.wait_for(self._answers.read(), _STOP_SECONDS)
        await self.process.wait()

    async def _end(self) -> int:
        """The exit status; a process that has closed its pipes, but not itself, is ended."""
        try:
            return await asyncio.wait_for(self.process.wait(), _STOP_SECONDS)
        except TimeoutError:
            await self.kill()
            return -signal.SIGKILL


class Sandbox:
    """Up to `processes` processes, started when there is work, replaced when they die, gone when this process is.

    `cpu_seconds` is what a job may compute; `wall_seconds` ends jobs that wait for something that does not come.
    Create and use it on one event loop, in a thread that lives as long as it is used (the kernel ends the processes
    together with the thread that started them).
    """

    def __init__(
        self,
        processes: int = 0,
        memory: int = MEMORY,
        cpu_seconds: float = 5.0,
        wall_seconds: float = 60.0,
        preload: str = "app.pictures.jobs",
    ) -> None:
        self._most = processes or os.cpu_count() or 1
        child = sandbox_child.__name__
        self._program = f"from {child} import main; main({memory!r}, {cpu_seconds!r}, {preload!r})"
        self._wall_seconds = wall_seconds
        self._waiting: deque[_Job] = deque()
        self._workers: set[_Worker] = set()
        self._idle: list[_Worker] = []
        self._attendants: set[asyncio.Task[None]] = set()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def pids(self) -> list[int]:
        """The processes there are."""
        return [worker.process.pid for worker in self._workers]

    async def run(self, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | Failed:
        """What a function of a module answers in one of the processes; its return type says what can come back.

        Raises Unavailable where the disk fails or no process can be started: nothing was done then.
        """
        if self._closed:
            raise RuntimeError("the sandbox is closed")
        if kwargs:
            raise TypeError("jobs take arguments by position")
        asked = _Job(job, args)
        self._waiting.append(asked)
        self._attend_more()
        return cast("T | Failed", await asked.future)

    async def close(self) -> None:
        """End all processes; whoever still waits is cancelled."""
        self._closed = True
        attendants = list(self._attendants)
        for task in attendants:
            task.cancel()
        await asyncio.gather(*attendants, return_exceptions=True)
        await asyncio.gather(*(worker.stop() for worker in self._workers))
        for job in (*self._waiting, *(job for worker in self._workers for job in worker.given)):
            job.future.cancel()
        for jobs in (self._waiting, self._workers, self._idle):
            jobs.clear()

    def _attend_more(self) -> None:
        if self._waiting and len(self._attendants) < self._most:
            self._attendants.add(asyncio.get_running_loop().create_task(self._attend()))

    async def _attend(self) -> None:
        """Keep one process at work for as long as there is any."""
        try:
            while self._waiting:
                worker = self._idle.pop() if self._idle else await self._start()
                try:
                    await self._work(worker)
                except _DiedError as died:
                    await self._bury(worker, died)
                else:
                    self._idle.append(worker)
        except (_DiedError, OSError) as error:
            self._fail_waiting(Unavailable(f"pictures: no process can be started: {error}"))
        finally:
            # Not in a callback: a job that is asked for before it ran would find nobody who attends to it.
            self._attendants.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _work(self, worker: _Worker) -> None:
        while True:
            share = min(_WINDOW, 1 + len(self._waiting) // self._most)
            while self._waiting and len(worker.given) < share:
                job = self._waiting.popleft()
                if not job.future.done():
                    worker.give(job)
            if not worker.given:
                return
            kind, payload = await worker.answer(self._wall_seconds)
            worker.given[0].settle(kind, payload)
            worker.given.popleft()

    async def _bury(self, worker: _Worker, died: _DiedError) -> None:
        """The job at the head is what it died of; the others have not begun."""
        self._workers.discard(worker)
        await worker.kill()
        others = list(worker.given)
        worker.given.clear()
        if others:
            job = others.pop(0)
            job.tries += 1
            log.warning("a process for pictures %s (%s, try %d)", died, job.name, job.tries)
            if died.final or job.tries >= _TRIES:
                job.resolve(Failed(died.reason))
            else:
                others.insert(0, job)
        self._waiting.extendleft(reversed(others))

    async def _start(self) -> _Worker:
        kept = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(Path(tether.__file__)), str(os.getpid()), "0"),
            *(sys.executable, "-P", "-c", self._program),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=kept | ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            # Ctrl-C in the terminal is for Marquee alone, which stops these in order.
            start_new_session=True,
        )
        worker = _Worker(process)
        self._workers.add(worker)
        try:
            kind, payload = await worker.answer(_START_SECONDS)
            if kind != READY:
                raise _DiedError(payload.decode(errors="replace").strip().rpartition("\n")[2])
        except BaseException:
            self._workers.discard(worker)
            await worker.kill()
            raise
        return worker

    def _fail_waiting(self, error: Unavailable) -> None:
        while self._waiting:
            self._waiting.popleft().fail(error)

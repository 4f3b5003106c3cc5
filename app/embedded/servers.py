"""The three embedded servers as one: started together, watched, restarted where that loses nothing, stopped."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self, TypeVar

from app.background import begin
from app.embedded import addresses
from app.embedded.addresses import Addresses
from app.embedded.broker import Broker, broker_binary
from app.embedded.door import Door
from app.embedded.lock import DirectoryLock
from app.embedded.mlflow import Mlflow
from app.embedded.mongo import Mongo
from app.embedded.ports import PortBook
from app.embedded.process import Child, ChildEndedError, EmbeddedError
from app.embedded.scrub import scrub

log = logging.getLogger(__name__)

_PORT_ATTEMPTS: Final = 3
_RESTART_SECONDS: Final = (0.5, 1.0, 2.0, 5.0)


class Server(Protocol):
    """What the three servers have in common."""

    child: Child

    @property
    def name(self) -> str:
        """What logs and files call it."""

    @property
    def start_seconds(self) -> float:
        """How long it may take to answer."""

    async def answers(self) -> bool:
        """Whether it can be used."""


ServerT = TypeVar("ServerT", Broker, Mongo, Mlflow)


async def start_server(make: Callable[[Path, int], ServerT], directory: Path, ports: PortBook, name: str) -> ServerT:
    """Start one server and wait until it answers; a port that was taken meanwhile is replaced.

    Raises EmbeddedError.
    """
    port = ports.port(name)
    for attempt in range(_PORT_ATTEMPTS):
        server = make(directory, port)
        try:
            server.child.start()
            await server.child.wait_ready(server.answers, server.start_seconds)
        except BaseException as error:
            await server.child.stop()
            if not isinstance(error, ChildEndedError) or attempt == _PORT_ATTEMPTS - 1:
                raise
            port = ports.another(name)
        else:
            return server
    raise AssertionError("unreachable")


class EmbeddedServers:
    """Broker, database and MLflow under one data directory, for as long as the block lasts.

    The block begins when broker and database answer; MLflow comes up meanwhile (`mlflow_ready`). Database
    and MLflow are restarted when they end by themselves. The broker is not: it has forgotten everything, so
    `watch` raises and Marquee has to start again from the archive.

    With `shut`, nobody else reaches the broker before `open` and after `shut`; whoever is led past the door does.
    """

    def __init__(self, data_dir: Path, *, shut: bool = False) -> None:
        self.data_dir = data_dir.absolute()
        self._begin_shut = shut
        self._door: Door | None = None
        self._lock = DirectoryLock(self.data_dir)
        self._tasks: list[asyncio.Task[None]] = []
        self._broker: Broker | None = None
        self._mongo: Mongo | None = None
        self._mlflow: Mlflow | None = None
        self._mlflow_answers = asyncio.Event()
        self._broker_ended = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Start everything. Raises EmbeddedError with what to do about it, leaving nothing behind."""
        broker_binary()
        self._lock.acquire()
        try:
            addresses.withdraw(self.data_dir)
            await self._start()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    @property
    def broker(self) -> Broker:
        """The broker, once the block has begun."""
        return _started(self._broker)

    @property
    def mongo(self) -> Mongo:
        """The database, once the block has begun."""
        return _started(self._mongo)

    @property
    def mlflow(self) -> Mlflow:
        """MLflow, which may not answer yet."""
        return _started(self._mlflow)

    @property
    def broker_url(self) -> str:
        """kafka://127.0.0.1:PORT"""
        return self.broker.url

    @property
    def mongo_url(self) -> str:
        """mongodb://127.0.0.1:PORT/marquee"""
        return self.mongo.url

    @property
    def mlflow_url(self) -> str:
        """http://127.0.0.1:PORT"""
        return self.mlflow.url

    async def open(self) -> None:
        """Let clients in."""
        if self._door is not None:
            await self._door.open()

    async def shut(self) -> None:
        """Let clients in no more, for good."""
        if self._door is not None:
            await self._door.close()

    def publish(self, web: str | None = None) -> None:
        """Write `marquee.json` with these addresses and that of the worker's web server."""
        found = Addresses(self.broker_url, self.mongo_url, self.mlflow_url, web, os.getpid(), embedded=True)
        addresses.publish(self.data_dir, found)

    async def mlflow_ready(self, timeout: float | None = None) -> None:
        """Return when MLflow answers. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            await self._mlflow_answers.wait()

    async def watch(self) -> None:
        """Wait for what embedded mode cannot mend: raises EmbeddedError when the broker has ended."""
        await self._broker_ended.wait()
        log_file = self.broker.child.log_file
        raise EmbeddedError(f"the embedded broker ended (log: {log_file}); start again to restore its events")

    async def _start(self) -> None:
        ports = PortBook(self.data_dir / "run" / "ports.json")
        self._mlflow = Mlflow(self.data_dir, ports.port(Mlflow.name))
        self._mlflow.child.start()
        failed = await asyncio.gather(self._start_broker(ports), self._start_mongo(ports), return_exceptions=True)
        for error in failed:
            if error is not None:
                raise error
        self.publish()
        self._tasks = [
            begin(self._await_broker_end(), "watching the embedded broker"),
            begin(_keep_up(self.mongo), "keeping the embedded database up"),
            begin(self._bring_up_mlflow(), "keeping the embedded MLflow up"),
        ]

    # Each is noted as soon as it is there, so that it is stopped again whatever becomes of the other.
    async def _start_broker(self, ports: PortBook) -> None:
        if not self._begin_shut:
            self._broker = await start_server(Broker, self.data_dir, ports, Broker.name)
            return
        door = self._door = _take_door(ports)
        make = partial(Broker, public=door.port)
        self._broker = await start_server(make, self.data_dir, ports, f"{Broker.name}-inside")
        door.lead_to(self._broker.inside)

    async def _start_mongo(self, ports: PortBook) -> None:
        self._mongo = await start_server(Mongo, self.data_dir, ports, Mongo.name)

    async def _await_broker_end(self) -> None:
        status = await self.broker.child.wait()
        log.error("the embedded broker ended with status %s", status)
        self._broker_ended.set()

    async def _bring_up_mlflow(self) -> None:
        await _keep_up(self.mlflow, self._mlflow_answers)

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        servers = (self._mlflow, self._mongo, self._broker)
        await asyncio.gather(*(server.child.stop() for server in servers if server is not None))
        await self.shut()
        if self._door is not None:
            self._door.leave()
        await asyncio.to_thread(scrub, self.data_dir)
        addresses.withdraw(self.data_dir)
        self._lock.release()


def _take_door(ports: PortBook) -> Door:
    """The port that clients know from the last run, or another where somebody has taken it. Raises OSError."""
    try:
        return Door(ports.port(Broker.name))
    except OSError:
        return Door(ports.another(Broker.name))


def _started(server: ServerT | None) -> ServerT:
    if server is None:
        raise RuntimeError("the embedded servers have not been started")
    return server


async def _keep_up(server: Server, answers: asyncio.Event | None = None) -> None:
    """Wait until a server answers, then start it again whenever it ends by itself."""
    failures = 0
    while True:
        try:
            await server.child.wait_ready(server.answers, server.start_seconds)
        except EmbeddedError as error:
            log.warning("%s", error)
            failures += 1
        else:
            failures = 0
            if answers is not None:
                answers.set()
        status = await server.child.wait()
        log.warning("embedded %s ended with status %s; starting it again", server.name, status)
        await asyncio.sleep(_RESTART_SECONDS[min(failures, len(_RESTART_SECONDS) - 1)])
        server.child.start()

"""Several workers on this machine, for a broker and a database that run elsewhere."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from app.embedded import addresses
from app.embedded.addresses import Addresses
from app.embedded.lock import DirectoryLock
from app.embedded.ports import PortBook
from app.embedded.workers import Workers, pick_port, worker_child, worker_names
from app.settings import Settings


class LocalWorkers:
    """Several workers on this machine, for servers that run elsewhere."""

    def __init__(
        self,
        settings: Settings,
        data_dir: Path,
        *,
        count: int = 1,
        web_port: int | None = None,
        config: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.data_dir = data_dir.absolute()
        self.web_url = ""
        self._lock = DirectoryLock(self.data_dir)
        first = settings.web.port if web_port is None else web_port
        self._ports = [first + n if first else 0 for n in range(count)]
        self._settings = settings
        self._names = worker_names(settings, count)
        self._config = config
        self._environment = dict(environment or {})
        self._workers: Workers | None = None

    async def __aenter__(self) -> Self:
        """Start the workers. Raises EmbeddedError."""
        self._lock.acquire()
        try:
            await self._start()
        except BaseException:
            await self._take_down()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the workers."""
        await self._take_down()

    async def watch(self) -> None:
        """Wait for what cannot be mended, and raise it."""
        assert self._workers is not None
        await self._workers.watch()

    async def _start(self) -> None:
        book = PortBook(self.data_dir / "run" / "ports.json")
        children = {}
        for name, wanted in zip(self._names, self._ports, strict=True):
            port = pick_port(wanted, wanted, book, f"web {name}")
            children[name] = (worker_child(name, self.data_dir, port, self._environment, self._config), port)
        self._workers = Workers(children)
        self._workers.start()
        await self._workers.listening()
        first = next(iter(children.values()))[1]
        self.web_url = f"http://{self._settings.web.host}:{first}"
        found = self._settings
        addresses.publish(
            self.data_dir,
            Addresses(found.broker.url, found.mongo.url, found.mlflow.tracking_uri, self.web_url, os.getpid()),
        )

    async def _take_down(self) -> None:
        if self._workers is not None:
            await self._workers.stop()
        addresses.withdraw(self.data_dir)
        self._lock.release()

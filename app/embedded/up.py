"""`marquee up`: servers, archive and workers brought up in order, watched, and taken down in the other order."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, Self

from aiokafka.errors import KafkaError

from agents.errors import Unavailable
from app.delivery.topics import partitions
from app.embedded.archive import Archiver
from app.embedded.files import write_atomically
from app.embedded.history import archive_dir
from app.embedded.lasting import lasting
from app.embedded.partition_log import archived_topics
from app.embedded.ports import PortBook
from app.embedded.process import EmbeddedError
from app.embedded.putting_back import Documents, put_back
from app.embedded.reserve import Reserve
from app.embedded.restore import create_empty
from app.embedded.segment import ArchiveError
from app.embedded.servers import EmbeddedServers
from app.embedded.settled import settled
from app.embedded.workers import Workers, pick_port, process_environment, worker_child, worker_names
from app.settings import Mongo, Settings
from app.storage.mongo import MongoStore

log = logging.getLogger(__name__)

DRAIN_SECONDS: Final = 60.0
CLEAN: Final = "clean"
"""A file that is there exactly while nothing outside the archive is ahead of it; says whether documents are behind."""

Tell = Callable[[str], None]


class Running(Protocol):
    """A Marquee that runs for as long as a block lasts."""

    web_url: str

    async def __aenter__(self) -> Self:
        """Bring it up. Raises EmbeddedError or ArchiveError, leaving nothing behind."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take it down."""

    async def watch(self) -> None:
        """Wait for what cannot be mended, and raise it."""


class EmbeddedMarquee:
    """Everything on this machine: servers, the archive, and one worker."""

    def __init__(
        self,
        settings: Settings,
        data_dir: Path,
        *,
        web_port: int | None = None,
        config: Path | None = None,
        environment: Mapping[str, str] | None = None,
        tell: Tell = log.info,
    ) -> None:
        self.servers = EmbeddedServers(data_dir, shut=True)
        self.data_dir = self.servers.data_dir
        self.web_url = ""
        self._settings = settings
        self._wanted_port = web_port
        self._config = config
        self._environment = dict(environment or {})
        self._tell = tell
        self._reserve = Reserve(self.data_dir)
        self._archiver = Archiver("", archive_dir(self.data_dir), ())
        self._archiving: asyncio.Task[None] | None = None
        self._workers: Workers | None = None
        self._stack = AsyncExitStack()
        self._counts = {topic: count for topic, count in partitions(settings).items() if topic in lasting()}

    async def __aenter__(self) -> Self:
        """Servers, the archive put back, the archiver, then clients and the worker.

        Raises EmbeddedError or ArchiveError.
        """
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.servers)
            self._reserve.allocate()
            stack.push_async_callback(self._take_down)
            await self._put_back()
            await self._archive()
            await self.servers.open()
            await self._work()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Clients and the worker first, so that nothing is written any more; then the archive; then the servers."""
        await self._stack.__aexit__(kind, error, trace)

    async def watch(self) -> None:
        """Wait for what cannot be mended, and raise it: broker, archive or worker gone, no room on the disk."""
        assert self._workers is not None
        assert self._archiving is not None
        try:
            await first_failure(self.servers.watch(), self._workers.watch(), self._reserve.watch(), self._archiving)
        except (EmbeddedError, ArchiveError, OSError) as error:
            # Whichever part was the first to fall over it: what there is to do is to make room.
            if full := self._reserve.full():
                raise full from error
            raise

    async def _put_back(self) -> None:
        """Nothing that counts offsets outlives the broker: it is all made again, before anything reads or writes."""
        directory = archive_dir(self.data_dir)
        found = self._documents()
        if archived_topics(directory) or (self.data_dir / "workers").exists():
            if found is Documents.UNSURE:
                self._tell("the last run did not end in order: everything is made again from the archive")
            (name,) = worker_names(self._settings, 1)
            environment = process_environment(name, self.data_dir, self._worker_environment(), self._config)
            report = await put_back(self.data_dir, found, environment, self._tell)
            if report.restored:
                self._tell(f"{report.restored:,} events restored from the archive in {report.seconds:.1f} s")
        else:
            await create_empty(self.servers.broker.bootstrap, self._counts)
        self._clean_file.unlink(missing_ok=True)

    def _documents(self) -> Documents:
        try:
            said = self._clean_file.read_text()
        except FileNotFoundError:
            return Documents.UNSURE
        return Documents.COMPLETE if said == Documents.COMPLETE else Documents.BEHIND

    async def _archive(self) -> None:
        bootstrap = self.servers.broker.bootstrap
        self._archiver = Archiver(bootstrap, archive_dir(self.data_dir), self._counts, reserve=self._reserve)
        self._archiving = asyncio.create_task(self._archiver.run())
        following = asyncio.create_task(self._archiver.following())
        await asyncio.wait({following, self._archiving}, return_when=asyncio.FIRST_COMPLETED)
        following.cancel()
        if self._archiving.done():
            self._archiving.result()

    async def _work(self) -> None:
        book = PortBook(self.data_dir / "run" / "ports.json")
        port = pick_port(self._wanted_port, self._settings.web.port, book, "web")
        (name,) = worker_names(self._settings, 1)
        child = worker_child(name, self.data_dir, port, self._worker_environment(), self._config)
        self._workers = Workers({name: (child, port)})
        self._workers.start()
        await self._workers.listening()
        self.web_url = f"http://{self._settings.web.host}:{port}"
        self.servers.publish(self.web_url)

    def _worker_environment(self) -> dict[str, str]:
        tracked = {"MARQUEE_MLFLOW__TRACKING_URI": self.servers.mlflow_url}
        return {
            "MARQUEE_BROKER__URL": self.servers.broker_url,
            "MARQUEE_BROKER__EMBEDDED": "true",
            "MARQUEE_BROKER__INSIDE": self.servers.broker.inside,
            "MARQUEE_BROKER__REPLICATION": "1",
            # The embedded broker does not know a restarted worker again: its partitions wait for this time-out.
            "MARQUEE_BROKER__SESSION_TIMEOUT": "5.0",
            "MARQUEE_MONGO__URL": self.servers.mongo_url,
            "MARQUEE_STORAGE__SNAPSHOTS": "",
            **(tracked if self._settings.mlflow.tracking_uri else {}),
            **self._environment,
        }

    async def _take_down(self) -> None:
        # Nothing may be acknowledged any more that the archive would not have.
        await self.servers.shut()
        if self._workers is not None:
            await self._workers.stop()
        if self._archiving is None:
            return
        drained = False
        try:
            whole = self.servers.broker.child.running and not self._archiving.done()
            await asyncio.wait_for(self._archiver.stop(drain=whole), DRAIN_SECONDS)
            await asyncio.wait_for(self._archiving, DRAIN_SECONDS)
            drained = whole
        except (ArchiveError, OSError, TimeoutError) as error:
            # The next start finds no mark of a clean stop, and makes everything again from what was archived.
            log.error("the archive is not complete: %s", error)
        finally:
            self._archiving.cancel()
        if self._reserve.used:
            # The archive has all that it will get; what the servers write as they stop needs room too.
            self._reserve.release()
        if drained:
            write_atomically(self._clean_file, (await self._left()).encode())

    async def _left(self) -> Documents:
        """How the documents stand to an archive that is complete."""
        store = MongoStore(Mongo(url=self.servers.mongo_url))
        try:
            done = await settled(self.servers.broker.bootstrap, self._settings, store)
        except (KafkaError, TimeoutError, Unavailable) as error:
            log.warning("cannot tell whether everything is done: %s", error)
            done = False
        finally:
            store.close()
        return Documents.COMPLETE if done else Documents.BEHIND

    @property
    def _clean_file(self) -> Path:
        return self.data_dir / "run" / CLEAN


async def first_failure(*waits: Any) -> None:
    """Wait for the first of several to end, and raise what it raised."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks[:-1]:
            task.cancel()
    raise EmbeddedError("a part of Marquee ended by itself; see the logs in the data directory")


def _ending_signals() -> tuple[signal.Signals, ...]:
    """What ends it in order: also a terminal that is closed, unless `nohup` wants it to go on without one."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return (signal.SIGINT, signal.SIGTERM) if ignored else (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def run_until_stopped(
    marquee: Running, ready: Callable[[Running], Any], work: Callable[[Running], Awaitable[None]] | None = None
) -> None:
    """Bring a Marquee up, call `ready`, and take it down at a signal to stop or the end of `work`; raise what broke."""
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    task = asyncio.current_task()
    assert task is not None
    up = False

    def stop() -> None:
        if up or stopping.is_set():
            stopping.set()
        else:
            # Still starting: what is there already is taken down on the way out.
            stopping.set()
            task.cancel()

    numbers = _ending_signals()
    for number in numbers:
        loop.add_signal_handler(number, stop)
    try:
        async with marquee:
            up = True
            ready(marquee)
            waiting: asyncio.Task[Any] = asyncio.create_task(stopping.wait())
            broken = asyncio.create_task(marquee.watch())
            tasks = {waiting, broken} | ({asyncio.ensure_future(work(marquee))} if work else set())
            done, left = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for unfinished in left:
                unfinished.cancel()
            await asyncio.gather(*left, return_exceptions=True)
            for finished in done:
                finished.result()
    except asyncio.CancelledError:
        if not stopping.is_set():
            raise
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)

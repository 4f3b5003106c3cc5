"""`python -m app.embedded.remake`: one process that fills the broker and makes what is derived, then ends.

A process of its own, so that what it loads and holds is gone when the worker runs. What learns is made in a fork of
it, beside the rest: the training topics stand in the archive, so neither waits for the other.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import multiprocessing
import os
import shutil
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from agents.messages import rfc3339
from app.connectors.store import CursorStore
from app.delivery.shortcut import take_shortcut
from app.delivery.topics import partitions
from app.embedded.expire import Limits
from app.embedded.files import write_atomically
from app.embedded.history import archive_dir
from app.embedded.lasting import lasting
from app.embedded.putting_back import Documents, Progress, RemakeReport
from app.embedded.rebuild import Part, PartReport, changelog_counts
from app.embedded.replay import feeding_order, split
from app.embedded.restore import create_empty, prepare, send_archived
from app.embedded.survey import survey
from app.learning.specs import MODELS
from app.past import past_ports
from app.settings import Settings, load
from app.storage.mongo import MongoStore
from app.storage.store import Store
from app.topology import Stage, film_topology

log = logging.getLogger(__name__)

_COMPACTED: Final = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.2", "segment.ms": "3600000"}
_TELL_SECONDS: Final = 0.3

Tell = Callable[[int, int], None]


class Remake:
    """Everything that is derived, made again from one archive onto an empty broker."""

    def __init__(self, settings: Settings, documents: Documents, tell: Tell) -> None:
        self.archive = archive_dir(settings.data_dir)
        self._settings = settings
        self._documents = documents
        self._tell = tell
        self._began = time.monotonic()
        self._counts = partitions(settings)
        self._archived = {topic: count for topic, count in self._counts.items() if topic in lasting()}
        self._topology = film_topology()
        self._learning, self._deciding = split(self._topology)
        self._done = [0, 0, 0]
        self._total = 0

    def prepare(self) -> None:
        """Mend and compact the archive, and count what there is to do. Raises ArchiveError."""
        prepare(self.archive, self._archived)
        limits, now = Limits(self.archive), rfc3339(int(time.time() * 1000))
        limits.expire(limits.places(now), now)
        held: dict[str, int] = {}
        for part in survey(self.archive):
            held[part.topic] = held.get(part.topic, 0) + part.records
        fed = (feeding_order(stages, held) for stages in (self._learning, self._deciding))
        self._total = sum(held.values()) + sum(held[topic] for topics in fed for topic in topics)

    async def together(self) -> RemakeReport:
        """Everything in this process."""
        await self.clear()
        await self.create()
        restored = await self.restore()
        reports = [await self.decide(_at_once), await self.learn(_at_once)]
        return self.report(restored, reports)

    async def clear(self) -> None:
        """Forget what may be ahead of the archive. Tables and models count offsets of a broker that is gone."""
        store = MongoStore(self._settings.mongo)
        try:
            await forget_derived(self._settings.data_dir, store, self._documents)
            await store.ensure_indexes(sparse=False)
        finally:
            store.close()

    async def create(self) -> None:
        """Make all topics. Raises ArchiveError where one has records."""
        (bootstrap,) = self._settings.servers
        await create_empty(bootstrap, self._counts)
        await create_empty(bootstrap, changelog_counts(self._settings, self._topology), _COMPACTED)

    async def restore(self) -> tuple[int, float]:
        """Fill the archived topics; how many records, and seconds since the start."""
        (bootstrap,) = self._settings.servers
        sent = await send_archived(bootstrap, self.archive, self._archived, lambda done, _: self.advance(0, done))
        return sent.records, time.monotonic() - self._began

    async def decide(self, restored: Callable[[], Awaitable[None]]) -> PartReport:
        """Make what the stages that decide derive from the sources."""
        return await self._run(self._deciding, restored, lambda done: self.advance(1, done))

    async def learn(
        self, restored: Callable[[], Awaitable[None]], tell: Callable[[int], None] | None = None
    ) -> PartReport:
        """Make the models, and what follows from their answers."""
        return await self._run(self._learning, restored, tell or (lambda done: self.advance(2, done)))

    def advance(self, step: int, done: int) -> None:
        """Note how far a step has come."""
        self._done[step] = done
        self._tell(sum(self._done), self._total)

    def report(self, restored: tuple[int, float], parts: list[PartReport]) -> RemakeReport:
        """What it came to."""
        return RemakeReport(
            restored=restored[0],
            events=sum(part.events for part in parts),
            made=sum(part.made for part in parts),
            lessons={name: count for part in parts for name, count in part.lessons.items()},
            restored_after=restored[1],
            seconds=time.monotonic() - self._began,
        )

    async def _run(
        self, stages: list[Stage], restored: Callable[[], Awaitable[None]], tell: Callable[[int], None]
    ) -> PartReport:
        store = MongoStore(self._settings.mongo)
        names = {stage.name for stage in stages}
        topology = film_topology(past_ports(store))
        part = Part(
            self._settings,
            self.archive,
            topology,
            [stage for stage in topology.stages if stage.name in names],
            documents=self._documents is not Documents.COMPLETE,
        )
        try:
            return await part.run(store, restored, tell)
        finally:
            store.close()


async def forget_derived(data_dir: Path, store: Store, documents: Documents) -> None:
    """Forget tables, models and, unless they are sure, documents and the connectors' cursors.

    What a connector has spent of its quotas, has sent before and has yet to tell of its runs outlives the broker.
    """
    for name in ("workers", "snapshots"):
        shutil.rmtree(data_dir / name, ignore_errors=True)
    for spec in MODELS:
        await store.pointers.forget(spec.name)
    if documents is Documents.UNSURE:
        await store.clear_projections()
        CursorStore(data_dir).forget()
    else:
        # What is told anew of records that are gone from the archive is then not taken for what stands here.
        await store.expiry.remove(rfc3339(int(time.time() * 1000)))


async def _at_once() -> None:
    """The topics are filled already."""


class _Beside:
    """The part that learns, in a fork of this process; it ends with this process."""

    def __init__(self, remake: Remake) -> None:
        context = multiprocessing.get_context("fork")
        self.created, self.restored = context.Event(), context.Event()
        self._mine, self._theirs = context.Pipe(duplex=False)
        self._remake = remake
        self._process = context.Process(target=self._learn, daemon=True)

    def start(self) -> None:
        """Fork; nothing that does not survive it may have been started yet."""
        self._process.start()
        self._theirs.close()

    async def follow(self) -> PartReport:
        """Pass on how far it is; its report at the end. Raises RuntimeError where it fails."""
        while True:
            try:
                said = await asyncio.to_thread(self._mine.recv)
            except EOFError:
                raise RuntimeError("the models could not be made again; see the log") from None
            if isinstance(said, PartReport):
                return said
            self._remake.advance(2, said)

    def end(self) -> None:
        """End it, whatever it does; who follows it is told."""
        self._process.terminate()

    def _learn(self) -> None:
        parent = multiprocessing.parent_process()
        assert parent is not None
        threading.Thread(target=_end_with, args=[parent], daemon=True).start()
        self.created.wait()
        self._theirs.send(asyncio.run(self._remake.learn(self._wait_restored, self._tell)))

    async def _wait_restored(self) -> None:
        if not self.restored.is_set():
            await asyncio.to_thread(self.restored.wait)

    def _tell(self, done: int) -> None:
        self._theirs.send(done)


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)


async def _both(remake: Remake, beside: _Beside) -> RemakeReport:
    try:
        (restored, decided), learnt = await asyncio.gather(_here(remake, beside), beside.follow())
    finally:
        beside.end()
    return remake.report(restored, [decided, learnt])


async def _here(remake: Remake, beside: _Beside) -> tuple[tuple[int, float], PartReport]:
    await remake.clear()
    await remake.create()
    beside.created.set()
    restored = await remake.restore()
    beside.restored.set()
    return restored, await remake.decide(_at_once)


def remake_all(settings: Settings, documents: Documents, tell: Tell) -> RemakeReport:
    """Make everything again, in two processes where the system forks well."""
    remake = Remake(settings, documents, tell)
    remake.prepare()
    # Events are many and short-lived, and what has been loaded stays: a look at it costs more than it frees.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    if sys.platform != "linux":
        return asyncio.run(remake.together())
    beside = _Beside(remake)
    beside.start()
    return asyncio.run(_both(remake, beside))


class _Told:
    """A file that says how far it is, for the process that waits."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._said_at = 0.0

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() - self._said_at >= _TELL_SECONDS:
            self._said_at = time.monotonic()
            write_atomically(self._path, msgspec.json.encode(Progress(done, total)))


def main() -> None:
    """Settings come from the environment, as a worker's do."""
    parser = argparse.ArgumentParser()
    parser.add_argument("documents", type=Documents)
    parser.add_argument("report", type=Path)
    given = parser.parse_args()
    try:
        settings = load()
        take_shortcut(settings)
        report = remake_all(settings, given.documents, _Told(given.report))
    except Exception as error:
        log.exception("everything could not be made again")
        # The last words are what whoever waits repeats; what is torn down after them would have others.
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.stderr.flush()
        os._exit(1)
    write_atomically(given.report, msgspec.json.encode(report))


if __name__ == "__main__":
    main()

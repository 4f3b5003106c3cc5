"""Makes one kind of documents anew by running its stage over its whole topic, beside the worker that goes on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, Final

import click

from agents.messages import Message
from app.cli.kafka import read_all
from app.delivery.guard import Reader
from app.past import past_ports
from app.settings import Settings
from app.storage.mongo import MongoStore
from app.topology import Kind, Ports, Stage, film_topology
from schemas.base import Record, Rejected

BATCH: Final = 20_000
"""Events that are written together: the latest state of a film is then written once for many of them."""


async def rebuild_projection(settings: Settings, name: str) -> tuple[int, float]:
    """Run a projection over all of its topic; how many events, in how many seconds. Raises UsageError.

    Its writes are idempotent and guarded, so the worker that projects new events meanwhile is not disturbed.
    """
    store = MongoStore(settings.mongo)
    try:
        stage = _projection(past_ports(store), name)
        await store.ensure_indexes(sparse=False)
        return await _run(settings, stage)
    finally:
        store.close()


def _projection(ports: Ports, name: str) -> Stage:
    stages = [stage for stage in film_topology(ports).stages if stage.kind is Kind.KEEP and stage.name != "control"]
    found = next((stage for stage in stages if name in (stage.name, stage.name.removeprefix("project-"))), None)
    if found is None:
        told = f"No projection is called {name}; there are {', '.join(stage.name for stage in stages)}."
        raise click.UsageError(told, click.get_current_context())
    return found


async def _run(settings: Settings, stage: Stage) -> tuple[int, float]:
    reader = Reader(stage.reads, 1, settings.delivery.max_value * 2, placed=False)
    keep: Any = stage.run
    began, count = time.monotonic(), 0
    writing: asyncio.Task[None] | None = None
    async for batch in _batches(settings, stage, reader):
        # The next batch is read while this one is written.
        if writing is not None:
            await writing
        writing = asyncio.create_task(keep(batch))
        count += len(batch)
    if writing is not None:
        await writing
    return count, round(time.monotonic() - began, 3)


async def _batches(settings: Settings, stage: Stage, reader: Reader) -> AsyncIterator[list[Message[Record]]]:
    batch: list[Message[Record]] = []
    async for raw in read_all(settings, stage.topic):
        if raw.is_filler:
            continue
        try:
            batch.append(reader.read(raw))
        except Rejected:
            # The stage has put it away as a dead letter when it came.
            continue
        if len(batch) >= BATCH:
            yield batch
            batch = []
    if batch:
        yield batch

"""Puts back what the broker has forgotten: starts the process that does it, and says how far it is."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from app.embedded.process import Child, EmbeddedError

_FIRST_TOLD: Final = 3.0
_TOLD_EVERY: Final = 5.0

Tell = Callable[[str], None]


class Documents(StrEnum):
    """How the documents on disk stand to the archive."""

    COMPLETE = "complete"
    """They say what the archive says: they stay, and are not written again."""
    BEHIND = "behind"
    """They say nothing that the archive does not: what is missing is written."""
    UNSURE = "unsure"
    """They may be ahead of it: they go, and are written anew."""


class RemakeReport(msgspec.Struct, frozen=True):
    """What it came to; seconds from the start of its work to the restored topics and to the end."""

    restored: int
    events: int
    made: int
    lessons: dict[str, int]
    restored_after: float
    seconds: float


class Progress(msgspec.Struct, frozen=True):
    """How far it is, in records moved."""

    done: int
    total: int


async def put_back(data_dir: Path, documents: Documents, environment: Mapping[str, str], tell: Tell) -> RemakeReport:
    """Fill the empty broker, and make tables, models and documents to match. Raises EmbeddedError.

    `environment` is a worker's. Interrupted at any point, it may simply be done again.
    """
    said = data_dir / "run" / "remake.json"
    said.unlink(missing_ok=True)
    command = (sys.executable, "-m", "app.embedded.remake", documents.value, str(said))
    child = Child("remake", command, data_dir, env=environment)
    child.start()
    watching = asyncio.create_task(_watch(said, tell))
    try:
        if await child.wait():
            raise EmbeddedError(f"the archive could not be put back: {child.last_words()} (log: {child.log_file})")
    finally:
        watching.cancel()
        await child.kill()
        await child.stop()
    return msgspec.json.decode(said.read_bytes(), type=RemakeReport)


async def _watch(said: Path, tell: Tell) -> None:
    pause = _FIRST_TOLD
    while True:
        await asyncio.sleep(pause)
        pause = _TOLD_EVERY
        found = _progress(said)
        if found is not None:
            share = 100 * found.done // max(found.total, 1)
            tell(f"making everything again from the archive: {share} % of {found.total:,} records")


def _progress(said: Path) -> Progress | None:
    # Before the first word there is no file; after the last, a report.
    with suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode(said.read_bytes(), type=Progress)
    return None

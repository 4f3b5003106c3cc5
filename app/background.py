"""Work that nobody waits for: what it fails with is logged, never lost with the task."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")

log = logging.getLogger(__name__)


def begin(work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
    """A task for work whose result nobody asks for; the log says what has ended, and why."""
    task = asyncio.create_task(work)
    task.add_done_callback(partial(_tell, name))
    return task


def _tell(name: str, task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("%s has ended by a fault and does not go on: %s", name, error, exc_info=error)

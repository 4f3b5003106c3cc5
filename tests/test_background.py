"""What a task fails with that nobody waits for is logged."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from app.background import begin
from app.collecting.service import CollectorService
from app.settings import Mlflow, Settings, Storage
from app.storage.memory import MemoryStore


async def _fails() -> None:
    raise LookupError("no such thing")


async def test_a_fault_is_logged_with_the_name_of_the_work(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        await asyncio.wait({begin(_fails(), "counting sheep")})
    (record,) = caplog.records
    assert "counting sheep has ended by a fault" in record.getMessage()
    assert "LookupError" in caplog.text


async def test_neither_an_end_nor_a_cancellation_is_a_fault(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="app.background"):
        good, left = begin(asyncio.sleep(0, 3), "a"), begin(asyncio.Event().wait(), "b")
        left.cancel()
        await asyncio.wait({good, left})
        await asyncio.sleep(0)
    assert good.result() == 3
    assert caplog.records == []


async def test_a_scheduler_that_ends_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings(storage=Storage(data=str(tmp_path)), mlflow=Mlflow(tracking_uri=""))
    nothing: Any = None
    service = CollectorService(settings, MemoryStore(), nothing, set, nothing, {})
    service.collector.run = _fails
    with caplog.at_level(logging.ERROR):
        await service.on_start()
        await asyncio.sleep(0.01)
        await service.on_stop()
    assert "the scheduler of connectors has ended by a fault" in caplog.text

"""A Faust app with Marquee's parts and no broker, and a small stage over a log in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faust
import pytest

from app.delivery.membership import Membership
from app.delivery.recovery import PlainTables
from app.delivery.stream import BatchStream
from app.delivery.table import BatchTable
from app.delivery.transport import Transport


class Clock:
    """Seconds that go by when the test says so."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class OfflineApp(faust.App):  # type: ignore[misc]
    """Marquee's transport, stream and table; never started."""

    def _new_transport(self) -> Transport:
        return Transport(self.conf.broker_consumer, self)


@pytest.fixture
async def offline(tmp_path: Path) -> Any:
    """An app whose consumer, streams and tables can be driven by hand."""
    return OfflineApp(
        "offline",
        broker="kafka://127.0.0.1:1",
        store="rocksdb://?driver=rocksdict",
        datadir=str(tmp_path),
        web_enabled=False,
        table_standby_replicas=0,
        Stream=BatchStream,
        Table=BatchTable,
        TableManager=PlainTables,
    )


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
def membership(clock: Clock) -> Membership:
    """A place in the group that is known for eight seconds."""
    found = Membership(8.0, clock)
    found.joined()
    return found

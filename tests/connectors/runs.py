"""Runs of the `csv` connector into a list, with a cut where a test wants one."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from app.connectors.fetch import Fetcher
from app.connectors.registry import config_of, make
from app.connectors.runner import CursorStore, Report, run_connector
from app.delivery.producer import Outgoing

HEADER = "userId,movieId,rating,timestamp\n"


class Topics:
    """Takes what a runner sends; from the n-th batch on it fails, where told so, as a killed process would."""

    def __init__(self, dies_at: int | None = None) -> None:
        self.batches: list[list[Outgoing]] = []
        self.dies_at = dies_at

    async def send(self, records: Iterable[Outgoing]) -> None:
        """Take a batch."""
        if self.dies_at is not None and len(self.batches) >= self.dies_at:
            raise KilledError
        self.batches.append(list(records))

    def records(self, topic: str = "ratings") -> list[dict[str, Any]]:
        """What went to a topic, decoded."""
        sent = [record for batch in self.batches for record in batch if record.topic == topic]
        return [msgspec.json.decode(record.value or b"") for record in sent]

    def ids(self, topic: str = "ratings") -> list[str]:
        """The event ids of what went to a topic."""
        sent = [record for batch in self.batches for record in batch if record.topic == topic]
        return [dict(record.headers)["ce_id"].decode() for record in sent]


class KilledError(Exception):
    """The process is no more."""


async def run(
    place: Path | str,
    data_dir: Path,
    topics: Topics,
    *,
    allow: tuple[str, ...] = (),
    timeout: float = 10.0,
    **keys: Any,
) -> Report:
    """Run the connector `ml` on a file or address."""
    config = config_of("ml", {"kind": "csv", "path": str(place), **keys})
    async with Fetcher(allow, timeout) as fetcher:
        return await run_connector("ml", make(config, fetcher), topics, CursorStore(data_dir))


def rating_file(rows: int, first: int = 0) -> str:
    """A header, unless it goes on, and rows that are all different."""
    lines = [f"{n % 97 + 1},{n + 1},{n % 10 / 2 + 0.5},{1_000_000_000 + n}\n" for n in range(first, first + rows)]
    return ("" if first else HEADER) + "".join(lines)

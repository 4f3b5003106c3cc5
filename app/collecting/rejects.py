"""Keeps what runs refuse, whole, until MLflow has it: reports hold only the first of them."""

from __future__ import annotations

import asyncio
import csv
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from hashlib import blake2b
from io import FileIO
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from app.connectors.base import Refused
from app.connectors.sent import Digests
from schemas.ids import fenced

log = logging.getLogger(__name__)

MOST_BYTES: Final = 64 << 20
"""Of one run's file; what is beyond it is counted, and lies on `dead-letters`."""
KEPT_SECONDS: Final = 7 * 86_400.0
"""A file that nobody writes to or waits with for so long is that of a run which went on elsewhere."""
SUFFIX: Final = ".jsonl"


class Row(NamedTuple):
    """A refused record: its line at the source (0: none), why, and the record, empty where it may not be kept."""

    line: int
    reason: str
    record: str


class Spool:
    """What one attempt of one run has refused, in all its lives on this worker. A full disk costs rows, never a run."""

    def __init__(self, path: Path, most: int = MOST_BYTES) -> None:
        self._path = path
        self._most = most
        self._file: FileIO | None = None
        self._size, self._earlier = 0, Digests()
        # A life that goes on from the last checkpoint refuses again what the one before it refused since.
        for line in _lines(path):
            self._earlier.add(_digest(line))
            self._size += len(line)

    def add(self, refused: Refused) -> None:
        """Take a record, unless an earlier life of the run had it."""
        if self._size >= self._most:
            return
        line = msgspec.json.encode(Row(refused.row, refused.reason, refused.raw.decode(errors="replace"))) + b"\n"
        if _digest(line) in self._earlier:
            return
        # What does not fit ends the file: with what is smaller after it, it would have holes.
        fits = self._size + len(line) <= self._most
        self._size = self._size + len(line) if fits and self._write(line) else self._most

    @property
    def name(self) -> str:
        """The file's, empty where nothing was refused."""
        return self._path.name if self._path.exists() else ""

    def close(self) -> None:
        """Write no more."""
        if self._file is not None:
            self._file.close()

    def _write(self, line: bytes) -> bool:
        try:
            if self._file is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                # Without a buffer, so that a kill loses none.
                self._file = self._path.open("ab", buffering=0)
                # Behind a line that a kill cut short.
                self._file.truncate(self._size)
            return self._file.write(line) == len(line)
        except OSError as error:
            log.warning("MLflow will lack what is refused from here on, dead-letters has it: %s", error)
            return False


class Rejects:
    """The files of a worker's runs; with room for none where nobody wants them."""

    def __init__(self, directory: Path, most: int = MOST_BYTES) -> None:
        self._directory = directory
        self._most = most

    async def open(self, connector: str, run_id: str, attempt: int, begun: str) -> Spool:
        """The file of an attempt, which a life that goes on with it finds again."""
        digest = blake2b(f"{fenced(connector)}|{run_id}|{attempt}|{begun}".encode(), digest_size=16)
        # What an earlier life left may take seconds to read.
        return await asyncio.to_thread(Spool, self._directory / f"{digest.hexdigest()}{SUFFIX}", self._most)

    def rows(self, name: str, faults: Sequence[tuple[int, str]], refused: int) -> Iterator[Row]:
        """What a run refused; its `faults` where the file is missing; at the end how many of `refused` are not here."""
        found = 0
        for row in self._rows(name, faults):
            found += 1
            yield row
        if found < refused:
            yield Row(0, f"and {refused - found} more, which are not in this file: `dead-letters` has them", "")

    def remove(self, name: str) -> None:
        """Let go of a file."""
        if name:
            with suppress(OSError):
                (self._directory / name).unlink(missing_ok=True)

    def sweep(self, waiting: set[str]) -> None:
        """Remove what was left behind, but not the files `waiting`. To be called before runs begin."""
        for path in self._directory.glob(f"*{SUFFIX}"):
            with suppress(OSError):
                if path.name not in waiting and path.stat().st_mtime < time.time() - KEPT_SECONDS:
                    path.unlink()

    def _rows(self, name: str, faults: Sequence[tuple[int, str]]) -> Iterator[Row]:
        path = self._directory / name
        if not name or not path.exists():
            # Of a notice of an older version, or after a full disk.
            yield from (Row(line, reason, "") for line, reason in faults)
            return
        for line in _lines(path):
            with suppress(msgspec.MsgspecError):
                yield msgspec.json.decode(line, type=Row)


def write_csv(rows: Iterator[Row], path: Path) -> bool:
    """Write rows as a table with a heading, unless there are none; whether there were any."""
    first = next(rows, None)
    if first is None:
        return False
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(Row._fields)
        table.writerow(first)
        table.writerows(rows)
    return True


def _lines(path: Path) -> Iterator[bytes]:
    """The whole lines of a file, none where it cannot be read."""
    with suppress(OSError), path.open("rb") as file:
        yield from (line for line in file if line.endswith(b"\n"))


def _digest(line: bytes) -> int:
    return int.from_bytes(blake2b(line, digest_size=8).digest(), "little") | 1

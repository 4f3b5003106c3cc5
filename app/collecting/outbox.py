"""What others are still to hear of runs, in files, so that a kill between a run's end and its notice loses none."""

from __future__ import annotations

import logging
from hashlib import blake2b
from pathlib import Path
from typing import Final, Generic, TypeVar

import msgspec

from app.embedded.files import write_atomically

log = logging.getLogger(__name__)

T = TypeVar("T")
SUFFIX: Final = ".json"


class Outbox(Generic[T]):
    """Keeps what was not taken yet. A disk that is full loses a notice, never a run: nothing here raises."""

    def __init__(self, directory: Path, kind: type[T]) -> None:
        self._directory = directory
        self._kind = kind

    def keep(self, item: T) -> str:
        """Keep it; the name to let go of it by. The same thing kept twice is there once."""
        content = msgspec.json.encode(item)
        name = blake2b(content, digest_size=16).hexdigest()
        try:
            write_atomically(self._directory / f"{name}{SUFFIX}", content)
        except OSError as error:
            log.warning("a notice of a run is not kept, a kill would lose it: %s", error)
        return name

    def done(self, name: str) -> None:
        """Let go of what was taken, or given up."""
        try:
            (self._directory / f"{name}{SUFFIX}").unlink(missing_ok=True)
        except OSError as error:
            log.warning("a notice of a run may be given once more: %s", error)

    def left(self) -> list[tuple[str, T]]:
        """What an earlier life kept and did not get rid of, the oldest first."""
        found: list[tuple[float, str, T]] = []
        for path in self._directory.glob(f"*{SUFFIX}"):
            try:
                found.append((path.stat().st_mtime, path.stem, msgspec.json.decode(path.read_bytes(), type=self._kind)))
            except (OSError, msgspec.MsgspecError):
                self.done(path.stem)
        return [(name, item) for _, name, item in sorted(found, key=lambda each: each[:2])]

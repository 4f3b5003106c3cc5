"""Records that only hold an offset's place, so that the next one keeps the offset that it had."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from app.embedded.segment import ArchivedRecord

FILLER_HEADER: Final = "marquee-filler"
"""Marks a filler; every reader skips records with it."""

_KEY: Final = b"marquee-filler"


def is_filler(headers: Iterable[tuple[str, Any]] | None) -> bool:
    """Whether a record only holds the place of an offset that the archive has no record for."""
    return any(name == FILLER_HEADER for name, _ in headers or ())


def filler(offset: int, timestamp: int) -> ArchivedRecord:
    """A filler for an offset: a tombstone, so that compaction takes it, with a key, which compacted topics ask for."""
    return ArchivedRecord(offset, timestamp, _KEY, None, ((FILLER_HEADER, b"1"),))

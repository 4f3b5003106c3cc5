"""What a run was asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.bench.data import Ratings


@dataclass(frozen=True)
class Options:
    """Sizes of a run; `profile` is where the worker's samples go, which makes its figures slower.

    `photos` is a folder with further photos.
    """

    ratings: Ratings
    events: int
    rounds: int
    partitions: tuple[int, ...]
    only: str
    quick: bool
    profile: Path | None
    photos: Path | None
    scratch: Path

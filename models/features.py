"""What is known of a film, as numbers a linear model can learn from, in a space that cannot grow."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterable
from typing import Final

from schemas.events import Facts

FEATURE_SCHEMA: Final = 1
"""Raised whenever a feature changes its meaning or place; snapshots of another schema are refused."""

Features = dict[int, float]

_HASHED: Final = 4096
_YEAR, _RUNTIME, _BUDGET, _FIRST_HASHED = 0, 1, 2, 8
_MOST_GENRES, _MOST_TITLE_WORDS, _MOST_PLOT_WORDS = 8, 8, 24
_WORD: Final = re.compile(r"\w{3,}")


def film_features(facts: Facts) -> Features:
    """Genres, decade and hashed title and plot words (feature hashing), year, runtime and budget near -3 to 3.

    At most 44 entries, whatever a source sends. Each group has length 1, so that a long plot does not
    outweigh the genres.
    """
    found: Features = {}
    genres = sorted({genre.strip().casefold() for genre in facts.genres} - {""})
    _add_group(found, (f"genre={genre}" for genre in genres[:_MOST_GENRES]))
    if facts.year is not None:
        found[_YEAR] = _near_zero((facts.year - 1990) / 30)
        _add_group(found, (f"decade={facts.year // 10}",))
    if facts.runtime_minutes is not None:
        found[_RUNTIME] = _near_zero(facts.runtime_minutes / 60 - 1.75)
    if facts.budget:
        found[_BUDGET] = _near_zero(math.log10(facts.budget) - 7)
    _add_group(found, (f"title={word}" for word in _words(facts.title, _MOST_TITLE_WORDS)))
    _add_group(found, (f"plot={word}" for word in _words(facts.plot, _MOST_PLOT_WORDS)))
    return found


def _near_zero(value: float) -> float:
    return min(3.0, max(-3.0, value))


def _words(text: str | None, most: int) -> list[str]:
    """The first distinct words of a text."""
    found: dict[str, None] = {}
    for match in _WORD.finditer((text or "").casefold()):
        found[match.group()] = None
        if len(found) == most:
            break
    return list(found)


def _add_group(features: Features, names: Iterable[str]) -> None:
    places = [_FIRST_HASHED + zlib.crc32(name.encode()) % _HASHED for name in names]
    for place in places:
        features[place] = features.get(place, 0.0) + 1.0 / math.sqrt(len(places))

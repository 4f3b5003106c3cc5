"""Review records of invented critics, by seed."""

from __future__ import annotations

import random

from schemas.events import ReviewCleaned

_GOOD = ["moving", "funny", "warm", "brilliant", "fresh", "tender", "witty", "gripping"]
_BAD = ["dull", "lazy", "boring", "flat", "stale", "clumsy", "tedious", "hollow"]
_PLAIN = [
    "the",
    "film",
    "story",
    "with",
    "actors",
    "and",
    "camera",
    "people",
    "talk",
    "about",
    "past",
    "again",
    "naïve",
]


def reviews(count: int, seed: int = 1, unlabelled: float = 0.1) -> list[ReviewCleaned]:
    """Reviews whose words lean to their label, some without a label."""
    chance = random.Random(seed)
    found = []
    for offset in range(count):
        positive = chance.random() < 0.5
        telling = chance.choices(_GOOD if positive else _BAD, k=2) + chance.choices(_GOOD + _BAD, k=1)
        words = telling + chance.choices(_PLAIN, k=9) + [f"name{chance.randrange(400)}"]
        chance.shuffle(words)
        found.append(
            ReviewCleaned(
                film_id="tt1",
                source="paper",
                source_record_id=str(offset),
                text=" ".join(words),
                partition=offset % 2,
                offset=offset,
                cause_id=f"reviews-{offset % 2}-{offset}",
                received_at="2026-01-01T00:00:00Z",
                positive=None if chance.random() < unlabelled else positive,
            )
        )
    return found

"""A whole Marquee that has lived in memory, and the archive that it would have left."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Collection
from pathlib import Path

from app.delivery.raw import Raw
from app.embedded.lasting import lasting
from app.embedded.partition_log import PartitionLog, write_partition_count
from app.embedded.segment import ArchivedRecord
from schemas.commands import PushFilm
from schemas.events import FactsObserved, RatingObserved, ReviewObserved
from schemas.mentions import FilmMentioned
from schemas.scrapes import (
    ScrapeAdmitted,
    ScrapeCheckpointed,
    ScrapeCounts,
    ScrapeFinished,
    ScrapeRequested,
    ScrapeStarted,
    Target,
    TargetsDropped,
)
from tests.stories.conftest import Story

FILMS = 12
FRAME = 37


async def lived(seed: int, events: int, partitions: int = 3) -> Story:
    """Ratings, repeats, changes, approvals, reviews, facts, films, runs, mentions, nonsense, settled now and then."""
    story = Story(partitions)
    chance = random.Random(seed)
    kinds = [_rating] * 12 + [_fact, _film, _review, _nonsense, _misplaced, _mention, _run]
    for n in range(events):
        story.now += chance.randrange(3)
        chance.choice(kinds)(story, chance, n)
        if chance.random() < 0.1:
            await story.runner.settle()
    await story.runner.settle()
    return story


def _film_id(chance: random.Random) -> str:
    return f"tt{chance.randrange(FILMS) + 1:07d}"


def _observed(chance: random.Random, n: int) -> RatingObserved:
    return RatingObserved(
        film_id=_film_id(chance),
        source="ml",
        source_record_id=str(chance.randrange(n + 1) if chance.random() < 0.2 else n),
        value=chance.randrange(1, 11) / 2,
        best=5.0,
        kind="approval" if chance.random() < 0.05 else None,
    )


def _rating(story: Story, chance: random.Random, n: int) -> None:
    story.runner.push(_observed(chance, n), **({"ce_id": f"mine-{n}"} if n % 3 == 0 else {}))


def _fact(story: Story, chance: random.Random, n: int) -> None:
    said = FactsObserved(
        film_id=_film_id(chance), source="tmdb", title=f"Film {n}", year=1950 + n % 60, genres=("Drama",)
    )
    story.runner.push(said)


def _film(story: Story, chance: random.Random, n: int) -> None:
    story.runner.push(PushFilm(title=f"Pushed {n}", year=2000, imdb=_film_id(chance)))


def _review(story: Story, chance: random.Random, n: int) -> None:
    text = " ".join(chance.choices(["good", "bad", "dull", "grand", "a", "film"], k=6))
    fields = {"source": "web", "source_record_id": str(n % 40), "text": text, "rating": float(chance.randrange(11))}
    story.runner.push(ReviewObserved(film_id=_film_id(chance), **fields))  # type: ignore[arg-type]


def _mention(story: Story, chance: random.Random, n: int) -> None:
    # Some are of one film, some of one of two years, some of none.
    fields = {"title": f"Pushed {chance.randrange(n + 1)}", "year": chance.choice([2000, 2000, 1977, None])}
    told = {"source": "web", "source_record_id": str(n), "value": float(chance.randrange(11)), "best": 10.0}
    story.runner.push(FilmMentioned(mention_id=f"mention-{n}", **fields, **told))  # type: ignore[arg-type]


def _run(story: Story, chance: random.Random, n: int) -> None:
    run = {"run_id": f"run-{n}", "connector": f"feed-{n % 3}", "attempt": 1}
    moment = f"2026-01-01T00:{n // 60 % 60:02}:{n % 60:02}.000Z"
    counts = ScrapeCounts(records=n)
    people = tuple(Target(id=f"Q{each}", kind="person", life=0) for each in range(n % 3))
    story.runner.push(ScrapeRequested(**run, trigger="manual", logical_date=moment))  # type: ignore[arg-type]
    story.runner.push(ScrapeAdmitted(**run, trigger="manual", logical_date=moment, targets=people))  # type: ignore[arg-type]
    if n % 2:
        left = {"people": ("Q0",), "left": max(0, len(people) - 1), "dropped_at": moment}
        story.runner.push(TargetsDropped(**run, **left))  # type: ignore[arg-type]
    story.runner.push(ScrapeStarted(**run, trigger="manual", started_at=moment))  # type: ignore[arg-type]
    story.runner.push(ScrapeCheckpointed(**run, cursor={"at": n}, counts=counts))  # type: ignore[arg-type]
    if chance.random() < 0.8:
        over = {"status": chance.choice(["success", "failed"]), "finished_at": moment, "seconds": 1.0}
        story.runner.push(ScrapeFinished(**run, **over, counts=counts, cursor_after={"at": n}))  # type: ignore[arg-type]


def _nonsense(story: Story, chance: random.Random, n: int) -> None:
    value = chance.choice([b"{", None, b'{"film_id": "x"}', json.dumps({"value": n}).encode()])
    story.log.append("ratings", b"tt0000001", value, [])


def _misplaced(story: Story, chance: random.Random, n: int) -> None:
    rating = _observed(chance, n)
    story.log.append(
        "ratings", None, json.dumps(_fields(rating)).encode(), [], partition=n % story.log.counts["ratings"]
    )


def _fields(rating: RatingObserved) -> dict[str, object]:
    names = ("film_id", "source", "source_record_id", "value", "best")
    return {name: getattr(rating, name) for name in names}


def leave_archive(
    story: Story, directory: Path, topics: Collection[str] | None = None, keep: Callable[[Raw], bool] = lambda raw: True
) -> None:
    """Write what an archiver would have written of these topics, as far as `keep` says so."""
    for topic in lasting() if topics is None else topics:
        lanes = story.log.topics[topic]
        write_partition_count(directory, topic, len(lanes))
        for partition, lane in enumerate(lanes):
            log = PartitionLog(directory, topic, partition)
            rows = [ArchivedRecord(r.offset, r.timestamp, r.key, r.value, tuple(r.headers)) for r in lane if keep(r)]
            for start in range(0, len(rows), FRAME):
                log.append(rows[start : start + FRAME])
            log.close()

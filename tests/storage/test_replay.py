"""Kills and replays: whatever overlap the events arrive in, the documents equal those of a straight run."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from agents.messages import Message
from app.storage.documents import PROJECTIONS
from app.storage.memory import MemoryStore
from app.storage.store import Store
from tests.storage.events import film, message, prediction, rating, review, sentiment

Topic = list[Message[Any]]
FILMS = [f"tt{number:07d}" for number in range(7)]


def events(seed: int, ratings: int) -> dict[str, Topic]:
    """What the topics carry for a few films, with changed ratings, approvals and changed reviews among them."""
    rng = random.Random(seed)
    topics: dict[str, Topic] = {name: [] for name in ("films", "ratings", "predictions", "reviews", "sentiments")}
    in_force: dict[tuple[str, str, str], float] = {}
    counted = dict.fromkeys(FILMS, 0)
    for offset in range(ratings):
        name, record = rng.choice(FILMS), f"u{rng.randrange(9)}"
        kind = "approval" if rng.random() < 0.1 else "single"
        if not counted[name]:
            topics["films"] += [film(name), film(name, title=f"Film {name}", kind="tv", year=1990 + offset)]
        key = (name, record, "approval" if kind == "approval" else "rating")
        score, replaces = float(rng.randint(0, 10)), in_force.get(key)
        counted[name] += replaces is None and kind != "approval"
        author = rng.choice([None, "Ann"])
        known = {"film_id": name, "kind": kind, "replaces": replaces, "ordinal": counted[name], "author": author}
        topics["ratings"].append(rating(offset, record, score, **known))
        topics["predictions"].append(prediction(offset, counted[name], rng.random() * 10, film_id=name))
        in_force[key] = score
        if rng.random() < 0.3:
            topics["reviews"].append(review(offset, f"r{rng.randrange(4)}", f"text {offset}", film_id=name))
            topics["sentiments"].append(sentiment(offset, rng.random(), film_id=name))
    return topics


def puts(store: Store) -> dict[str, Callable[[Topic], Awaitable[None]]]:
    return {
        "films": store.projections.put_films,
        "ratings": store.projections.put_ratings,
        "predictions": store.projections.put_predictions,
        "reviews": store.projections.put_reviews,
        "sentiments": store.projections.put_sentiments,
    }


async def straight(store: Store, topics: dict[str, Topic]) -> None:
    for name, put in puts(store).items():
        for event in topics[name]:
            await put([event])


async def with_kills(store: Store, topics: dict[str, Topic], rng: random.Random) -> None:
    """Batches of any size; now and then a kill after a write, so that the stage goes back and reads again.

    What stands on a derived topic twice has another place there the second time.
    """
    left = list(puts(store).items())
    done = dict.fromkeys(topics, 0)
    while left:
        name, put = rng.choice(left)
        size = rng.randint(1, 12)
        batch = topics[name][done[name] : done[name] + size]
        await put([message(event.data, rng.randrange(10**6)) for event in batch])
        done[name] += len(batch)
        if rng.random() < 0.3:
            done[name] = max(0, done[name] - rng.randint(0, 25))
        elif done[name] >= len(topics[name]):
            left.remove((name, put))


async def dump(store: Store) -> dict[str, list[dict[str, Any]]]:
    return {name: await store.documents[name].find({}, [("_id", 1)]) for name in PROJECTIONS}


@pytest.mark.parametrize("seed", range(3))
async def test_documents_after_kills_equal_those_of_a_straight_run(store: Store, seed: int) -> None:
    topics = events(seed, 120)
    wanted = MemoryStore()
    await straight(wanted, topics)
    await with_kills(store, topics, random.Random(seed))
    assert await dump(store) == await dump(wanted)


@pytest.mark.parametrize("seed", range(100, 140))
async def test_documents_in_memory_after_many_kills_equal_those_of_a_straight_run(seed: int) -> None:
    topics = events(seed, 150)
    wanted, killed = MemoryStore(), MemoryStore()
    await straight(wanted, topics)
    await with_kills(killed, topics, random.Random(seed))
    assert await dump(killed) == await dump(wanted)


async def test_everything_twice_equals_everything_once(store: Store) -> None:
    topics = events(7, 80)
    for name, put in puts(store).items():
        await put(topics[name])
    once = await dump(store)
    for name, put in puts(store).items():
        await put(topics[name])
    assert await dump(store) == once
    assert len(once["revisions"]) > len(FILMS)


async def test_summaries_after_kills_are_those_of_the_ratings_in_force(store: Store) -> None:
    topics = events(11, 100)
    await with_kills(store, topics, random.Random(11))
    for name in FILMS:
        in_force: dict[str, float] = {}
        for event in topics["ratings"]:
            if event.data.film_id == name and event.data.kind != "approval":
                in_force[event.data.source_record_id] = event.data.score
        found = await store.films.film(name)
        assert found is not None
        assert [source.n for source in found.sources] == [len(in_force)]
        assert found.sources[0].mean == pytest.approx(sum(in_force.values()) / len(in_force))
        said = [event.data for event in topics["predictions"] if event.data.film_id == name]
        assert found.prediction is not None
        assert found.prediction.event_id == said[-1].event_id
        history = (await store.films.history(name)).items
        assert [point.predicted for point in history] == [one.predicted for one in said]

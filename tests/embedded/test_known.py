"""Stages that run again over an archive count as they counted then, also where records are gone from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agents.messages import Message, rfc3339
from app.embedded.expire import Limits
from app.embedded.fillers import is_filler
from app.embedded.history import archive_dir, records
from app.embedded.known import Known
from app.embedded.partition_log import PartitionLog, write_partition_count
from app.embedded.putting_back import Documents
from app.embedded.remake import forget_derived
from app.embedded.segment import ArchivedRecord
from app.storage.documents import RATINGS
from app.storage.memory import MemoryStore
from app.topology import film_topology
from schemas.catalogue import decode, encode
from schemas.entities import FilmTally, SeenRating
from schemas.envelope import Envelope
from schemas.events import RatingCleaned, RatingObserved
from schemas.terms import SourceTerms

START = 1_800_000_000_000
FILM = "tt1375666"
SOON = SourceTerms(expires_at=rfc3339(START + 1000))
LATER = SourceTerms(expires_at=rfc3339(START + 9_000_000))
CLEAN = next(stage for stage in film_topology().stages if stage.name == "clean")


class Tables:
    """The tables of the stage."""

    def __init__(self) -> None:
        self.seen: dict[str, SeenRating] = {}
        self.tallies: dict[str, FilmTally] = {}

    async def take(self, run: Any, offset: int, value: bytes) -> list[RatingCleaned]:
        rating = decode(value, (RatingObserved,))
        message = Message(rating, Envelope(f"e{offset}", "c"), "ratings", 0, offset, START + offset)
        made = [event async for event in run(message, self.seen, self.tallies, {})]
        return [event for event in made if isinstance(event, RatingCleaned)]


def said(record: str, value: float, terms: SourceTerms | None = None) -> bytes:
    return encode(RatingObserved(film_id=FILM, source="s", source_record_id=record, value=value, terms=terms))


async def lived_and_read_again(tmp_path: Path, ratings: list[bytes]) -> tuple[Tables, Tables]:
    """The tables as they were, and as they are made again once what may be stored until SOON is gone."""
    directory = archive_dir(tmp_path)
    directory.mkdir(parents=True)
    limits, then, again = Limits(directory), Tables(), Tables()
    lessons: list[bytes] = []
    for offset, value in enumerate(ratings):
        lessons += [encode(made) for made in await then.take(CLEAN.run, offset, value)]
    for topic, values in (("ratings", ratings), ("training-ratings", lessons)):
        write_partition_count(directory, topic, 1)
        log = PartitionLog(directory, topic, 0)
        held = [ArchivedRecord(offset, START + offset, FILM.encode(), value) for offset, value in enumerate(values)]
        limits.note(topic, held)
        log.append(held)
        log.close()
    at = rfc3339(START + 5000)
    limits.expire(limits.places(at), at)
    run = Known.of(directory, {"training-ratings"}).as_then(CLEAN).run
    for raw in records(directory, "ratings"):
        if not is_filler(raw.headers):
            await again.take(run, raw.offset, raw.value or b"")
    return then, again


async def test_ratings_keep_their_places_behind_those_that_are_gone(tmp_path: Path) -> None:
    ratings = [said("1", 2, SOON), said("2", 4), said("3", 6), said("2", 5), said("4", 7, SOON)]
    then, again = await lived_and_read_again(tmp_path, ratings)
    assert {row: kept.ordinal for row, kept in again.seen.items()} == {
        row: kept.ordinal for row, kept in then.seen.items() if kept.expires_at is None
    }
    assert again.tallies[FILM].counted == 3
    (new,) = await again.take(CLEAN.run, 9, said("5", 1))
    assert new.ordinal == 4


async def test_a_later_version_keeps_the_place_of_a_first_one_that_is_gone(tmp_path: Path) -> None:
    ratings = [said("1", 2, SOON), said("2", 4), said("1", 2, LATER), said("3", 6)]
    then, again = await lived_and_read_again(tmp_path, ratings)
    assert {row: kept.ordinal for row, kept in again.seen.items()} == {
        row: kept.ordinal for row, kept in then.seen.items()
    }
    assert again.tallies == then.tallies


async def test_a_rating_that_comes_anew_after_its_term_is_not_taken_for_the_one_that_is_gone(tmp_path: Path) -> None:
    store, tables = MemoryStore(), Tables()
    over, new = said("1", 2, SourceTerms(expires_at="2026-01-01T00:00:00Z")), said("1", 5)
    for value in (over, new):
        (made,) = await tables.take(CLEAN.run, 0, value)
        message = Message(made, Envelope("e", "c"), made.topic, 0, 0, START)
        await store.projections.put_ratings([message])
        # A start makes the tables anew from an archive that does not have it any more.
        tables = Tables()
        await forget_derived(tmp_path, store, Documents.COMPLETE)
    (kept,) = await store.documents[RATINGS].find({})
    assert (kept["score"], "expires_at" in kept) == (5.0, False)


async def test_a_repeat_of_what_is_gone_is_no_rating_of_its_own(tmp_path: Path) -> None:
    ratings = [said("1", 2, LATER), said("1", 3, SOON), said("1", 3, SOON), said("2", 4)]
    then, again = await lived_and_read_again(tmp_path, ratings)
    assert again.tallies == then.tallies
    _, again = await lived_and_read_again(tmp_path / "other", [said("1", 3, SOON), said("1", 3, None), said("2", 4)])
    assert again.tallies[FILM].counted == 2

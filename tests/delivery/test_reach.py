"""Stages that ask the outside world: a batch at once, answers in order, one bad answer harms no other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

import pytest

from agents.errors import MustStopError, Unavailable
from agents.messages import Message
from app.delivery import stage_worker
from app.delivery.guard import Reader
from app.delivery.membership import Abandoned
from app.delivery.stage_worker import StageWorker
from app.memory import MemoryLog, MemoryTable
from app.topology import Kind, Stage, TableSpec
from schemas.base import Record
from schemas.commands import SubmitFilm
from schemas.entities import FilmTally
from schemas.events import RatingObserved


class Outside:
    """A stage that asks for each rating's film, over a log in memory with one partition."""

    def __init__(self) -> None:
        self.log = MemoryLog(1)
        self.asked: list[str] = []
        self.together = self.most_together = 0
        self.outages: list[Exception] = []
        self.troubles: dict[str, Exception] = {}
        self.stops = False
        spec = TableSpec("answers", {"film|": FilmTally})
        stage = Stage("ask", (RatingObserved,), Kind.REACH, self.tell, (SubmitFilm,), spec, ask=self.ask)
        reader = Reader(stage.reads, 1, 1_000_000, placed=True)
        self.table = MemoryTable(spec)
        self.worker = StageWorker(
            stage, self.table, [], self.log, self.log, reader, attempts=3, stopping=lambda: self.stops
        )

    async def ask(self, message: Message[RatingObserved], films: MutableMapping[str, FilmTally]) -> str | None:
        film = message.data.film_id
        self.asked.append(film)
        self.together += 1
        self.most_together = max(self.most_together, self.together)
        await asyncio.sleep(0)
        self.together -= 1
        if self.outages:
            raise self.outages.pop()
        if film in self.troubles:
            raise self.troubles[film]
        return None if film in films else f"the answer for {film}"

    async def tell(
        self, message: Message[RatingObserved], answer: Any, films: MutableMapping[str, FilmTally]
    ) -> AsyncIterator[Record]:
        if isinstance(answer, Exception):
            raise answer
        if answer is not None:
            films[message.data.film_id] = FilmTally(counted=1)
            yield SubmitFilm(film_id=message.data.film_id, title=answer)

    async def run(self, *films: str) -> None:
        batch = [self.rate(film) for film in films]
        await self.worker.process(batch)

    def rate(self, film: str) -> Any:
        record = {"film_id": film, "source": "s", "source_record_id": film, "value": 1.0}
        return self.log.append("ratings", film.encode(), json.dumps(record).encode(), [])

    @property
    def told(self) -> list[str]:
        return [json.loads(raw.value or b"")["title"] for raw in self.log.records("film-submissions")]

    @property
    def letters(self) -> list[dict[str, Any]]:
        return [json.loads(raw.value or b"") for raw in self.log.records("dead-letters")]


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> Outside:
    monkeypatch.setattr(stage_worker, "BACKOFF_SECONDS", (0.0,))
    return Outside()


async def test_a_batch_is_asked_for_at_once_and_told_in_order(outside):
    await outside.run("tt0000003", "tt0000001", "tt0000002")
    assert outside.most_together == 3
    assert outside.told == [f"the answer for tt000000{n}" for n in (3, 1, 2)]


async def test_what_is_known_is_not_told_again(outside):
    await outside.run("tt0000001")
    await outside.run("tt0000001", "tt0000002")
    assert outside.told == ["the answer for tt0000001", "the answer for tt0000002"]


async def test_an_outage_is_waited_for(outside):
    outside.outages = [Unavailable("away")] * 7
    await outside.run("tt0000001", "tt0000002")
    assert sorted(outside.told) == ["the answer for tt0000001", "the answer for tt0000002"]
    assert outside.letters == []


async def test_an_answer_that_fails_for_good_is_one_dead_letter_among_good_neighbours(outside):
    outside.troubles = {"tt0000002": RuntimeError("no sense in it")}
    await outside.run("tt0000001", "tt0000002", "tt0000003")
    assert outside.told == ["the answer for tt0000001", "the answer for tt0000003"]
    assert [(letter["reason"], letter["origin_offset"]) for letter in outside.letters] == [("failed", 1)]
    assert outside.asked.count("tt0000002") == 3


async def test_what_cannot_be_read_is_not_asked_for(outside):
    poison = outside.log.append("ratings", b"tt0000001", b"{", [])
    await outside.worker.process([poison, outside.rate("tt0000002")])
    assert outside.asked == ["tt0000002"]
    assert [letter["reason"] for letter in outside.letters] == ["rejected"]


async def test_a_stop_while_asking_leaves_the_batch_to_the_next_owner(outside):
    outside.stops = True
    outside.outages = [Unavailable("away")]
    with pytest.raises(Abandoned):
        await outside.run("tt0000001", "tt0000002")
    assert outside.told == []
    assert outside.table.rows(0).mark("ratings") is None


async def test_an_answer_that_says_that_the_worker_must_stop_stops_it(outside):
    outside.troubles = {"tt0000001": MustStopError("going on would lose events")}
    with pytest.raises(MustStopError):
        await outside.run("tt0000001", "tt0000002")

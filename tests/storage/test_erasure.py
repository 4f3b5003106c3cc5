"""What tables have of a person: rows that name them count, the mark that they are gone does not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from app.delivery.table import PartitionRows, Section
from app.storage.erasure import PEOPLE_TABLES, Compacting, OwnTrace
from app.topology import CELEBRITIES, CLAIMS, FACES, SCRAPES
from schemas.entities import Celebrity, Claim, ForgottenPerson, JudgedItem, PersonFaces, ScrapeState, WaitingRun
from schemas.scrapes import Target

PERSON = "Q1"


class Table:
    """A table of one partition."""

    def __init__(self) -> None:
        self.database: dict[bytes, bytes] = {}

    def rows(self, partition: int) -> PartitionRows:
        return PartitionRows(self.database)

    def mark(self, topic: str, offset: int) -> None:
        """As a table looks once a stage has written to it."""
        rows = self.rows(0)
        rows.set_mark(topic, offset)
        rows.leave_open(topic, [offset - 1])
        self.database.update({k: v for k, v in rows.batch.items() if v is not None})
        self.database[b"__faust\0offset__"] = b"7"

    def put(self, prefix: str, key: str, row: Any) -> None:
        rows = self.rows(0)
        Section(rows, prefix, type(row))[key] = row
        rows.save()
        self.database.update({k: v for k, v in rows.batch.items() if v is not None})


@pytest.fixture
def tables() -> dict[str, Table]:
    return {spec.name: Table() for spec in PEOPLE_TABLES}


def trace(tables: dict[str, Table]) -> OwnTrace:
    return OwnTrace(tables, lambda _: [0], lambda _: None, dict)


def test_the_marks_that_a_person_is_gone_count_as_nothing(tables: dict[str, Table]) -> None:
    tables[CELEBRITIES.name].put("", PERSON, Celebrity(celebrity_id=PERSON, era=1, gone_at="2026-01-01T00:00:00.000Z"))
    tables[CLAIMS.name].put("gone|", PERSON, ForgottenPerson(order=4, at="2026-01-01T00:00:00.000Z"))
    tables[FACES.name].put("person|", PERSON, PersonFaces(forgotten=4))
    assert set(trace(tables).rows(PERSON).values()) == {0}


def test_every_row_that_names_the_person_counts_and_those_of_others_do_not(tables: dict[str, Table]) -> None:
    for person in (PERSON, "Q12"):
        claim = Claim(celebrity_id=person, item_id="i", phash64="", dhash64="", phash256="", pipeline=1)
        tables[CELEBRITIES.name].put("", person, Celebrity(celebrity_id=person, name="Tilda"))
        tables[CLAIMS.name].put("image|", f"image-of-{person}", claim)
        tables[FACES.name].put("person|", person, PersonFaces(count=1))
        tables[FACES.name].put("item|", f"{person}|i", JudgedItem(order=1, said=1, verdict="kept"))
    assert trace(tables).rows(PERSON) == {
        "table: celebrities": 1,
        "table: claims": 1,
        "table: faces": 2,
        "table: scrapes": 0,
    }


def test_a_run_that_waits_for_the_person_counts_and_what_the_table_knows_of_itself_does_not(
    tables: dict[str, Table],
) -> None:
    for spec in PEOPLE_TABLES:
        tables[spec.name].mark("scrape-runs", 19)
    assert set(trace(tables).rows(PERSON).values()) == {0}
    run = WaitingRun(run_id="r", trigger="registration", attempt=1, targets=(Target(id=PERSON, kind="person"),))
    tables[SCRAPES.name].put("", "tmdb", ScrapeState(queue=[run]))
    assert trace(tables).rows(PERSON)["table: scrapes"] == 1


async def test_tables_that_were_not_compacted_since_count_too(tables: dict[str, Table]) -> None:
    found = await trace(tables)(PERSON, 5)
    assert found["tables: partitions to be compacted"] == len(PEOPLE_TABLES)


async def test_what_sources_answered_is_let_go_of_once_after_each_forgetting() -> None:
    last: list[tuple[str, int] | None] = [None]

    async def last_forgotten() -> tuple[str, int] | None:
        return last[0]

    let_go: list[int] = []
    people: Any = SimpleNamespace(last_forgotten=last_forgotten)
    compacting = Compacting(people, {}, lambda _: [], lambda: let_go.append(1))
    for told, times in ((None, 0), ((PERSON, 4), 1), ((PERSON, 4), 1), (("Q2", 9), 2)):
        last[0] = told
        await compacting.compact()
        assert len(let_go) == times

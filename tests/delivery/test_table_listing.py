"""Rows listed by the beginning of their keys: what is stored and what was just written, in one order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import rocksdict

from app.delivery.table import PartitionRows, Section
from schemas.entities import FilmTally

STORED = {
    b"film|a|1": b'[1,""]',
    b"film|a|2": b'[2,""]',
    b"film|ab": b'[3,""]',
    b"film|b": b'[4,""]',
    b"films|a|9": b'[9,""]',
    b"~mark|ratings": b"7",
}


@pytest.fixture(params=["memory", "rocksdb"])
def rows(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PartitionRows]:
    if request.param == "memory":
        yield PartitionRows(dict(STORED))
        return
    database = rocksdict.Rdict(str(tmp_path / "db"), rocksdict.Options(raw_mode=True))
    for key, value in STORED.items():
        database[key] = value
    yield PartitionRows(database)
    database.close()


@pytest.fixture
def tallies(rows: PartitionRows) -> Section[FilmTally]:
    return Section(rows, "film|", FilmTally)


def listed(tallies: Section[FilmTally], prefix: str) -> dict[str, Any]:
    return {key: tally.counted for key, tally in tallies.under(prefix)}


def test_a_prefix_lists_its_rows_and_no_others(tallies: Section[FilmTally]) -> None:
    assert listed(tallies, "a|") == {"a|1": 1, "a|2": 2}
    assert listed(tallies, "") == {"a|1": 1, "a|2": 2, "ab": 3, "b": 4}
    assert listed(tallies, "c") == {}


def test_what_the_event_and_the_batch_wrote_stands_in_its_place(
    rows: PartitionRows, tallies: Section[FilmTally]
) -> None:
    tallies["a|0"] = FilmTally(counted=10)
    del tallies["a|2"]
    rows.save()
    tallies["a|1"] = FilmTally(counted=11)
    tallies["a|3"] = FilmTally(counted=13)
    expected = {"a|0": 10, "a|1": 11, "a|3": 13}
    assert list(listed(tallies, "a|").items()) == list(expected.items())
    rows.undo()
    assert listed(tallies, "a|") == {"a|0": 10, "a|1": 1}


def test_a_row_that_was_deleted_and_written_again_is_listed_once(
    rows: PartitionRows, tallies: Section[FilmTally]
) -> None:
    del tallies["b"]
    rows.save()
    tallies["b"] = FilmTally(counted=5)
    assert listed(tallies, "b") == {"b": 5}

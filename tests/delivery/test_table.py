"""Rows as a stage sees them, and rows as they become durable."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from faust.types import TP

from app.delivery.table import BatchTable, PartitionRows, Section
from schemas.entities import FilmTally


@pytest.fixture
def stored() -> dict[bytes, bytes]:
    return {b"film|a": b'[1,""]'}


@pytest.fixture
def rows(stored: dict[bytes, bytes]) -> PartitionRows:
    return PartitionRows(stored)


@pytest.fixture
def tallies(rows: PartitionRows) -> Section[FilmTally]:
    return Section(rows, "film|", FilmTally)


def test_a_stage_sees_what_is_stored_and_what_it_has_just_written(tallies: Section[FilmTally]) -> None:
    assert tallies["a"].counted == 1
    tallies["a"] = FilmTally(counted=2)
    tallies["b"] = FilmTally(counted=5)
    assert (tallies["a"].counted, tallies["b"].counted) == (2, 5)
    assert "b" in tallies
    assert "c" not in tallies
    assert tallies.get("c") is None
    with pytest.raises(KeyError):
        tallies["c"]


def test_undo_forgets_the_event_in_hand_and_keeps_those_before(
    rows: PartitionRows, tallies: Section[FilmTally]
) -> None:
    tallies["a"] = FilmTally(counted=2)
    rows.save()
    tallies["a"] = FilmTally(counted=3)
    tallies["b"] = FilmTally(counted=1)
    rows.undo()
    assert tallies["a"].counted == 2
    assert "b" not in tallies
    assert rows.batch == {b"film|a": b'[2,""]'}


def test_nothing_reaches_the_store_before_it_is_written(
    rows: PartitionRows, tallies: Section[FilmTally], stored: dict[bytes, bytes]
) -> None:
    tallies["a"] = FilmTally(counted=9)
    rows.save()
    rows.set_mark("ratings", 4)
    assert stored == {b"film|a": b'[1,""]'}
    assert rows.mark("ratings") is None


def test_a_deleted_row_is_gone_for_later_events(rows: PartitionRows, tallies: Section[FilmTally]) -> None:
    del tallies["a"]
    assert "a" not in tallies
    rows.save()
    assert "a" not in tallies
    assert rows.batch == {b"film|a": None}


def test_sections_with_other_prefixes_do_not_meet(rows: PartitionRows, tallies: Section[FilmTally]) -> None:
    other = Section(rows, "rating|", FilmTally)
    other["a"] = FilmTally(counted=7)
    assert tallies["a"].counted == 1


def test_a_value_that_was_read_can_be_changed_without_changing_the_table(tallies: Section[FilmTally]) -> None:
    tallies["a"] = FilmTally(counted=2)
    tallies["a"].counted = 100
    assert tallies["a"].counted == 2


def test_the_mark_is_the_last_row_of_a_batch(rows: PartitionRows, tallies: Section[FilmTally]) -> None:
    rows.set_mark("ratings", 4)
    tallies["b"] = FilmTally()
    rows.save()
    rows.set_mark("ratings", 5)
    assert list(rows.batch) == [b"film|b", b"~mark|ratings"]
    assert rows.batch[b"~mark|ratings"] == b"5"


def test_marks_of_two_topics_are_two() -> None:
    rows = PartitionRows({b"~mark|a": b"3", b"~mark|b": b"8"})
    assert (rows.mark("a"), rows.mark("b"), rows.mark("c")) == (3, 8, None)


def test_lists_are_not_for_stages(tallies: Section[FilmTally]) -> None:
    with pytest.raises(NotImplementedError):
        list(tallies)
    with pytest.raises(NotImplementedError):
        len(tallies)


class Changelog:
    """The part of the producer that a table uses."""

    def __init__(self) -> None:
        self.rows: list[tuple[bytes, bytes | None]] = []
        self.fails = False

    async def send_to(self, topic: str, partition: int, rows: Iterable[tuple[bytes, bytes | None]]) -> int:
        if self.fails:
            raise ConnectionError("no broker")
        self.rows += rows
        return len(self.rows) - 1


@pytest.fixture
def table(offline: Any) -> BatchTable:
    found: BatchTable = offline.Table("counted", key_type=bytes, value_type=bytes, partitions=2)
    return found


async def test_rows_and_the_offset_of_their_changelog_become_durable_together(table: BatchTable) -> None:
    changelog: Any = Changelog()
    rows = table.rows(1)
    rows.put(b"a", b"1")
    rows.put(b"b", b"2")
    rows.save()
    rows.set_mark("ratings", 41)
    await table.write(changelog, 1, rows.batch)
    assert changelog.rows == [(b"a", b"1"), (b"b", b"2"), (b"~mark|ratings", b"41")]
    assert table.rows(1).get(b"a") == b"1"
    assert table.rows(1).mark("ratings") == 41
    assert table.persisted_offset(TP(table.changelog_topic.get_topic_name(), 1)) == 2
    assert table.rows(0).get(b"a") is None
    await table.write(changelog, 1, {b"a": None})
    assert table.rows(1).get(b"a") is None
    assert table.persisted_offset(TP("offline-counted-changelog", 1)) == 3


async def test_nothing_is_stored_that_the_changelog_does_not_have(table: BatchTable) -> None:
    changelog: Any = Changelog()
    changelog.fails = True
    with pytest.raises(ConnectionError):
        await table.write(changelog, 0, {b"a": b"1", b"~mark|ratings": b"0"})
    assert table.rows(0).get(b"a") is None
    assert table.rows(0).mark("ratings") is None


async def test_an_empty_batch_writes_nothing(table: BatchTable) -> None:
    changelog: Any = Changelog()
    await table.write(changelog, 0, {})
    assert changelog.rows == []


async def test_recovery_from_the_changelog_makes_the_same_rows(table: BatchTable, offline: Any) -> None:
    changelog: Any = Changelog()
    await table.write(changelog, 0, {b"a": b"1", b"b": b"2", b"~mark|ratings": b"7"})
    await table.write(changelog, 0, {b"a": None, b"~mark|ratings": b"9"})
    fresh: Any = offline.Table("again", key_type=bytes, value_type=bytes, partitions=2)
    tp = TP(fresh.changelog_topic.get_topic_name(), 0)
    fresh.data.apply_changelog_batch(
        [_event(tp, offset, key, value) for offset, (key, value) in enumerate(changelog.rows)], bytes, bytes
    )
    assert dict(fresh.database(0).items()) == dict(table.database(0).items())
    assert fresh.rows(0).mark("ratings") == 9


def _event(tp: TP, offset: int, key: bytes, value: bytes | None) -> Any:
    from faust.events import Event
    from faust.types.tuples import Message

    message = Message(tp.topic, tp.partition, offset, 0.0, 0, [], key, value, None)
    return Event(None, key, value, [], message)


@pytest.mark.parametrize("kind", [str, bytes])
def test_keys_are_routed_as_the_bytes_that_producers_partition_by(table: BatchTable, kind: type) -> None:
    assert table._serializer_from_type(kind) == "raw"

"""What of a training topic comes back: nothing ahead of the ratings, nothing twice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.embedded.compact import Compaction, compact, current_lessons
from app.embedded.partition_log import PartitionLog, read_records, write_partition_count
from app.embedded.segment import ArchivedRecord

Origin = tuple[int, int]


def lesson(offset: int, partition: int, source_offset: int) -> ArchivedRecord:
    value = json.dumps({"film_id": "tt1", "partition": partition, "offset": source_offset, "score": 5.0}).encode()
    return ArchivedRecord(offset, 1000 + offset, b"tt1", value)


def lessons(origins: Sequence[Origin]) -> list[ArchivedRecord]:
    return [lesson(n, *origin) for n, origin in enumerate(origins)]


def origins(records: Sequence[ArchivedRecord]) -> list[Origin]:
    values = [json.loads(record.value or b"") for record in records]
    return [(value["partition"], value["offset"]) for value in values]


def write(directory: Path, topic: str, records: dict[int, list[ArchivedRecord]]) -> None:
    write_partition_count(directory, topic, len(records))
    for partition, those in records.items():
        part = PartitionLog(directory, topic, partition)
        part.append(those)
        part.close()


def sources(count: int) -> list[ArchivedRecord]:
    return [ArchivedRecord(n, n, b"tt1", b"{}") for n in range(count)]


def test_a_lesson_ahead_of_the_archived_ratings_is_dropped() -> None:
    kept = list(current_lessons(lessons([(0, 0), (1, 0), (0, 1), (0, 2), (1, 1)]), {0: 2, 1: 1}))
    assert origins(kept) == [(0, 0), (1, 0), (0, 1)]


def test_a_lesson_of_a_partition_without_archived_ratings_is_dropped() -> None:
    assert list(current_lessons(lessons([(3, 0)]), {0: 5})) == []


def test_a_lesson_said_again_after_a_restart_is_dropped() -> None:
    twice = lessons([(0, 0), (1, 4), (0, 1), (0, 0), (0, 1), (1, 4), (0, 2)])
    kept = list(current_lessons(twice, {0: 10, 1: 10}))
    assert [record.offset for record in kept] == [0, 1, 2, 6]


@pytest.mark.parametrize(
    "value", [None, b"", b"not json", b"[]", b'{"partition": 0}', b'{"partition": "a", "offset": 1}']
)
def test_a_record_without_a_readable_position_is_left_to_its_reader(value: bytes | None) -> None:
    odd = ArchivedRecord(0, 0, None, value)
    assert list(current_lessons([odd], {})) == [odd]


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 20))), st.dictionaries(st.integers(0, 2), st.integers(0, 20))
)
def test_what_is_kept_climbs_below_the_ends_and_keeping_again_changes_nothing(
    said: list[Origin], ends: dict[int, int]
) -> None:
    kept = list(current_lessons(lessons(said), ends))
    for partition in range(3):
        climbing = [offset for p, offset in origins(kept) if p == partition]
        assert climbing == sorted(set(climbing))
        assert all(offset < ends.get(partition, 0) for offset in climbing)
    assert list(current_lessons(kept, ends)) == kept


def test_an_archive_is_compacted_on_disk_and_counted_from_zero(tmp_path: Path) -> None:
    write(tmp_path, "ratings", {0: sources(3), 1: sources(1)})
    write(tmp_path, "training-ratings", {0: lessons([(0, 0), (1, 0), (0, 0), (1, 0), (0, 1), (0, 2), (0, 3)])})
    assert compact(tmp_path) == [Compaction("training-ratings", kept=4, dropped=3)]
    kept = list(chain.from_iterable(read_records(tmp_path, "training-ratings", 0)))
    assert [record.offset for record in kept] == [0, 1, 2, 3]
    assert origins(kept) == [(0, 0), (1, 0), (0, 1), (0, 2)]
    assert [record.timestamp for record in kept] == [1000, 1001, 1004, 1005]
    assert compact(tmp_path) == [Compaction("training-ratings", kept=4, dropped=0)]


def test_without_a_source_in_the_archive_no_lesson_stays(tmp_path: Path) -> None:
    write(tmp_path, "training-reviews", {0: lessons([(0, 0), (0, 1)])})
    assert compact(tmp_path) == [Compaction("training-reviews", kept=0, dropped=2)]
    assert list(read_records(tmp_path, "training-reviews", 0)) == []


def test_a_kill_between_the_two_renames_loses_nothing(tmp_path: Path) -> None:
    write(tmp_path, "ratings", {0: sources(2)})
    write(tmp_path, "training-ratings", {0: lessons([(0, 0), (0, 1)])})
    (tmp_path / ".ready").mkdir()
    (tmp_path / "training-ratings").rename(tmp_path / ".ready" / "training-ratings")
    assert compact(tmp_path) == [Compaction("training-ratings", kept=2, dropped=0)]

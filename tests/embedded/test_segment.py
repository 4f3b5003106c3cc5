"""The archive's files: every damaged byte shows, every torn end is cut, nothing is written twice."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import pytest

from app.embedded.partition_log import (
    PartitionLog,
    read_records,
    segment_files,
    write_partition_count,
)
from app.embedded.segment import ArchiveDamagedError, ArchivedRecord, ArchiveError
from app.embedded.survey import survey, verify

TOPIC = "ratings"


def record(offset: int, size: int = 20) -> ArchivedRecord:
    """A record whose value tells its offset; every seventh is a tombstone, every fifth has no key."""
    value = None if offset % 7 == 3 else f"{offset}:".encode().ljust(size, b"v")
    key = None if offset % 5 == 2 else b"tt%d" % (offset % 3)
    return ArchivedRecord(offset, 1_600_000_000_000 + offset, key, value, (("ce_id", b"%d" % offset), ("none", None)))


def read(directory: Path) -> list[ArchivedRecord]:
    return list(chain.from_iterable(read_records(directory, TOPIC, 0)))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    write_partition_count(tmp_path, TOPIC, 1)
    return tmp_path


@pytest.fixture
def small(directory: Path) -> Path:
    """Three frames of three records in one segment."""
    part = PartitionLog(directory, TOPIC, 0)
    for first in (0, 3, 6):
        part.append([record(first), record(first + 1), record(first + 2)])
    part.close()
    return directory


def test_records_come_back_as_they_were(small: Path) -> None:
    assert read(small) == [record(n) for n in range(9)]


def test_an_archive_goes_on_where_it_ended(small: Path) -> None:
    part = PartitionLog(small, TOPIC, 0)
    assert (part.end, part.last) == (9, record(8))
    part.append([record(9), record(12)])
    part.close()
    assert read(small) == [record(n) for n in (*range(10), 12)]


def test_records_that_are_archived_already_are_refused(small: Path) -> None:
    part = PartitionLog(small, TOPIC, 0)
    with pytest.raises(ArchiveError, match="offset 8 is archived already"):
        part.append([record(8)])
    part.close()
    assert len(read(small)) == 9


def test_every_flipped_byte_is_found(small: Path) -> None:
    (path,) = segment_files(small, TOPIC, 0)
    sound = path.read_bytes()
    for position in range(len(sound)):
        damaged = bytearray(sound)
        damaged[position] ^= 0x10
        path.write_bytes(damaged)
        report = verify(small)
        assert len(report.damage) == 1, f"byte {position}"
        assert str(path) in report.damage[0]
    path.write_bytes(sound)
    assert verify(small).damage == []
    assert verify(small).records == 9


def test_an_end_torn_anywhere_is_cut_back_to_the_last_whole_frame(small: Path) -> None:
    (path,) = segment_files(small, TOPIC, 0)
    sound = path.read_bytes()
    for length in range(len(sound)):
        path.write_bytes(sound[:length])
        assert verify(small).damage == []
        survivors = read(small)
        assert survivors == [record(n) for n in range(len(survivors))]
        part = PartitionLog(small, TOPIC, 0)
        assert part.end == len(survivors)
        part.append([record(n) for n in range(part.end, 9)])
        part.close()
        assert read(small) == [record(n) for n in range(9)], f"torn after {length} bytes"
        for other in segment_files(small, TOPIC, 0):
            other.unlink()


def test_an_end_filled_with_zeros_by_a_power_cut_is_cut_off(small: Path) -> None:
    (path,) = segment_files(small, TOPIC, 0)
    sound = path.read_bytes()
    path.write_bytes(sound + bytes(5000))
    assert survey(small)[0].torn_bytes == 5000
    PartitionLog(small, TOPIC, 0).close()
    assert path.read_bytes() == sound


def test_damage_before_the_end_stops_the_writer(small: Path) -> None:
    (path,) = segment_files(small, TOPIC, 0)
    damaged = bytearray(path.read_bytes())
    damaged[70] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(ArchiveDamagedError):
        PartitionLog(small, TOPIC, 0)
    assert path.read_bytes() == damaged


def test_segments_rotate_and_a_missing_one_is_found(directory: Path) -> None:
    part = PartitionLog(directory, TOPIC, 0, segment_bytes=300)
    for offset in range(0, 60, 2):  # every other offset is a gap
        part.append([record(offset, size=100)])
    part.close()
    files = segment_files(directory, TOPIC, 0)
    assert len(files) > 3
    assert [r.offset for r in read(directory)] == list(range(0, 60, 2))
    assert (survey(directory)[0].segments, survey(directory)[0].records) == (len(files), 30)
    files[1].rename(directory / "elsewhere")
    (found,) = verify(directory).damage
    assert str(files[2]) in found
    assert "missing" in found


@pytest.mark.parametrize("room", [0, 4, 60])
def test_what_the_disk_did_not_take_whole_can_be_written_again(directory: Path, room: int) -> None:
    part = PartitionLog(directory, TOPIC, 0, segment_bytes=100)
    for first in (0, 3):
        with files_of_at_most(room), pytest.raises(OSError, match=r"(No space left|File too large)"):
            part.append([record(first, 200), record(first + 1)])
        part.append([record(first, 200), record(first + 1)])
    part.close()
    assert read(directory) == [record(0, 200), record(1), record(3, 200), record(4)]
    assert len(segment_files(directory, TOPIC, 0)) == 2


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """While it lasts, the system takes of a file so many bytes and no more, as a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_segment_of_another_partition_is_not_taken_for_ones_own(small: Path) -> None:
    write_partition_count(small, "reviews", 1)
    (path,) = segment_files(small, TOPIC, 0)
    other = small / "reviews" / "0"
    other.mkdir()
    path.rename(other / path.name)
    (found,) = verify(small).damage
    assert "reviews/0" in found


def test_a_topic_keeps_its_number_of_partitions(directory: Path) -> None:
    with pytest.raises(ArchiveError, match="has 4 partitions, but 1 in the archive"):
        write_partition_count(directory, TOPIC, 4)

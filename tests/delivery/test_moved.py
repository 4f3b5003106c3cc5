"""What was sent on to the partition that it belongs in counts once."""

from __future__ import annotations

import pytest

from app.delivery.moved import MOVED_HEADER, Arrivals, origin_of, with_origin, without_origin
from app.delivery.raw import Raw
from app.delivery.table import PartitionRows


def arrived(header: bytes | None, offset: int = 0, topic: str = "ratings") -> Raw:
    headers: list[tuple[str, bytes]] = [("ce_id", b"x"), (MOVED_HEADER, header)]  # type: ignore[list-item]
    return Raw(topic, 1, offset, 0, b"k", b"{}", headers)


def sent(partition: int, offset: int, topic: str = "ratings") -> Raw:
    return Raw(topic, 1, 0, 0, b"k", b"{}", with_origin([("ce_id", b"x")], partition, offset))


def test_a_record_tells_where_it_stood_and_only_where_it_stood_last() -> None:
    assert origin_of(sent(3, 12)) == (3, 12)
    assert with_origin(sent(3, 12).headers, 2, 7) == [("ce_id", b"x"), (MOVED_HEADER, b"2-7")]
    assert without_origin(sent(3, 12).headers) == [("ce_id", b"x")]


@pytest.mark.parametrize("header", [None, b"", b"3", b"3-", b"-3", b"3-x", b"3--4", b"\xff-1", b"1-" + b"9" * 5000])
def test_what_others_write_there_tells_nothing(header: bytes | None) -> None:
    assert origin_of(arrived(header)) is None
    assert not Arrivals({1: PartitionRows({})}).again(arrived(header))


def test_what_is_sent_again_from_further_back_is_a_repeat_in_each_partition_by_itself() -> None:
    rows = {1: PartitionRows({})}
    batch = Arrivals(rows)
    steps = [sent(0, 4), sent(2, 9), sent(0, 6), sent(0, 4), sent(0, 6), sent(0, 8), sent(2, 9), sent(0, 4, "facts")]
    assert [batch.again(raw) for raw in steps] == [False, False, False, True, True, False, True, False]
    batch.save()
    later = Arrivals({1: PartitionRows({}, [rows[1].batch])})
    assert [later.again(raw) for raw in (sent(0, 8), sent(0, 9), sent(2, 9), sent(2, 10))] == [True, False, True, False]
    stored = {key: value for key, value in rows[1].batch.items() if value is not None}
    assert Arrivals({1: PartitionRows(stored)}).again(sent(0, 8))


def test_where_records_came_from_is_no_row_of_a_stage() -> None:
    rows = PartitionRows({})
    rows.set_moved("ratings", 0, 4)
    assert list(rows.under(b"")) == []

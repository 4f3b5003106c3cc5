"""A table is recovered in unbroken order, and what Faust leaves out is read again before the stages start."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from agents.errors import MustStopError
from app.delivery import recovery
from app.delivery.raw import Raw
from app.delivery.table import BatchTable

CHANGELOG = [(b"a", b"1"), (b"b", b"1"), (b"a", b"2"), (b"b", None), (b"c", b"1"), (b"~mark|x", b"9")]
END = len(CHANGELOG)


class Log:
    """The changelog as a client of no group reads it; something may happen meanwhile."""

    def __init__(self) -> None:
        self.reads: list[tuple[int, int]] = []
        self.meanwhile: Any = lambda: None

    async def read(self, topic: str, partition: int, start: int, stop: int) -> Sequence[Raw]:
        self.reads.append((start, stop))
        self.meanwhile()
        return [Raw(topic, partition, n, 0, *CHANGELOG[n], []) for n in range(start, stop)]


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    log = Log()
    monkeypatch.setattr(recovery, "KafkaLogReader", lambda servers: log)
    return log


@pytest.fixture
def table(offline: Any, log: Log) -> BatchTable:
    table: BatchTable = offline.Table("t", key_type=bytes, value_type=bytes, partitions=2)
    table.database(0)
    offline.tables.recovery.active_highwaters[changelog(table)] = END - 1
    return table


def changelog(table: BatchTable) -> TP:
    return TP(table.changelog_topic.get_topic_name(), 0)


def bring(table: BatchTable, *offsets: int, partition: int = 0) -> None:
    """What Faust hands over when it has read these offsets."""
    tp = changelog(table)._replace(partition=partition)
    rows = [(n, *CHANGELOG[n]) for n in offsets]
    table.apply_changelog_batch(
        [
            SimpleNamespace(message=SimpleNamespace(tp=tp, partition=partition, offset=n, key=key, value=value))
            for n, key, value in rows
        ]
    )


async def complete(table: BatchTable) -> dict[bytes, bytes]:
    await table.on_recovery_completed({changelog(table)}, set())
    return {bytes(k): bytes(v) for k, v in table.database(0).items() if not bytes(k).startswith(b"__faust")}


WHOLE = {b"a": b"2", b"c": b"1", b"~mark|x": b"9"}


async def test_what_comes_in_order_is_applied_and_nothing_is_read_again(table: BatchTable, log: Log) -> None:
    bring(table, 0, 1, 2)
    bring(table, 3, 4, 5)
    assert await complete(table) == WHOLE
    assert log.reads == []


async def test_rows_after_a_hole_wait_until_the_hole_is_read_again(table: BatchTable, log: Log) -> None:
    bring(table, 0, 1)
    bring(table, 4, 5)
    assert table.applied(0) == 1
    assert table.rows(0).mark("x") is None
    assert await complete(table) == WHOLE
    assert log.reads == [(2, END)]


async def test_a_hole_at_the_end_is_read_again_too(table: BatchTable, log: Log) -> None:
    bring(table, 0, 1, 2, 3)
    assert await complete(table) == WHOLE
    assert log.reads == [(4, END)]
    assert table.applied(0) == END - 1


async def test_rows_of_a_partition_that_is_not_here_are_passed_over(table: BatchTable) -> None:
    bring(table, 0, 1, partition=1)
    assert 1 not in table.data._dbs


async def test_what_was_read_for_a_partition_that_has_gone_meanwhile_is_dropped(table: BatchTable, log: Log) -> None:
    log.meanwhile = lambda: setattr(table.app.consumer, "generation_id", 7) or table.data._dbs.clear()
    await complete_quietly(table)
    assert table.applied(0) == -1


async def complete_quietly(table: BatchTable) -> None:
    await table.on_recovery_completed({changelog(table)}, set())


async def test_rows_of_others_between_do_not_count_as_applied(table: BatchTable) -> None:
    class Foreign:
        async def send_to(self, topic: str, partition: int, rows: Any) -> int:
            return 8 + len(list(rows))

    await table.write(Foreign(), 0, {b"k": b"v"})  # type: ignore[arg-type]
    assert table.database(0).get(b"k") == b"v"
    assert table.applied(0) == -1


class Brokers:
    """Says that changelogs begin at 0."""

    async def earliest_offsets(self, *tps: TP) -> dict[TP, int]:
        return dict.fromkeys(tps, 0)


@pytest.mark.parametrize("end", [0, 1, END - 1])
async def test_a_changelog_that_was_deleted_or_cut_stops_the_worker_with_what_to_do(
    table: BatchTable, end: int
) -> None:
    tp, own = changelog(table), table.app.tables.recovery
    own.active_highwaters[tp] = end - 1
    with pytest.raises(MustStopError, match=rf"t-changelog-0 ends at {end}, before .*remove \S+/tables of each"):
        await own._build_offsets(Brokers(), {tp}, Counter({tp: END - 1}), "active")


@pytest.mark.parametrize("applied", [-1, 0, END - 1])
async def test_a_changelog_that_is_whole_stops_nobody(table: BatchTable, applied: int) -> None:
    tp, own = changelog(table), table.app.tables.recovery
    found = Counter({tp: applied})
    await own._build_offsets(Brokers(), {tp}, found, "active")
    assert found[tp] == applied

"""Which partitions a fetch names, and for how long a broker may hold it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition, codec
from aiokafka.consumer.subscription_state import Assignment, TopicPartitionState

from app.delivery.fetching import (
    FULL_SECONDS,
    HOT_SECONDS,
    LONG_WAIT_MS,
    MOST_FULL_SECONDS,
    SHORT_WAIT_MS,
    HotFirst,
)

FETCHER_TIMEOUT = 0.2

BUSY, IDLE, OTHER, PATIENT = (TopicPartition(name, 0) for name in ("ratings", "reviews", "facts", "predictions"))


class Fetcher:
    """aiokafka's, as far as it chooses; says what it was asked to choose from."""

    def __init__(self) -> None:
        self._in_flight: set[int] = set()
        self._pending_tasks: set[Any] = set()
        self._records: dict[TopicPartition, Any] = {}
        self.brokers = {1}
        self._client = SimpleNamespace(cluster=SimpleNamespace(brokers=lambda: self.brokers))
        self._fetch_max_wait_ms = 500
        self.asked: list[tuple[set[TopicPartition], int]] = []

    def _select_read_replica(self, tp: TopicPartition) -> int:
        return 2 if tp == OTHER else 1

    def _get_actions_per_node(self, assignment: Any) -> Any:
        self.asked.append((set(assignment.tps), self._fetch_max_wait_ms))
        return [], {}, FETCHER_TIMEOUT, False, []


class Bench:
    """A clock, a fetcher, and three partitions that are read from their beginning."""

    def __init__(self) -> None:
        self.now = 100.0
        self.fetcher = Fetcher()
        self.assignment = Assignment([BUSY, IDLE, OTHER])
        for tp in self.assignment.tps:
            self.state(tp).reset_to(0)
        HotFirst(self.fetcher, frozenset({PATIENT.topic}), lambda: self.now).install()

    def state(self, tp: TopicPartition) -> TopicPartitionState:
        return self.assignment.state_value(tp)

    def ask(self, after: float = 0.0) -> tuple[set[TopicPartition], int]:
        """What is asked for, so many seconds later."""
        self.now += after
        self.fetcher._get_actions_per_node(self.assignment)
        return self.fetcher.asked[-1]

    def receive(self, tp: TopicPartition) -> None:
        """A record came and was taken."""
        self.state(tp).consumed_to(self.state(tp).position + 1)


@pytest.fixture
async def bench() -> Bench:
    return Bench()


EVERYTHING = {BUSY, IDLE, OTHER}


async def test_an_idle_worker_asks_for_everything_and_lets_the_broker_hold_it(bench: Bench) -> None:
    assert [bench.ask(after) for after in (0.0, 0.01, 10.0)] == [(EVERYTHING, LONG_WAIT_MS)] * 3


async def test_a_busy_partition_is_asked_for_alone_with_looks_at_the_others_in_between(bench: Bench) -> None:
    bench.ask()
    bench.receive(BUSY)
    assert bench.ask(2 * FULL_SECONDS) == (EVERYTHING, LONG_WAIT_MS)
    for _ in range(3):
        bench.receive(BUSY)
        assert bench.ask(FULL_SECONDS / 4) == ({BUSY}, SHORT_WAIT_MS)
    assert bench.ask(FULL_SECONDS / 2) == (EVERYTHING, LONG_WAIT_MS)


async def test_what_can_wait_is_never_asked_for_alone(bench: Bench) -> None:
    bench.assignment = Assignment([BUSY, PATIENT])
    for tp in bench.assignment.tps:
        bench.state(tp).reset_to(0)
    bench.ask()
    for tp in (BUSY, PATIENT):
        bench.receive(tp)
    assert bench.ask(2 * FULL_SECONDS)[0] == {BUSY, PATIENT}
    for tp in (BUSY, PATIENT):
        bench.receive(tp)
    assert bench.ask(FULL_SECONDS / 4) == ({BUSY}, SHORT_WAIT_MS)


async def test_looks_in_vain_are_rarer_until_one_finds_something(bench: Bench) -> None:
    def seconds_to_a_look() -> float:
        for n in range(1, 100):
            bench.receive(BUSY)
            if bench.ask(FULL_SECONDS / 8)[0] == EVERYTHING:
                return n * FULL_SECONDS / 8
        return float("inf")

    bench.ask()
    bench.receive(BUSY)
    bench.ask(2 * FULL_SECONDS)
    waits = [seconds_to_a_look() for _ in range(5)]
    assert waits == pytest.approx([FULL_SECONDS, 2 * FULL_SECONDS, *[MOST_FULL_SECONDS] * 3], rel=0.2)
    bench.receive(IDLE)
    seconds_to_a_look()
    assert seconds_to_a_look() == pytest.approx(FULL_SECONDS, rel=0.2)


async def test_a_partition_that_is_quiet_again_is_asked_for_with_the_others(bench: Bench) -> None:
    bench.ask()
    bench.receive(BUSY)
    bench.ask(2 * FULL_SECONDS)
    assert bench.ask(FULL_SECONDS / 2)[0] == {BUSY}
    bench.ask(HOT_SECONDS * 2)
    assert bench.ask(FULL_SECONDS / 2) == (EVERYTHING, LONG_WAIT_MS)


async def test_while_records_wait_the_broker_may_not_hold_a_fetch_for_long(bench: Bench) -> None:
    bench.fetcher._records[BUSY] = object()
    assert bench.ask() == (EVERYTHING, SHORT_WAIT_MS)


async def test_nothing_is_asked_for_while_records_of_all_that_is_busy_wait(bench: Bench) -> None:
    bench.fetcher._records[BUSY] = object()
    bench.ask()
    assert bench.ask(FULL_SECONDS / 2)[0] == set()
    assert bench.ask(FULL_SECONDS) == (EVERYTHING, SHORT_WAIT_MS)
    del bench.fetcher._records[BUSY]
    assert bench.ask(FULL_SECONDS / 2) == ({BUSY}, SHORT_WAIT_MS)


async def test_a_broker_that_a_look_passes_over_is_looked_at_as_soon_as_it_can_be_asked(bench: Bench) -> None:
    bench.fetcher.brokers = {1, 2}
    bench.ask()
    bench.receive(BUSY)
    bench.ask(2 * FULL_SECONDS)
    bench.receive(BUSY)
    bench.fetcher._in_flight.add(2)
    assert bench.ask(FULL_SECONDS)[0] == EVERYTHING, "of which aiokafka asks for what is at broker 1"
    bench.receive(BUSY)
    assert bench.ask(FULL_SECONDS / 8)[0] == {BUSY}
    bench.fetcher._in_flight.clear()
    assert bench.ask(FULL_SECONDS / 8) == ({BUSY, OTHER}, SHORT_WAIT_MS)
    assert bench.ask(FULL_SECONDS / 8)[0] == {BUSY}, "once is enough"


async def test_with_every_broker_asked_already_nothing_is_chosen(bench: Bench) -> None:
    bench.fetcher._in_flight.add(1)
    assert bench.ask()[0] == set()
    bench.fetcher._in_flight.clear()
    assert bench.ask()[0] == EVERYTHING


async def test_a_partition_that_was_taken_away_is_not_asked_for(bench: Bench) -> None:
    bench.ask()
    bench.receive(BUSY)
    bench.ask(2 * FULL_SECONDS)
    bench.assignment = Assignment([IDLE])
    bench.state(IDLE).reset_to(0)
    assert bench.ask(FULL_SECONDS / 2)[0] == {IDLE}


async def test_a_partition_without_a_position_is_left_to_aiokafka(bench: Bench) -> None:
    bench.assignment = Assignment([BUSY, IDLE])
    assert bench.ask()[0] == {BUSY, IDLE}
    bench.state(BUSY).reset_to(7)
    assert bench.ask(2 * FULL_SECONDS)[0] == {BUSY, IDLE}
    assert bench.ask(FULL_SECONDS / 2)[0] == {BUSY}, "a position that was found counts as movement"


async def test_a_partition_that_is_paused_is_neither_asked_for_nor_waited_for(bench: Bench) -> None:
    bench.state(OTHER).pause()
    assert bench.ask()[0] == {BUSY, IDLE}
    bench.state(OTHER).resume()
    assert bench.ask(FULL_SECONDS * 2)[0] == EVERYTHING


@pytest.mark.parametrize(("tasks", "wait"), [({object()}, FETCHER_TIMEOUT), (set(), 0.0)])
async def test_a_broker_whose_fetch_has_ended_is_looked_at_again_at_once(
    bench: Bench, tasks: set[Any], wait: float
) -> None:
    bench.fetcher._in_flight.add(1)
    bench.fetcher._pending_tasks |= tasks
    assert bench.fetcher._get_actions_per_node(bench.assignment)[2] == wait


def test_records_can_be_read_however_clients_or_brokers_compress_them() -> None:
    assert [codec.has_gzip(), codec.has_snappy(), codec.has_lz4(), codec.has_zstd()] == [True] * 4

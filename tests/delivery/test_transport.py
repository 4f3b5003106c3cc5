"""The gate: no source event is read between losing a partition and a finished seek."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from faust.types import TP

from app.delivery import stretch, transport
from app.delivery.producer import Producer
from app.delivery.raw import Raw
from app.embedded.broker import Broker

SOURCE, CHANGELOG = TP("ratings", 0), TP("offline-counted-changelog", 0)


class Driver:
    """The thread that talks to the broker, with a script instead of a broker."""

    def __init__(self) -> None:
        self.assigned = {SOURCE, CHANGELOG}
        self.committed: dict[TP, int | None] = {SOURCE: 7}
        self.asked: list[Any] = []
        self.waits: list[float] = []
        self.rewound: list[Any] = []
        self.records: dict[Any, list[Any]] | None = None
        self.holds = asyncio.Event()
        self.holds.set()

    def assignment(self) -> set[TP]:
        return set(self.assigned)

    async def getmany(self, partitions: Any, timeout: float) -> dict[Any, list[Any]]:
        self.asked.append(partitions)
        self.waits.append(timeout)
        await self.holds.wait()
        return dict(self.records) if self.records is not None else {tp: fetched(0) for tp in partitions}

    async def seek_to_committed(self) -> dict[TP, int | None]:
        await self.holds.wait()
        return {tp: offset for tp, offset in self.committed.items() if tp in self.assigned}

    async def seek_to_beginning(self, *partitions: Any) -> None:
        self.rewound += partitions


@pytest.fixture
def driver() -> Driver:
    return Driver()


@pytest.fixture
def consumer(offline: Any, driver: Driver) -> Any:
    """Marquee's consumer after an assignment, with its table still to be recovered."""
    offline.Table("counted", key_type=bytes, value_type=bytes, partitions=1)
    offline.rebalancing = False
    found = offline.consumer
    found._thread = driver
    assert found._is_changelog_tp(CHANGELOG)
    return found


async def read(consumer: Any, *partitions: TP) -> set[TP]:
    """The partitions that get through the gate; what happens behind it is another matter."""
    return set(await transport.SourceGate._getmany(consumer, set(partitions), timeout=0.1))


async def open_gate(consumer: Any) -> None:
    """What Faust does at the end of recovery."""
    consumer.resume_partitions({SOURCE})
    await consumer.perform_seek()
    consumer.resume_flow()


async def test_before_the_first_seek_only_changelogs_are_read(consumer: Any) -> None:
    consumer.resume_flow()
    assert await read(consumer, SOURCE, CHANGELOG) == {CHANGELOG}
    assert not consumer.gate_open


async def test_sources_are_read_after_the_seek(consumer: Any) -> None:
    await open_gate(consumer)
    assert await read(consumer, SOURCE, CHANGELOG) == {SOURCE, CHANGELOG}
    assert consumer.gate_open


async def test_resumed_sources_are_not_read_before_their_seek_has_finished(consumer: Any, driver: Driver) -> None:
    consumer.resume_flow()
    consumer.resume_partitions({SOURCE})
    driver.holds.clear()
    seeking = asyncio.create_task(consumer.perform_seek())
    await asyncio.sleep(0)
    reading = asyncio.create_task(read(consumer, SOURCE))
    await asyncio.sleep(0.01)
    assert driver.asked == []
    driver.holds.set()
    await seeking
    assert await reading == set()


async def test_a_flow_that_is_resumed_without_a_seek_leaves_the_gate_shut(consumer: Any) -> None:
    consumer.resume_partitions({SOURCE})
    consumer.resume_flow()
    assert await read(consumer, SOURCE) == set()


async def test_the_seek_of_a_fetch_that_came_back_late_does_not_open_the_gate(consumer: Any) -> None:
    await open_gate(consumer)
    consumer.stop_flow()
    await consumer.perform_seek()
    # Recovery lets the changelogs flow before the sources are due.
    consumer.resume_flow()
    assert not consumer.gate_open
    assert await read(consumer, SOURCE, CHANGELOG) == {CHANGELOG}


async def test_what_was_fetched_while_the_partition_was_lost_is_dropped(consumer: Any, driver: Driver) -> None:
    await open_gate(consumer)
    driver.holds.clear()
    reading = asyncio.create_task(read(consumer, SOURCE, CHANGELOG))
    await asyncio.sleep(0)
    consumer.stop_flow()
    driver.holds.set()
    assert await reading == {CHANGELOG}


async def test_a_seek_that_a_new_rebalance_overtook_does_not_count(consumer: Any, driver: Driver) -> None:
    consumer.resume_partitions({SOURCE})
    driver.holds.clear()
    seeking = asyncio.create_task(consumer.perform_seek())
    await asyncio.sleep(0)
    consumer.stop_flow()
    driver.holds.set()
    await seeking
    consumer.resume_flow()
    assert not consumer.gate_open


async def test_the_driver_is_never_asked_for_no_partition_which_would_mean_all(consumer: Any, driver: Driver) -> None:
    assert await read(consumer, SOURCE) == set()
    assert driver.asked == []


@pytest.mark.parametrize("committed", [None, 0])
async def test_a_group_that_committed_nothing_starts_at_the_beginning(
    consumer: Any, driver: Driver, committed: int | None
) -> None:
    driver.committed = {SOURCE: committed}
    await open_gate(consumer)
    assert [(tp.topic, tp.partition) for tp in driver.rewound] == [SOURCE]


async def test_a_group_that_committed_something_is_not_rewound(consumer: Any, driver: Driver) -> None:
    await open_gate(consumer)
    assert driver.rewound == []


async def test_a_worker_without_partitions_counts_as_open_until_it_gets_some(
    consumer: Any, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver.assigned = set()
    consumer.resume_partitions(set())
    consumer.resume_flow()
    assert consumer.gate_open
    monkeypatch.setattr(transport.driver.Consumer, "on_partitions_assigned", _nothing)
    driver.assigned = {SOURCE}
    await consumer.on_partitions_assigned({SOURCE}, 2)
    assert not consumer.gate_open
    assert await read(consumer, SOURCE) == set()


async def _nothing(*_: Any) -> None:
    return None


async def test_a_shut_gate_raises_the_alarm_only_where_nothing_explains_it(
    consumer: Any, offline: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer.resume_partitions({SOURCE})
    consumer.resume_flow()
    assert not consumer.gate_stuck
    monkeypatch.setattr(transport, "GATE_ALARM_SECONDS", -1.0)
    assert consumer.gate_stuck
    offline.in_recovery = True
    assert not consumer.gate_stuck
    offline.in_recovery = False
    await open_gate(consumer)
    assert not consumer.gate_stuck


def fetched(*offsets: int) -> list[Raw]:
    """Records as the fetcher gives them."""
    return [Raw(SOURCE.topic, SOURCE.partition, offset, 1000, b"k", b"{}", []) for offset in offsets]


def subscribe(offline: Any, stages: int = 1) -> list[Any]:
    """The queues of so many stages of the source topic."""
    topics = [offline.topic(SOURCE.topic, key_type=bytes, value_type=bytes) for _ in range(stages)]
    offline.topics._tp_index[SOURCE].update(topics)
    offline.flow_control.resume()
    return [topic.queue for topic in topics]


async def bring(consumer: Any, driver: Driver, *offsets: int) -> None:
    """One fetch that brings these offsets of the source."""
    # aiokafka names partitions with a type of its own.
    driver.records = {TopicPartition(*SOURCE): fetched(*offsets)}
    await consumer._getmany({SOURCE}, timeout=0.1)


async def test_what_a_fetch_brought_reaches_every_stage_in_one_piece(
    consumer: Any, driver: Driver, offline: Any
) -> None:
    queues = subscribe(offline, 2)
    await open_gate(consumer)
    await bring(consumer, driver, 7, 8)
    first, second = [queue.get_nowait() for queue in queues]
    assert first is second
    assert first.records == fetched(7, 8)
    assert all(queue.empty() for queue in queues)


async def test_changelog_records_are_left_to_faust(consumer: Any, driver: Driver, offline: Any) -> None:
    [queue] = subscribe(offline)
    await open_gate(consumer)
    driver.records = {CHANGELOG: fetched(1), SOURCE: fetched(7)}
    assert await consumer._getmany({SOURCE, CHANGELOG}, timeout=0.1) == {CHANGELOG: fetched(1)}
    assert queue.qsize() == 1


async def test_nothing_is_delivered_while_a_rebalance_is_under_way(consumer: Any, driver: Driver, offline: Any) -> None:
    [queue] = subscribe(offline)
    await open_gate(consumer)
    offline.flow_control.suspend()
    await bring(consumer, driver, 7)
    assert queue.empty()


async def test_a_partition_of_which_much_waits_is_not_fetched_until_little_does(
    consumer: Any, driver: Driver, offline: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stretch, "MOST_WAITING", 4)
    monkeypatch.setattr(stretch, "FEW_WAITING", 1)
    [queue] = subscribe(offline)
    await open_gate(consumer)
    for start in (0, 2, 4):
        await bring(consumer, driver, start, start + 1)
    for left, fetching in ((4, False), (2, False), (0, True)):
        assert SOURCE not in consumer._get_active_partitions()
        taken = queue.get_nowait()
        consumer.begin(taken)
        consumer.finish(taken, done=True)
        assert (consumer._waiting[SOURCE], SOURCE in consumer._get_active_partitions()) == (left, fetching)


async def test_what_only_patient_stages_read_is_looked_at_once_in_a_while(consumer: Any, driver: Driver) -> None:
    other = TP("reviews", 0)
    driver.assigned, driver.committed = {SOURCE, other}, {SOURCE: 7, other: 7}
    consumer._looks.patience, consumer._patient_topics = 3600.0, frozenset({SOURCE.topic})
    await open_gate(consumer)
    for _ in range(3):
        await consumer._getmany({SOURCE, other}, timeout=0.1)
    assert driver.asked == [{SOURCE, other}, {other}, {other}]


def test_the_next_look_is_due_at_once_after_a_full_one_and_late_while_others_wait() -> None:
    pressed = False
    looks = stretch.Looks(0.2, lambda: pressed)
    assert looks.wait(100.0) <= 0
    for now, count, wait in ((100.0, 0, 0.2), (200.0, stretch.MOST_FETCHED - 1, 0.2), (300.0, stretch.MOST_FETCHED, 0)):
        looks.looked(now, count)
        pressed = False
        assert looks.wait(now) == pytest.approx(wait)
        pressed = True
        assert looks.wait(now + 0.5) == pytest.approx(stretch.PRESSED_PATIENCE - 0.5)
        assert looks.wait(now + stretch.PRESSED_PATIENCE) <= 0


def test_a_gap_in_a_full_queue_is_not_taken_for_its_end() -> None:
    pressed = True
    looks = stretch.Looks(0.2, lambda: pressed)
    looks.looked(100.0, 0)
    assert looks.wait(101.0) == pytest.approx(stretch.PRESSED_PATIENCE - 1.0)
    pressed = False
    assert looks.wait(101.1) == pytest.approx(stretch.PRESSED_PATIENCE - 1.1)
    assert looks.wait(101.0 + stretch.STILL_PRESSED) <= 0


async def test_what_only_patient_stages_read_waits_longer_while_what_others_wait_for_is_behind(
    consumer: Any, driver: Driver, offline: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stretch, "FEW_WAITING", 2)
    [queue] = subscribe(offline)
    await open_gate(consumer)
    assert not consumer._pressed()
    await bring(consumer, driver, 0, 1)
    assert consumer._pressed()
    taken = queue.get_nowait()
    consumer.begin(taken)
    consumer.finish(taken, done=True)
    assert not consumer._pressed()
    monkeypatch.setattr(offline, "pressed", lambda: True, raising=False)
    assert consumer._pressed()


async def test_a_look_is_short_while_partitions_are_held_back_since_one_may_go_on_meanwhile(
    consumer: Any, driver: Driver, offline: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribe(offline)
    await open_gate(consumer)
    await bring(consumer, driver)
    monkeypatch.setattr(offline, "pressed", lambda: True, raising=False)
    await bring(consumer, driver)
    assert driver.waits == [0.1, stretch.HELD_SECONDS]


class Assigned:
    """The part of aiokafka's consumer that says what it fetches."""

    def __init__(self) -> None:
        self.held: set[TopicPartition] = set()

    def assignment(self) -> set[TopicPartition]:
        return {TopicPartition(*SOURCE), TopicPartition(*CHANGELOG)}

    def paused(self) -> set[TopicPartition]:
        return set(self.held)

    def pause(self, *partitions: TopicPartition) -> None:
        self.held |= set(partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        self.held -= set(partitions)


async def test_changelogs_are_fetched_only_while_they_are_recovered(
    consumer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: Any) -> dict[TP, list[Any]]:
        return {}

    monkeypatch.setattr(transport.driver.AIOKafkaConsumerThread, "_fetch_records", nothing)
    thread = consumer._new_consumer_thread()
    fetching = Assigned()
    await thread._fetch_records(fetching, {CHANGELOG})
    assert fetching.held == set()
    await thread._fetch_records(fetching, {SOURCE})
    assert fetching.held == {TopicPartition(*CHANGELOG)}
    await thread._fetch_records(fetching, {SOURCE, CHANGELOG})
    assert fetching.held == set()


async def test_what_was_delivered_before_a_seek_is_never_committed_after_it(
    consumer: Any, driver: Driver, offline: Any
) -> None:
    [queue] = subscribe(offline)
    await open_gate(consumer)
    await bring(consumer, driver, 7)
    await open_gate(consumer)
    late = queue.get_nowait() if queue.qsize() else None
    assert late is not None
    consumer.begin(late)
    consumer.finish(late, done=True)
    assert list(consumer._filter_tps_with_pending_acks()) == []


async def test_only_the_partitions_asked_about_are_committed(consumer: Any, driver: Driver, offline: Any) -> None:
    [queue] = subscribe(offline)
    await open_gate(consumer)
    await bring(consumer, driver, 7, 8)
    taken = queue.get_nowait()
    consumer.begin(taken)
    consumer.finish(taken, done=True)
    assert list(consumer._filter_tps_with_pending_acks({"elsewhere"})) == []
    assert list(consumer._filter_tps_with_pending_acks({SOURCE.topic})) == [SOURCE]
    assert consumer._filter_committable_offsets({SOURCE}) == {SOURCE: 9}
    assert list(consumer._filter_tps_with_pending_acks()) == []


async def test_a_partition_whose_position_is_being_asked_for_is_not_looked_at(consumer: Any, offline: Any) -> None:
    thread = transport.PromptConsumerThread(consumer, loop=asyncio.get_running_loop())
    thread._consumer, thread.time_started = AIOKafkaConsumer(), time.monotonic()
    subscriptions, target = thread._consumer._subscription, TopicPartition(*SOURCE)
    thread.verify_event_path(time.monotonic(), SOURCE)
    subscriptions.assign_from_user([target])
    thread._consumer._fetcher = SimpleNamespace(_subscriptions=subscriptions)
    state = subscriptions.subscription.assignment.state_value(target)
    state.timestamp, state.highwater = int(time.monotonic() * 1000), 9
    assert not state.has_valid_position
    thread.verify_event_path(time.monotonic(), SOURCE)
    state.seek(9)
    thread.verify_event_path(time.monotonic(), SOURCE)


@pytest.mark.embedded
async def test_the_end_of_a_partition_is_right_where_the_broker_understates_it(tansu: Broker) -> None:
    target = TopicPartition("true-ends", 1)
    admin = AIOKafkaAdminClient(bootstrap_servers=tansu.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(target.topic, 2, 1)])
    await admin.close()
    producer = Producer([tansu.bootstrap], {})
    await producer.start()
    await producer.send_to(target.topic, target.partition, [(b"k", b"v")] * 100)
    await producer.stop()
    consumer = AIOKafkaConsumer(bootstrap_servers=tansu.bootstrap)
    await consumer.start()
    hints = await consumer.end_offsets([target])
    await consumer.stop()
    assert await transport.true_ends([tansu.bootstrap], hints) == {target: 100}


def test_another_version_of_faust_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    transport.assert_supported()
    monkeypatch.setattr(faust, "__version__", "0.16.0")
    with pytest.raises(RuntimeError, match=r"0\.15\.3 is needed, 0\.16\.0 is installed"):
        transport.assert_supported()


def test_faust_without_its_compiled_streams_is_refused() -> None:
    code = "from app.delivery.transport import assert_supported; assert_supported()"
    env = {"NO_CYTHON": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "unset NO_CYTHON" in done.stderr

"""Names of Faust and aiokafka that the delivery classes rest on though nobody promised them: an upgrade that moves
one fails here instead of losing events."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import aiokafka
import faust
import pytest
import rocksdict
from aiokafka import client
from aiokafka.conn import AIOKafkaConnection
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.producer.sender import SendProduceReqHandler
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy
from faust.app.base import App
from faust.channels import Channel
from faust.stores import rocksdb
from faust.streams import Stream
from faust.tables.base import Collection
from faust.tables.recovery import Recovery
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.settings.base import SettingsRegistry
from mode.utils.queues import FlowControlEvent, FlowControlQueue

PARAMETERS: list[tuple[Callable[..., Any], list[str]]] = [
    (driver.Consumer._getmany, ["self", "active_partitions", "timeout"]),
    (driver.Consumer.perform_seek, ["self"]),
    (driver.Consumer.stop_flow, ["self"]),
    (driver.Consumer.resume_flow, ["self"]),
    (driver.Consumer.resume_partitions, ["self", "tps"]),
    (driver.Consumer.assignment, ["self"]),
    (driver.Consumer.highwaters, ["self", "partitions"]),
    (driver.Consumer._is_changelog_tp, ["self", "tp"]),
    (driver.Consumer._new_consumer_thread, ["self"]),
    (driver.Consumer.on_buffer_full, ["self", "tp"]),
    (driver.Consumer.on_buffer_drop, ["self", "tp"]),
    (driver.Consumer._filter_tps_with_pending_acks, ["self", "topics"]),
    (driver.Consumer._new_offset, ["self", "tp"]),
    (
        driver.AIOKafkaConsumerThread._fetch_records,
        ["self", "consumer", "active_partitions", "timeout", "max_records"],
    ),
    (driver.AIOKafkaConsumerThread.on_start, ["self"]),
    (driver.AIOKafkaConsumerThread._create_worker_consumer, ["self", "transport"]),
    (aiokafka.AIOKafkaConsumer.pause, ["self", "partitions"]),
    (aiokafka.AIOKafkaConsumer.paused, ["self"]),
    (driver.AIOKafkaConsumerThread.seek_to_beginning, ["self", "partitions"]),
    (driver.AIOKafkaConsumerThread.getmany, ["self", "active_partitions", "timeout"]),
    (driver.ensure_aiokafka_TP, ["tp"]),
    (App._new_transport, ["self"]),
    (Stream.maybe_start, ["self"]),
    (Stream.service_reset, ["self"]),
    (Stream._channel_stop_iteration, ["self", "channel"]),
    (Channel.__anext__, ["self"]),
    (FlowControlEvent.is_active, ["self"]),
    (FlowControlQueue.get_nowait, ["self"]),
    (FlowControlQueue.force_put_nowait, ["self", "item"]),
    (Collection._serializer_from_type, ["self", "typ"]),
    (rocksdb.Store._db_for_partition, ["self", "partition"]),
    (rocksdb.Store.persisted_offset, ["self", "tp"]),
    (Recovery.on_recovery_completed, ["self", "generation_id"]),
    (Recovery._build_offsets, ["self", "consumer", "tps", "destination", "title"]),
    (Fetcher._get_actions_per_node, ["self", "assignment"]),
    (Fetcher._select_read_replica, ["self", "tp"]),
    (Fetcher.fetched_records, ["self", "partitions", "timeout", "max_records"]),
    (PartitionRecords._consumer_record, ["self", "tp", "record"]),
    (FetchResult.__init__, ["self", "tp", "assignment", "partition_records", "backoff"]),
    (GroupCoordinator._do_heartbeat, ["self"]),
    (GroupCoordinator.reset_generation, ["self"]),
    (aiokafka.AIOKafkaProducer.create_batch, ["self"]),
    (aiokafka.AIOKafkaProducer.send_batch, ["self", "batch", "topic", "partition"]),
    (BatchBuilder.append, ["self", "timestamp", "key", "value", "headers"]),
    (BatchBuilder.record_count, ["self"]),
    (BatchBuilder.close, ["self"]),
]


def test_the_versions_are_those_that_these_tests_were_written_for() -> None:
    assert version("faust-streaming") == "0.15.3"
    assert version("aiokafka").startswith("0.14.")


@pytest.mark.parametrize(("function", "parameters"), PARAMETERS, ids=lambda part: getattr(part, "__qualname__", ""))
def test_a_function_that_is_called_or_replaced_takes_what_it_took(
    function: Callable[..., Any], parameters: list[str]
) -> None:
    assert list(inspect.signature(function).parameters) == parameters


@pytest.mark.parametrize(
    "name", ["_getmany", "perform_seek", "highwaters", "on_partitions_assigned", "on_partitions_revoked"]
)
def test_what_is_replaced_is_awaited(name: str) -> None:
    assert inspect.iscoroutinefunction(getattr(driver.Consumer, name))


async def test_the_consumer_has_the_state_that_is_read(offline: Any) -> None:
    consumer = offline.consumer
    assert consumer._committed_offset[("t", 0)] is None
    assert len(consumer._unacked_messages) == 0
    assert consumer._waiting_for_ack is None
    assert consumer.flow_active
    assert not consumer.suspend_flow.is_set()
    assert isinstance(consumer._thread, driver.AIOKafkaConsumerThread)
    assert isinstance(offline.topics.acking_topics, set)
    assert offline.consumer_generation_id is not None
    assert (offline.rebalancing, offline.in_recovery) == (False, False)


async def test_the_conductor_has_what_a_delivery_looks_at(offline: Any) -> None:
    assert offline.topics._tp_index.get(TP("nobody", 0)) is None


def test_what_was_fetched_is_unpacked_only_when_it_is_asked_for() -> None:
    # How it is unpacked is settled as the answer is put away, which then has to come first.
    fetched = inspect.getsource(Fetcher._proc_fetch_request)
    assert fetched.index("PartitionRecords(") < fetched.index("self._records[tp] = FetchResult(")
    assert "self._consumer_record(" in inspect.getsource(PartitionRecords._unpack_records)
    assert inspect.isgeneratorfunction(PartitionRecords._unpack_records)


def test_a_request_is_made_of_what_it_carries_in_the_step_in_which_it_is_written() -> None:
    written = inspect.getsource(AIOKafkaConnection.send)
    assert written.index("request.prepare(") < written.index("self._writer.write(")
    assert "await" not in written.partition("self._writer.write(")[0]
    request = ProduceRequest(None, -1, 1000, [("ratings", [(0, b"")])])
    assert request._topics == [("ratings", [(0, b"")])]
    assert "await self._client.send(node_id, request)" in inspect.getsource(SendProduceReqHandler.do)
    assert "self.client = AIOKafkaClient(" in inspect.getsource(aiokafka.AIOKafkaProducer.__init__)


def test_each_answer_is_unpacked_by_two_classes_that_can_be_replaced() -> None:
    fetched = inspect.getsource(Fetcher._proc_fetch_request)
    assert "records = MemoryRecords(part_data[-1])" in fetched
    assert "partition_records = PartitionRecords(" in fetched
    assert "self._records_iterator = self._unpack_records()" in inspect.getsource(PartitionRecords.__mro__[-2])
    assert "next_slice = self._next_slice" in inspect.getsource(_MemoryRecordsPy.next_batch)
    assert "self._buffer = bytearray(uncompressed)" in inspect.getsource(_DefaultRecordBatchPy._maybe_uncompress)
    assert '.decode("utf-8")' in inspect.getsource(_DefaultRecordBatchPy._read_msg)


async def test_a_queue_shows_what_waits_in_it(offline: Any) -> None:
    stream = offline.stream(offline.topic("x", value_type=bytes))
    stream.channel.queue.put_nowait("waits")
    assert list(stream.channel.queue._queue) == ["waits"]


async def test_a_rebalance_asks_what_is_in_hand_for_what_it_has(offline: Any) -> None:
    # Whatever stands in Faust's set of unacknowledged messages is asked for these two and nothing else.
    source = inspect.getsource(driver.Consumer.wait_empty) + inspect.getsource(driver.Consumer._clean_unacked_messages)
    assert set(re.findall(r"\b(?:m|message)\.(\w+)", source)) == {"refcount", "acked"}


def test_recovery_still_resumes_then_seeks_then_lets_flow() -> None:
    # The gate is built around this order; where it changes, the gate has to be thought through again.
    for function in (Recovery.on_recovery_completed, Recovery._resume_streams):
        source = inspect.getsource(function)
        steps = [
            "consumer.resume_partitions(",
            "consumer.perform_seek()",
            "flow_control.resume()",
            "consumer.resume_flow()",
        ]
        places = [source.index(step) for step in steps]
        assert places == sorted(places)


def test_the_fetch_wait_of_a_consumer_can_be_shortened() -> None:
    assert "fetch_max_wait_ms" in inspect.signature(aiokafka.AIOKafkaConsumer).parameters
    assert "self._fetch_max_wait_ms" in inspect.getsource(aiokafka.AIOKafkaConsumer)


def test_what_waits_in_a_fetcher_need_not_hold_up_the_rest() -> None:
    assert "backoff=self._prefetch_backoff" in inspect.getsource(Fetcher)
    assert "self._fetcher =" in inspect.getsource(aiokafka.AIOKafkaConsumer.start)


def test_every_connection_is_made_by_a_function_that_can_be_replaced() -> None:
    source = inspect.getsource(client)
    assert source.count("await create_conn(") == 2
    assert list(inspect.signature(client.create_conn).parameters)[:2] == ["host", "port"]


def test_a_fetch_that_ended_is_told_from_one_under_way_by_two_sets() -> None:
    source = inspect.getsource(Fetcher._fetch_requests_routine)
    assert "self._pending_tasks -= done_pending" in source
    assert "self._in_flight.discard(node_id)" in source
    assert "timeout=timeout" in source


def test_an_empty_set_of_partitions_still_means_all_of_them() -> None:
    assert "if partitions and tp not in partitions" in inspect.getsource(Fetcher.fetched_records)


def test_rocksdb_rows_can_be_written_in_one_batch_with_the_offset() -> None:
    assert rocksdb.Store.offset_key == b"__faust\0offset__"
    batch = rocksdict.WriteBatch(raw_mode=True)
    batch.put(b"k", b"v")
    batch.delete(b"k")
    assert batch.len() == 2


def test_the_environment_is_asked_in_one_place() -> None:
    # Where Marquee gives no answer, so that it does not overrule what the program says.
    assert list(inspect.signature(faust.Settings.getenv).parameters) == ["self", "env_name"]
    assert "os.environ" not in inspect.getsource(SettingsRegistry)

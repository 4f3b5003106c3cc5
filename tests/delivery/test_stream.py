"""Batches of waiting events, what is acknowledged of them, and what a rebalance waits for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from faust.types import TP

from app.delivery.raw import Raw
from app.delivery.stream import Batch
from app.delivery.stretch import Stretch


class Line:
    """One topic read by one or more stages."""

    def __init__(self, app: Any, readers: int) -> None:
        self.app = app
        app.flow_control.resume()
        topic = app.topic("x", key_type=bytes, value_type=bytes, partitions=1)
        self.streams = [app.stream(topic) for _ in range(readers)]
        app.topics._acking_topics.add("x")

    def deliver(self, *offsets: int, generation: int | None = None) -> None:
        """Put events into every reader's queue, as the conductor does."""
        now = self.app.consumer_generation_id if generation is None else generation
        for offset in offsets:
            records = [Raw("x", 0, offset, 0, b"k", b"v", [])]
            stretch = Stretch(TP("x", 0), records, now, len(self.streams))
            self.app.consumer._lanes[stretch.tp].append(stretch)
            for stream in self.streams:
                stream.channel.queue.put_nowait(stretch)

    def revoke(self) -> None:
        """What a rebalance does to the queues."""
        self.app.flow_control.suspend()
        self.app.flow_control.clear()

    @property
    def in_hand(self) -> list[int]:
        """Offsets that a rebalance has to wait for."""
        return sorted(stretch.records[0].offset for stretch in self.app.consumer._unacked_messages)

    @property
    def committable(self) -> int | None:
        """The offset that may be committed."""
        offset: int | None = self.app.consumer._reached.get(TP("x", 0))
        return offset


class Stage:
    """Takes batches and holds each until told whether it is done."""

    def __init__(self, stream: Any, size: int = 100) -> None:
        self.batches: list[list[int]] = []
        self._verdicts: asyncio.Queue[bool] = asyncio.Queue()
        self._stream, self._size = stream, size

    async def run(self) -> None:
        async for batch in self._stream.take_ready(self._size, 0.0):
            self.batches.append(_offsets(batch))
            batch.done = await self._verdicts.get()

    async def settle(self, done: bool) -> None:
        """Let go of the batch in hand."""
        self._verdicts.put_nowait(done)
        await _turns()


def _offsets(batch: Batch) -> list[int]:
    return [record.offset for record in batch.records]


async def _turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@asynccontextmanager
async def at_work(*stages: Stage) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(stage.run()) for stage in stages]
    await _turns()
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_a_batch_is_what_waits_and_ends_where_its_size_is_reached(offline: Any) -> None:
    line = Line(offline, 1)
    stage = Stage(line.streams[0], size=3)
    line.deliver(0, 1, 2, 3, 4)
    async with at_work(stage):
        await stage.settle(True)
        await stage.settle(True)
    assert stage.batches == [[0, 1, 2], [3, 4]]
    assert line.committable == 5


async def test_a_batch_is_acknowledged_only_when_its_effects_are_durable(offline: Any) -> None:
    line = Line(offline, 1)
    stage = Stage(line.streams[0])
    line.deliver(0, 1)
    async with at_work(stage):
        assert line.in_hand == [0, 1]
        assert line.committable is None
        await stage.settle(True)
        assert line.in_hand == []
        assert line.committable == 2


async def test_an_abandoned_batch_is_not_acknowledged_and_holds_nothing_up(offline: Any) -> None:
    line = Line(offline, 1)
    stage = Stage(line.streams[0])
    line.deliver(0, 1)
    async with at_work(stage):
        await stage.settle(False)
        line.revoke()
        assert line.in_hand == []
        assert line.committable is None


async def test_a_stage_that_begins_what_another_has_done_is_waited_for(offline: Any) -> None:
    line = Line(offline, 2)
    fast, slow = map(Stage, line.streams)
    line.deliver(0, 1)
    async with at_work(fast):
        await fast.settle(True)
        assert line.in_hand == []
        async with at_work(slow):
            assert line.in_hand == [0, 1]
            await slow.settle(True)
            assert line.in_hand == []
            assert line.committable == 2


async def test_an_event_from_before_a_rebalance_is_left_out(offline: Any) -> None:
    line = Line(offline, 1)
    stage = Stage(line.streams[0])
    line.deliver(0, generation=offline.consumer_generation_id - 1)
    # The seek after the rebalance.
    offline.consumer._forget()
    line.deliver(1)
    async with at_work(stage):
        assert stage.batches == [[1]]
        await stage.settle(True)
    assert line.committable == 2


async def test_two_stages_of_a_topic_must_both_be_done(offline: Any) -> None:
    line = Line(offline, 2)
    fast, slow = map(Stage, line.streams)
    line.deliver(0, 1)
    async with at_work(fast, slow):
        await fast.settle(True)
        assert line.committable is None
        await slow.settle(True)
        assert line.committable == 2


async def test_a_rebalance_waits_for_a_stage_that_has_begun_though_another_gave_up(offline: Any) -> None:
    line = Line(offline, 2)
    fast, slow = map(Stage, line.streams)
    line.deliver(0, 1)
    async with at_work(fast, slow):
        await fast.settle(False)
        line.revoke()
        assert line.in_hand == [0, 1]


@pytest.mark.parametrize("done", [True, False])
async def test_a_rebalance_does_not_wait_for_a_stage_that_has_not_begun(offline: Any, done: bool) -> None:
    line = Line(offline, 2)
    fast = Stage(line.streams[0])
    line.deliver(0, 1)
    async with at_work(fast):
        await fast.settle(done)
        line.revoke()
        assert line.in_hand == []
        assert line.committable is None


async def test_nothing_is_committed_over_an_abandoned_batch(offline: Any) -> None:
    line = Line(offline, 1)
    stage = Stage(line.streams[0], size=1)
    line.deliver(0, 1, 2)
    async with at_work(stage):
        await stage.settle(True)
        await stage.settle(False)
        await stage.settle(True)
        assert line.in_hand == []
        assert line.committable == 1

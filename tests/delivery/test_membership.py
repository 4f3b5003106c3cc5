"""Who lost the place in the consumer group writes nothing any more."""

from __future__ import annotations

import asyncio

import pytest

from app.delivery.membership import Abandoned, Membership, watch
from tests.delivery.conftest import Clock


class Coordinator:
    """Answers heartbeats as it is told."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.answer = True
        self.resets = 0

    async def _do_heartbeat(self) -> bool:
        self.clock.now += 0.5
        return self.answer

    def reset_generation(self) -> None:
        self.resets += 1


async def test_a_place_is_known_for_as_long_as_the_brokers_wait_after_a_heartbeat_was_sent(
    clock: Clock, membership: Membership
) -> None:
    coordinator = Coordinator(clock)
    watch(coordinator, membership)
    clock.now = 107.0
    assert await coordinator._do_heartbeat()
    clock.now = 114.9
    assert membership.known, "sent at 107"
    clock.now = 115.0
    assert not membership.known
    coordinator.answer = False
    assert not await coordinator._do_heartbeat()
    assert not membership.known


async def test_who_has_not_heard_of_the_brokers_for_long_waits_until_they_answer(
    clock: Clock, membership: Membership
) -> None:
    clock.now = 200.0
    waiting = asyncio.create_task(membership.sure(lambda: False))
    await asyncio.sleep(0.12)
    assert not waiting.done()
    membership.answered(200.0)
    await asyncio.wait_for(waiting, 5)


async def test_who_lost_the_place_or_stops_before_they_answer_leaves_it(clock: Clock, membership: Membership) -> None:
    coordinator = Coordinator(clock)
    watch(coordinator, membership)
    coordinator.reset_generation()
    assert coordinator.resets == 1
    with pytest.raises(Abandoned):
        await membership.sure(lambda: False)
    membership.joined()
    await membership.sure(lambda: False)
    clock.now = 200.0
    with pytest.raises(Abandoned):
        await membership.sure(lambda: True)


async def test_without_a_group_the_place_is_always_known() -> None:
    await Membership().sure(lambda: True)

"""No event is lost at a start or in a rebalance, where stock Faust loses some (faust-streaming issue 596)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from app.embedded.broker import Broker
from tests.kafka.lab import Lab, Place, far_away, running, wait_for
from tests.kafka_server import KafkaServer

STARTS: Final = int(os.environ.get("MARQUEE_STARTS", "10"))
STOCK_STARTS: Final = 30
"""Tries that stock Faust gets to lose an event: it is a race, lost in a quarter of the starts or more."""
AT_ONCE: Final = 5

WAITING: Final = 1_500
CHANGELOG_ROWS: Final = 3_000
EACH_WAY: Final = 0.02


class Start(NamedTuple):
    """What a start is like, and the offset that its group stands at."""

    options: dict[str, Any]
    committed: int = 0


Scenario = Callable[[Lab], Awaitable[Start]]
Report = Callable[[str], None]


async def new_group(lab: Lab) -> Start:
    """S1: a group that never committed, and a broker that answers late when asked for its offsets."""
    await lab.prepare(CHANGELOG_ROWS)
    await lab.tick(WAITING)
    return Start({"seek_delay": 1.5})


async def far_broker(lab: Lab) -> Start:
    """S4: nothing of Faust is touched; the broker is 40 ms away, the buffer small, the group at offset 100."""
    await lab.prepare(CHANGELOG_ROWS)
    await lab.tick(WAITING)
    await lab.commit(100)
    await lab.mark(99)
    return Start({"buffer": 64}, committed=100)


@pytest.fixture
async def proxy(kafka: KafkaServer) -> AsyncIterator[int]:
    """The port at which the broker is 20 ms away, each way."""
    async with far_away(kafka.port, EACH_WAY) as port:
        yield port


async def lost_by_stock(lab: Lab, start: Start) -> int:
    """How many events a start of stock Faust never sees in its life.

    One more event, sent when the worker is idle, shows by its arrival that what stood before it was skipped.
    """
    worker = lab.worker(stock=True, **start.options)
    worker.start()
    async with running(worker):
        await wait_for(lambda: worker.status.get("processed"), lambda: "stock Faust does not start", worker)
        seen = -1
        while seen != len(worker.status["processed"]):
            seen = len(worker.status["processed"])
            await asyncio.sleep(2.0)
        await lab.tick(1)
        last = list(lab.produced[-1][0])
        with suppress(AssertionError):
            await wait_for(lambda: last in worker.status["processed"], str, patience=30.0)
        processed = {Place(*place) for place in worker.status["processed"]}
    return len({place for place in lab.places if place.offset >= start.committed} - processed)


async def lost_by_marquee(lab: Lab, start: Start) -> int:
    """How many events a start of Marquee leaves out; those that only its second line brought back count as lost."""
    worker = lab.worker(**start.options)
    worker.start()
    expected = len(lab.places)
    async with running(worker):
        await wait_for(lambda: worker.applied >= expected, lambda: f"{worker.applied} of {expected} applied", worker)
        due = {place for place in lab.places if place.offset >= start.committed}
        await wait_for(lambda: worker.kept.keys() >= due, lambda: f"{len(worker.kept)} of {len(due)} kept", worker)
        await worker.stop()
        gaps = worker.last["gaps"]
    tocks = await lab.tocks()
    assert all(len(values) == 1 for values in tocks.values()), "contradicting counts"
    counts, _ = await lab.stored()
    seen = sum(counts.values())
    assert seen == len(tocks), f"{seen} counted, {len(tocks)} emitted"
    return int(gaps) + len(due - tocks.keys()) + len(due - worker.kept.keys())


async def starts_of_stock(kafka: KafkaServer, directory: Path, scenario: Scenario, name: str, **options: Any) -> str:
    """Start stock Faust until it loses events, which shows that the scenario is one that loses them."""
    tried: list[int] = []
    while sum(tried) == 0 and len(tried) < STOCK_STARTS:
        labs = [Lab(kafka.bootstrap, directory, f"{name}-stock-{len(tried) + n}", 1) for n in range(3)]
        tried += await _lost(labs, scenario, lost_by_stock, options)
    assert sum(tried) > 0
    return f"{name}: stock Faust lost events in {sum(map(bool, tried))} of {len(tried)} starts: {tried}"


async def starts_of_marquee(kafka: KafkaServer, directory: Path, scenario: Scenario, name: str, **options: Any) -> str:
    """Start Marquee often, a few at a time."""
    labs = [Lab(kafka.bootstrap, directory, f"{name}-{n}", 1) for n in range(STARTS)]
    lost = await _lost(labs, scenario, lost_by_marquee, options)
    assert sum(lost) == 0, lost
    return f"{name}: Marquee lost {sum(lost)} events in {STARTS} starts of {WAITING}"


async def _lost(
    labs: Iterable[Lab], scenario: Scenario, lost: Callable[[Lab, Start], Awaitable[int]], options: dict[str, Any]
) -> list[int]:
    at_once = asyncio.Semaphore(AT_ONCE)

    async def one(lab: Lab) -> int:
        async with at_once:
            start = await scenario(lab)
            return await lost(lab, start._replace(options=start.options | options))

    return await asyncio.gather(*map(one, labs))


@pytest.mark.kafka
async def test_stock_faust_loses_events_when_a_new_group_starts(
    kafka: KafkaServer, tmp_path: Path, report: Report
) -> None:
    report(await starts_of_stock(kafka, tmp_path, new_group, "new-group"))


@pytest.mark.kafka
async def test_a_new_group_loses_nothing_at_its_start(kafka: KafkaServer, tmp_path: Path, report: Report) -> None:
    report(await starts_of_marquee(kafka, tmp_path, new_group, "new-group"))


@pytest.mark.kafka
async def test_stock_faust_loses_events_at_a_start_far_from_its_broker(
    kafka: KafkaServer, tmp_path: Path, proxy: int, report: Report
) -> None:
    report(await starts_of_stock(kafka, tmp_path, far_broker, "far-broker", proxy=proxy))


@pytest.mark.kafka
async def test_a_start_far_from_the_broker_loses_nothing(
    kafka: KafkaServer, tmp_path: Path, proxy: int, report: Report
) -> None:
    report(await starts_of_marquee(kafka, tmp_path, far_broker, "far-broker", proxy=proxy))


@pytest.mark.embedded
async def test_a_new_group_loses_nothing_at_its_start_on_the_embedded_broker(tansu: Broker, tmp_path: Path) -> None:
    lab = Lab(tansu.bootstrap, tmp_path, "embedded", 1)
    assert await _lost([lab], new_group, lost_by_marquee, {}) == [0]

"""The scheduler by an injected clock, over the real stages in memory; a run is whatever the test says it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from agents.scrapes import admit_scrape, follow_scrapes
from app.collecting.board import TableBoard
from app.collecting.collector import Collector
from app.collecting.runs import Carried, command_of
from app.connectors.config import ConnectorConfig
from app.connectors.store import Report
from app.delivery.outset import first_event
from app.memory import MemoryLog, MemoryRunner
from app.topology import Kind, Stage, TableSpec, Topology
from schemas.entities import AdmittedRun, ScrapeState, WaitingRun
from schemas.ids import derived_id
from schemas.scrapes import (
    ConnectorSteered,
    ScrapeAdmitted,
    ScrapeCheckpointed,
    ScrapeCounts,
    ScrapeFinished,
    ScrapeRequested,
    ScrapeStarted,
    SlaMissed,
    SteerConnector,
    Target,
)

RUN_EVENTS = (ScrapeAdmitted, ConnectorSteered, ScrapeStarted, ScrapeCheckpointed, ScrapeFinished, SlaMissed)
PARTITIONS = 4


class World:
    """A log, the stages that follow runs, a clock, and workers that share them."""

    def __init__(self, **connectors: dict[str, Any]) -> None:
        self.now = datetime(2026, 5, 1, tzinfo=UTC).timestamp()
        self.log = MemoryLog(PARTITIONS, clock=lambda: int(self.now * 1000))
        followed = TableSpec("scrapes", {"": ScrapeState})
        self.runner = MemoryRunner(
            Topology(
                (
                    Stage(
                        "admit",
                        (ScrapeRequested, SteerConnector),
                        Kind.DECIDE,
                        admit_scrape,
                        (),
                        TableSpec("admitted", {"": AdmittedRun}),
                    ),
                    Stage("follow", RUN_EVENTS, Kind.DECIDE, follow_scrapes, (), followed),
                )
            ),
            (),
            self.log,
        )
        self.configs = {
            name: msgspec.convert({"kind": "csv"} | keys, ConnectorConfig) for name, keys in connectors.items()
        }
        self.carried: list[tuple[str, str, WaitingRun]] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self.reports: dict[str, Callable[[WaitingRun], Report]] = {}

    def worker(self, name: str, *partitions: int) -> Collector:
        board = TableBoard(PARTITIONS, lambda: set(partitions), self.runner.tables["scrapes"].rows)
        return Collector(self.configs, board, self.log, _Carrier(self, name), now=lambda: self.now)

    def state(self, connector: str) -> ScrapeState:
        return TableBoard(PARTITIONS, set, self.runner.tables["scrapes"].rows).state(connector)

    async def pass_time(self, seconds: float, *workers: Collector) -> None:
        self.now += seconds
        for _ in range(4):
            for worker in workers:
                await worker.tick()
            for _ in range(5):
                await asyncio.sleep(0)
            await self.runner.settle()

    def dates(self, connector: str) -> list[str | None]:
        return [run.logical_date for _, name, run in self.carried if name == connector]


class _Carrier:
    """Carries runs out as the world says."""

    def __init__(self, world: World, worker: str) -> None:
        self._world = world
        self._worker = worker

    async def carry_out(self, name: str, config: ConnectorConfig, run: WaitingRun, state: ScrapeState) -> Carried:
        world = self._world
        world.carried.append((self._worker, name, run))
        await world.hold.wait()
        finished = ScrapeFinished(
            run_id=run.run_id,
            connector=name,
            status="success",
            attempt=run.attempt,
            finished_at="then",
            seconds=0.0,
            counts=ScrapeCounts(),
            also=run.also,
        )
        event_id = derived_id(f"{run.run_id}|{run.attempt}|finished", "scrape")
        await world.log.send([first_event(finished, event_id, world.now)])
        return Carried(name, run, Report(name, "success"), False)


HOUR = 3600.0
HOURLY = {"schedule": "0 * * * *"}


async def test_a_connector_runs_at_its_dates_and_not_before():
    world = World(hourly=HOURLY)
    worker = world.worker("a", 0, 1, 2, 3)
    await world.pass_time(60, worker)
    assert world.carried == []
    for _ in range(3):
        await world.pass_time(HOUR, worker)
    assert world.dates("hourly") == [f"2026-05-01T0{n}:00:00Z" for n in (1, 2, 3)]


async def test_three_days_down_are_caught_up_one_by_one_or_with_the_newest_alone():
    world = World(all=HOURLY | {"catchup": True}, newest=HOURLY)
    await world.pass_time(60, world.worker("a", 0, 1, 2, 3))
    later = world.worker("b", 0, 1, 2, 3)
    await world.pass_time(3 * 24 * HOUR, later)
    while world.state("all").queue:
        await world.pass_time(1, later)
    assert len(world.dates("all")) == len(set(world.dates("all"))) == 72
    assert world.dates("all") == sorted(world.dates("all"))
    assert world.dates("newest") == ["2026-05-04T00:00:00Z"]


async def test_a_thousand_connectors_that_are_due_at_once_run_once_each_on_two_workers():
    names = [f"c{n}" for n in range(1000)]
    world = World(**dict.fromkeys(names, HOURLY))
    one, two = world.worker("one", 0, 1), world.worker("two", 2, 3)
    await world.pass_time(60, one, two)
    await world.pass_time(HOUR, one, two)
    assert sorted(name for _, name, _ in world.carried) == sorted(names)
    assert {worker for worker, _, _ in world.carried} == {"one", "two"}


async def test_two_workers_that_both_believe_to_own_a_connector_ask_for_one_run():
    world = World(hourly=HOURLY)
    one, two = world.worker("one", 0, 1, 2, 3), world.worker("two", 0, 1, 2, 3)
    await world.pass_time(60, one)
    world.now += HOUR
    await one.tick()
    await two.tick()
    await world.runner.settle()
    assert [run.logical_date for run in world.state("hourly").queue] == ["2026-05-01T01:00:00Z"]


async def test_a_full_slot_makes_runs_wait_and_skips_none():
    world = World(hourly=HOURLY | {"max_active_runs": 2, "catchup": True})
    worker = world.worker("a", 0, 1, 2, 3)
    await world.pass_time(60, worker)
    world.hold.clear()
    await world.pass_time(5 * HOUR, worker)
    assert (len(world.carried), worker.active) == (2, 2)
    world.hold.set()
    for _ in range(4):
        await world.pass_time(1, worker)
    assert len(world.dates("hourly")) == 5


async def test_a_paused_connector_starts_nothing_until_it_is_resumed():
    world = World(hourly=HOURLY)
    worker = world.worker("a", 0, 1, 2, 3)
    await world.pass_time(60, worker)
    await world.log.send([command_of(SteerConnector(connector="hourly", action="pause"), world.now)])
    await world.pass_time(2 * HOUR, worker)
    assert world.carried == []
    await world.log.send([command_of(SteerConnector(connector="hourly", action="resume"), world.now)])
    await world.pass_time(60, worker)
    assert world.dates("hourly") == ["2026-05-01T02:00:00Z"]


async def test_a_retry_waits_for_its_time():
    world = World(once={})
    worker = world.worker("a", 0, 1, 2, 3)
    later = ScrapeRequested(run_id="r", connector="once", trigger="retry", attempt=2, not_before="2026-05-01T01:00:00Z")
    await world.log.send([command_of(later, world.now)])
    await world.pass_time(60, worker)
    assert world.carried == []
    await world.pass_time(HOUR, worker)
    assert [run.attempt for _, _, run in world.carried] == [2]


async def test_a_connector_that_moves_to_another_worker_goes_on_there():
    world = World(hourly=HOURLY)
    first = world.worker("first", 0, 1, 2, 3)
    await world.pass_time(60, first)
    world.hold.clear()
    await world.pass_time(HOUR, first)
    assert first.active == 1
    await first.stop()
    world.hold.set()
    await world.pass_time(1, world.worker("second", 0, 1, 2, 3))
    assert [worker for worker, _, _ in world.carried] == ["first", "second"]
    assert world.state("hourly").queue == []


async def test_registrations_that_wait_are_carried_out_together_and_later_ones_by_themselves():
    world = World(once={})
    worker = world.worker("a", 0, 1, 2, 3)

    async def register(*numbers: int) -> None:
        requests = [
            ScrapeRequested(
                run_id=f"r{n}", connector="once", trigger="registration", targets=(Target(id=f"tt{n:07d}"),)
            )
            for n in numbers
        ]
        await world.log.send([command_of(request, world.now) for request in requests])
        await world.runner.settle()

    await register(1, 2, 3)
    world.hold.clear()
    await world.pass_time(1, worker)
    await register(4)
    await world.pass_time(1, worker)
    world.hold.set()
    await world.pass_time(1, worker)
    await world.pass_time(1, worker)
    done = [(run.run_id, run.also, [target.id for target in run.targets]) for _, _, run in world.carried]
    assert done == [("r1", ("r2", "r3"), [f"tt{n:07d}" for n in (1, 2, 3)]), ("r4", (), ["tt0000004"])]
    assert world.state("once").queue == []


async def test_a_request_that_one_run_carries_out_is_not_taken_into_another():
    world = World(once={"max_active_runs": 2})
    worker = world.worker("a", 0, 1, 2, 3)
    world.hold.clear()
    for numbers in ((1, 2), (3, 4)):
        requests = [
            ScrapeRequested(
                run_id=f"r{n}", connector="once", trigger="registration", targets=(Target(id=f"tt{n:07d}"),)
            )
            for n in numbers
        ]
        await world.log.send([command_of(request, world.now) for request in requests])
        await world.runner.settle()
        await world.pass_time(1, worker)
    assert [(run.run_id, run.also) for _, _, run in world.carried] == [("r1", ("r2",)), ("r3", ("r4",))]
    world.hold.set()
    await world.pass_time(1, worker)


async def test_a_promise_that_is_missed_is_told_once():
    world = World(hourly=HOURLY | {"sla": 600.0})
    worker = world.worker("a", 0, 1, 2, 3)
    await world.pass_time(60, worker)
    world.hold.clear()
    await world.pass_time(HOUR, worker)
    await world.pass_time(HOUR / 2, worker)
    await world.pass_time(60, worker)
    told = [raw for raw in world.log.records("scrape-runs") if b'"sla-missed"' in (raw.value or b"")]
    assert len(told) == 1
    world.hold.set()


@pytest.mark.parametrize("owned", [(), (0, 1, 2, 3)])
async def test_only_the_owner_of_a_connector_runs_it(owned):
    world = World(hourly=HOURLY)
    worker = world.worker("a", *owned)
    await world.pass_time(60, worker)
    await world.pass_time(HOUR, worker)
    assert len(world.carried) == (1 if owned else 0)

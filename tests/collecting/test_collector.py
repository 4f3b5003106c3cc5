"""The scheduler by an injected clock, over the real stages in memory; a run is whatever the test says it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any, get_args

import msgspec
import pytest

from agents.errors import Unavailable
from agents.scrapes import admit_scrape, follow_scrapes
from app.collecting.board import TableBoard
from app.collecting.collector import Collector
from app.collecting.runs import Carried, command_of
from app.connectors.config import ConnectorConfig
from app.connectors.store import Report
from app.delivery.outset import first_event
from app.memory import MemoryLog, MemoryRunner
from app.topology import Kind, Stage, TableSpec, Topology
from schemas.catalogue import decode
from schemas.entities import AdmittedRun, ScrapeState, WaitingRun
from schemas.ids import derived_id
from schemas.scrapes import (
    RunEvent,
    ScrapeCounts,
    ScrapeFinished,
    ScrapeRequested,
    SteerConnector,
    Target,
    TargetsDropped,
)

RUN_EVENTS = get_args(RunEvent)
PARTITIONS = 4


class World:
    """A log, the stages that follow runs, a clock, and workers that share them."""

    def __init__(self, **connectors: dict[str, Any]) -> None:
        self.now = datetime(2026, 5, 1, tzinfo=UTC).timestamp()
        self.gone: set[tuple[str, int | None]] = set()
        self.store_is_away = False
        self.followed: dict[tuple[str, str, int], frozenset[Target]] = {}
        self.log = MemoryLog(PARTITIONS, clock=lambda: int(self.now * 1000))
        self.runner = self.fresh_runner()
        self.configs = {
            name: msgspec.convert({"kind": "csv"} | keys, ConnectorConfig) for name, keys in connectors.items()
        }
        self.carried: list[tuple[str, str, WaitingRun]] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self.reports: dict[str, Callable[[WaitingRun], Report]] = {}

    def fresh_runner(self) -> MemoryRunner:
        asked, admitted = (ScrapeRequested, SteerConnector), TableSpec("admitted", {"": AdmittedRun})
        followed = TableSpec("scrapes", {"": ScrapeState})
        rows = (
            Stage("admit", asked, Kind.DECIDE, admit_scrape, (), admitted),
            Stage("follow", RUN_EVENTS, Kind.DECIDE, follow_scrapes, (), followed),
        )
        return MemoryRunner(Topology(rows), (), self.log)

    def worker(self, name: str, *partitions: int) -> Collector:
        board = TableBoard(PARTITIONS, lambda: set(partitions), self.runner.tables["scrapes"].rows)
        carrier = _Carrier(self, name)
        return Collector(self.configs, board, self.log, carrier, now=lambda: self.now, forgotten=self.forgotten)

    async def forgotten(self, targets: Collection[Target]) -> frozenset[Target]:
        if self.store_is_away:
            raise Unavailable("the store is away")
        return frozenset(target for target in targets if (target.id, target.life) in self.gone)

    async def ask(self, *records: ScrapeRequested | SteerConnector) -> None:
        await self.log.send([command_of(record, self.now) for record in records])
        await self.runner.settle()

    def dropped(self) -> list[TargetsDropped]:
        told = [decode(raw.value or b"", RUN_EVENTS, None) for raw in self.log.records("scrape-runs")]
        return [each for each in told if isinstance(each, TargetsDropped)]

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
        self.followed = world.followed

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


def about(run: str, *people: str, connector: str = "faces", life: int | None = 0, **fields: Any) -> ScrapeRequested:
    targets = tuple(Target(id=name, kind="person", name=name, life=life) for name in people)
    return ScrapeRequested(run_id=run, connector=connector, targets=targets, **({"trigger": "registration"} | fields))


def queue(world: World, connector: str = "faces") -> list[tuple[str, list[str]]]:
    return [(run.run_id, [target.id for target in run.targets]) for run in world.state(connector).queue]


PAUSE, RESUME = (SteerConnector(connector="faces", action=action) for action in ("pause", "resume"))
ALL = (0, 1, 2, 3)


async def test_who_is_forgotten_leaves_the_runs_of_a_paused_connector_and_is_not_asked_about_when_it_goes_on():
    world = World(faces={})
    worker = world.worker("a", *ALL)
    await world.ask(PAUSE, about("alone", "Q1"), about("both", "Q1", "Q2"), about("other", "Q3"))
    world.gone = {("Q1", 0)}
    await world.pass_time(1, worker)
    assert queue(world) == [("both", ["Q2"]), ("other", ["Q3"])]
    await world.ask(RESUME)
    await world.pass_time(1, worker)
    [(_, _, run)] = world.carried
    assert [target.id for target in run.targets] == ["Q2", "Q3"]
    assert queue(world) == []
    assert [(each.run_id, each.people, each.left) for each in world.dropped()] == [
        ("alone", ("Q1",), 0),
        ("both", ("Q1",), 1),
    ]


async def test_who_is_forgotten_leaves_runs_that_wait_for_their_time_and_those_of_connectors_that_are_gone():
    world = World()
    await world.ask(
        about("retry", "Q1", trigger="retry", attempt=2, not_before="2026-06-01T00:00:00Z"),
        about("old", "Q1", connector="removed"),
    )
    world.gone = {("Q1", 0)}
    await world.pass_time(1, world.worker("a", *ALL))
    assert (queue(world), queue(world, "removed")) == ([], [])


async def test_only_the_owner_of_a_connector_takes_somebody_out_of_its_runs_and_says_so_once():
    world = World(faces={}, other={})
    one, two = world.worker("one", 0, 1), world.worker("two", 2, 3)
    names = [f"c{n}" for n in range(20)]
    await world.ask(*(about("r", "Q1", connector=name) for name in names))
    world.gone = {("Q1", 0)}
    await one.tick()
    first = {each.connector for each in world.dropped()}
    await one.tick()
    await two.tick()
    assert sorted(each.connector for each in world.dropped()) == sorted(names)
    assert 0 < len(first) < len(names)


async def test_a_run_of_a_later_life_stays():
    world = World(faces={})
    await world.ask(PAUSE, about("old", "Q1", life=0), about("new", "Q1", life=7))
    world.gone = {("Q1", 0)}
    worker = world.worker("a", *ALL)
    await world.pass_time(1, worker)
    await world.ask(RESUME)
    await world.pass_time(1, worker)
    assert [run.run_id for _, _, run in world.carried] == ["new"]


async def test_a_run_that_is_on_its_way_is_cut_off_and_goes_on_without_who_was_forgotten():
    world = World(faces={})
    worker = world.worker("a", *ALL)
    await world.ask(about("first", "Q1"), about("second", "Q2"))
    world.hold.clear()
    await world.pass_time(1, worker)
    world.gone = {("Q1", 0)}
    await world.pass_time(1, worker)
    assert queue(world) == [("second", ["Q2"])]
    world.hold.set()
    await world.pass_time(1, worker)
    carried = [(run.run_id, [target.id for target in run.targets]) for _, _, run in world.carried]
    assert carried == [("first", ["Q1", "Q2"]), ("second", ["Q2"])]
    assert (queue(world), worker.active) == ([], 0)


async def test_a_run_about_all_that_is_followed_begins_again_without_who_was_forgotten():
    world = World(faces={}, films={})
    worker = world.worker("a", *ALL)
    await world.ask(*(ScrapeRequested(run_id="all", connector=name, trigger="manual") for name in ("faces", "films")))
    world.hold.clear()
    world.followed["faces", "all", 1] = frozenset({Target(id="Q1", kind="person")})
    await world.pass_time(1, worker)
    world.gone = {("Q1", None)}
    await worker.tick()
    del world.followed["faces", "all", 1]
    world.hold.set()
    await world.pass_time(1, worker)
    assert sorted(name for _, name, _ in world.carried) == ["faces", "faces", "films"]
    assert (queue(world), world.dropped()) == ([], [])


async def test_a_run_is_not_started_between_the_forgetting_and_the_event_that_tells_it():
    world = World(faces={})
    await world.ask(about("alone", "Q1"), about("both", "Q1", "Q2"))
    world.gone = {("Q1", 0)}
    worker = world.worker("a", *ALL)
    await worker.tick()
    await worker.tick()
    assert (world.carried, worker.active) == ([], 0)


async def test_runs_about_people_wait_while_nobody_can_say_who_was_forgotten_and_those_about_films_do_not():
    world = World(faces={}, films={})
    film = ScrapeRequested(run_id="f", connector="films", trigger="manual", targets=(Target(id="tt0000001"),))
    await world.ask(about("alone", "Q1"), film)
    world.store_is_away = True
    worker = world.worker("a", *ALL)
    await world.pass_time(1, worker)
    assert [run.run_id for _, _, run in world.carried] == ["f"]
    world.store_is_away = False
    await world.pass_time(1, worker)
    assert [run.run_id for _, _, run in world.carried] == ["f", "alone"]


async def test_rows_that_are_made_again_from_the_log_are_those_that_were():
    world = World(faces={})
    await world.ask(PAUSE, about("alone", "Q1"), about("both", "Q1", "Q2"), about("new", "Q1", life=7))
    world.gone = {("Q1", 0)}
    for name in ("a", "b"):
        # The second begins anew, as after a kill before its first word was folded.
        await world.worker(name, *ALL).tick()
    await world.runner.settle()
    ids = [
        dict(raw.headers)["ce_id"] for raw in world.log.records("scrape-runs") if b"dropped_at" in (raw.value or b"")
    ]
    again = world.fresh_runner()
    await again.settle("follow")
    before, after = (
        {name: rows for name, rows in runner.tables["scrapes"].stored.items() if rows}
        for runner in (world.runner, again)
    )
    assert before == after
    assert queue(world) == [("both", ["Q2"]), ("new", ["Q1"])]
    assert (len(ids), len(set(ids))) == (4, 2)

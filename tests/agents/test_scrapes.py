"""What is asked of connectors and told of their runs becomes one state, however often it is said."""

from __future__ import annotations

from typing import Any, get_args

import msgspec

from agents.messages import Message
from agents.scrapes import Askable, admit_scrape, follow_scrapes, scrape_on_registration
from app.memory import MemoryLog, MemoryRunner
from app.topology import Kind, Stage, TableSpec, Topology
from schemas.base import Record
from schemas.entities import AdmittedRun, ScrapeState
from schemas.envelope import Envelope
from schemas.events import FilmRegistered
from schemas.ids import derived_id
from schemas.pictures import CelebrityRegistered
from schemas.scrapes import (
    RunEvent,
    ScrapeCheckpointed,
    ScrapeCounts,
    ScrapeFinished,
    ScrapeRequested,
    ScrapeStarted,
    SlaMissed,
    SteerConnector,
    Target,
    TargetsDropped,
)

RUN_EVENTS = get_args(RunEvent)
ROWS = (
    Stage("admit", (ScrapeRequested, SteerConnector), Kind.DECIDE, admit_scrape, (), TableSpec("a", {"": AdmittedRun})),
    Stage("follow", RUN_EVENTS, Kind.DECIDE, follow_scrapes, (), TableSpec("f", {"": ScrapeState})),
)


class Desk:
    def __init__(self) -> None:
        self.log = MemoryLog(2)
        self.runner = MemoryRunner(Topology(ROWS), (), self.log)

    async def say(self, *records: Record) -> None:
        for record in records:
            self.runner.push(record)
        await self.runner.settle()

    def state(self, connector: str = "guardian") -> Any:
        for rows in self.runner.tables["f"].stored.values():
            if connector.encode() in rows:
                return msgspec.json.decode(rows[connector.encode()], type=ScrapeState)
        return None


def request(run: str, **fields: Any) -> ScrapeRequested:
    return ScrapeRequested(run_id=run, connector="guardian", **({"trigger": "manual"} | fields))


def finished(run: str, **fields: Any) -> ScrapeFinished:
    base = {"status": "success", "attempt": 1, "finished_at": "now", "seconds": 1.0, "counts": ScrapeCounts(records=3)}
    return ScrapeFinished(run_id=run, connector="guardian", **(base | fields))


async def test_a_run_that_is_asked_for_twice_stands_in_the_queue_once():
    desk = Desk()
    await desk.say(request("one"), request("one"), request("two"), request("one", attempt=2))
    assert [(run.run_id, run.attempt) for run in desk.state().queue] == [("one", 1), ("two", 1), ("one", 2)]


async def test_runs_of_connectors_with_a_bar_in_their_names_are_told_apart():
    desk = Desk()
    await desk.say(
        ScrapeRequested(run_id="b|c", connector="a", trigger="manual"),
        ScrapeRequested(run_id="c", connector="a|b", trigger="manual"),
    )
    assert [run.run_id for run in desk.state("a").queue] == ["b|c"]
    assert [run.run_id for run in desk.state("a|b").queue] == ["c"]


async def test_a_run_that_is_over_leaves_the_queue_and_its_cursor_stays():
    desk = Desk()
    await desk.say(request("one"), request("two"))
    started = ScrapeStarted(run_id="one", connector="guardian", trigger="manual", attempt=1, started_at="t0")
    counts = ScrapeCounts(records=2)
    await desk.say(started, ScrapeCheckpointed(run_id="one", connector="guardian", cursor={"page": 2}, counts=counts))
    assert (desk.state().cursor, desk.state().queue[0].started_at) == ({"page": 2}, "t0")
    assert desk.state().queue[0].counts == counts
    await desk.say(finished("one", cursor_after={"page": 3}))
    assert [run.run_id for run in desk.state().queue] == ["two"]
    assert desk.state().cursor == {"page": 3}
    await desk.say(request("one"))
    assert [run.run_id for run in desk.state().queue] == ["two"]


async def test_only_the_schedules_own_dates_say_how_far_the_schedule_is():
    desk = Desk()
    await desk.say(
        request("a", trigger="schedule", logical_date="2026-05-02T00:00:00Z"),
        request("b", trigger="schedule", logical_date="2026-05-01T00:00:00Z"),
        request("c", trigger="backfill", logical_date="2027-01-01T00:00:00Z"),
    )
    assert desk.state().last_logical_date == "2026-05-02T00:00:00Z"


async def test_a_connector_is_paused_by_hand_or_by_its_own_run_and_resumed():
    desk = Desk()
    await desk.say(SteerConnector(connector="guardian", action="pause", reason="the site moves"))
    assert (desk.state().paused, desk.state().pause_reason) == (True, "the site moves")
    await desk.say(SteerConnector(connector="guardian", action="resume"))
    assert not desk.state().paused
    await desk.say(request("one"))
    await desk.say(finished("one", status="failed", error="the key was refused", paused=True))
    assert (desk.state().paused, desk.state().pause_reason) == (True, "the key was refused")


async def test_a_reset_sends_the_connector_back_to_its_beginning():
    desk = Desk()
    await desk.say(request("one"))
    await desk.say(finished("one", cursor_after={"page": 9}, state={"etag": "x"}))
    await desk.say(SteerConnector(connector="guardian", action="reset"))
    assert (desk.state().cursor, desk.state().state) == ({}, {})


async def test_a_missed_promise_is_marked_on_the_run_that_waits():
    desk = Desk()
    await desk.say(request("one"))
    await desk.say(SlaMissed(run_id="one", connector="guardian", logical_date=None, missed_at="t"))
    assert desk.state().queue[0].sla_missed


async def test_requests_that_were_carried_out_together_leave_the_queue_together():
    desk = Desk()
    for n in range(3):
        target = Target(id=f"tt000000{n}", name=f"Film {n}")
        await desk.say(request(f"r{n}", trigger="registration", targets=(target,)))
    await desk.say(finished("r0", also=("r2",)))
    assert [run.run_id for run in desk.state().queue] == ["r1"]


def people(*names: str) -> tuple[Target, ...]:
    return tuple(Target(id=name, kind="person", name=name, life=0) for name in names)


def dropped(run: str, *names: str, left: int, attempt: int = 1) -> TargetsDropped:
    return TargetsDropped(
        run_id=run, connector="guardian", attempt=attempt, people=names, left=left, dropped_at="2026-05-01T00:00:00Z"
    )


async def test_a_run_about_nobody_but_who_was_forgotten_is_over_and_another_goes_on_without_them():
    desk = Desk()
    await desk.say(request("one", targets=people("Q1")), request("one", targets=people("Q1"), attempt=2))
    await desk.say(request("both", targets=people("Q1", "Q2")), request("all"), request("new", targets=people("Q1")))
    await desk.say(dropped("one", "Q1", left=0), dropped("both", "Q1", left=1), dropped("all", "Q1", left=0))
    queue = [(run.run_id, run.attempt, [target.id for target in run.targets]) for run in desk.state().queue]
    assert queue == [("one", 2, ["Q1"]), ("both", 1, ["Q2"]), ("all", 1, []), ("new", 1, ["Q1"])]


async def test_whoever_is_taken_out_of_a_run_twice_leaves_cursor_and_queue_as_they_are():
    desk = Desk()
    await desk.say(request("first"), request("both", targets=people("Q1", "Q2")))
    await desk.say(finished("first", cursor_after={"after": "Q0"}, state={"spent": {"key": 3}}))
    await desk.say(dropped("both", "Q1", left=1))
    before = desk.state()
    await desk.say(dropped("both", "Q1", left=1), dropped("gone", "Q1", left=0))
    assert desk.state() == before
    assert (before.cursor, before.state) == ({"after": "Q0"}, {"spent": {"key": 3}})


BY_NAME = Askable("google", ("name",))


async def requests(registered: FilmRegistered | CelebrityRegistered, *asked: Askable) -> list[Any]:
    message = Message(registered, Envelope("e", "e"), "topic", 0, 0, 0)
    return [each async for each in scrape_on_registration(message, asked or (Askable("commons"),))]


def tilda(**known: Any) -> CelebrityRegistered:
    return CelebrityRegistered(celebrity_id="Q200534", **({"name": "Tilda Swinton", "wikidata": "Q200534"} | known))


async def test_a_registration_makes_the_same_run_again_and_another_one_after_a_forgetting():
    [first], [again] = await requests(tilda()), await requests(tilda())
    lives = [(await requests(tilda(life=life)))[0].run_id for life in (3, 7, 7)]
    assert first == again
    assert lives[1] == lives[2]
    assert len({first.run_id, *lives}) == 3


async def test_runs_of_who_was_never_forgotten_keep_the_ids_under_which_they_were_admitted():
    [person] = await requests(tilda(tmdb=3063))
    [film] = await requests(FilmRegistered(film_id="tt1375666", title="Inception", year=2010, imdb="tt1375666"))
    known = "commons|Q200534|Tilda Swinton|None|person|None|Q200534|3063"
    assert person.run_id == derived_id(known, "registration")
    known = "commons|tt1375666|Inception|2010|movie|tt1375666|None|None"
    assert film.run_id == derived_id(known, "registration")


async def test_a_run_tells_of_which_life_of_a_person_it_is():
    lives = [(await requests(tilda(life=life)))[0].targets[0].life for life in (0, 7)]
    [film] = await requests(FilmRegistered(film_id="tt1375666", title="Inception", imdb="tt1375666"))
    assert (lives, film.targets[0].life) == ([0, 7], None)


async def test_a_connector_is_asked_again_only_when_it_can_look_up_by_more():
    [by_all, by_name], [more, same] = [
        await requests(person, Askable("commons"), BY_NAME) for person in (tilda(), tilda(imdb="nm0842770", tmdb=3063))
    ]
    assert (by_all.run_id != more.run_id, by_name.run_id == same.run_id) == (True, True)
    [other] = await requests(tilda(name="Katherine Swinton"), BY_NAME)
    assert other.run_id != by_name.run_id


async def test_a_connector_that_searches_by_name_is_not_asked_about_somebody_without_one():
    assert [each.connector for each in await requests(tilda(name=None), Askable("commons"), BY_NAME)] == ["commons"]

"""Admit runs of connectors, each once, and fold what is told of them into one state a connector."""

from __future__ import annotations

from collections.abc import AsyncIterator, MutableMapping, Sequence
from typing import Final, Literal, TypeVar, get_args

import msgspec

from agents.messages import Message
from schemas.base import Record
from schemas.entities import AdmittedRun, ScrapeState, WaitingRun
from schemas.events import FilmRegistered
from schemas.ids import derived_id, fenced
from schemas.pictures import CelebrityRegistered
from schemas.scrapes import (
    ConnectorSteered,
    RunEvent,
    ScrapeAdmitted,
    ScrapeCheckpointed,
    ScrapeFinished,
    ScrapeRequested,
    ScrapeStarted,
    SlaMissed,
    SteerConnector,
    Target,
    TargetsDropped,
)

S = TypeVar("S", bound=msgspec.Struct)
Sign = Literal["name", "year", "imdb", "wikidata", "tmdb"]
"""A field of a target by which sources may know a film or person."""
SIGNS: Final[tuple[Sign, ...]] = get_args(Sign)


class Askable(msgspec.Struct, frozen=True):
    """A connector that is asked about what is registered, and by what it looks that up."""

    connector: str
    looks_up_by: tuple[Sign, ...] = SIGNS


async def admit_scrape(
    message: Message[ScrapeRequested | SteerConnector], admitted: MutableMapping[str, AdmittedRun]
) -> AsyncIterator[Record]:
    """ScrapeAdmitted for an id and attempt that were never asked for before; ConnectorSteered for a word to it."""
    command = message.data
    if isinstance(command, SteerConnector):
        yield ConnectorSteered(connector=command.connector, action=command.action, reason=command.reason)
        return
    key = f"{fenced(command.connector)}|{command.run_id}|{command.attempt}"
    if key not in admitted:
        admitted[key] = AdmittedRun(cause_id=message.envelope.id)
        yield ScrapeAdmitted(**{name: getattr(command, name) for name in ScrapeAdmitted.__struct_fields__})


async def scrape_on_registration(
    message: Message[FilmRegistered | CelebrityRegistered], connectors: Sequence[Askable]
) -> AsyncIterator[Record]:
    """ScrapeRequested for each connector that can ask its source about one film or person.

    A film of which only the id is known, because somebody rated it, is not looked for until somebody names it. Whoever
    was forgotten and is registered anew is asked about anew.
    """
    registered = message.data
    target = target_of(registered)
    if target.name is None and target.wikidata is None:
        return
    life = registered.life if isinstance(registered, CelebrityRegistered) else 0
    for asked in connectors:
        if any(getattr(target, sign) is not None for sign in asked.looks_up_by):
            yield ScrapeRequested(
                run_id=_registration_id(asked, target, life),
                connector=asked.connector,
                trigger="registration",
                targets=(target,),
            )


def _registration_id(asked: Askable, target: Target, life: int) -> str:
    """The same as long as the connector would look up the same, in one life."""
    hidden = {sign for sign in SIGNS if sign not in asked.looks_up_by}
    seen = [None if name in hidden else getattr(target, name) for name in _LOOKED_UP]
    connector = fenced(asked.connector)
    # Without a forgetting, runs keep the ids under which they were admitted before lives were told apart.
    parts = (connector, *seen, life) if life else (connector, *seen)
    return derived_id("|".join(map(str, parts)), "registration")


_LOOKED_UP: Final = [name for name in Target.__struct_fields__ if name != "life"]


def target_of(registered: FilmRegistered | CelebrityRegistered) -> Target:
    """What sources may be asked about a film or person."""
    if isinstance(registered, CelebrityRegistered):
        kind: Literal["movie", "tv", "person"] = "person"
        ids = {"id": registered.celebrity_id, "name": registered.name, "life": registered.life}
    else:
        kind = registered.kind
        ids = {"id": registered.film_id, "name": registered.title}
    year = registered.year if isinstance(registered, FilmRegistered) else None
    rest = {"imdb": registered.imdb, "wikidata": registered.wikidata, "tmdb": registered.tmdb}
    return msgspec.convert({**ids, **rest, "kind": kind, "year": year}, Target)


async def follow_scrapes(
    message: Message[RunEvent], connectors: MutableMapping[str, ScrapeState]
) -> AsyncIterator[Record]:
    """Fold an event of a run into its connector's state; emits nothing."""
    event = message.data
    known = connectors.get(event.connector) or ScrapeState()
    state = _after(known, event)
    connectors[event.connector] = state if state.since else _changed(state, since=message.received_at)
    return
    yield


def _after(state: ScrapeState, event: RunEvent) -> ScrapeState:
    match event:
        case ScrapeAdmitted():
            queue = [*state.queue, WaitingRun(**{name: getattr(event, name) for name in _OF_REQUEST})]
            latest = max(filter(None, (state.last_logical_date, event.logical_date)), default=None)
            # A backfill goes back in time; only the schedule's own dates say how far the schedule is.
            if event.trigger != "schedule":
                latest = state.last_logical_date
            return _changed(state, queue=queue, last_logical_date=latest)
        case ConnectorSteered(action="reset"):
            return _changed(state, cursor={}, state={})
        case ConnectorSteered(action="follow"):
            return state
        case ConnectorSteered():
            return _changed(state, paused=event.action == "pause", pause_reason=event.reason)
        case ScrapeStarted():
            # Where it began is told at its end: a life after a crash begins further on.
            begun = {} if event.resumed else {"cursor_before": state.cursor}
            return _with_run(state, event, started_at=event.started_at, **begun)
        case ScrapeCheckpointed():
            state = _with_run(state, event, counts=event.counts)
            return _changed(state, cursor=event.cursor, state=event.state)
        case SlaMissed():
            return _with_run(state, event, sla_missed=True)
        case TargetsDropped():
            rest = [_without(run, event) for run in state.queue]
            return _changed(state, queue=[run for run in rest if run is not None])
        case ScrapeFinished():
            over = {(event.run_id, event.attempt), *((run_id, 1) for run_id in event.also)}
            left = [run for run in state.queue if (run.run_id, run.attempt) not in over]
            state = _changed(state, queue=left, cursor=event.cursor_after, state=event.state)
            return _changed(state, paused=True, pause_reason=event.error or "") if event.paused else state


_OF_REQUEST = [name for name in WaitingRun.__struct_fields__ if name in ScrapeAdmitted.__struct_fields__]


def _without(run: WaitingRun, dropped: TargetsDropped) -> WaitingRun | None:
    """The run as it is about whoever is left; None where it was about nobody else."""
    if (run.run_id, run.attempt) != (dropped.run_id, dropped.attempt):
        return run
    left = tuple(target for target in run.targets if target.id not in dropped.people)
    if left == run.targets:
        return run
    return _changed(run, targets=left) if left else None


def _with_run(
    state: ScrapeState, event: ScrapeStarted | ScrapeCheckpointed | SlaMissed, **changes: object
) -> ScrapeState:
    meant = (event.run_id, event.attempt)
    queue = [_changed(run, **changes) if (run.run_id, run.attempt) == meant else run for run in state.queue]
    return _changed(state, queue=queue)


def _changed(of: S, **changes: object) -> S:
    return msgspec.structs.replace(of, **changes)

"""Connectors over HTTP: which there are, how their runs went, and the words that people say to them."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web

from agents.due import BadScheduleError, date_before, dates_between, next_date, run_id, stamp
from agents.due import span as moments_of
from app.collecting.runs import command_of
from app.connectors.registry import config_of
from app.settings import ConfigError
from app.storage.collecting import ConnectorState, RunView
from app.storage.paging import BadQueryError, Page
from app.web import connectors_pages
from app.web.bodies import FORM, number, read_fields, wants_html
from app.web.connectors_pages import connector_url
from app.web.connectors_shapes import (
    AskedRun,
    Backfill,
    ConnectorPage,
    ConnectorView,
    DatedRun,
    ManualRun,
    Nothing,
    Pause,
    Span,
    Steered,
)
from app.web.pages import VARY
from app.web.problems import Problem, json_response, not_found
from app.web.push import deliver
from app.web.site import SITE
from schemas.scrapes import Action, ScrapeRequested, SteerConnector

DEFAULT_LIMIT: Final = 100
MOST_CONNECTORS: Final = 1000
MOST_RUNS: Final = 1000
ON_A_PAGE: Final = 40
MOST_BACKFILLED: Final = 1000
"""Runs that one backfill may ask for."""

T = TypeVar("T", bound=msgspec.Struct)


async def list_connectors(request: web.Request) -> web.Response:
    """The connectors of the configuration in its order, each with its next date and its last run."""
    html = wants_html(request)
    limit = number(request, "limit", ON_A_PAGE if html else DEFAULT_LIMIT, MOST_CONNECTORS)
    names = list(request.app[SITE].worker.settings.connectors)
    cursor = request.query.get("cursor")
    if cursor:
        if cursor not in names:
            raise Problem(400, "cursor: there is no such connector (any more); ask for the first page.")
        names = names[names.index(cursor) + 1 :]
    views = await views_of(request, names[:limit])
    following = names[limit - 1] if len(names) > limit else None
    if html:
        return await connectors_pages.grid(request, ConnectorPage(items=views, next=following))
    return json_response(ConnectorPage(items=views, next=following), headers=VARY)


async def get_connector(request: web.Request) -> web.Response:
    """One connector: its schedule, whether it is paused and why, and its last run."""
    (view,) = await views_of(request, [connector_name(request)])
    if not wants_html(request):
        return json_response(view, headers=VARY)
    page = await _runs(request, view.name, connectors_pages.SHOWN_RUNS)
    return connectors_pages.connector(view, page, request.query.get("told", ""))


async def get_runs(request: web.Request) -> web.Response:
    """The runs of a connector, the one last asked for first, each with what it did and how it ended."""
    return json_response(await _runs(request, connector_name(request), DEFAULT_LIMIT))


async def list_runs(request: web.Request) -> web.Response:
    """The runs of all connectors, the one last asked for first."""
    runs = request.app[SITE].worker.store.runs
    return json_response(await runs.runs(None, number(request, "limit", DEFAULT_LIMIT, MOST_RUNS)))


async def run_connector(request: web.Request) -> web.Response:
    """Run a connector now. The run is asked for once it is in the log; it begins when those before it are over."""
    name = connector_name(request)
    word = await _word(request, ManualRun)
    asked = ScrapeRequested(run_id=str(uuid.uuid4()), connector=name, trigger="manual")
    now = request.app[SITE].now()
    reset = [command_of(SteerConnector(connector=name, action="reset"), now)] if word.from_start else []
    await deliver(request, [*reset, command_of(asked, now)])
    state = await _state(request, name)
    answer = AskedRun(connector=name, run_id=asked.run_id, paused=state.paused, pause_reason=state.pause_reason)
    return _done(request, name, "run", answer)


async def pause_connector(request: web.Request) -> web.Response:
    """Begin no further run of a connector until it is resumed; one that is under way ends as it would."""
    return await _steer(request, "pause", "paused", (await _word(request, Pause)).reason)


async def resume_connector(request: web.Request) -> web.Response:
    """Let a connector run again, with the runs that wait and the last date that was missed."""
    await _word(request, Nothing)
    return await _steer(request, "resume", "resumed")


async def backfill_connector(request: web.Request) -> web.Response:
    """Run a connector for each date of its schedule from one time to another. A date is backfilled only once."""
    name = connector_name(request)
    span = await _word(request, Span)
    dates, before = _dates(request, name, span)
    requests = [
        ScrapeRequested(
            run_id=run_id(name, "backfill", date),
            connector=name,
            trigger="backfill",
            logical_date=stamp(date),
            interval_start=stamp(begin),
            interval_end=stamp(date),
        )
        for begin, date in zip([before, *dates], dates, strict=False)
    ]
    now = request.app[SITE].now()
    await deliver(request, [command_of(each, now) for each in requests])
    runs = [DatedRun(run_id=each.run_id, logical_date=each.logical_date or "") for each in requests]
    state = await _state(request, name)
    answer = Backfill(connector=name, runs=runs, paused=state.paused, pause_reason=state.pause_reason)
    return _done(request, name, "backfill", answer)


def connector_name(request: web.Request) -> str:
    """The name in the address. Raises Problem (404) that names the connectors there are."""
    name, known = request.match_info["name"], request.app[SITE].worker.settings.connectors
    if name not in known:
        there = ", ".join(known) or "none: add a table [connectors.NAME] to marquee.toml"
        raise not_found(f"No connector is called {name}; there is {there}.")
    return name


async def views_of(request: web.Request, names: list[str]) -> list[ConnectorView]:
    """Connectors as people see them."""
    site = request.app[SITE]
    states: list[ConnectorState] = await site.worker.store.runs.states(names)
    now = datetime.fromtimestamp(site.now(), UTC)
    return [_view(state, site.worker.settings.connectors[state.name], now) for state in states]


def _view(state: ConnectorState, table: dict[str, Any], now: datetime) -> ConnectorView:
    try:
        config = config_of(state.name, table)
        error, schedule, zone, terms = None, config.schedule, config.timezone, config.terms
        due = None if schedule is None or state.paused else next_date(schedule, zone, now)
    except (ConfigError, BadScheduleError) as wrong:
        error, due, terms = str(wrong), None, None
        schedule, zone = table.get("schedule"), str(table.get("timezone", "UTC"))
    return ConnectorView(
        name=state.name,
        kind=str(table.get("kind", "?")),
        profile=table.get("profile"),
        schedule=schedule,
        timezone=zone,
        next_date=stamp(due) if due is not None else None,
        paused=state.paused,
        pause_reason=state.pause_reason,
        error=error,
        last_run=state.last_run,
        terms=terms,
    )


async def _runs(request: web.Request, name: str, limit: int) -> Page[RunView]:
    most = number(request, "limit", limit, MOST_RUNS)
    try:
        page: Page[RunView] = await request.app[SITE].worker.store.runs.runs(
            name, most, request.query.get("cursor") or None
        )
    except BadQueryError as error:
        raise Problem(400, f"{error}.") from error
    return page


async def _state(request: web.Request, name: str) -> ConnectorState:
    (state,) = await request.app[SITE].worker.store.runs.states([name])
    return state  # type: ignore[no-any-return]


async def _steer(request: web.Request, action: Action, told: str, reason: str = "") -> web.Response:
    name = connector_name(request)
    record = command_of(SteerConnector(connector=name, action=action, reason=reason), request.app[SITE].now())
    await deliver(request, [record])
    return _done(
        request, name, told, Steered(connector=name, action=action, event_id=dict(record.headers)["ce_id"].decode())
    )


async def _word(request: web.Request, kind: type[T]) -> T:
    """What was sent, which may be nothing where nothing is needed."""
    if not request.can_read_body and not any(field.required for field in msgspec.structs.fields(kind)):
        return kind()
    return await read_fields(request, kind)


def _dates(request: web.Request, name: str, span: Span) -> tuple[list[datetime], datetime]:
    """The dates of a backfill, and the one before the first. Raises Problem (422)."""
    try:
        config = config_of(name, request.app[SITE].worker.settings.connectors[name])
    except ConfigError as error:
        raise Problem(422, f"{name} cannot be used as it is configured: {error}.") from error
    if config.schedule is None:
        raise Problem(422, f"{name} has no schedule, so there are no dates to make up for: run it instead.")
    try:
        begin, end = moments_of(span.begin, span.end)
    except ValueError as error:
        raise Problem(422, f"{error}.") from error
    now = datetime.fromtimestamp(request.app[SITE].now(), UTC)
    if begin > end or begin > now:
        raise Problem(422, f"from: {stamp(begin)} lies behind {'to' if begin > end else 'now'}.")
    dates = dates_between(config.schedule, config.timezone, begin, min(end, now), MOST_BACKFILLED + 1)
    if not dates:
        raise Problem(422, f"No date of {config.schedule!r} lies between {stamp(begin)} and {stamp(min(end, now))}.")
    if len(dates) > MOST_BACKFILLED:
        raise Problem(
            422,
            f"More than {MOST_BACKFILLED} dates lie in there, as many as one backfill may ask for: "
            f"end it at {stamp(dates[-2])}, then go on from there.",
        )
    return dates, date_before(config.schedule, config.timezone, dates[0]) or begin


def _done(request: web.Request, name: str, told: str, answer: Any) -> web.Response:
    """202; a form goes back to the connector's page instead, since nobody reads JSON there."""
    if request.content_type == FORM:
        return web.Response(status=303, headers={"Location": f"{connector_url(name)}?told={told}"})
    return json_response(answer, 202, headers={"Location": f"{connector_url(name)}/runs"})

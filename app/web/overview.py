"""The dashboard: what needs attention, how the pipeline runs, how good the forecasts are, and the films."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiohttp import web

from agents.errors import Unavailable
from app.storage.paging import Page
from app.storage.picture_views import PeopleCounts
from app.storage.views import Counts, FilmRow
from app.version import VERSION
from app.web import charts, connectors, films, models, pages
from app.web.attention import notices
from app.web.connectors_shapes import ConnectorView
from app.web.shapes import FilmQuery, ModelView
from app.web.site import SITE, Site

SHOWN_FILMS: Final = 10
SHOWN_EVENTS: Final = 12
MOST_CONNECTORS: Final = 200
"""Connectors that are looked at each time; a page of their own shows all."""


async def dashboard(request: web.Request) -> web.Response:
    """The overview for people; it is drawn without what does not answer."""
    site = request.app[SITE]
    query = FilmQuery(search=None, sort="updated", limit=SHOWN_FILMS, cursor=None)
    readiness, counts, people, views, page, (collecting, open_matches) = await asyncio.gather(
        site.probes.readiness(),
        _counts(site),
        _people(site),
        _models(request),
        _films(request, query),
        _collecting(request),
    )
    stages = site.pulse.stages
    attention = notices(readiness, stages, views, site.engine.gate_stuck, people, collecting)
    return pages.render(
        "overview.html",
        here="overview",
        site=site,
        worker=site.worker.settings.worker.id,
        version=VERSION,
        attention=attention,
        counts=counts,
        people=people,
        connectors=[view.last_run.status if view.last_run else "never" for view in collecting],
        open_matches=open_matches,
        tile=_error_tile(views),
        snapshot_age=min((v.snapshot_age_seconds for v in views if v.snapshot_age_seconds is not None), default=None),
        stages=stages,
        dead_letters=sum(stage.dead_letters for stage in stages.values()),
        sparks={name: charts.sparkline(site.pulse.history(name), f"{name}: events a second") for name in stages},
        happened=site.bus.past(SHOWN_EVENTS),
        last_event=site.bus.last,
        members=[url for url in site.engine.members() if url != str(site.engine.own_url)],
        **pages.film_table(query, page),
    )


async def _counts(site: Site) -> Counts | None:
    try:
        counts: Counts = await site.worker.store.films.counts()
    except Unavailable:
        return None
    return counts


async def _people(site: Site) -> PeopleCounts | None:
    try:
        counts: PeopleCounts = await site.worker.store.people.counts()
    except Unavailable:
        return None
    return counts


async def _collecting(request: web.Request) -> tuple[list[ConnectorView], int]:
    """The connectors, and how many mentions wait for a word."""
    worker = request.app[SITE].worker
    try:
        views = await connectors.views_of(request, list(worker.settings.connectors)[:MOST_CONNECTORS])
        return views, await worker.store.runs.open_count()
    except Unavailable:
        return [], 0


async def _films(request: web.Request, query: FilmQuery) -> Page[FilmRow]:
    try:
        return await films.page_of(request, query)
    except Unavailable:
        return Page([])


async def _models(request: web.Request) -> list[ModelView]:
    try:
        return await models.views(request)
    except Unavailable:
        return []


def _error_tile(views: list[ModelView]) -> dict[str, Any] | None:
    for view in views:
        if "mae" in view.metrics:
            baselines = {name: view.metrics[name] for name in ("running_mean", "global_mean") if name in view.metrics}
            return {"mae": view.metrics["mae"], "baselines": baselines, "model": view.name}
    return None

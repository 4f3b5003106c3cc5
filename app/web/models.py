"""Models over HTTP: who owns each, how well it does beside its baselines, and its snapshots."""

from __future__ import annotations

import logging
from typing import Any, Final

import msgspec
from aiohttp import web
from yarl import URL

from app.storage.pointers import Pointer
from app.web import pages
from app.web.bodies import wants_html
from app.web.gauges import snapshot_ages
from app.web.parts import owned_model
from app.web.problems import Problem, json_response, not_found
from app.web.routing import HOP_HEADER
from app.web.shapes import ErrorCurve, Models, ModelView, SnapshotView
from app.web.site import SITE, Site
from schemas.commands import ControlModel

log = logging.getLogger(__name__)

OWNER_TABLE: Final = ControlModel.topic
"""Whoever owns the control topic's only partition owns every model."""


async def list_models(request: web.Request) -> web.Response:
    """Every model with its errors, lag and snapshots; a page for people where a browser asks."""
    found = await views(request)
    if wants_html(request):
        return await pages.models(request, found)
    return json_response(Models(items=found), headers=pages.VARY)


async def get_model(request: web.Request) -> web.Response:
    """One model with the course of its errors over its snapshots; a page where a browser asks."""
    name = request.match_info["name"]
    found = next((view for view in await views(request) if view.name == name), None)
    if found is None:
        known = ", ".join(sorted(request.app[SITE].worker.learners))
        raise not_found(f"There is no such model; there are: {known}.")
    if wants_html(request):
        return await pages.model(request, found)
    return json_response(found, headers=pages.VARY)


async def views(request: web.Request) -> list[ModelView]:
    """The models as their owner sees them, or as their snapshots tell where the owner does not answer."""
    site = request.app[SITE]
    owner = _owner(site)
    if owner is not None and owner != str(site.engine.own_url) and HOP_HEADER not in request.headers:
        try:
            _, told = await site.lookups.ask(URL(owner).with_path("/models"))
            return msgspec.json.decode(told, type=Models).items
        except (Problem, msgspec.DecodeError) as error:
            log.info("models: the owner at %s does not tell: %s", owner, error)
    return [await _view(site, name, owner) for name in site.worker.learners]


async def _view(site: Site, name: str, owner: str | None) -> ModelView:
    service = site.worker.learners[name]
    snapshots = [_snapshot(pointer) for pointer in await site.worker.store.pointers.recent(name)]
    newest = snapshots[0] if snapshots else None
    live = owned_model(service)
    age = snapshot_ages(site.worker, site.now).get(name)
    if age is None and newest is not None and newest.created_at is not None:
        age = max(0.0, site.now() - newest.created_at)
    return ModelView(
        name=name,
        stage=service.spec.stage,
        reads=service.spec.reads.topic,
        owner=owner,
        live=live is not None,
        version=str(live.model_version) if live is not None else None,
        champion=await site.champions.of(name),
        counts=dict(live.counts()) if live is not None else newest.counts if newest is not None else {},
        lag=service.lag,
        metrics=numbers(live.metrics()) if live is not None else newest.metrics if newest is not None else {},
        snapshot_age_seconds=age,
        curve=_curve(live.curve()) if live is not None else None,
        snapshots=snapshots,
    )


def _snapshot(pointer: Pointer) -> SnapshotView:
    facts = pointer.facts
    return SnapshotView(
        applied_offset=pointer.applied_offset,
        digest=pointer.digest,
        created_at=facts.get("created_at"),
        counts={name: int(count) for name, count in (facts.get("lessons") or {}).items()},
        metrics=numbers(facts.get("metrics") or {}),
    )


def _curve(curve: Any) -> ErrorCurve:
    points = [(labels, list(values)) for labels, values in curve.points]
    return ErrorCurve(unit=curve.unit, names=list(curve.names), points=points)


def numbers(measures: dict[str, Any]) -> dict[str, float]:
    """The measures that are there yet."""
    return {name: float(value) for name, value in measures.items() if isinstance(value, int | float)}


def _owner(site: Site) -> str | None:
    url = site.engine.owner(OWNER_TABLE, 0) if site.worker.prepared else None
    return None if url is None else str(url)

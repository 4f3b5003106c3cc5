"""Probes, state and metrics: what machines ask a worker about itself."""

from __future__ import annotations

import os
from typing import Final

import msgspec
from aiohttp import web

from app.web.gauges import TEXT, exposition, snapshot_ages
from app.web.parts import Spot, owned_model
from app.web.problems import json_response
from app.web.pulse import lag_by_stage
from app.web.site import SITE, Site

RETRY_SECONDS: Final = "2"


class Alive(msgspec.Struct, kw_only=True):
    """The process answers."""

    alive: bool
    pid: int
    uptime_seconds: float


class Offsets(msgspec.Struct, kw_only=True):
    """A stage at a partition: the last offset that it applied, the partition's end, and what waits between."""

    stage: str
    topic: str
    partition: int
    applied: int | None
    end: int | None
    lag: int | None


class ModelState(msgspec.Struct, kw_only=True):
    """A model that this worker owns."""

    version: str
    lessons: int
    lag: int | None
    snapshot_age_seconds: float | None


class Status(msgspec.Struct, kw_only=True):
    """This worker's state. `lag` is by stage, over the partitions that are here."""

    worker: str
    url: str
    uptime_seconds: float
    broker: str
    mongo: str
    mlflow: str
    generation: int
    rebalancing: bool
    gate_open: bool
    assignment: dict[str, list[int]]
    members: list[str]
    lag: dict[str, int]
    offsets: list[Offsets]
    models: dict[str, ModelState]
    model_versions: dict[str, str]
    snapshot_age: dict[str, float]


async def alive(request: web.Request) -> web.Response:
    """The process lives; nothing else is asked."""
    site = request.app[SITE]
    return json_response(Alive(alive=True, pid=os.getpid(), uptime_seconds=_uptime(site)))


async def ready(request: web.Request) -> web.Response:
    """200 where events flow and look-ups are answered here, else 503; every check is named either way."""
    readiness = await request.app[SITE].probes.readiness()
    if readiness.ready:
        return json_response(readiness)
    return json_response(readiness, 503, headers={"Retry-After": RETRY_SECONDS})


async def state(request: web.Request) -> web.Response:
    """What this worker is connected to, owns, and is behind with."""
    return json_response(describe(request.app[SITE]))


async def prometheus(request: web.Request) -> web.Response:
    """Metrics in Prometheus' text format."""
    site = request.app[SITE]
    body = exposition(site.worker, site.engine.spots(), site.now)
    return web.Response(body=body, headers={"Content-Type": TEXT})


def describe(site: Site) -> Status:
    """The worker's state at this moment."""
    worker, engine, settings = site.worker, site.engine, site.worker.settings
    spots = engine.spots()
    ages = snapshot_ages(worker, site.now)
    models = {
        name: ModelState(
            version=str(model.model_version),
            lessons=int(model.counts()["lessons"]),
            lag=learner.lag,
            snapshot_age_seconds=ages.get(name),
        )
        for name, learner in worker.learners.items()
        if (model := owned_model(learner)) is not None
    }
    return Status(
        worker=settings.worker.id,
        url=str(engine.own_url),
        uptime_seconds=_uptime(site),
        broker=";".join(without_password(url) for url in settings.broker.url.split(";")),
        mongo=without_password(settings.mongo.url),
        mlflow=without_password(settings.mlflow.tracking_uri),
        generation=engine.generation,
        rebalancing=engine.rebalancing,
        gate_open=worker.gate_open,
        assignment=_assignment(site),
        members=engine.members(),
        lag=lag_by_stage(spots),
        offsets=[_offsets(spot) for spot in spots],
        models=models,
        model_versions={name: model.version for name, model in models.items()},
        snapshot_age=ages,
    )


def _offsets(spot: Spot) -> Offsets:
    return Offsets(
        stage=spot.stage,
        topic=spot.topic,
        partition=spot.partition,
        applied=spot.applied,
        end=spot.end,
        lag=spot.lag,
    )


def _assignment(site: Site) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for tp in sorted(site.engine.actives()):
        found.setdefault(tp.topic, []).append(tp.partition)
    return found


def _uptime(site: Site) -> float:
    return round(max(0.0, site.now() - site.started_at), 1)


def without_password(url: str) -> str:
    """The address without what must not be shown."""
    scheme, mark, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}{mark}{authority.rpartition('@')[2]}{slash}{path.partition('?')[0]}"

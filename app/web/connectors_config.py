"""A changed `marquee.toml` taken up while the workers run: connectors, films and people; the rest needs a restart."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import msgspec
from aiohttp import web
from yarl import URL

from app.connectors.registry import connector_faults
from app.settings import ConfigError, Settings, describe, load
from app.web.problems import Problem, json_response, unavailable
from app.web.routing import HOP_HEADER
from app.web.site import SITE

LIVE: Final = ("connectors", "films", "celebrities")


class ConnectorChanges(msgspec.Struct, frozen=True, kw_only=True):
    """Which connectors are other than before."""

    added: list[str]
    changed: list[str]
    removed: list[str]


class OtherWorker(msgspec.Struct, frozen=True, kw_only=True):
    """What another worker said to the same wish."""

    url: str
    ok: bool
    detail: str


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """What was taken up; `pushed` counts new films and people, `needs_restart` names keys that wait for one."""

    worker: str
    connectors: ConnectorChanges
    pushed: int
    needs_restart: list[str]
    others: list[OtherWorker]


async def apply_config(request: web.Request) -> web.Response:
    """Read the configuration again, and go on with its connectors, films and people; the other workers do the same."""
    site = request.app[SITE]
    if not site.worker.prepared:
        raise unavailable("This worker is still starting: ask again in a moment.", 5)
    before, after = site.worker.settings, _read()
    pushed = await site.worker.apply(after)
    others = [] if HOP_HEADER in request.headers else await _others(request)
    return json_response(
        Applied(
            worker=before.worker.id,
            connectors=_changes(before.connectors, after.connectors),
            pushed=pushed,
            needs_restart=restarts(before, after),
            others=others,
        )
    )


def restarts(before: Settings, after: Settings) -> list[str]:
    """The keys that differ and are read at the start only."""
    return [
        f"{section}.{key}"
        for section, key, _ in describe()
        if getattr(getattr(before, section), key) != getattr(getattr(after, section), key)
    ]


def _read() -> Settings:
    """The configuration as it is now. Raises Problem (422) with file, line and key of every mistake."""
    try:
        settings = load()
    except ConfigError as error:
        raise Problem(422, f"Nothing was changed: {error}.") from error
    file = Path(os.environ.get("MARQUEE_CONFIG") or "marquee.toml")
    faults = connector_faults(settings, file if file.exists() else None)
    if faults:
        raise Problem(422, f"Nothing was changed: {'; '.join(faults)}.")
    return settings


def _changes(before: dict[str, dict[str, Any]], after: dict[str, dict[str, Any]]) -> ConnectorChanges:
    return ConnectorChanges(
        added=[name for name in after if name not in before],
        changed=[name for name in after if name in before and after[name] != before[name]],
        removed=[name for name in before if name not in after],
    )


async def _others(request: web.Request) -> list[OtherWorker]:
    site, found = request.app[SITE], []
    token = request.headers.get("Authorization")
    for member in site.engine.members():
        if URL(member).authority == site.engine.own_url.authority:
            continue
        try:
            address = URL(member).join(URL("/config/apply"))
            status, body = await site.lookups.ask(address, "POST", {"Authorization": token} if token else {})
            told = body.decode(errors="replace")
        except Problem as problem:
            status, told = problem.status, problem.detail
        found.append(OtherWorker(url=member, ok=status == 200, detail="" if status == 200 else told[:1000]))
    return found

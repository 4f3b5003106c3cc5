"""Pages of connectors: the grid of their runs, the history of one, and the mentions that wait for a word."""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import quote, urlencode

import msgspec
from aiohttp import web

from app.storage.collecting import RunView
from app.storage.paging import Page
from app.web.connectors_shapes import ConnectorPage, ConnectorView, Matches
from app.web.pages import render
from app.web.site import SITE

IN_THE_GRID: Final = 25
SHOWN_RUNS: Final = 50
NOTED: Final = {
    "run": "Noted. The run begins when those before it are over: load the page again to see it.",
    "paused": "Noted. No further run begins until somebody resumes it.",
    "resumed": "Noted. What waits begins in a moment.",
    "backfill": "Noted. The runs wait in the order of their dates: load the page again to see them.",
    "matched": "Noted. The mention is counted for its film in a moment.",
}
WORDS: Final = {
    "waiting": "waits",
    "running": "runs",
    "success": "went well",
    "partial": "went well but for some records",
    "failed": "failed",
    "skipped": "was skipped",
}


async def grid(request: web.Request, page: ConnectorPage) -> web.Response:
    """Connectors and their last runs, coloured by how they went."""
    runs = request.app[SITE].worker.store.runs
    found = await asyncio.gather(*(runs.runs(view.name, IN_THE_GRID) for view in page.items))
    limit = request.query.get("limit")
    following = {"cursor": page.next, **({"limit": limit} if limit else {})}
    return render(
        "connectors.html",
        here="connectors",
        rows=[(view, past.items[::-1]) for view, past in zip(page.items, found, strict=True)],
        words=WORDS,
        told=NOTED.get(request.query.get("told", "")),
        url=connector_url,
        tell=tell,
        open_matches=await runs.open_count(),
        next_page=f"/connectors?{urlencode(following)}" if page.next else None,
        first_page="/connectors" if request.query.get("cursor") else None,
    )


def connector(view: ConnectorView, page: Page[RunView], told: str = "") -> web.Response:
    """One connector with its history."""
    address = connector_url(view.name)
    return render(
        "connector.html",
        here="connectors",
        connector=view,
        page=page,
        words=WORDS,
        told=NOTED.get(told),
        address=address,
        cursor=cursor_text,
        next_page=f"{address}?{urlencode({'cursor': page.next})}" if page.next else None,
    )


def matches(found: Matches, told: str = "") -> web.Response:
    """Mentions that wait, each with the films that it may be of."""
    return render("matches.html", here="connectors", found=found, told=NOTED.get(told), url=match_url)


def connector_url(name: str) -> str:
    """The page of a connector."""
    return f"/connectors/{quote(name, safe='')}"


def match_url(mention_id: str) -> str:
    """Where the word on a mention goes."""
    return f"/matches/{quote(mention_id, safe='')}"


def cursor_text(cursor: dict[str, object]) -> str:
    """A cursor as one line."""
    return msgspec.json.encode(cursor).decode() if cursor else "the beginning"


def tell(run: RunView) -> str:
    """A run in one sentence, for who points at it or hears the page."""
    when = run.logical_date or run.started_at or run.asked_at or ""
    said = f"{when}: {WORDS.get(run.status, run.status)}, {run.counts.records} records"
    return f"{said}; {run.error}" if run.error else said

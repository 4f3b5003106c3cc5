"""Mentions that wait for somebody to say of which film they are: the list, and the word on one of them."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from app.pushes import command
from app.web import connectors_pages
from app.web.bodies import FORM, number, read_fields, wants_html
from app.web.connectors_shapes import Match, Matched, Matches
from app.web.pages import VARY
from app.web.problems import Problem, json_response, not_found
from app.web.push import deliver
from app.web.site import SITE
from schemas.ids import FILM_ID_FORMS, derived_id, is_film_id
from schemas.mentions import ResolveMention

DEFAULT_LIMIT: Final = 100
MOST_MATCHES: Final = 1000
NONE: Final = "none"


async def list_matches(request: web.Request) -> web.Response:
    """Mentions that are of a film, but not certainly of one of those known, with the films that they may be of."""
    runs = request.app[SITE].worker.store.runs
    items = await runs.open_matches(number(request, "limit", DEFAULT_LIMIT, MOST_MATCHES))
    found = Matches(items=items, open=await runs.open_count())
    if wants_html(request):
        return connectors_pages.matches(found, request.query.get("told", ""))
    return json_response(found, headers=VARY)


async def resolve_match(request: web.Request) -> web.Response:
    """Say of which film a mention is, or that it is of none: then what it says of the film counts, or is dropped."""
    mention_id = request.match_info["mention_id"]
    is_open: bool | None = await request.app[SITE].worker.store.runs.open_match(mention_id)
    if is_open is None:
        raise not_found("No such mention is known: /matches lists those that wait.")
    if not is_open:
        raise Problem(409, "Of which film this mention is has been said already; /matches lists those that wait.")
    word = await read_fields(request, Match)
    film_id = None if word.film_id == NONE else word.film_id
    if film_id is not None and not is_film_id(film_id):
        raise Problem(422, f"film_id: {film_id!r} is none of {FILM_ID_FORMS}, and not null for no film.")
    # A click that is sent twice is one event.
    event_id = derived_id(f"{mention_id}|{film_id}", "resolve")
    event_id, record = command(ResolveMention(mention_id=mention_id, film_id=film_id), mention_id, event_id)
    await deliver(request, [record])
    if request.content_type == FORM:
        return web.Response(status=303, headers={"Location": "/matches?told=matched"})
    return json_response(Matched(mention_id=mention_id, film_id=film_id, event_id=event_id), 202)

"""People over HTTP: the list, one person, their pictures by verdict, and what is left of who was erased."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from app.storage.paging import BadQueryError, Page
from app.storage.picture_queries import PEOPLE_ORDERS, VERDICTS
from app.storage.picture_views import CelebrityRow, CelebrityView, ItemView, Verdict
from app.web import erasure, people_pages
from app.web.bodies import celebrity_id, number, text, wants_html
from app.web.pages import VARY
from app.web.people_shapes import PeopleQuery, PicturesQuery
from app.web.problems import Problem, json_response, not_found
from app.web.routing import HOP_HEADER
from app.web.site import SITE

DEFAULT_LIMIT: Final = 50
MOST_PEOPLE: Final = 200
MOST_PICTURES: Final = 1000
PICTURES_ON_A_PAGE: Final = 60
SORTS: Final = (*PEOPLE_ORDERS, *(f"-{name}" for name in PEOPLE_ORDERS))


async def list_celebrities(request: web.Request) -> web.Response:
    """People by name or registration, a page at a time, each with the pictures found by verdict."""
    html = wants_html(request)
    query = PeopleQuery(
        search=text(request, "search"),
        sort=request.query.get("sort") or "name",
        limit=number(request, "limit", 25 if html else DEFAULT_LIMIT, MOST_PEOPLE),
        cursor=request.query.get("cursor") or None,
    )
    people = request.app[SITE].worker.store.people
    try:
        page: Page[CelebrityRow] = await people.celebrities(query.search, query.sort, query.limit, query.cursor)
    except BadQueryError as error:
        raise Problem(400, f"{error}.") from error
    if html:
        return people_pages.people(query, page, request.query.get("told", ""))
    return json_response(page, headers=VARY)


async def get_celebrity(request: web.Request) -> web.Response:
    """A person with the pictures found for them, counted by verdict and source; a page where a browser asks."""
    key = celebrity_id(request)
    shown = await known(request, key)
    if not wants_html(request):
        return json_response(shown, headers=VARY)
    query = _pictures_query(request, PICTURES_ON_A_PAGE)
    return people_pages.person(shown, query, await _pictures(request, key, query), request.query.get("told", ""))


async def get_celebrity_images(request: web.Request) -> web.Response:
    """The pictures found for a person, one item an address, only those with a verdict where one is named."""
    key = celebrity_id(request)
    query = _pictures_query(request, DEFAULT_LIMIT)
    page = await _pictures(request, key, query)
    if not page.items and query.cursor is None:
        await known(request, key)
    return json_response(page)


async def get_erasure(request: web.Request) -> web.Response:
    """What is left of a person, place by place; all of it is 0 once they are erased."""
    site = request.app[SITE]
    asked_by_worker = HOP_HEADER in request.headers and site.own_trace is not None
    traces = [site.own_trace] if asked_by_worker and site.own_trace else site.traces
    return json_response(await erasure.erasure(site.worker.store.people, traces, celebrity_id(request)))


async def known(request: web.Request, key: str) -> CelebrityView:
    """What is known of a person. Raises Problem (404)."""
    shown: CelebrityView | None = await request.app[SITE].worker.store.people.celebrity(key)
    if shown is None:
        raise not_found(f"No person {key} is known here: push them with POST /celebrities.")
    return shown


def _pictures_query(request: web.Request, limit: int) -> PicturesQuery:
    asked = request.query.get("verdict") or None
    verdict: Verdict | None = next((each for each in VERDICTS if each == asked), None)
    if asked is not None and verdict is None:
        raise Problem(400, f"verdict: one of {', '.join(VERDICTS)}.")
    most = number(request, "limit", limit, MOST_PICTURES)
    return PicturesQuery(verdict=verdict, limit=most, cursor=request.query.get("cursor") or None)


async def _pictures(request: web.Request, key: str, query: PicturesQuery) -> Page[ItemView]:
    people = request.app[SITE].worker.store.people
    try:
        page: Page[ItemView] = await people.images(key, query.verdict, query.limit, query.cursor)
    except BadQueryError as error:
        raise Problem(400, f"{error}.") from error
    return page

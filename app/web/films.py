"""Films over HTTP: the list, one film, its prediction, its history and what is like it."""

from __future__ import annotations

from typing import Final

import msgspec
from aiohttp import web

from app.storage.paging import BadQueryError, Page
from app.storage.queries import ORDERS
from app.storage.views import FilmRow, FilmView, HistoryPoint
from app.topology import PREDICTIONS
from app.web import pages
from app.web.bodies import choice, film_id, number, text, wants_html
from app.web.problems import Problem, json_response, not_found
from app.web.routing import Elsewhere
from app.web.shapes import FilmDocument, FilmQuery, LatestPrediction, Neighbour, Neighbours
from app.web.site import SITE
from schemas.entities import Prediction
from schemas.events import RatingPredicted

DEFAULT_LIMIT: Final = 50
MOST_FILMS: Final = 1000
MOST_SIMILAR: Final = 50
ORDERS_OF_HISTORY: Final = ("oldest", "newest")
SORTS: Final = (*ORDERS, *(f"-{name}" for name in ORDERS))


def film_document(view: FilmView) -> FilmDocument:
    """One film as HTTP and the command line show it."""
    known = msgspec.structs.asdict(view.film)
    rest = {name: getattr(view, name) for name in FilmView.__struct_fields__ if name != "film"}
    return FilmDocument(**known, **rest)


async def list_films(request: web.Request) -> web.Response:
    """Films by title, year, ratings or forecast, a page at a time; a page for people where a browser asks."""
    html = wants_html(request)
    query = asked(request, "updated" if html else "title", 25 if html else DEFAULT_LIMIT)
    page = await page_of(request, query)
    if html:
        return await pages.films(request, query, page)
    return json_response(page, headers=pages.VARY)


async def get_film(request: web.Request) -> web.Response:
    """A film with its sources, latest ratings, reviews' mood and prediction; a page where a browser asks."""
    key = film_id(request)
    view = await request.app[SITE].worker.store.films.film(key)
    if view is None:
        raise not_found(f"No film {key} is known here: push it with POST /films, or send a rating of it.")
    if wants_html(request):
        return await pages.film(request, film_document(view))
    return json_response(film_document(view), headers=pages.VARY)


async def get_prediction(request: web.Request) -> web.Response:
    """The film's latest prediction, from the table of whichever worker owns the film."""
    key = film_id(request)
    lookups = request.app[SITE].lookups
    try:
        row = lookups.find(PREDICTIONS, "", key, RatingPredicted.topic)
    except Elsewhere as elsewhere:
        return await lookups.relay(request, elsewhere.url)
    if not isinstance(row, Prediction):
        raise not_found(f"Nothing has been predicted for {key} yet: a prediction follows each of its ratings.")
    names = LatestPrediction.__struct_fields__
    return json_response(LatestPrediction(**{name: getattr(row, name) for name in names}))


async def get_history(request: web.Request) -> web.Response:
    """The film's ratings in the order in which they came, each with what was predicted after it."""
    key = film_id(request)
    newest_first = choice(request, "order", ORDERS_OF_HISTORY) == "newest"
    limit = number(request, "limit", 200, MOST_FILMS)
    films = request.app[SITE].worker.store.films
    try:
        page: Page[HistoryPoint] = await films.history(key, limit, request.query.get("cursor"), newest_first)
    except BadQueryError as error:
        raise Problem(400, f"{error}.") from error
    if not page.items and request.query.get("cursor") is None and await films.film(key, 1) is None:
        raise not_found(f"No film {key} is known here.")
    return json_response(page)


async def get_similar(request: web.Request) -> web.Response:
    """Films like this one, by what is known of their contents."""
    key = film_id(request)
    site = request.app[SITE]
    limit = number(request, "limit", 10, MOST_SIMILAR)
    found = await site.similar.nearest(key, limit)
    if found is None:
        if await site.worker.store.films.film(key, 1) is None:
            raise not_found(f"No film {key} is known here.")
        found = []
    items = [
        Neighbour(film_id=row.film_id, title=row.title, year=row.year, similarity=round(cosine, 4))
        for row, cosine in found
    ]
    return json_response(Neighbours(film_id=key, items=items))


def asked(request: web.Request, sort: str, limit: int) -> FilmQuery:
    """The list that the query asks for. Raises Problem (400)."""
    return FilmQuery(
        search=text(request, "search"),
        sort=request.query.get("sort") or sort,
        limit=number(request, "limit", limit, MOST_FILMS),
        cursor=request.query.get("cursor") or None,
    )


async def page_of(request: web.Request, query: FilmQuery) -> Page[FilmRow]:
    """The films of a query. Raises Problem (400)."""
    films = request.app[SITE].worker.store.films
    try:
        page: Page[FilmRow] = await films.films(query.search, query.sort, query.limit, query.cursor)
    except BadQueryError as error:
        raise Problem(400, f"{error}.") from error
    return page

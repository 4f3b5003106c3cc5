"""Every address of a worker on one page, as both the server and /openapi.json read it."""

from __future__ import annotations

from typing import Any, Final

from app.web import events, films, models, overview, push, reference, shapes, status
from app.web.openapi import Parameter, Route
from app.web.probes import Readiness
from app.web.push import Accepted
from schemas.commands import PushCelebrity, PushFilm

HTML: Final = "text/html"
TEXT: Final = {"type": "string"}

FILM_ID: Final = Parameter(
    "id",
    "The film's id: tt… (IMDb), Q… (Wikidata), tmdb:movie/N, tmdb:tv/N or local:<uuid5>. A slash may be sent as %2F.",
    TEXT,
    where="path",
    example="tt1375666",
)
MODEL_NAME: Final = Parameter("name", "The model's name, as /models lists it.", TEXT, where="path")
SEARCH: Final = Parameter("search", "Words that the title holds, whatever case and accents.", TEXT)
SORT: Final = Parameter(
    "sort", "What to sort by; a minus in front turns it round.", {"type": "string", "enum": list(films.SORTS)}
)
CURSOR: Final = Parameter("cursor", "`next` of the page before.", TEXT)
ORDER: Final = Parameter("order", "Which end comes first.", {"type": "string", "enum": ["oldest", "newest"]})
AFTER: Final = Parameter("after", "The id of the last event that was seen; what came since is told again.", TEXT)


def _limit(default: int, most: int) -> Parameter:
    schema: dict[str, Any] = {"type": "integer", "minimum": 1, "maximum": most, "default": default}
    return Parameter("limit", "How many at most.", schema)


ROUTES: Final = (
    Route("GET", "/films", films.list_films, "List films", "films", shapes.FilmPage, also=(HTML,),
          parameters=(SEARCH, SORT, _limit(films.DEFAULT_LIMIT, films.MOST_FILMS), CURSOR), problems=(400, 503)),
    Route("POST", "/films", push.push_film, "Push a film", "films", Accepted, status=202, body=PushFilm),
    Route("GET", "/films/{id}", films.get_film, "Show a film", "films", shapes.FilmDocument, also=(HTML,),
          parameters=(FILM_ID,), problems=(404, 503)),
    Route("GET", "/films/{id}/prediction", films.get_prediction, "Show a film's prediction", "films",
          shapes.LatestPrediction, parameters=(FILM_ID,), problems=(404, 503)),
    Route("GET", "/films/{id}/history", films.get_history, "Show a film's history", "films", shapes.HistoryPage,
          parameters=(FILM_ID, _limit(200, films.MOST_FILMS), CURSOR, ORDER), problems=(400, 404, 503)),
    Route("GET", "/films/{id}/similar", films.get_similar, "Show films like this one", "films", shapes.Neighbours,
          parameters=(FILM_ID, _limit(10, films.MOST_SIMILAR)), problems=(400, 404, 503)),
    Route("POST", "/celebrities", push.push_celebrity, "Push a celebrity", "celebrities", Accepted, status=202,
          body=PushCelebrity),
    Route("GET", "/models", models.list_models, "List models", "models", shapes.Models, also=(HTML,), problems=(503,)),
    Route("GET", "/models/{name}", models.get_model, "Show a model", "models", shapes.ModelView, also=(HTML,),
          parameters=(MODEL_NAME,), problems=(404, 503)),
    Route("GET", "/livez", status.alive, "Does the worker live?", "worker", status.Alive),
    Route("GET", "/readyz", status.ready, "Is the worker ready?", "worker", Readiness,
          otherwise=((503, Readiness),)),
    Route("GET", "/statusz", status.state, "Show the worker's state", "worker", status.Status),
    Route("GET", "/metrics", status.prometheus, "Metrics for Prometheus", "worker", "text/plain"),
    Route("GET", "/events", events.stream, "Watch what happens", "worker", "text/event-stream", parameters=(AFTER,),
          problems=(503,)),
    Route("GET", "/", overview.dashboard, "The dashboard", "people", HTML),
    Route("GET", "/docs", reference.docs, "This description as a page", "people", HTML),
    Route("GET", "/openapi.json", reference.openapi, "This description", "people", dict[str, Any]),
)  # fmt: skip
"""In the order in which people read them."""

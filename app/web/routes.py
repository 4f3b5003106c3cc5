"""Every address of a worker on one page, as both the server and /openapi.json read it."""

from __future__ import annotations

from typing import Any, Final

from app.storage.picture_queries import VERDICTS
from app.storage.picture_views import CelebrityView
from app.web import (
    celebrities,
    connectors,
    connectors_config,
    events,
    films,
    identify,
    images,
    matches,
    models,
    overview,
    push,
    reference,
    rulings,
    shapes,
    status,
)
from app.web.connectors_config import Applied
from app.web.connectors_shapes import (
    AskedRun,
    Backfill,
    ConnectorPage,
    ConnectorView,
    ManualRun,
    Match,
    Matched,
    Matches,
    Nothing,
    Pause,
    RunPage,
    Span,
    Steered,
)
from app.web.openapi import Parameter, Route
from app.web.people_shapes import CelebrityPage, Erasure, Forgetting, PicturePage, Resolution, Ruling, Settlement
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
PERSON_ID: Final = Parameter(
    "id",
    "The person's id: Q… (Wikidata), nm… (IMDb), tmdb:person/N or local:<uuid5>. A slash may be sent as %2F.",
    TEXT,
    where="path",
    example="Q200534",
)
IMAGE_ID: Final = Parameter("image_id", "A picture of the person, by `item_id` or by `image_id`.", TEXT, where="path")
DIGEST: Final = Parameter("sha256", "A picture's `sha256` (of the cleaned file) or `image_id`.", TEXT, where="path")
NAMES: Final = Parameter("search", "Words that the name holds, whatever case and accents.", TEXT)
PEOPLE_SORT: Final = Parameter(
    "sort", "What to sort by; a minus in front turns it round.", {"type": "string", "enum": list(celebrities.SORTS)}
)
VERDICT: Final = Parameter("verdict", "Only pictures with this verdict.", {"type": "string", "enum": list(VERDICTS)})
MODEL_NAME: Final = Parameter("name", "The model's name, as /models lists it.", TEXT, where="path")
CONNECTOR: Final = Parameter("name", "The connector's name, as /connectors lists it.", TEXT, where="path")
MENTION: Final = Parameter("mention_id", "The mention's id, as /matches lists it.", TEXT, where="path")
SEARCH: Final = Parameter("search", "Words that the title holds, whatever case and accents.", TEXT)
SORT: Final = Parameter(
    "sort", "What to sort by; a minus in front turns it round.", {"type": "string", "enum": list(films.SORTS)}
)
CURSOR: Final = Parameter("cursor", "`next` of the page before.", TEXT)
ORDER: Final = Parameter("order", "Which end comes first.", {"type": "string", "enum": list(films.ORDERS_OF_HISTORY)})
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
    Route("GET", "/celebrities", celebrities.list_celebrities, "List people", "celebrities", CelebrityPage,
          also=(HTML,), problems=(400, 503),
          parameters=(NAMES, PEOPLE_SORT, _limit(celebrities.DEFAULT_LIMIT, celebrities.MOST_PEOPLE), CURSOR)),
    Route("POST", "/celebrities", push.push_celebrity, "Push a celebrity", "celebrities", Accepted, status=202,
          body=PushCelebrity),
    Route("GET", "/celebrities/{id}", celebrities.get_celebrity, "Show a person", "celebrities", CelebrityView,
          also=(HTML,), parameters=(PERSON_ID,), problems=(404, 503)),
    Route("DELETE", "/celebrities/{id}", rulings.forget_celebrity, "Erase a person", "celebrities", Forgetting,
          status=202, parameters=(PERSON_ID,), problems=(401, 404, 503)),
    Route("POST", "/celebrities/{id}/forget", rulings.forget_by_form, "Erase a person (forms)", "celebrities",
          Forgetting, status=202, parameters=(PERSON_ID,), problems=(401, 404, 503)),
    Route("GET", "/celebrities/{id}/erasure", celebrities.get_erasure, "Show what is left of a person",
          "celebrities", Erasure, parameters=(PERSON_ID,), problems=(404, 503)),
    Route("GET", "/celebrities/{id}/images", celebrities.get_celebrity_images, "List a person's pictures",
          "celebrities", PicturePage, parameters=(PERSON_ID, VERDICT, _limit(celebrities.DEFAULT_LIMIT,
          celebrities.MOST_PICTURES), CURSOR), problems=(400, 404, 503)),
    Route("POST", "/celebrities/{id}/images/{image_id}/ruling", rulings.rule_on_image, "Keep or reject a picture",
          "celebrities", Accepted, status=202, body=Ruling, parameters=(PERSON_ID, IMAGE_ID), problems=(404, 409)),
    Route("POST", "/celebrities/{id}/images/{image_id}/resolve", rulings.resolve_conflict, "Say whose a picture is",
          "celebrities", Settlement, status=202, body=Resolution, parameters=(PERSON_ID, IMAGE_ID),
          problems=(404, 409)),
    Route("GET", "/images/{sha256}", images.get_image, "Get a cleaned picture", "celebrities", "image/jpeg",
          parameters=(DIGEST,), problems=(404, 503)),
    Route("GET", "/images/{sha256}/thumbnail", images.get_thumbnail, "Get a small copy of a picture", "celebrities",
          "image/jpeg", parameters=(DIGEST,), problems=(404, 503)),
    Route("POST", "/identify", identify.identify, "Say who is on a picture", "celebrities", identify.Identification,
          body="image/*"),
    Route("GET", "/connectors", connectors.list_connectors, "List connectors", "collecting", ConnectorPage,
          also=(HTML,), parameters=(_limit(connectors.DEFAULT_LIMIT, connectors.MOST_CONNECTORS), CURSOR),
          problems=(400, 503)),
    Route("GET", "/connectors/{name}", connectors.get_connector, "Show a connector", "collecting", ConnectorView,
          also=(HTML,), parameters=(CONNECTOR,), problems=(404, 503)),
    Route("GET", "/connectors/{name}/runs", connectors.get_runs, "List a connector's runs", "collecting", RunPage,
          parameters=(CONNECTOR, _limit(connectors.DEFAULT_LIMIT, connectors.MOST_RUNS), CURSOR),
          problems=(400, 404, 503)),
    Route("GET", "/runs", connectors.list_runs, "List runs of all connectors", "collecting", RunPage,
          parameters=(_limit(connectors.DEFAULT_LIMIT, connectors.MOST_RUNS),), problems=(400, 503)),
    Route("POST", "/connectors/{name}/run", connectors.run_connector, "Run a connector now", "collecting", AskedRun,
          status=202, body=ManualRun, parameters=(CONNECTOR,), problems=(401, 404)),
    Route("POST", "/connectors/{name}/pause", connectors.pause_connector, "Pause a connector", "collecting", Steered,
          status=202, body=Pause, parameters=(CONNECTOR,), problems=(401, 404)),
    Route("POST", "/connectors/{name}/resume", connectors.resume_connector, "Resume a connector", "collecting",
          Steered, status=202, body=Nothing, parameters=(CONNECTOR,), problems=(401, 404)),
    Route("POST", "/connectors/{name}/backfill", connectors.backfill_connector, "Run a connector for past dates",
          "collecting", Backfill, status=202, body=Span, parameters=(CONNECTOR,), problems=(401, 404)),
    Route("GET", "/matches", matches.list_matches, "List mentions that wait", "collecting", Matches, also=(HTML,),
          parameters=(_limit(matches.DEFAULT_LIMIT, matches.MOST_MATCHES),), problems=(400, 503)),
    Route("POST", "/matches/{mention_id}", matches.resolve_match, "Say of which film a mention is", "collecting",
          Matched, status=202, body=Match, parameters=(MENTION,), problems=(401, 404, 409)),
    Route("GET", "/models", models.list_models, "List models", "models", shapes.Models, also=(HTML,), problems=(503,)),
    Route("GET", "/models/{name}", models.get_model, "Show a model", "models", shapes.ModelView, also=(HTML,),
          parameters=(MODEL_NAME,), problems=(404, 503)),
    Route("POST", "/config/apply", connectors_config.apply_config, "Take up a changed configuration", "worker",
          Applied, problems=(401, 422, 503)),
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

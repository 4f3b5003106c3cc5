"""Pages for people, drawn on the server; without scripts they only stop moving."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote, urlencode

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from app.storage.paging import Page
from app.storage.queries import ORDERS
from app.storage.views import FilmRow, HistoryPoint
from app.web import charts
from app.web.shapes import ErrorCurve, FilmDocument, FilmQuery, ModelView
from app.web.site import SITE

VARY: Final = {"Vary": "Accept"}
SHOWN_POINTS: Final = 1000
HORIZON: Final = 10
MEASURES: Final = ("mae", "best_expert", "damped_mean_3", "damped_mean_10", "running_mean", "global_mean")
SHADES: Final = ("said", "mean", "came", "line", "grid")
SORT_NAMES: Final = {
    "updated": "last predicted",
    "title": "title",
    "year": "year",
    "n_ratings": "ratings",
    "predicted": "forecast",
    "current_mean": "mean",
}


def render(template: str, **values: Any) -> web.Response:
    """A page."""
    text = _environment().get_template(template).render(**values)
    return web.Response(text=text, content_type="text/html", charset="utf-8", headers=VARY)


async def films(request: web.Request, query: FilmQuery, page: Page[FilmRow]) -> web.Response:
    """The list of films."""
    return render("films.html", here="films", **film_table(query, page))


def film_table(query: FilmQuery, page: Page[FilmRow]) -> dict[str, Any]:
    """What the table of films is drawn from."""
    return {
        "query": query,
        "page": page,
        "sorts": {name: SORT_NAMES.get(name, name) for name in ORDERS},
        "next_page": _address(query, page.next) if page.next else None,
        "first_page": _address(query, None) if query.cursor else None,
    }


def _address(query: FilmQuery, cursor: str | None) -> str:
    words = {"search": query.search, "sort": query.sort, "limit": query.limit, "cursor": cursor}
    return "/films?" + urlencode({name: value for name, value in words.items() if value is not None})


async def film(request: web.Request, shown: FilmDocument) -> web.Response:
    """One film: what was predicted, and what came."""
    site = request.app[SITE]
    history: Page[HistoryPoint] = await site.worker.store.films.history(shown.film_id, SHOWN_POINTS, None, True)
    points = history.items[::-1]
    similar = await site.similar.nearest(shown.film_id, 8) or []
    return render(
        "film.html", here="films", film=shown, points=points[::-1][:20], chart=course(points), similar=similar,
        more=history.next is not None,
    )  # fmt: skip


def course(points: Sequence[HistoryPoint]) -> Markup:
    """Ratings as dots over their number, with what was predicted and what the next ten turned out to be."""
    counted = [point for point in points if point.kind != "approval" and point.replaces is None]
    if len(counted) < 2:
        return Markup("")
    last = max((point.n_ratings or 0 for point in counted), default=0)
    first = max(last - len(counted), 0) + 1
    scores = [point.score for point in counted]
    said = [(first + n, point.predicted) for n, point in enumerate(counted) if point.predicted is not None]
    means = [(first + n, point.current_mean) for n, point in enumerate(counted) if point.current_mean is not None]
    came = [
        (first + n, sum(scores[n + 1 : n + 1 + HORIZON]) / HORIZON) for n in range(len(scores) - HORIZON)
    ]  # fmt: skip
    return charts.timeline(
        [
            ("ratings", "dots", [(first + n, score) for n, score in enumerate(scores)]),
            ("mean so far", "mean", means),
            ("what the next ten were", "came", came),
            ("forecast", "said", said),
        ],
        "Ratings of this film in the order in which they came, with the forecast after each and what followed",
        0.0,
        10.0,
    )


async def models(request: web.Request, found: list[ModelView]) -> web.Response:
    """All models."""
    return render("models.html", here="models", models=found, bars={each.name: error_bars(each) for each in found})


async def model(request: web.Request, shown: ModelView) -> web.Response:
    """One model."""
    chart = learning_curve(shown.curve) if shown.curve else Markup("")
    return render("model.html", here="models", model=shown, bars=error_bars(shown), chart=chart, shades=SHADES)


def error_bars(shown: ModelView) -> Markup:
    """The model's error beside its baselines'; empty where it has none of this kind."""
    rows = [
        (name.replace("_", " "), shown.metrics[name], "ours" if name == "mae" else "")
        for name in MEASURES
        if name in shown.metrics
    ]
    return charts.bars(rows, "Mean absolute error, smaller is better") if rows else Markup("")


def learning_curve(curve: ErrorCurve) -> Markup:
    """Errors over the life of a model."""
    values = [value for _, row in curve.points for value in row]
    if len(curve.points) < 2:
        return Markup("")
    series = [
        (name, SHADES[min(n, len(SHADES) - 1)], [(float(labels), row[n]) for labels, row in curve.points])
        for n, name in enumerate(curve.names)
    ]
    return charts.timeline(series, f"{curve.unit} over the number of labels", 0.0, round_top(max(values)))


def round_top(value: float) -> float:
    """The end of an axis: the next number above that a quarter of is easily read."""
    size = 10.0 ** math.floor(math.log10(max(value, 1e-6)))
    return next((step * size for step in (1, 2, 4, 8) if step * size >= value), 10 * size)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("app.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"score": score, "ago": ago, "moment": moment, "film_url": film_url,
                            "person_url": person_url, "large": large, "when": when, "coded": coded}  # fmt: skip
    return environment


def score(value: float | None, digits: int = 2) -> str:
    """A number on the 0-10 scale."""
    return "–" if value is None else f"{value:.{digits}f}"


def large(value: int | None) -> str:
    """A count, with thin spaces between the thousands."""
    return "–" if value is None else f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def ago(seconds: float | None) -> str:
    """How long something is past."""
    if seconds is None:
        return "–"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def moment(seconds: float | None) -> str:
    """Seconds since 1970 as date and time."""
    return "–" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def when(stamp: str | None) -> str:
    """An RFC 3339 time in UTC, to the second."""
    return "–" if stamp is None else stamp[:19].replace("T", " ")


def coded(text: str) -> Markup:
    """Text whose words between backticks are code."""
    parts = re.split(r"`([^`]+)`", text)
    return Markup("").join(Markup("<code>{}</code>").format(part) if n % 2 else part for n, part in enumerate(parts))


def film_url(film_id: str) -> str:
    """The page of a film."""
    return f"/films/{quote(film_id, safe=':')}"


def person_url(celebrity_id: str) -> str:
    """The page of a person."""
    return f"/celebrities/{quote(celebrity_id, safe=':')}"

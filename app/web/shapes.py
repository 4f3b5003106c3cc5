"""What handlers answer with, as types that the OpenAPI document is made of."""

from __future__ import annotations

import msgspec

from app.storage.views import FilmRow, HistoryPoint, Mood, RatingView, SourceSummary
from schemas.entities import Prediction


class FilmPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some films, and the cursor of the page after them."""

    items: list[FilmRow]
    next: str | None = None


class HistoryPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some of a film's ratings with their predictions, and the cursor of the page after them."""

    items: list[HistoryPoint]
    next: str | None = None


class FilmDocument(FilmRow, frozen=True, kw_only=True):
    """All that is known of one film."""

    prediction: Prediction | None
    sources: list[SourceSummary]
    approvals: list[SourceSummary]
    ratings: list[RatingView]
    reviews: Mood
    attributions: list[str]
    """What the sources of its ratings and reviews want to be shown with them."""


class LatestPrediction(msgspec.Struct, frozen=True, kw_only=True):
    """What the mean of the film's next ten ratings is expected to be, on 0 to 10."""

    film_id: str
    predicted: float
    current_mean: float | None
    n_ratings: int
    model_version: str
    predicted_at: str


class Neighbour(msgspec.Struct, frozen=True, kw_only=True):
    """A film, and the cosine of the angle between its embedding and that of the film asked about."""

    film_id: str
    title: str | None
    year: int | None
    similarity: float


class Neighbours(msgspec.Struct, frozen=True, kw_only=True):
    """The films nearest to one, the nearest first."""

    film_id: str
    items: list[Neighbour]


class FilmQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of films was asked for."""

    search: str | None
    sort: str
    limit: int
    cursor: str | None


class SnapshotView(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot: everything up to `applied_offset` of the training topic is in it."""

    applied_offset: int
    digest: str
    created_at: float | None
    """Seconds since 1970."""
    counts: dict[str, int]
    metrics: dict[str, float]


class ErrorCurve(msgspec.Struct, frozen=True, kw_only=True):
    """Errors over a model's life beside its baselines: one value a name for each stretch of labels."""

    unit: str
    names: list[str]
    points: list[tuple[int, list[float]]]
    """(labels so far, mean error of each name since the point before)."""


class ModelView(msgspec.Struct, frozen=True, kw_only=True):
    """A model. `live` says that the figures are the owner's own; else they are those of the newest snapshot."""

    name: str
    stage: str
    reads: str
    owner: str | None
    live: bool
    version: str | None
    champion: str | None
    counts: dict[str, int]
    lag: int | None
    metrics: dict[str, float]
    snapshot_age_seconds: float | None
    curve: ErrorCurve | None
    snapshots: list[SnapshotView]


class Models(msgspec.Struct, frozen=True, kw_only=True):
    """All models."""

    items: list[ModelView]

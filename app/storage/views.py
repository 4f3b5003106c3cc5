"""What the read side answers, over HTTP and on the command line alike."""

from __future__ import annotations

from typing import Literal

import msgspec

from schemas.entities import Prediction


class FilmRow(msgspec.Struct, frozen=True, kw_only=True):
    """A film in a list. `updated` is the time of its latest prediction."""

    film_id: str
    title: str | None = None
    kind: Literal["movie", "tv"] = "movie"
    year: int | None = None
    imdb: str | None = None
    wikidata: str | None = None
    tmdb: int | None = None
    n_ratings: int = 0
    current_mean: float | None = None
    predicted: float | None = None
    updated: str | None = None


class SourceSummary(msgspec.Struct, frozen=True):
    """The ratings in force that one source gave: how many, and their mean on 0 to 10."""

    source: str
    n: int
    mean: float


class RatingView(msgspec.Struct, frozen=True, kw_only=True):
    """A rating in force; `replaces` is the score before it, where the source changed its mind."""

    source: str
    source_record_id: str
    score: float
    kind: str
    received_at: str
    replaces: float | None = None
    author: str | None = None
    observed_at: str | None = None
    url: str | None = None
    votes: int | None = None
    expires_at: str | None = None
    """Until when the source lets it be stored; None: for ever."""
    attribution: str | None = None


class Mood(msgspec.Struct, frozen=True):
    """How favourable the reviews in force read: how many there are, were judged, and speak for the film.

    `positive` is the mean probability of being favourable over those judged.
    """

    reviews: int = 0
    judged: int = 0
    favourable: int = 0
    positive: float | None = None


class FilmView(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of one film; `approvals` are shares of favourable critics, kept apart from the ratings.

    `attributions` are the sentences that the sources of its ratings and reviews want to be shown with them.
    """

    film: FilmRow
    prediction: Prediction | None
    sources: list[SourceSummary]
    approvals: list[SourceSummary]
    ratings: list[RatingView]
    reviews: Mood
    attributions: list[str] = []


class HistoryPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A rating as it came in, and what was predicted after it; None where no prediction has arrived yet."""

    cause_id: str
    received_at: str
    source: str
    source_record_id: str
    score: float
    kind: str
    observed_at: str | None = None
    replaces: float | None = None
    predicted: float | None = None
    current_mean: float | None = None
    n_ratings: int | None = None
    model_version: str | None = None
    predicted_at: str | None = None


class Counts(msgspec.Struct, frozen=True):
    """How much there is: films, ratings in force, predictions, reviews in force."""

    films: int
    ratings: int
    predictions: int
    reviews: int

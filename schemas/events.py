"""What has happened, in the past tense; an event is a fact and is never rewritten."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from schemas.base import Layout, Record
from schemas.ids import FILM_FORM, FilmId
from schemas.terms import SourceTerms

RatingKind = Literal["mean", "single", "approval"]
Score = Annotated[float, Meta(ge=0.0, le=10.0)]
Year = Annotated[int, Meta(ge=1870, le=2200)]
ShortText = Annotated[str, Meta(min_length=1, max_length=512)]
SourceName = Annotated[str, Meta(min_length=1, max_length=512, pattern=r"^[^\x00]*$")]
"""What ratings and pictures are counted by; the embedded database cuts texts at a zero byte where it counts."""
Count = Annotated[int, Meta(ge=0, le=2**53)]
"""What every JSON reader and every database can hold."""
LongText = Annotated[str, Meta(max_length=200_000)]


class FilmRegistered(Record, frozen=True, kw_only=True):
    """A film entered the pipeline, or what is known of its identity grew."""

    topic: ClassVar[str] = "films-registered"
    key_field: ClassVar[str] = "film_id"

    film_id: FilmId
    title: str | None = None
    kind: Literal["movie", "tv"] = "movie"
    year: Year | None = None
    imdb: str | None = None
    wikidata: str | None = None
    tmdb: Count | None = None


class RatingObserved(Record, frozen=True, kw_only=True):
    """A rating as a source states it, on the source's own scale; `best` is 10 and `worst` 0 if it is silent."""

    topic: ClassVar[str] = "ratings"
    key_field: ClassVar[str] = "film_id"

    film_id: Annotated[ShortText, FILM_FORM]
    source: ShortText
    source_record_id: ShortText
    value: float
    best: float | None = None
    worst: float | None = None
    votes: Count | None = None
    kind: RatingKind | None = None
    author: Annotated[str, Meta(max_length=512)] | None = None
    observed_at: str | None = None
    url: Annotated[str, Meta(max_length=4096)] | None = None
    terms: SourceTerms | None = None


class ReviewObserved(Record, frozen=True, kw_only=True):
    """A review as a source states it; `rating` where the author gave one."""

    topic: ClassVar[str] = "reviews"
    key_field: ClassVar[str] = "film_id"

    film_id: Annotated[ShortText, FILM_FORM]
    source: SourceName
    source_record_id: ShortText
    text: Annotated[str, Meta(min_length=1, max_length=200_000)]
    lang: Annotated[str, Meta(max_length=35)] | None = None
    rating: float | None = None
    best: float | None = None
    worst: float | None = None
    author: Annotated[str, Meta(max_length=512)] | None = None
    observed_at: str | None = None
    url: Annotated[str, Meta(max_length=4096)] | None = None
    terms: SourceTerms | None = None


class FactsObserved(Record, frozen=True, kw_only=True):
    """What a source knows of a film besides its scores. Version 1 wrote genres as one text with bars."""

    topic: ClassVar[str] = "facts"
    key_field: ClassVar[str] = "film_id"
    version: ClassVar[int] = 2

    film_id: Annotated[ShortText, FILM_FORM]
    source: SourceName
    title: Annotated[str, Meta(min_length=1, max_length=500)] | None = None
    year: Year | None = None
    genres: tuple[Annotated[str, Meta(max_length=64)], ...] = ()
    runtime_minutes: Annotated[float, Meta(gt=0, le=100_000)] | None = None
    budget: Annotated[float, Meta(ge=0, le=1e13)] | None = None
    plot: LongText | None = None
    terms: SourceTerms | None = None


class Facts(Record, frozen=True, kw_only=True):
    """The part of a film's facts that the models use; travels inside training records."""

    topic: ClassVar[str] = ""
    key_field: ClassVar[str] = "title"

    title: str | None = None
    year: Year | None = None
    genres: tuple[str, ...] = ()
    runtime_minutes: float | None = None
    budget: float | None = None
    plot: str | None = None


class RatingCleaned(Record, frozen=True, kw_only=True):
    """A rating on the one scale, in the one order that models learn from.

    `partition` and `offset` say where the rating stands on `ratings`, so that the learner can skip what a
    restarted stage emits twice. `ordinal` is the film's n-th counted rating, from 1. `replaces` is the former
    score where a source changed its mind; then `ordinal` is that of the first version. Nothing that `terms` keep from
    training is counted: its `ordinal` is 0. `joins` says of a changed rating that it is the first to be counted.
    """

    topic: ClassVar[str] = "training-ratings"
    key_field: ClassVar[str] = "film_id"
    layout: ClassVar[Layout] = Layout.SINGLE

    film_id: FilmId
    source: str
    source_record_id: str
    score: Score
    kind: RatingKind
    ordinal: Count
    partition: Count
    offset: Count
    cause_id: str
    received_at: str
    replaces: float | None = None
    author: str | None = None
    observed_at: str | None = None
    url: str | None = None
    votes: Count | None = None
    facts: Facts | None = None
    terms: SourceTerms | None = None
    joins: bool = False


class RatingPredicted(Record, frozen=True, kw_only=True):
    """The mean that the film's next `horizon` ratings are expected to have, said after one more rating."""

    topic: ClassVar[str] = "rating-predictions"
    key_field: ClassVar[str] = "film_id"

    event_id: str
    cause_id: str
    film_id: FilmId
    predicted: Score
    current_mean: Score | None
    n_ratings: Count
    model: str
    model_version: str
    predicted_at: str
    horizon: Count = 10


class ReviewCleaned(Record, frozen=True, kw_only=True):
    """A review in the one order that the sentiment model learns from; `positive` where the score says it.

    A text that was learnt before has no `positive` when its source states it again.
    """

    topic: ClassVar[str] = "training-reviews"
    key_field: ClassVar[str] = "film_id"
    layout: ClassVar[Layout] = Layout.SINGLE

    film_id: FilmId
    source: str
    source_record_id: str
    text: str
    partition: Count
    offset: Count
    cause_id: str
    received_at: str
    score: Score | None = None
    positive: bool | None = None
    lang: str | None = None
    author: str | None = None
    observed_at: str | None = None
    url: str | None = None
    terms: SourceTerms | None = None


class SentimentPredicted(Record, frozen=True, kw_only=True):
    """How likely a review is a favourable one, said before its own score was learnt."""

    topic: ClassVar[str] = "review-sentiments"
    key_field: ClassVar[str] = "film_id"

    event_id: str
    cause_id: str
    film_id: FilmId
    source_record_id: str
    positive: Annotated[float, Meta(ge=0.0, le=1.0)]
    model: str
    model_version: str
    predicted_at: str


class DeadLettered(Record, frozen=True, kw_only=True):
    """A record that could not be read or handled, whole, with where it came from and why."""

    topic: ClassVar[str] = "dead-letters"
    key_field: ClassVar[str] = "id"
    layout: ClassVar[Layout] = Layout.SINGLE

    id: str
    stage: str
    reason: str
    error: str
    attempts: Count
    origin_topic: str
    origin_partition: Count
    origin_offset: Count
    failed_at: str
    key_base64: str | None = None
    value_base64: str | None = None
    value_bytes: Count | None = None
    headers: tuple[tuple[str, str], ...] = ()

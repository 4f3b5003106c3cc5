"""The whole pipeline on one page: a row says what a stage reads, which function runs, and what it may emit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any

from agents.clean import clean_rating
from agents.facts import merge_facts
from agents.intake import admit
from agents.latest import keep_latest
from agents.ports import ModelDesk, Projections
from agents.project import (
    obey_control,
    project_films,
    project_predictions,
    project_ratings,
    project_reviews,
    project_sentiments,
)
from agents.register import register_film
from agents.reviews import clean_review
from schemas.base import Entity, Layout, Record
from schemas.commands import ControlModel, PushCelebrity, PushFilm, SubmitCelebrity, SubmitFilm
from schemas.entities import Film, FilmFacts, FilmTally, Prediction, SeenRating, SeenReview
from schemas.events import (
    FactsObserved,
    FilmRegistered,
    RatingCleaned,
    RatingObserved,
    RatingPredicted,
    ReviewCleaned,
    ReviewObserved,
    SentimentPredicted,
)


class Kind(StrEnum):
    """What a stage may do, and so what repeating it does."""

    DECIDE = "decide"
    """Pure given its table: (message, *sections) -> events. Safe to repeat."""
    KEEP = "keep"
    """Idempotent writes by deterministic id: (messages) -> None. Safe to repeat."""
    REACH = "reach"
    """Asks the outside world for a batch at once; its answers are events, and a replay starts from those."""
    LEARN = "learn"
    """One ordered writer per model, with its own recovery (`app/learning`)."""


@dataclass(frozen=True)
class TableSpec:
    """A table: its name and the kinds of row in it, each under a key prefix."""

    name: str
    sections: dict[str, type[Entity]]


@dataclass(frozen=True)
class Stage:
    """One row of the topology."""

    name: str
    reads: tuple[type[Record], ...]
    kind: Kind
    run: Callable[..., AsyncIterator[Record]] | Callable[..., Awaitable[None]] | None = None
    emits: tuple[type[Record], ...] = ()
    table: TableSpec | None = None
    looks_up: tuple[TableSpec, ...] = ()
    batch: int = 2000
    patient: bool = False
    """Whether it may wait for larger batches, since no event comes of it that others wait for."""
    ask: Callable[..., Awaitable[Any]] | None = None
    """The asking half of what REACHes: (message, *sections) -> the answer that `run` gets after the message."""

    @property
    def topic(self) -> str:
        """The topic that the stage reads."""
        return self.reads[0].topic

    @property
    def layout(self) -> Layout:
        """How that topic is cut, which is also how the stage's table is cut."""
        return self.reads[0].layout


FILMS = TableSpec("films", {"": Film})
FACTS = TableSpec("film-facts", {"": FilmFacts})
CLEANED_RATINGS = TableSpec("cleaned-ratings", {"rating|": SeenRating, "film|": FilmTally})
CLEANED_REVIEWS = TableSpec("cleaned-reviews", {"": SeenReview})
PREDICTIONS = TableSpec("predictions", {"": Prediction})


@dataclass(frozen=True)
class Ports:
    """The outside services that the stages of one worker share."""

    projections: Projections
    models: ModelDesk


@dataclass(frozen=True)
class Topology:
    """Every stage, in the order in which an event meets them."""

    stages: tuple[Stage, ...]
    _by_name: dict[str, Stage] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {stage.name: stage for stage in self.stages})

    def __getitem__(self, name: str) -> Stage:
        return self._by_name[name]

    @property
    def tables(self) -> dict[str, tuple[TableSpec, Layout]]:
        """Each table with the layout of the topic that feeds it."""
        return {stage.table.name: (stage.table, stage.layout) for stage in self.stages if stage.table}


def film_topology(ports: Ports | None = None) -> Topology:
    """The film path. Without `ports` only the rows are wanted, for people to read."""
    return Topology((*_DECISIONS, *_kept(ports)))


_DECISIONS = (
    Stage(
        "intake",
        reads=(PushFilm, PushCelebrity),
        kind=Kind.DECIDE,
        run=admit,
        emits=(SubmitFilm, SubmitCelebrity),
        table=TableSpec("intake", {}),
    ),
    Stage("register", reads=(SubmitFilm,), kind=Kind.DECIDE, run=register_film, emits=(FilmRegistered,), table=FILMS),
    Stage("facts", reads=(FactsObserved,), kind=Kind.DECIDE, run=merge_facts, emits=(SubmitFilm,), table=FACTS),
    Stage(
        "clean",
        reads=(RatingObserved,),
        kind=Kind.DECIDE,
        run=clean_rating,
        emits=(RatingCleaned, SubmitFilm),
        table=CLEANED_RATINGS,
        looks_up=(FACTS,),
    ),
    Stage(
        "clean-reviews",
        reads=(ReviewObserved,),
        kind=Kind.DECIDE,
        run=clean_review,
        emits=(ReviewCleaned, SubmitFilm),
        table=CLEANED_REVIEWS,
    ),
    Stage("learn-ratings", reads=(RatingCleaned,), kind=Kind.LEARN, emits=(RatingPredicted,)),
    Stage("learn-reviews", reads=(ReviewCleaned,), kind=Kind.LEARN, emits=(SentimentPredicted,)),
    Stage("latest", reads=(RatingPredicted,), kind=Kind.DECIDE, run=keep_latest, table=PREDICTIONS),
)


def _kept(ports: Ports | None) -> tuple[Stage, ...]:
    projections: Any = ports.projections if ports else None
    models: Any = ports.models if ports else None
    return (
        _keep("project-films", FilmRegistered, partial(project_films, projections=projections)),
        _keep("project-ratings", RatingCleaned, partial(project_ratings, projections=projections)),
        _keep("project-predictions", RatingPredicted, partial(project_predictions, projections=projections)),
        _keep("project-reviews", ReviewCleaned, partial(project_reviews, projections=projections)),
        _keep("project-sentiments", SentimentPredicted, partial(project_sentiments, projections=projections)),
        _keep("control", ControlModel, partial(obey_control, desk=models), batch=1),
    )


def _keep(name: str, reads: type[Record], run: Callable[..., Awaitable[None]], batch: int = 5000) -> Stage:
    # A stage that only writes outside keeps nothing but its mark.
    table = TableSpec(name, {})
    return Stage(name, reads=(reads,), kind=Kind.KEEP, run=run, table=table, batch=batch, patient=batch > 1)

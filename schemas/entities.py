"""State folded from events: what tables hold."""

from __future__ import annotations

from typing import Literal

from schemas.base import Entity
from schemas.events import Facts
from schemas.pictures import ImageFetched


class Film(Entity, kw_only=True):
    """What is known of a film's identity."""

    film_id: str
    title: str | None = None
    kind: Literal["movie", "tv"] = "movie"
    year: int | None = None
    imdb: str | None = None
    wikidata: str | None = None
    tmdb: int | None = None


class SeenRating(Entity, kw_only=True, array_like=True):
    """What the cleaning stage remembers of one source record: the version in force and where it came from."""

    offset: int
    score: float
    votes: int | None
    ordinal: int
    replaces: float | None = None


class FilmTally(Entity, kw_only=True, array_like=True):
    """How many ratings of a film have been counted, and which facts have been passed on to the models."""

    counted: int = 0
    facts_sent: str = ""


class FilmFacts(Entity, kw_only=True, array_like=True):
    """A film's merged facts and their digest."""

    facts: Facts
    digest: str


class Prediction(Entity, kw_only=True):
    """The latest prediction for a film, as answered over HTTP."""

    film_id: str
    predicted: float
    current_mean: float | None
    n_ratings: int
    model_version: str
    predicted_at: str
    event_id: str


class SeenReview(Entity, kw_only=True, array_like=True):
    """What the cleaning stage remembers of one review: where the version in force came from, and its content."""

    offset: int
    digest: str


class Celebrity(Entity, kw_only=True):
    """What is known of a film person's identity."""

    celebrity_id: str
    name: str | None = None
    wikidata: str | None = None
    imdb: str | None = None
    tmdb: int | None = None


class MetPerson(Entity, kw_only=True, array_like=True):
    """A person of whom pictures were found; registered by the id alone where nobody pushed the name."""

    since: str


class FoundItem(Entity, kw_only=True, array_like=True):
    """An address that was asked for, so that it is asked for once: the `ce_id` of the find, and what came of it."""

    cause_id: str
    outcome: Literal["fetched", "rejected", "failed"]


class ClaimedItem(Entity, kw_only=True):
    """What the claim on an item was decided to be, with what it was decided on."""

    fetched: ImageFetched
    verdict: Literal["accepted", "duplicate", "conflict", "withdrawn"]
    order: int
    duplicate_of: str | None = None
    conflict_with: str | None = None
    distance: int | None = None
    reason: str = ""


class Claim(Entity, kw_only=True, array_like=True):
    """One claimed image: whose it is, by which item, and the hashes that copies are recognised by."""

    celebrity_id: str
    item_id: str
    phash64: str
    dhash64: str
    phash256: str
    pipeline: int

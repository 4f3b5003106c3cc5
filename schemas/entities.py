"""State folded from events: what tables hold."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from schemas.base import Entity
from schemas.events import Facts
from schemas.mentions import FilmMentioned
from schemas.pictures import ImageExamined, ImageFetched
from schemas.scrapes import ScrapeCounts, Target, Trigger


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
    """What the cleaning stage remembers of one source record: the version in force and where it came from.

    `ordinal` is 0 where the source keeps it from training; `expires_at` is until when it may be stored.
    """

    offset: int
    score: float
    votes: int | None
    ordinal: int
    replaces: float | None = None
    expires_at: str | None = None
    joins: bool = False


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
    """What the cleaning stage remembers of one review: where the version in force came from, and its content.

    `learnt` says that models were given the version in force; `renewed` that it only states again what was there.
    """

    offset: int
    digest: str
    expires_at: str | None = None
    learnt: bool = True
    renewed: bool = False


class Pushed(Entity, kw_only=True, array_like=True):
    """What somebody said of a film person whom they pushed, and when they did so last."""

    at: str
    name: str | None = None
    wikidata: str | None = None
    imdb: str | None = None
    tmdb: int | None = None


class Celebrity(Entity, kw_only=True):
    """What is known of a film person's identity; `era` counts how often they were forgotten, last at `gone_at`.

    `gone_order` is the decision by which that was. `pushes`, oldest first, are there for the next one: what was pushed
    after somebody asked for it stays.
    """

    celebrity_id: str
    era: int = 0
    gone_at: str = ""
    gone_order: int = 0
    name: str | None = None
    wikidata: str | None = None
    imdb: str | None = None
    tmdb: int | None = None
    pushes: tuple[Pushed, ...] = ()


class FoundItem(Entity, kw_only=True, array_like=True):
    """An address that was asked for, so that it is asked for once: the `ce_id` of the find, and what came of it."""

    cause_id: str
    outcome: Literal["fetched", "rejected", "failed"]
    era: int = 0
    """That of the person when it was asked for: after a forgetting, everything is asked for anew."""


class ClaimedItem(Entity, kw_only=True):
    """What the claim on an item was decided to be, with what it was decided on."""

    fetched: ImageFetched
    verdict: Literal["accepted", "duplicate", "conflict", "withdrawn"]
    order: int
    duplicate_of: str | None = None
    conflict_with: str | None = None
    distance: int | None = None
    reason: str = ""


class ForgottenPerson(Entity, kw_only=True, array_like=True):
    """That a person was forgotten, by which decision and when it was asked for (RFC 3339)."""

    order: int
    at: str


class Claim(Entity, kw_only=True, array_like=True):
    """One claimed image: whose it is, by which item, and the hashes that copies are recognised by."""

    celebrity_id: str
    item_id: str
    phash64: str
    dhash64: str
    phash256: str
    pipeline: int


class PersonFaces(Entity, kw_only=True):
    """What is known of a person's face: `total` is the sum of `count` embeddings, 128 little-endian float64.

    `kept`, `waiting` and `others` are item ids. `kept` names all of `count` while they are few, then none.
    """

    total: bytes = b""
    count: int = 0
    kept: list[str] = msgspec.field(default_factory=list)
    waiting: list[str] = msgspec.field(default_factory=list)
    """Several faces, of which none could be chosen yet."""
    others: list[str] = msgspec.field(default_factory=list)
    """Rejected as somebody else's, while the person's own face is not beyond doubt."""
    face_model: str | None = None
    era: int = 0
    """Raised with every change of `face_model`; faces of earlier eras are not in `total`."""
    forgotten: int = 0
    """The `order` up to which whatever is heard of the person is dropped."""


class JudgedItem(Entity, kw_only=True):
    """The verdict on an item: `order` is that of the decision it follows, `said` the order under which it was told.

    `examined` is kept where the verdict may change, with the face that counts alone where the picture is kept.
    """

    order: int
    said: int
    verdict: Literal["kept", "rejected", "quarantined", "pending", "withdrawn"]
    reason: str = ""
    faces: int = 0
    similarity: float | None = None
    era: int = 0
    examined: ImageExamined | None = None


class AdmittedRun(Entity, kw_only=True, array_like=True):
    """A run that was admitted, so that a second request of its id and attempt is dropped."""

    cause_id: str


class WaitingRun(Entity, kw_only=True, array_like=True):
    """A run in its connector's queue; `started_at` once a worker has begun it, at `cursor_before`."""

    run_id: str
    trigger: Trigger
    attempt: int
    logical_date: str | None = None
    interval_start: str | None = None
    interval_end: str | None = None
    not_before: str | None = None
    targets: tuple[Target, ...] = ()
    started_at: str | None = None
    counts: ScrapeCounts = ScrapeCounts()
    sla_missed: bool = False
    also: tuple[str, ...] = ()
    """Further requests that are carried out together with this one; only said while they are."""
    cursor_before: dict[str, Any] = msgspec.field(default_factory=dict)


class ScrapeState(Entity, kw_only=True):
    """How far one connector is: its cursor, what the shared runner keeps for it, and the runs that are not over."""

    cursor: dict[str, Any] = msgspec.field(default_factory=dict)
    state: dict[str, Any] = msgspec.field(default_factory=dict)
    queue: list[WaitingRun] = msgspec.field(default_factory=list)
    since: str | None = None
    """When its schedule was first seen; nothing before is due."""
    last_logical_date: str | None = None
    paused: bool = False
    pause_reason: str = ""


class ListedFilm(Entity, kw_only=True, array_like=True):
    """A film that mentions may be of."""

    film_id: str
    title: str | None
    year: int | None
    kind: Literal["movie", "tv"]


class FilmAlias(Entity, kw_only=True, array_like=True):
    """Another id under which catalogues know a film."""

    film_id: str


class OpenMention(Entity, kw_only=True):
    """A mention that waits for somebody to say of which film it is; `closed` once they did, None if it is of none."""

    mention: FilmMentioned
    closed: bool = False
    matched: str | None = None


class ListRevision(Entity, kw_only=True, array_like=True):
    """Which films a table lists: a digest over every change so far, by which a cache knows whether it is theirs."""

    digest: str

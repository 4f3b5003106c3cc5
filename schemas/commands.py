"""What may be asked for, in the imperative; a command may be refused."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from schemas.base import Layout, Record
from schemas.ids import MOST_TMDB, FilmId, ImdbTitle, PersonId, WikidataId

Title = Annotated[str, Meta(min_length=1, max_length=500, pattern=r"\S")]
Year = Annotated[int, Meta(ge=1870, le=2200)]
TmdbNumber = Annotated[int, Meta(ge=1, le=MOST_TMDB)]


class PushFilm(Record, frozen=True, kw_only=True, tag_field="type", tag="film"):
    """A film as anyone may push it to `input`; the id is not known yet."""

    topic: ClassVar[str] = "input"
    key_field: ClassVar[str] = "title"

    title: Title
    kind: Literal["movie", "tv"] | None = None
    year: Year | None = None
    imdb: ImdbTitle | None = None
    wikidata: WikidataId | None = None
    tmdb: TmdbNumber | None = None


class PushCelebrity(Record, frozen=True, kw_only=True, tag_field="type", tag="celebrity"):
    """A film person as anyone may push them to `input`."""

    topic: ClassVar[str] = "input"
    key_field: ClassVar[str] = "name"

    name: Title
    wikidata: WikidataId | None = None
    tmdb: TmdbNumber | None = None


class SubmitFilm(Record, frozen=True, kw_only=True):
    """A checked film under its canonical id, on its way to registration."""

    topic: ClassVar[str] = "film-submissions"
    key_field: ClassVar[str] = "film_id"

    film_id: FilmId
    title: str | None = None
    kind: Literal["movie", "tv"] = "movie"
    year: Year | None = None
    imdb: str | None = None
    wikidata: str | None = None
    tmdb: Annotated[int, Meta(ge=-(2**53), le=2**53)] | None = None


class SubmitCelebrity(Record, frozen=True, kw_only=True, tag_field="type", tag="submit"):
    """A checked film person under the canonical id, on the way to registration."""

    topic: ClassVar[str] = "celebrity-submissions"
    key_field: ClassVar[str] = "celebrity_id"

    celebrity_id: PersonId
    name: str | None = None
    wikidata: str | None = None
    imdb: str | None = None
    tmdb: Annotated[int, Meta(ge=-(2**53), le=2**53)] | None = None
    pushed: bool = False
    """Whether somebody asked for the person, which brings one back who was forgotten; what is only heard does not."""


class EraseCelebrity(Record, frozen=True, kw_only=True, tag_field="type", tag="erase"):
    """What is known of a person's identity is to be forgotten, by the decision `order` of the claims."""

    topic: ClassVar[str] = "celebrity-submissions"
    key_field: ClassVar[str] = "celebrity_id"

    celebrity_id: PersonId
    order: Annotated[int, Meta(ge=0, le=2**53)]


class ControlModel(Record, frozen=True, kw_only=True):
    """An order to the owner of the models, who has this topic's one partition: a snapshot, or a report, now."""

    topic: ClassVar[str] = "control"
    key_field: ClassVar[str] = "model"
    layout: ClassVar[Layout] = Layout.SINGLE

    model: str
    action: Literal["snapshot", "report"]

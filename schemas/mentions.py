"""What sources say of films that they do not name by an id, and which film it turned out to be."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from schemas.base import Layout, Record
from schemas.events import Count, RatingKind, ShortText, SourceName
from schemas.ids import FILM_FORM, FilmId
from schemas.terms import SourceTerms, Stamp

Text = Annotated[str, Meta(max_length=200_000)]
Url = Annotated[str, Meta(max_length=4096)]
How = Literal["id", "address", "crosswalk", "title", "hand"]


class FilmListed(Record, frozen=True, kw_only=True, tag_field="type", tag="film"):
    """A film that mentions may be of, in the one order in which they are matched."""

    topic: ClassVar[str] = "film-mentions"
    key_field: ClassVar[str] = "film_id"
    layout: ClassVar[Layout] = Layout.SINGLE

    film_id: FilmId
    title: str | None = None
    year: Count | None = None
    kind: Literal["movie", "tv"] = "movie"
    imdb: str | None = None
    wikidata: str | None = None
    tmdb: Count | None = None


class FilmMentioned(Record, frozen=True, kw_only=True, tag_field="type", tag="mention"):
    """A score or a text about a film that its source names by other ids, by an address, or by title and year.

    With `value` it is a rating, with `text` a review (which then may carry the rating), as in the topics of those.
    """

    topic: ClassVar[str] = "film-mentions"
    key_field: ClassVar[str] = "mention_id"
    layout: ClassVar[Layout] = Layout.SINGLE

    mention_id: ShortText
    source: SourceName
    source_record_id: ShortText
    title: Annotated[str, Meta(max_length=500)] | None = None
    year: Count | None = None
    kind: Literal["movie", "tv"] | None = None
    imdb: str | None = None
    wikidata: str | None = None
    tmdb: Count | None = None
    value: float | None = None
    best: float | None = None
    worst: float | None = None
    votes: Count | None = None
    rating_kind: RatingKind | None = None
    text: Text | None = None
    lang: Annotated[str, Meta(max_length=35)] | None = None
    author: Annotated[str, Meta(max_length=512)] | None = None
    observed_at: str | None = None
    url: Url | None = None
    addresses: tuple[Url, ...] = ()
    """Addresses that the mention links to, in which ids may stand."""
    terms: SourceTerms | None = None


class ResolveMention(Record, frozen=True, kw_only=True, tag_field="type", tag="resolve"):
    """A word on a mention that was left open: of which film it is, or of none.

    With `expired` it is not a person's word but the clock's: what might be stored until then is dropped.
    """

    topic: ClassVar[str] = "film-mentions"
    key_field: ClassVar[str] = "mention_id"
    layout: ClassVar[Layout] = Layout.SINGLE

    mention_id: ShortText
    film_id: Annotated[ShortText, FILM_FORM] | None = None
    expired: Stamp | None = None


class Candidate(msgspec.Struct, frozen=True):
    """A film that a mention might be of; `score` 0 to 100 says how alike the titles are."""

    film_id: FilmId
    title: str
    year: Count | None
    score: float


class MatchUnresolved(Record, frozen=True, kw_only=True):
    """A mention that is certainly of a film, but not certainly of one of those known."""

    topic: ClassVar[str] = "match-unresolved"
    key_field: ClassVar[str] = "mention_id"

    mention_id: str
    source: str
    reason: str
    title: str | None = None
    year: Count | None = None
    url: str | None = None
    excerpt: str | None = None
    candidates: tuple[Candidate, ...] = ()
    terms: SourceTerms | None = None


class MentionMatched(Record, frozen=True, kw_only=True):
    """Which film a mention is of and what said so; None where a person said that it is of none."""

    topic: ClassVar[str] = "mentions-matched"
    key_field: ClassVar[str] = "mention_id"

    mention_id: str
    film_id: FilmId | None
    how: How
    score: float | None = None

"""Which place of a row holds what, said by the configuration: columns, paths and keys alike."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from app.connectors.config import ConnectorConfig
from app.connectors.errors import SourceError

TargetTopic = Literal["ratings", "reviews", "facts"]
Scope = Literal["all", "followed"]
Place = Annotated[str, Meta(min_length=1, max_length=256)]

NEEDED: Final[dict[TargetTopic, tuple[str, ...]]] = {
    "ratings": ("value",),
    "reviews": ("text",),
    "facts": (),
}
IDENTITY: Final = ("film_id", "imdb", "wikidata", "tmdb", "title")


class Fields(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Where each thing stands; what is not named is not read. A film needs one of its ids, or at least its title."""

    film_id: Place | None = None
    imdb: Place | None = None
    wikidata: Place | None = None
    tmdb: Place | None = None
    title: Place | None = None
    year: Place | None = None
    id: Place | None = None
    """The source's own id of the row; without it the author and film of a rating, else the row's place."""
    value: Place | None = None
    """The score, of ratings and of reviews that have one."""
    votes: Place | None = None
    text: Place | None = None
    lang: Place | None = None
    author: Place | None = None
    time: Place | None = None
    url: Place | None = None
    genres: Place | None = None
    runtime_minutes: Place | None = None
    budget: Place | None = None
    plot: Place | None = None

    def named(self) -> dict[str, str]:
        """Those that are set."""
        return {name: place for name, place in msgspec.structs.asdict(self).items() if place is not None}


class Mapped(ConnectorConfig, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The keys of kinds whose rows mean what the configuration says they mean."""

    target: Annotated[TargetTopic, Meta(description="what a row is")] = "ratings"
    scale: Annotated[str, Meta(pattern=r"^\d+(\.\d+)?:\d+(\.\d+)?$", description="the scores' scale as worst:best")] = (
        "0:10"
    )
    rating_kind: Annotated[
        Literal["single", "mean", "approval"], Meta(description="one person's, a mean, a share of favourable ones")
    ] = "single"
    film_kind: Annotated[Literal["movie", "tv"], Meta(description="what the films are")] = "movie"
    films: Annotated[Scope, Meta(description="whether all films are read or those that are followed")] = "all"
    separator: Annotated[str, Meta(min_length=1, max_length=8, description="stands between genres")] = "|"


def check_fields(key: str, fields: Fields, target: TargetTopic) -> None:
    """Raises SourceError where what the target needs is not named."""
    named = fields.named()
    for name in NEEDED[target]:
        if name not in named:
            raise SourceError(f"{key}: target {target!r} needs `{name}`")
    if not any(name in named for name in IDENTITY):
        raise SourceError(f"{key}: a film needs one of {', '.join(IDENTITY)}")
    if target == "facts" and not {"title", "genres", "runtime_minutes", "budget", "plot"} & named.keys():
        raise SourceError(f"{key}: target 'facts' needs at least a title, genres, runtime_minutes, budget or plot")


def ends_of(scale: str) -> tuple[float, float]:
    """Worst and best of a scale. Raises SourceError."""
    worst, best = (float(part) for part in scale.split(":"))
    if worst >= best:
        raise SourceError(f"scale: {scale} has no room between its ends")
    return worst, best

"""What stands in `marquee.toml` any number of times, and what every table of it is."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

_PORT = r"(6553[0-5]|655[0-2]\d|65[0-4]\d\d|6[0-4]\d{3}|[1-5]\d{4}|[1-9]\d{0,3})"

Allowed = Annotated[
    str,
    Meta(
        pattern=rf"^([^\s:/@?#*\[\]]+|\[[0-9A-Fa-f:.]+\]):{_PORT}$",
        description="one host with its port, such as localhost:9307 or [::1]:9307",
    ),
]


class Section(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """One table of `marquee.toml`."""


class FilmEntry(Section, frozen=True):
    """A film to follow."""

    title: Annotated[str, Meta(min_length=1, max_length=500)]
    kind: Literal["movie", "tv"] = "movie"
    year: Annotated[int, Meta(ge=1870, le=2200)] | None = None
    imdb: Annotated[str, Meta(pattern=r"^tt\d{7,10}$")] | None = None
    wikidata: Annotated[str, Meta(pattern=r"^Q[1-9]\d*$")] | None = None
    tmdb: Annotated[int, Meta(ge=1)] | None = None


class CelebrityEntry(Section, frozen=True):
    """A film person to follow."""

    name: Annotated[str, Meta(min_length=1, max_length=500)]
    wikidata: Annotated[str, Meta(pattern=r"^Q[1-9]\d*$")] | None = None
    tmdb: Annotated[int, Meta(ge=1)] | None = None

"""Films and people as runs name them, turned into what connectors are asked about."""

from __future__ import annotations

import msgspec

from app.connectors.base import FilmTarget, PersonTarget
from schemas.scrapes import Target


def film_target(target: Target) -> FilmTarget:
    """A film as connectors are asked about it."""
    kind = "tv" if target.kind == "tv" else "movie"
    ids = {"imdb": target.imdb, "wikidata": target.wikidata, "tmdb": target.tmdb}
    return msgspec.convert(
        {"film_id": target.id, "title": target.name, "year": target.year, "kind": kind, **ids}, FilmTarget
    )


def person_target(target: Target) -> PersonTarget:
    """A person as connectors are asked about them."""
    ids = {"imdb": target.imdb, "wikidata": target.wikidata, "tmdb": target.tmdb}
    return msgspec.convert({"celebrity_id": target.id, "name": target.name or "", **ids}, PersonTarget)

"""Films and people as runs name them, turned into what connectors are asked about.

Whoever was only rated or found was never told of by any id but the canonical one, by which sources may know them.
"""

from __future__ import annotations

import msgspec

from app.connectors.base import FilmTarget, PersonTarget
from schemas.ids import is_celebrity_id, is_film_id, said_by_film_id, said_by_person_id
from schemas.scrapes import Target


def film_target(target: Target) -> FilmTarget:
    """A film as connectors are asked about it."""
    kind = "tv" if target.kind == "tv" else "movie"
    ids = {"imdb": target.imdb, "wikidata": target.wikidata, "tmdb": target.tmdb}
    fields = {"film_id": target.id, "title": target.name, "year": target.year, "kind": kind, **ids}
    return msgspec.convert(fields | (said_by_film_id(target.id) if is_film_id(target.id) else {}), FilmTarget)


def person_target(target: Target) -> PersonTarget:
    """A person as connectors are asked about them."""
    ids = {"imdb": target.imdb, "wikidata": target.wikidata, "tmdb": target.tmdb}
    fields = {"celebrity_id": target.id, "name": target.name or "", **ids}
    return msgspec.convert(fields | (said_by_person_id(target.id) if is_celebrity_id(target.id) else {}), PersonTarget)

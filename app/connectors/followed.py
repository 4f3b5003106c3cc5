"""The films that a run is about, found by any of their ids, where a source has far more than anybody follows."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

from app.connectors.base import FilmTarget, Note
from app.connectors.fields import Scope


class Followed:
    """Says under which id a film goes, and whether it is wanted at all."""

    def __init__(self, films: Iterable[FilmTarget], scope: Scope) -> None:
        self._everything = scope == "all"
        self._canonical: dict[str, str] = {}
        for film in films:
            tmdb = f"tmdb:{film.kind}/{film.tmdb}" if film.tmdb else None
            for known in (film.film_id, film.imdb, film.wikidata, tmdb):
                if known:
                    self._canonical[known] = film.film_id

    def canonical(self, film_id: str) -> str | None:
        """The id that the film goes by here; None where it is not wanted."""
        return self._canonical.get(film_id, film_id if self._everything else None)

    @property
    def notes(self) -> tuple[Note, ...]:
        """What people should know before a run that can find nothing."""
        nobody = not self._everything and not self._canonical
        return (Note("no film is followed yet, and `films` asks for no others"),) if nobody else ()

    @property
    def basis(self) -> str:
        """Changes where other films are wanted than before: rows that were passed over then may be wanted now."""
        known = "" if self._everything else repr(sorted(self._canonical.items()))
        return blake2b(known.encode(), digest_size=8).hexdigest() if known else ""

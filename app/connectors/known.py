"""Whom a run is about when nobody says so: the films and people of the configuration, under their canonical ids."""

from __future__ import annotations

from app.connectors.base import FilmTarget, PersonTarget, Request
from app.settings import Settings
from app.settings_entries import by_id


def request_for(settings: Settings, connector: str, run_id: str = "") -> Request:
    """A run of a connector for everything that the configuration follows."""
    return Request(connector, configured_films(settings), configured_people(settings), run_id)


def configured_films(settings: Settings) -> tuple[FilmTarget, ...]:
    """The films of `[[films]]`, each once."""
    return tuple(
        FilmTarget(
            film_id=key,
            title=film.title,
            year=film.year,
            kind=film.kind,
            imdb=film.imdb,
            wikidata=film.wikidata,
            tmdb=film.tmdb,
        )
        for key, film in by_id(settings.films).items()
    )


def configured_people(settings: Settings) -> tuple[PersonTarget, ...]:
    """The people of `[[celebrities]]`, each once."""
    return tuple(
        PersonTarget(
            celebrity_id=key,
            name=person.name,
            wikidata=person.wikidata,
            tmdb=person.tmdb,
        )
        for key, person in by_id(settings.celebrities).items()
    )

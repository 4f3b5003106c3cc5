"""Whom a run is about when nobody says so: the films and people of the configuration, under their canonical ids."""

from __future__ import annotations

from app.connectors.base import FilmTarget, PersonTarget, Request
from app.settings import Settings
from schemas.ids import celebrity_id, film_id


def request_for(settings: Settings, connector: str, run_id: str = "") -> Request:
    """A run of a connector for everything that the configuration follows. Raises Rejected for ids that are none."""
    return Request(connector, configured_films(settings), configured_people(settings), run_id)


def configured_films(settings: Settings) -> tuple[FilmTarget, ...]:
    """The films of `[[films]]`."""
    return tuple(
        FilmTarget(
            film_id=film_id(film.title, film.year, film.kind, film.imdb, film.wikidata, film.tmdb),
            title=film.title,
            year=film.year,
            kind=film.kind,
            imdb=film.imdb,
            wikidata=film.wikidata,
            tmdb=film.tmdb,
        )
        for film in settings.films
    )


def configured_people(settings: Settings) -> tuple[PersonTarget, ...]:
    """The people of `[[celebrities]]`."""
    return tuple(
        PersonTarget(
            celebrity_id=celebrity_id(person.name, person.wikidata, person.tmdb),
            name=person.name,
            wikidata=person.wikidata,
            tmdb=person.tmdb,
        )
        for person in settings.celebrities
    )

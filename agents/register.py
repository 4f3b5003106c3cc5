"""Admit a film to the pipeline, once, and let later submissions complete what is known of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, MutableMapping

import msgspec

from agents.messages import Message
from schemas.base import Record
from schemas.commands import SubmitFilm
from schemas.entities import Film
from schemas.events import FilmRegistered


async def register_film(message: Message[SubmitFilm], films: MutableMapping[str, Film]) -> AsyncIterator[Record]:
    """FilmRegistered where the film is new or the submission knows more than the table."""
    command = message.data
    known = films.get(command.film_id)
    film = _merged(known, command)
    if film != known:
        films[command.film_id] = film
        yield FilmRegistered(**msgspec.structs.asdict(film))


def _merged(known: Film | None, command: SubmitFilm) -> Film:
    submitted = Film(**msgspec.structs.asdict(command))
    if known is None:
        return submitted
    # A bare id (a rating of an unknown film) must not wipe what somebody pushed, and the first title stays.
    fields = {
        name: old if (old := getattr(known, name)) is not None else getattr(submitted, name)
        for name in Film.__struct_fields__
    }
    if known.title is None and submitted.title is not None:
        fields["kind"] = submitted.kind
    return Film(**fields)

"""Check what anyone pushed to `input` and give it its canonical id."""

from __future__ import annotations

from collections.abc import AsyncIterator

from agents.messages import Message
from schemas.base import Record
from schemas.commands import PushCelebrity, PushFilm, SubmitCelebrity, SubmitFilm
from schemas.ids import celebrity_id, derived_id, film_id


async def admit(message: Message[PushFilm | PushCelebrity]) -> AsyncIterator[Record]:
    """The checked command under the canonical id. Raises Rejected for identifiers that are none."""
    pushed = message.data
    if isinstance(pushed, PushFilm):
        yield submission(pushed)
    else:
        person = celebrity_id(pushed.name, pushed.wikidata, pushed.tmdb)
        yield SubmitCelebrity(
            celebrity_id=person,
            name=pushed.name,
            wikidata=pushed.wikidata,
            tmdb=pushed.tmdb,
            # The configuration says the same at every start, also of somebody who was forgotten since.
            pushed=message.envelope.id != configured_id(person),
        )


def configured_id(entity: str) -> str:
    """The id of the event that pushes a film or person of the configuration."""
    return derived_id(entity, "configured")


def submission(pushed: PushFilm) -> SubmitFilm:
    """The command that a pushed film becomes. Raises Rejected for identifiers that are none."""
    kind = pushed.kind or "movie"
    return SubmitFilm(
        film_id=film_id(pushed.title, pushed.year, kind, pushed.imdb, pushed.wikidata, pushed.tmdb),
        title=pushed.title,
        kind=kind,
        year=pushed.year,
        imdb=pushed.imdb,
        wikidata=pushed.wikidata,
        tmdb=pushed.tmdb,
    )

"""Check what anyone pushed to `input` and give it its canonical id."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Final

from agents.messages import Message
from schemas.base import Record
from schemas.commands import PushCelebrity, PushFilm, SubmitCelebrity, SubmitFilm
from schemas.ids import celebrity_id, derived_id, film_id

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


async def admit(message: Message[PushFilm | PushCelebrity]) -> AsyncIterator[Record]:
    """The checked command under the canonical id. Raises Rejected for identifiers that are none."""
    pushed = message.data
    if isinstance(pushed, PushFilm):
        yield submission(pushed)
    else:
        person = celebrity_id(pushed.name, pushed.wikidata, pushed.tmdb)
        yield SubmitCelebrity(
            celebrity_id=person,
            name=_one_line(pushed.name),
            wikidata=pushed.wikidata,
            tmdb=pushed.tmdb,
            # The configuration says the same at every start, also of somebody who was forgotten since.
            pushed=message.envelope.id != configured_id(person),
        )


def _one_line(text: str) -> str | None:
    """A title or name without control characters and breaks, which no title has and every list suffers from.

    An id that is made from it is the same with and without; None where nothing is left.
    """
    if not _CONTROL.search(text):
        return text
    return " ".join(_CONTROL.sub(" ", text).split()) or None


def configured_id(entity: str) -> str:
    """The id of the event that pushes a film or person of the configuration."""
    return derived_id(entity, "configured")


def submission(pushed: PushFilm) -> SubmitFilm:
    """The command that a pushed film becomes. Raises Rejected for identifiers that are none."""
    kind = pushed.kind or "movie"
    return SubmitFilm(
        film_id=film_id(pushed.title, pushed.year, kind, pushed.imdb, pushed.wikidata, pushed.tmdb),
        title=_one_line(pushed.title),
        kind=kind,
        year=pushed.year,
        imdb=pushed.imdb,
        wikidata=pushed.wikidata,
        tmdb=pushed.tmdb,
    )

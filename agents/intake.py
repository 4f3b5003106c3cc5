"""Check what anyone pushed to `input` and give it its canonical id."""

from __future__ import annotations

from collections.abc import AsyncIterator

from agents.messages import Message
from schemas.base import Record
from schemas.commands import PushCelebrity, PushFilm, SubmitCelebrity, SubmitFilm
from schemas.ids import celebrity_id, film_id


async def admit(message: Message[PushFilm | PushCelebrity]) -> AsyncIterator[Record]:
    """The checked command under the canonical id. Raises Rejected for identifiers that are none."""
    pushed = message.data
    if isinstance(pushed, PushFilm):
        yield submission(pushed)
    else:
        yield SubmitCelebrity(
            celebrity_id=celebrity_id(pushed.name, pushed.wikidata, pushed.tmdb),
            name=pushed.name,
            wikidata=pushed.wikidata,
            tmdb=pushed.tmdb,
        )


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

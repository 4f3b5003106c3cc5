"""Merge what sources say of a film into the facts that the models use."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, MutableMapping
from typing import Final

import msgspec

from agents.messages import Message
from agents.terms import until
from schemas.base import Record, Rejected
from schemas.commands import SubmitFilm
from schemas.entities import FilmFacts
from schemas.events import Facts, FactsObserved
from schemas.ids import FILM_ID_FORMS, is_film_id
from schemas.terms import may_train

MOST_GENRES: Final = 64
"""Facts of several sources travel in one record, with a rating: a broker takes one of about a megabyte."""


async def merge_facts(message: Message[FactsObserved], known: MutableMapping[str, FilmFacts]) -> AsyncIterator[Record]:
    """Keep the newest statement of each field; SubmitFilm, so that the film is there under its title.

    Facts are kept for models to learn from, and without a time limit: those of a source that forbids the one are not
    kept, and of one that limits the other no text is. Raises Rejected for a malformed film id.
    """
    said = message.data
    if not is_film_id(said.film_id):
        raise Rejected(f"film_id: {said.film_id!r} is none of the known forms: {FILM_ID_FORMS}")
    yield SubmitFilm(film_id=said.film_id, title=said.title, year=said.year)
    if not may_train(said.terms):
        return
    before = known.get(said.film_id)
    old = before.facts if before is not None else Facts()
    plot = said.plot if until(said.terms) is None else None
    merged = Facts(
        title=said.title or old.title,
        year=said.year if said.year is not None else old.year,
        genres=(said.genres or old.genres)[:MOST_GENRES],
        runtime_minutes=said.runtime_minutes if said.runtime_minutes is not None else old.runtime_minutes,
        budget=said.budget if said.budget is not None else old.budget,
        plot=plot or old.plot,
    )
    digest = hashlib.blake2b(msgspec.json.encode(merged), digest_size=8).hexdigest()
    known[said.film_id] = FilmFacts(facts=merged, digest=digest)

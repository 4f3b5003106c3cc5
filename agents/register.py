"""Admit a film or a film person to the pipeline, once, and let later submissions complete what is known of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, MutableMapping
from typing import Any, Final

import msgspec

from agents.messages import Message
from schemas.base import Record
from schemas.commands import EraseCelebrity, SubmitCelebrity, SubmitFilm
from schemas.entities import Celebrity, Film
from schemas.events import FilmRegistered
from schemas.pictures import CelebrityRegistered


async def register_film(message: Message[SubmitFilm], films: MutableMapping[str, Film]) -> AsyncIterator[Record]:
    """FilmRegistered where the film is new or the submission knows more than the table."""
    command = message.data
    known = films.get(command.film_id)
    film = _merged(known, command)
    if film != known:
        films[command.film_id] = film
        yield FilmRegistered(**msgspec.structs.asdict(film))


async def register_celebrity(
    message: Message[SubmitCelebrity | EraseCelebrity], people: MutableMapping[str, Celebrity]
) -> AsyncIterator[Record]:
    """CelebrityRegistered where the person is new or the submission knows more than the table.

    Of a person who is to be erased only the id stays, how often that happened and when. What was submitted before
    then and comes late is dropped, and what is heard of them later, until somebody pushes them anew.
    """
    command = message.data
    known = people.get(command.celebrity_id)
    asked_at = message.envelope.time or message.received_at
    if isinstance(command, EraseCelebrity):
        if known is None or command.order > known.gone_order:
            people[command.celebrity_id] = Celebrity(
                celebrity_id=command.celebrity_id,
                era=known.era + 1 if known is not None else 1,
                gone_at=asked_at,
                gone_order=command.order,
            )
        return
    if known is not None and (asked_at <= known.gone_at or (is_gone(known) and not command.pushed)):
        return
    told = {name: value for name, value in msgspec.structs.asdict(command).items() if name != "pushed"}
    submitted = Celebrity(**told)
    person = submitted if known is None else Celebrity(**_completed(known, submitted))
    if person != known:
        people[command.celebrity_id] = person
        told = {name: getattr(person, name) for name in _TOLD}
        yield CelebrityRegistered(**told, life=person.gone_order)


_TOLD: Final = [name for name in CelebrityRegistered.__struct_fields__ if name in Celebrity.__struct_fields__]


def is_gone(person: Celebrity) -> bool:
    """Whether the person was forgotten and nobody has pushed them since: nothing but that is known."""
    return person.era > 0 and person == gone(person)


def gone(person: Celebrity) -> Celebrity:
    """What stays of a person who is forgotten."""
    return Celebrity(
        celebrity_id=person.celebrity_id, era=person.era, gone_at=person.gone_at, gone_order=person.gone_order
    )


def _merged(known: Film | None, command: SubmitFilm) -> Film:
    submitted = Film(**msgspec.structs.asdict(command))
    if known is None:
        return submitted
    fields = _completed(known, submitted)
    if known.title is None and submitted.title is not None:
        fields["kind"] = submitted.kind
    return Film(**fields)


def _completed(known: msgspec.Struct, submitted: msgspec.Struct) -> dict[str, Any]:
    # A bare id (a rating of an unknown film) must not wipe what somebody pushed, and the first title stays.
    return {
        name: old if (old := getattr(known, name)) is not None else getattr(submitted, name)
        for name in known.__struct_fields__
    }

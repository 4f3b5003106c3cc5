"""Admit a film or a film person to the pipeline, once, and let later submissions complete what is known of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, MutableMapping
from typing import Any, Final, TypeVar

import msgspec

from agents.messages import Message
from schemas.base import Record
from schemas.commands import EraseCelebrity, SubmitCelebrity, SubmitFilm
from schemas.entities import Celebrity, Film, Pushed
from schemas.events import FilmRegistered
from schemas.ids import is_tmdb_number, said_by_film_id
from schemas.pictures import CelebrityRegistered

Known = TypeVar("Known", Film, Celebrity, Pushed)


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
    then and comes late is dropped, and what is heard of them later, until somebody pushes them anew; which they may
    have done already, since the erasure comes by way of the claims, behind all pictures that wait there.
    """
    command = message.data
    known = people.get(command.celebrity_id)
    before = known or Celebrity(celebrity_id=command.celebrity_id)
    asked_at = message.envelope.time or message.received_at
    if isinstance(command, EraseCelebrity):
        if known is not None and command.order <= known.gone_order:
            return
        person = _erased(before, asked_at, command.order)
    elif asked_at <= before.gone_at or (is_gone(before) and not command.pushed):
        return
    else:
        said = Pushed(at=asked_at, **{name: getattr(command, name) for name in _SAID})
        person = _told(before, said, keep=command.pushed)
    if person == known:
        return
    people[command.celebrity_id] = person
    if not is_gone(person) and (known is None or _registered(person) != _registered(known)):
        yield _registered(person)


_SAID: Final = [name for name in Pushed.__struct_fields__ if name != "at"]
_TOLD: Final = [name for name in CelebrityRegistered.__struct_fields__ if name in Celebrity.__struct_fields__]
_KEPT_PUSHES: Final = 5
"""Of different content: somebody who pushes the same person again and again says the same."""


def _registered(person: Celebrity) -> CelebrityRegistered:
    return CelebrityRegistered(**{name: getattr(person, name) for name in _TOLD}, life=person.gone_order)


def _erased(person: Celebrity, asked_at: str, order: int) -> Celebrity:
    """What is left of a person by a wish of that moment: what was pushed after it."""
    left = Celebrity(celebrity_id=person.celebrity_id, era=person.era + 1, gone_at=asked_at, gone_order=order)
    for push in person.pushes:
        if push.at > asked_at:
            left = _told(left, push, keep=True)
    return left


def _told(person: Celebrity, said: Pushed, *, keep: bool) -> Celebrity:
    """A person with what was unknown of them; with what was said itself where it is to be kept."""
    person, said = _sound(person), _sound(said)
    fields = {name: known if (known := getattr(person, name)) is not None else getattr(said, name) for name in _SAID}
    told = msgspec.structs.replace(person, **fields)
    if keep:
        content = msgspec.structs.replace(said, at="")
        others = [push for push in person.pushes if msgspec.structs.replace(push, at="") != content]
        told.pushes = (*others, said)[-_KEPT_PUSHES:]
    return told


def _sound(known: Known) -> Known:
    """The same without a TMDB number that is none, as stood in tables and topics before pushes were held to it."""
    if known.tmdb is None or is_tmdb_number(known.tmdb):
        return known
    return msgspec.structs.replace(known, tmdb=None)


def is_gone(person: Celebrity) -> bool:
    """Whether the person was forgotten and nobody has pushed them since: nothing but that is known."""
    return person.era > 0 and person == gone(person)


def gone(person: Celebrity) -> Celebrity:
    """What stays of a person who is forgotten."""
    return Celebrity(
        celebrity_id=person.celebrity_id, era=person.era, gone_at=person.gone_at, gone_order=person.gone_order
    )


def _merged(known: Film | None, command: SubmitFilm) -> Film:
    submitted = _sound(Film(**msgspec.structs.asdict(command)))
    known = None if known is None else _sound(known)
    fields = msgspec.structs.asdict(submitted) if known is None else _completed(known, submitted)
    if known is not None and known.title is None and submitted.title is not None:
        fields["kind"] = submitted.kind
    # Whoever only rates or describes a film says nothing of its kind. The ids of catalogues that an id says are left to
    # who reads it: told here, they would be taken for news, by which a film is looked for and found under other ids.
    fields["kind"] = said_by_film_id(command.film_id).get("kind", fields["kind"])
    return Film(**fields)


def _completed(known: msgspec.Struct, submitted: msgspec.Struct) -> dict[str, Any]:
    # A bare id (a rating of an unknown film) must not wipe what somebody pushed, and the first title stays.
    return {
        name: old if (old := getattr(known, name)) is not None else getattr(submitted, name)
        for name in known.__struct_fields__
    }

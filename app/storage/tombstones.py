"""Tells the events of a person who was forgotten from those of a later life."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from agents.messages import Message
from schemas.base import Record
from schemas.moments import moment
from schemas.pictures import ImageFound, PersonForgotten

Event = Message[Any]


class Tombstone(msgspec.Struct, frozen=True):
    """A person was forgotten by the decision `order`, asked for at `at` (ms since 1970) by the event `cause_id`.

    `silent` is when the last find came that was dropped, since nobody had pushed the person again (ms since 1970).
    """

    celebrity_id: str
    order: int
    at: int
    cause_id: str
    silent: int = 0

    @property
    def until(self) -> int:
        """Up to when whatever was found of the person is not of a later life."""
        return max(self.at, self.silent)


def by_person(documents: Sequence[dict[str, Any]]) -> dict[str, Tombstone]:
    """Tombstones as they are stored, by the ids of their people."""
    return {document["_id"]: msgspec.convert(document, Tombstone) for document in documents}


class Moment(NamedTuple):
    """Where an event stands among the lives of its person: the decision that it tells of, and when it was caused."""

    order: int
    at: int
    is_find: bool

    def outlives(self, grave: Tombstone) -> bool:
        """Whether that is later than the life that a tombstone ended."""
        if self.order:
            return self.order > grave.order
        return self.at > (grave.until if self.is_find else grave.at)


def moment_of(message: Event) -> Moment:
    """The moment of an event."""
    return Moment(order_of(message), happened_at(message), isinstance(message.data, ImageFound))


def happened_at(message: Message[Record]) -> int:
    """When what an event tells of was caused, in ms since 1970: a repeat of the event has the same time."""
    return caused_at(message.envelope.time, message.timestamp)


def caused_at(time: str | None, received: int) -> int:
    """A record's time of origin in ms since 1970, by what its envelope says and when it was received."""
    try:
        caused = round(moment(time or "").timestamp() * 1000)
    except (ValueError, OverflowError):
        return received
    # Nothing can have been caused later than it was received, whatever its sender's clock says.
    return min(caused, received)


def outlives(message: Event, grave: Tombstone | None) -> bool:
    """Whether an event is about a later life than the one that a tombstone ended."""
    return grave is None or moment_of(message).outlives(grave)


def order_of(message: Event) -> int:
    """The decision that an event tells of; 0 where it tells of none."""
    return int(getattr(message.data, "order", 0))


def latest_tombstones(people: Sequence[Message[PersonForgotten]]) -> dict[str, Tombstone]:
    """The last tombstone of each person."""
    graves: dict[str, Tombstone] = {}
    for message in sorted(people, key=lambda message: message.data.order):
        name, cause = message.data.celebrity_id, message.envelope.causation_id or message.envelope.id
        graves[name] = Tombstone(name, message.data.order, happened_at(message), cause)
    return graves


def people_named(messages: Sequence[Event]) -> list[str]:
    """The people whom events are about, and those whom they name beside."""
    fields = ("celebrity_id", "conflict_with", "recognised")
    named = (getattr(message.data, field, None) for message in messages for field in fields)
    return [name for name in dict.fromkeys(named) if name]

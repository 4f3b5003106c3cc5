"""The contract of a connector: it reads from a cursor on and says what it found, what is bad, and how far it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from hashlib import blake2b
from typing import Any, ClassVar, Final, Generic, Literal, TypeVar

import msgspec

from agents.scrapes import SIGNS, Sign
from app.connectors.answers import Answer
from app.connectors.config import ConnectorConfig, Terms
from app.connectors.errors import SourceError
from app.connectors.session import Session
from schemas.base import Record, Rejected
from schemas.catalogue import decode, encode
from schemas.ids import derived_id

__all__ = [
    "Checkpoint", "Connector", "ConnectorConfig", "Cursor", "FilmTarget", "Note", "Observed", "PersonTarget",
    "Refused", "Request", "Said", "Terms", "observed", "told",
]  # fmt: skip

Cursor = dict[str, Any]
"""How far a connector is, as plain data that only the connector understands. Empty: at the beginning."""

About = Literal["films", "people", "any"]
PEOPLE_TOPICS: Final = ("celebrity-submissions", "images-found")
C = TypeVar("C", bound=ConnectorConfig)


class FilmTarget(msgspec.Struct, frozen=True, kw_only=True):
    """A known film that a run may ask a source about; `kind` is movie or tv, `year` that of its release."""

    film_id: str
    title: str | None = None
    year: int | None = None
    kind: Literal["movie", "tv"] = "movie"
    imdb: str | None = None
    wikidata: str | None = None
    tmdb: int | None = None

    @property
    def id(self) -> str:
        """The canonical id."""
        return self.film_id


class PersonTarget(msgspec.Struct, frozen=True, kw_only=True):
    """A known film person that a run may ask a source about."""

    celebrity_id: str
    name: str
    wikidata: str | None = None
    imdb: str | None = None
    tmdb: int | None = None

    @property
    def id(self) -> str:
        """The canonical id."""
        return self.celebrity_id


class Request(msgspec.Struct, frozen=True):
    """One run of a connector, by its name in the configuration: whom it is about, and for which moment.

    `logical_date` is the schedule's moment; `begin` to `end` the interval it stands for; `begun` when it began, however
    often it was resumed: from then on the terms of its records count. All RFC 3339 in UTC.
    """

    connector: str
    films: tuple[FilmTarget, ...] = ()
    people: tuple[PersonTarget, ...] = ()
    run_id: str = ""
    logical_date: str | None = None
    begin: str | None = None
    end: str | None = None
    begun: str | None = None


class Observed(msgspec.Struct, frozen=True):
    """A record for a topic, under an id that a repeat makes again; `row` counts from 1, 0 where there are none."""

    record: Record
    event_id: str
    row: int = 0


class Refused(msgspec.Struct, frozen=True):
    """Something at the source that cannot be used: where it stands (0: no row), why, and its bytes."""

    row: int
    reason: str
    raw: bytes


class Checkpoint(msgspec.Struct, frozen=True):
    """Everything before this is out; the cursor may be kept once the broker has it. `done` of `total` for people.

    What follows in `read` after it was yielded runs when the cursor is kept: the place to confirm to the source.
    """

    cursor: Cursor
    done: int
    total: int | None = None


class Note(msgspec.Struct, frozen=True):
    """Something to tell people, such as that the source changed and is read from its beginning."""

    text: str


Said = Observed | Refused | Checkpoint | Note


def observed(record: Record, row: int = 0) -> Observed | Refused:
    """A record under an id made from all of its content: the same thing at the source always gets the same id.

    So no record may hold a moment of this program, only moments that the source states. One that its readers would
    not take, such as a title of 600 characters, is refused here.
    """
    value = encode(record)
    try:
        decode(value, (type(record),), None)
    except Rejected as error:
        return Refused(row, f"{record.topic}: {error}", value)
    digest = blake2b(value, digest_size=16).hexdigest()
    return Observed(record, derived_id(f"{record.topic}|{record.key}|{digest}", "connector"), row)


def told(found: Record | Refused) -> Observed | Refused:
    """What a `parse…` function found: a record, or what it had to refuse."""
    return found if isinstance(found, Refused) else observed(found)


class Connector(ABC, Generic[C]):
    """A kind of interface. `profiles` are the vendors that it knows, `about` says which targets a run needs.

    Parsing lies in pure functions of its module, named `parse…`: what the source sent in, records out.
    """

    kind: ClassVar[str]
    about: ClassVar[About] = "films"
    targeted: ClassVar[bool] = False
    """Whether it can be asked about one film or person, which is done when one is registered."""
    looks_up_by: ClassVar[tuple[Sign, ...]] = SIGNS
    """What its source is asked with: who is registered anew with other signs only is not asked about again."""
    profiles: ClassVar[tuple[str, ...]] = ()
    spec: ClassVar[type[ConnectorConfig]]
    """The keys of its configuration."""

    def __init__(self, config: C, session: Session) -> None:
        """Raises SourceError where keys contradict each other."""
        self.config = config
        self.session = session
        session.fault = self.fault

    def fault(self, answer: Answer) -> SourceError | None:
        """What the service means by an answer that is no good, also one inside a 200; None: go by its status.

        Asked for every answer before its status is looked at. Never raises.
        """
        return None

    def source(self, request: Request) -> str:
        """The name that records carry as their source."""
        return self.config.source or request.connector

    @abstractmethod
    async def check(self) -> str:
        """What was found, in a few words, by a light look. Raises SourceError."""

    @abstractmethod
    def read(self, request: Request, cursor: Cursor) -> AsyncGenerator[Said]:
        """What the source has after the cursor. Raises SourceError."""

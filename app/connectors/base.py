"""The contract of a connector: it reads from a cursor on and says what it found, what is bad, and how far it is."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, ClassVar, Protocol

import msgspec

from app.connectors.fetch import Fetcher
from schemas.base import Record

Cursor = dict[str, Any]
"""How far a connector is, as plain data that only the connector understands. Empty: at the beginning."""


class ConnectorConfig(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The keys that every `[connectors.NAME]` table may have."""

    kind: str
    schedule: str | None = None
    timezone: str = "UTC"
    catchup: bool = False
    retries: int = 3
    max_active_runs: int = 1
    rate: str | None = None


class Observed(msgspec.Struct, frozen=True):
    """A record for a topic, under an id that a repeat makes again; `row` counts from 1."""

    record: Record
    event_id: str
    row: int


class Refused(msgspec.Struct, frozen=True):
    """Something at the source that cannot be used: where it stands, why, and its bytes."""

    row: int
    reason: str
    raw: bytes


class Checkpoint(msgspec.Struct, frozen=True):
    """Everything before this is out; the cursor may be kept once the broker has it. `done` of `total` for people."""

    cursor: Cursor
    done: int
    total: int | None = None


class Note(msgspec.Struct, frozen=True):
    """Something to tell people, such as that the source changed and is read from its beginning."""

    text: str


Said = Observed | Refused | Checkpoint | Note


class Request(msgspec.Struct, frozen=True):
    """One run of a connector: who asks for it, by the connector's name in the configuration."""

    connector: str


class Connector(Protocol):
    """A kind of interface. `profiles` are the vendors that it knows."""

    kind: ClassVar[str]
    profiles: ClassVar[tuple[str, ...]]
    Config: ClassVar[type[ConnectorConfig]]

    def __init__(self, config: ConnectorConfig, fetcher: Fetcher) -> None: ...

    async def check(self) -> str:
        """What was found, in a few words, by a light look. Raises SourceError."""

    def read(self, request: Request, cursor: Cursor) -> AsyncGenerator[Said]:
        """What the source has after the cursor. Raises SourceError."""

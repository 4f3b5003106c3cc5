"""What handlers of connectors and matches take and answer with, as types that the OpenAPI document is made of."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from app.connectors.config import Terms
from app.storage.collecting import OpenMatch, RunView
from schemas.events import ShortText
from schemas.scrapes import Action, Detail


class ConnectorView(msgspec.Struct, frozen=True, kw_only=True):
    """A connector: how it is configured, when it runs next, and how it is; `error` where it cannot be used as it is."""

    name: str
    kind: str
    profile: str | None
    schedule: str | None
    timezone: str
    next_date: str | None
    """The next logical date of its schedule; None without one, and while it is paused."""
    paused: bool
    pause_reason: str
    error: str | None
    last_run: RunView | None
    terms: Terms | None = None
    """What its source allows; None where it cannot be used as it is configured."""


class ConnectorPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some connectors in the configuration's order, and the cursor of the page after them."""

    items: list[ConnectorView]
    next: str | None = None


class RunPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some runs of a connector, the newest first, and the cursor of the page after them."""

    items: list[RunView]
    next: str | None = None


class ManualRun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a run is to begin: where the last one stopped, or at the source's beginning."""

    from_start: bool = False


class AskedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run that was asked for; while the connector is paused it waits."""

    connector: str
    run_id: str
    paused: bool
    pause_reason: str


class Pause(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why nothing is to be collected."""

    reason: Detail = ""


class Nothing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """There is nothing to say."""


class Steered(msgspec.Struct, frozen=True, kw_only=True):
    """A word to a connector that is in the log under `event_id`."""

    connector: str
    action: Action
    event_id: str


Day = Annotated[str, Meta(max_length=40, description="RFC 3339; without an offset UTC, a date alone a whole day")]


class Span(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"begin": "from", "end": "to"}
):
    """From when to when the dates of a schedule are to be run, both included."""

    begin: Day
    end: Day


class DatedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run for one date of a schedule."""

    run_id: str
    logical_date: str


class Backfill(msgspec.Struct, frozen=True, kw_only=True):
    """The runs that a backfill asked for; one that was asked for before is not run again."""

    connector: str
    runs: list[DatedRun]
    paused: bool
    pause_reason: str


class Matches(msgspec.Struct, frozen=True, kw_only=True):
    """Mentions that wait for somebody to say of which film they are; `open` counts all of them."""

    items: list[OpenMatch]
    open: int


class Match(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of which film a mention is; null, or "none" from a form, where it is of none."""

    film_id: ShortText | None


class Matched(msgspec.Struct, frozen=True, kw_only=True):
    """A word on a mention that is in the log under `event_id`."""

    mention_id: str
    film_id: str | None
    event_id: str

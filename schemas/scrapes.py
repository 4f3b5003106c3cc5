"""Collecting on the wire: what is asked of a connector, and what its runs came to."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec
from msgspec import Meta

from schemas.base import Record
from schemas.events import Count, ShortText

Trigger = Literal["schedule", "manual", "backfill", "registration", "retry"]
RunStatus = Literal["running", "success", "partial", "failed", "skipped"]
Action = Literal["follow", "pause", "resume", "reset"]
"""Begin with its schedule, start no more runs, go on, or begin at the source's beginning next time."""
Detail = Annotated[str, Meta(max_length=4000)]
LONGEST_NOTE: Final = 500
MOST_NOTES: Final = 20
Notes = Annotated[tuple[Annotated[str, Meta(max_length=LONGEST_NOTE)], ...], Meta(max_length=MOST_NOTES)]


class Target(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A film or a person that a run is about, with every id that sources may know them by."""

    id: ShortText
    name: str | None = None
    """A film's title, a person's name."""
    year: Count | None = None
    kind: Literal["movie", "tv", "person"] = "movie"
    imdb: str | None = None
    wikidata: str | None = None
    tmdb: Count | None = None
    life: Count | None = None
    """The decision by which a person had been forgotten last, 0 where never; None: not told."""


class ScrapeRequested(Record, frozen=True, kw_only=True, tag_field="type", tag="run"):
    """A run that is due. `logical_date` and the interval are RFC 3339 in UTC; a second request of one id is dropped.

    `targets` are the films or people that the run is about; without any, all that the connector follows.
    """

    topic: ClassVar[str] = "scrape-requests"
    key_field: ClassVar[str] = "connector"

    run_id: ShortText
    connector: ShortText
    trigger: Trigger
    attempt: Count = 1
    logical_date: str | None = None
    interval_start: str | None = None
    interval_end: str | None = None
    not_before: str | None = None
    targets: tuple[Target, ...] = ()


class SteerConnector(Record, frozen=True, kw_only=True, tag_field="type", tag="steer"):
    """A word to a connector."""

    topic: ClassVar[str] = "scrape-requests"
    key_field: ClassVar[str] = "connector"

    connector: ShortText
    action: Action
    reason: Detail = ""


class ScrapeCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What a run has done so far; `throttled` counts answers that asked for patience.

    `duplicates` of the `records` were the same in all their content as one that the connector had sent before, in this
    run or an earlier one: at least so many, since a worker remembers some 50,000 to 100,000 of each connector it ran.
    """

    records: Count = 0
    duplicates: Count = 0
    rejected: Count = 0
    requests: Count = 0
    retries: Count = 0
    not_modified: Count = 0
    throttled: Count = 0
    bytes: Count = 0


class ScrapeAdmitted(Record, frozen=True, kw_only=True, tag_field="type", tag="admitted"):
    """A requested run stands in its connector's queue."""

    topic: ClassVar[str] = "scrape-runs"
    key_field: ClassVar[str] = "connector"

    run_id: str
    connector: str
    trigger: Trigger
    attempt: Count
    logical_date: str | None = None
    interval_start: str | None = None
    interval_end: str | None = None
    not_before: str | None = None
    targets: tuple[Target, ...] = ()


class ConnectorSteered(Record, frozen=True, kw_only=True, tag_field="type", tag="steered"):
    """A connector is followed from now on, was paused, resumed or sent back to its beginning."""

    topic: ClassVar[str] = "scrape-runs"
    key_field: ClassVar[str] = "connector"

    connector: str
    action: Action
    reason: str = ""


class ScrapeStarted(Record, frozen=True, kw_only=True, tag_field="type", tag="started"):
    """A worker has begun a run, or goes on with one that a crash cut off (`resumed`)."""

    topic: ClassVar[str] = "scrape-runs"
    key_field: ClassVar[str] = "connector"

    run_id: str
    connector: str
    trigger: Trigger
    attempt: Count
    started_at: str
    logical_date: str | None = None
    targets: Count = 0
    also: tuple[str, ...] = ()
    """Requests that are carried out by this run together with its own, since they ask for other films or people."""
    resumed: bool = False


class ScrapeCheckpointed(Record, frozen=True, kw_only=True, tag_field="type", tag="checkpointed"):
    """Everything before the cursor is with the broker; `done` of `total` is for people."""

    topic: ClassVar[str] = "scrape-runs"
    key_field: ClassVar[str] = "connector"

    run_id: str
    connector: str
    cursor: dict[str, Any]
    counts: ScrapeCounts
    attempt: Count = 1
    state: dict[str, Any] = msgspec.field(default_factory=dict)
    """What the shared runner keeps for a connector: spent quota, validators of its HTTP cache."""
    done: Count = 0
    total: Count | None = None


class ScrapeFinished(Record, frozen=True, kw_only=True, tag_field="type", tag="finished"):
    """A run is over; `paused` where the connector must not go on by itself, such as after a refused key."""

    topic: ClassVar[str] = "scrape-runs"
    key_field: ClassVar[str] = "connector"

    run_id: str
    connector: str
    status: RunStatus
    attempt: Count
    finished_at: str
    seconds: float
    counts: ScrapeCounts
    done: Count | None = None
    total: Count | None = None
    cursor_before: dict[str, Any] = msgspec.field(default_factory=dict)
    cursor_after: dict[str, Any] = msgspec.field(default_factory=dict)
    state: dict[str, Any] = msgspec.field(default_factory=dict)
    error: Detail | None = None
    retry_at: str | None = None
    paused: bool = False
    also: tuple[str, ...] = ()
    """Requests that were carried out together with this one."""
    faults: tuple[tuple[Count, str], ...] = ()
    """The first refused rows, each with its reason."""
    notes: Notes = ()
    """What to know of a run that is no fault, such as why nothing was asked about somebody; people by their ids."""


class SlaMissed(Record, frozen=True, kw_only=True, tag_field="type", tag="sla-missed"):
    """A run was not over in the time that its connector promises."""

    topic: ClassVar[str] = "scrape-runs"
    key_field: ClassVar[str] = "connector"

    run_id: str
    connector: str
    logical_date: str | None
    missed_at: str
    attempt: Count = 1


class TargetsDropped(Record, frozen=True, kw_only=True, tag_field="type", tag="targets-dropped"):
    """People were forgotten before a run was over, which goes on without them; with nobody `left` it is over."""

    topic: ClassVar[str] = "scrape-runs"
    key_field: ClassVar[str] = "connector"

    run_id: str
    connector: str
    attempt: Count
    people: tuple[str, ...]
    left: Count
    dropped_at: str


RunEvent = (
    ScrapeAdmitted | ConnectorSteered | ScrapeStarted | ScrapeCheckpointed | ScrapeFinished | SlaMissed | TargetsDropped
)
"""Whatever stands on `scrape-runs`."""

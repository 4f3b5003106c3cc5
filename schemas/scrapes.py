"""Collecting on the wire: what is asked of a connector, and what its runs came to."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from schemas.base import Record
from schemas.events import Count, ShortText

Trigger = Literal["schedule", "manual", "backfill", "registration", "retry"]
RunStatus = Literal["running", "success", "partial", "failed", "skipped"]
Detail = Annotated[str, Meta(max_length=4000)]


class ScrapeRequested(Record, frozen=True, kw_only=True, tag_field="type", tag="run"):
    """A run that is due. `logical_date` and the interval are RFC 3339 in UTC; a second request of one id is dropped.

    `target` is the one film or person that the run is about; without it, all that the connector follows.
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
    target: ShortText | None = None


class SteerConnector(Record, frozen=True, kw_only=True, tag_field="type", tag="steer"):
    """A word to a connector: start no more runs, go on, or begin at the beginning next time."""

    topic: ClassVar[str] = "scrape-requests"
    key_field: ClassVar[str] = "connector"

    connector: ShortText
    action: Literal["pause", "resume", "reset"]
    reason: Detail = ""


class ScrapeCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What a run has done so far; `throttled` counts answers that asked for patience."""

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
    target: str | None = None


class ConnectorSteered(Record, frozen=True, kw_only=True, tag_field="type", tag="steered"):
    """A connector was paused, resumed or sent back to its beginning."""

    topic: ClassVar[str] = "scrape-runs"
    key_field: ClassVar[str] = "connector"

    connector: str
    action: Literal["pause", "resume", "reset"]
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
    target: str | None = None
    resumed: bool = False


class ScrapeCheckpointed(Record, frozen=True, kw_only=True, tag_field="type", tag="checkpointed"):
    """Everything before the cursor is with the broker; `done` of `total` is for people."""

    topic: ClassVar[str] = "scrape-runs"
    key_field: ClassVar[str] = "connector"

    run_id: str
    connector: str
    cursor: dict[str, Any]
    counts: ScrapeCounts
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
    cursor_before: dict[str, Any] = msgspec.field(default_factory=dict)
    cursor_after: dict[str, Any] = msgspec.field(default_factory=dict)
    state: dict[str, Any] = msgspec.field(default_factory=dict)
    error: Detail | None = None
    retry_at: str | None = None
    paused: bool = False
    faults: tuple[tuple[Count, str], ...] = ()
    """The first refused rows, each with its reason."""


class SlaMissed(Record, frozen=True, kw_only=True, tag_field="type", tag="sla-missed"):
    """A run was not over in the time that its connector promises."""

    topic: ClassVar[str] = "scrape-runs"
    key_field: ClassVar[str] = "connector"

    run_id: str
    connector: str
    logical_date: str | None
    missed_at: str

"""Runs of connectors and open mentions as documents, and the questions that people ask of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from agents.messages import Message
from app.storage.documents import CONNECTORS, MENTIONS, RUNS, Change, Document, Documents, Filter, joined
from app.storage.expiry import limits
from app.storage.paging import BadQueryError, Page, checked_limit, decode_cursor, encode_cursor
from schemas.events import Count
from schemas.mentions import Candidate, MatchUnresolved, MentionMatched
from schemas.scrapes import (
    ConnectorSteered,
    RunEvent,
    ScrapeAdmitted,
    ScrapeCheckpointed,
    ScrapeCounts,
    ScrapeFinished,
    ScrapeStarted,
    SlaMissed,
    TargetsDropped,
)

WAITING: Final = "waiting"
MERGED: Final = "merged"
"""Carried out by another run of the same connector, which has the history of both."""


FORGOTTEN: Final = "whom it was about was forgotten before it was over"
"""Why a run came to nothing that nobody cut off and no source refused."""


class RunView(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of a run: `waiting`, `running`, or how it ended; times RFC 3339 in UTC."""

    run_id: str
    connector: str
    attempt: int
    status: str
    trigger: str | None = None
    logical_date: str | None = None
    asked_at: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    seconds: float | None = None
    targets: int = 0
    resumed: bool = False
    """Whether a crash or a move to another worker cut it, and it went on from its cursor."""
    done: int = 0
    total: int | None = None
    """How far of what the source is while it runs, in the source's own units; None where it does not say."""
    counts: ScrapeCounts = ScrapeCounts()
    cursor_before: dict[str, Any] = {}
    cursor_after: dict[str, Any] = {}
    error: str | None = None
    retry_at: str | None = None
    sla_missed: bool = False
    faults: list[tuple[int, str]] = []
    notes: list[str] = []
    """What to know of it that is no fault, such as why nothing was asked about somebody."""


class ConnectorState(msgspec.Struct, frozen=True, kw_only=True):
    """What was last told of a connector."""

    name: str
    paused: bool = False
    pause_reason: str = ""
    last_run: RunView | None = None


class OpenMatch(msgspec.Struct, frozen=True, kw_only=True):
    """A mention that waits for somebody to say of which film it is."""

    mention_id: str
    source: str
    reason: str
    title: str | None = None
    year: int | None = None
    url: str | None = None
    excerpt: str | None = None
    candidates: list[Candidate] = []
    attribution: str | None = None


class RunPosition(msgspec.Struct, frozen=True, array_like=True):
    """The place of the last run of a page in its connector's history."""

    asked: Count


class DocumentCollecting:
    """`agents.ports.CollectingProjections` over a document database.

    Everything that is told of a connector stands in one partition, so its offset there says what is newer.
    """

    def __init__(self, documents: Documents) -> None:
        self._runs = documents[RUNS]
        self._connectors = documents[CONNECTORS]
        self._mentions = documents[MENTIONS]

    async def put_runs(self, events: Sequence[Message[RunEvent]]) -> None:
        """Runs as far as they are told; an older event changes nothing that a newer one said."""
        runs: dict[str, tuple[Document, Document]] = {}
        connectors: dict[str, Document] = {}
        for message in events:
            event = message.data
            steered = _steering(event)
            if steered:
                told = {"name": event.connector, "place": message.offset, **steered}
                connectors.setdefault(event.connector, {}).update(told)
            fields, initial = _of_run(message)
            if fields:
                known = runs.setdefault(fields.pop("_id"), ({}, {}))
                known[0].update(fields)
                # The first of which is heard says when the run was asked for.
                known[1].update({**initial, **known[1]})
            if isinstance(event, ScrapeStarted):
                for run_id in event.also:
                    name = joined(event.connector, run_id, "1")
                    runs.setdefault(name, ({}, {}))[0].update({"status": MERGED, "place": message.offset})
        changes = [Change(name, fields, initial, "place") for name, (fields, initial) in runs.items()]
        if changes:
            await self._runs.merge(changes)
        if connectors:
            await self._connectors.merge([Change(name, told, guard="place") for name, told in connectors.items()])

    async def put_unresolved(self, mentions: Sequence[Message[MatchUnresolved]]) -> None:
        """Mentions that wait; one of which the film is known already stays closed."""
        told = {
            message.data.mention_id: msgspec.to_builtins(message.data) | limits(message.data.terms)
            for message in mentions
        }
        changes = [Change(name, mention, {"open": True}) for name, mention in told.items()]
        await self._mentions.merge(changes)

    async def put_matched(self, mentions: Sequence[Message[MentionMatched]]) -> None:
        """Mentions that wait no longer, and those that never did."""
        told = {message.data.mention_id: msgspec.to_builtins(message.data) for message in mentions}
        await self._mentions.merge([Change(name, {**mention, "open": False}) for name, mention in told.items()])


class RunQueries:
    """Questions about collecting. Calls raise Unavailable while nothing answers, BadQueryError for nonsense."""

    def __init__(self, documents: Documents) -> None:
        self._runs = documents[RUNS]
        self._connectors = documents[CONNECTORS]
        self._mentions = documents[MENTIONS]

    async def runs(self, connector: str | None, limit: int, cursor: str | None = None) -> Page[RunView]:
        """Attempts, the last that was asked for first; of one connector, or of all."""
        checked_limit(limit)
        where: dict[str, Any] = {"status": {"$ne": MERGED}}
        if connector is not None:
            where["connector"] = connector
        if cursor is not None:
            if connector is None:
                raise BadQueryError("cursor: name a connector to read further pages")
            where["asked"] = {"$lt": decode_cursor(cursor, RunPosition).asked}
        order = "asked" if connector is not None else "asked_at"
        found = await self._runs.find(where, [(order, -1)], limit + 1)
        items = [_view(document) for document in found[:limit]]
        more = len(found) > limit and connector is not None
        return Page(items, encode_cursor(RunPosition(found[limit - 1]["asked"])) if more else None)

    async def states(self, names: Sequence[str]) -> list[ConnectorState]:
        """What was last told of each connector, in the order of the names."""
        known = {document["_id"]: document for document in await self._connectors.get(list(names))}
        states = []
        for name in names:
            last = await self._runs.find({"connector": name, "status": {"$ne": MERGED}}, [("asked", -1)], 1)
            told = known.get(name, {})
            states.append(
                ConnectorState(
                    name=name,
                    paused=bool(told.get("paused", False)),
                    pause_reason=told.get("pause_reason") or "",
                    last_run=_view(last[0]) if last else None,
                )
            )
        return states

    async def open_match(self, mention_id: str) -> bool | None:
        """Whether a mention waits for somebody; None where it is not known."""
        found = await self._mentions.get([mention_id])
        return bool(found[0]["open"]) if found else None

    async def open_count(self) -> int:
        """How many mentions wait for somebody."""
        return await self._mentions.count({"open": True})

    async def open_matches(self, limit: int) -> list[OpenMatch]:
        """Mentions that wait for somebody."""
        where: Filter = {"open": True}
        found = await self._mentions.find(where, [("mention_id", 1)], checked_limit(limit) or limit)
        return [msgspec.convert(document, OpenMatch) for document in found]


def _steering(event: RunEvent) -> Document:
    if isinstance(event, ConnectorSteered) and event.action in ("pause", "resume"):
        return {"paused": event.action == "pause", "pause_reason": event.reason}
    if isinstance(event, ScrapeFinished) and event.paused:
        return {"paused": True, "pause_reason": event.error or ""}
    return {}


def _of_run(message: Message[RunEvent]) -> tuple[Document, Document]:
    """What an event says of a run, and what the run's document begins with where it is the first of which is heard."""
    event = message.data
    if isinstance(event, ConnectorSteered):
        return {}, {}
    identity = {"_id": joined(event.connector, event.run_id, str(event.attempt)), "place": message.offset}
    initial: Document = {
        "run_id": event.run_id,
        "connector": event.connector,
        "attempt": event.attempt,
        "asked": message.offset,
        "asked_at": message.received_at,
    }
    if isinstance(event, ScrapeAdmitted):
        told = {"trigger": event.trigger, "logical_date": event.logical_date, "targets": len(event.targets)}
        return {**identity, **told}, {**initial, "status": WAITING}
    if isinstance(event, ScrapeStarted):
        resumed = {"resumed": True} if event.resumed else {}
        return {**identity, "status": "running", "started_at": event.started_at, **resumed}, initial
    if isinstance(event, ScrapeCheckpointed):
        told = {"done": event.done, "total": event.total, "counts": msgspec.to_builtins(event.counts)}
        return {**identity, **told, "status": "running"}, initial
    if isinstance(event, SlaMissed):
        return {**identity, "sla_missed": True}, {**initial, "status": WAITING}
    if isinstance(event, TargetsDropped):
        over = {"status": "skipped", "finished_at": event.dropped_at, "error": FORGOTTEN, "retry_at": None}
        return {**identity, "targets": event.left, **(over if not event.left else {})}, {**initial, "status": WAITING}
    ended = {name: msgspec.to_builtins(getattr(event, name)) for name in _OF_END}
    # Where no life of the run came to a checkpoint, and of runs of older versions, it is as far as was told before.
    reached = {} if event.done is None else {"done": event.done, "total": event.total}
    return {**identity, **ended, **reached}, initial


_OF_END: Final = (
    "status",
    "finished_at",
    "seconds",
    "cursor_before",
    "cursor_after",
    "error",
    "retry_at",
    "faults",
    "notes",
    "counts",
)


def _view(document: Document) -> RunView:
    known = {name: document[name] for name in RunView.__struct_fields__ if document.get(name) is not None}
    # Some servers that speak MongoDB's protocol answer with 1 where True was stored.
    return msgspec.convert(known, RunView, strict=False)

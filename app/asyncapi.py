"""The AsyncAPI document of the topology that runs: one operation for each stage and each way in."""

from __future__ import annotations

from typing import Any

from app.settings import Settings
from app.topology import film_topology
from app.version import VERSION
from schemas.asyncapi import Operation, document
from schemas.base import Record
from schemas.catalogue import partition_counts
from schemas.commands import PushCelebrity, PushFilm
from schemas.events import DeadLettered, FactsObserved, RatingObserved, ReviewObserved


def operations() -> list[Operation]:
    """What Marquee receives and sends, stage by stage, then by the ways in from outside."""
    found: list[Operation] = []
    for stage in film_topology().stages:
        found.append(Operation(f"{stage.name}.receive", "receive", stage.reads, f"Read by the stage `{stage.name}`."))
        by_topic: dict[str, tuple[type[Record], ...]] = {}
        for record in stage.emits:
            by_topic[record.topic] = (*by_topic.get(record.topic, ()), record)
        for topic, records in by_topic.items():
            told = f"Sent by the stage `{stage.name}`."
            found.append(Operation(f"{stage.name}.send.{topic}", "send", records, told))
    observed: tuple[type[Record], ...] = (RatingObserved, ReviewObserved, FactsObserved)
    found += [Operation(f"connectors.send.{r.topic}", "send", (r,), "Sent by connectors.") for r in observed]
    found.append(Operation("push.send", "send", (PushFilm, PushCelebrity), "Sent by `marquee push` and POST /films."))
    dead = "Sent by any stage for a record that it cannot read or handle."
    found.append(Operation("any.send.dead-letters", "send", (DeadLettered,), dead))
    return found


def asyncapi(settings: Settings) -> dict[str, Any]:
    """The document for these settings."""
    partitions = partition_counts(settings.topics.partitions)
    return document(operations(), VERSION, settings.servers[0], partitions)

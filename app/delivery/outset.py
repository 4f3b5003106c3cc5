"""Events that follow from no other: what a source states, a person asks for, or a clock brings about."""

from __future__ import annotations

from agents.messages import rfc3339
from app.delivery.producer import Outgoing
from schemas.base import Record
from schemas.catalogue import encode
from schemas.envelope import Envelope, to_headers


def first_event(record: Record, event_id: str, now: float, key: str | None = None) -> Outgoing:
    """A record as it goes to its topic at the beginning of a story; `now` in seconds since 1970."""
    envelope = Envelope(event_id, event_id, time=rfc3339(int(now * 1000)))
    key = record.key if key is None else key
    return Outgoing(record.topic, key.encode(), encode(record), to_headers(type(record), envelope))

"""The one guard around every event: decode, place, retry what may pass, dead-letter the rest."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from agents.messages import Message, rfc3339
from app.delivery.moved import with_origin
from app.delivery.producer import Outgoing, partition_of
from app.delivery.raw import Raw
from schemas.base import Layout, Record, Rejected
from schemas.catalogue import decode, encode
from schemas.envelope import Envelope, identified, read_envelope, to_headers
from schemas.events import DeadLettered
from schemas.ids import derived_id

KEPT_BYTES: Final = 6 << 20
"""A larger record stays on its topic; the dead letter says where."""


class Misplaced(Exception):  # noqa: N818  not a fault: the record is sent on to where it belongs
    """A record of a keyed topic that lies in another partition than its entity's."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


class Reader:
    """Reads the records of one topic."""

    def __init__(self, reads: tuple[type[Record], ...], partitions: int, max_value: int, placed: bool) -> None:
        self._reads = reads
        self._partitions = partitions
        self._max_value = max_value
        # Only where a table is cut like the topic does it matter in which partition a record lies.
        self._placed = placed and partitions > 1 and reads[0].layout is Layout.KEYED

    def read(self, raw: Raw) -> Message[Record]:
        """The record in a message. Raises Rejected, or Misplaced for one that belongs in another partition."""
        value, key = raw.value, raw.key
        if value is None:
            raise Rejected("tombstone: the record has no value")
        if len(value) > self._max_value:
            raise Rejected(f"too large: {len(value)} bytes, {self._max_value} are allowed")
        if key is not None:
            _check_key(key)
        envelope, dataschema = read_envelope(raw.headers, raw.position)
        data = decode(value, self._reads, dataschema)
        if self._placed and partition_of(data.key.encode(), self._partitions) != raw.partition:
            raise Misplaced(data.key)
        return Message(data, envelope, raw.topic, raw.partition, raw.offset, raw.timestamp)


def _check_key(key: bytes) -> None:
    if not key:
        raise Rejected("empty key: send the entity's id, or no key at all")
    if key.isascii():
        return
    try:
        key.decode()
    except UnicodeDecodeError as error:
        raise Rejected(f"key is not UTF-8: {error}") from error


def forwarded(raw: Raw, key: str) -> Outgoing:
    """A misplaced record under its right key, with the identity that it had where it first stood."""
    headers = with_origin(identified(raw.headers, raw.position), raw.partition, raw.offset)
    return Outgoing(raw.topic, key.encode(), raw.value, headers)


def outgoing(record: Record, stage: str, parent: Message[Record], n: int) -> Outgoing:
    """The n-th event that a stage makes of `parent`, with an id that a repeat makes again."""
    cause = parent.envelope
    event_id = getattr(record, "event_id", None) or derived_id(cause.id, stage, n)
    envelope = Envelope(event_id, cause.correlation_id, cause.id, parent.received_at)
    return Outgoing(record.topic, record.key.encode(), encode(record), to_headers(type(record), envelope))


def dead_letter(
    raw: Raw, stage: str, reason: str, error: BaseException, attempts: int, now: Callable[[], float] = time.time
) -> Outgoing:
    """The record that says that `raw` was given up, whole enough to be replayed."""
    headers = raw.headers
    size = len(raw.value or b"") + len(raw.key or b"") + sum(len(name) + len(value or b"") for name, value in headers)
    kept = raw if size <= KEPT_BYTES else replace(raw, value=None, key=None, headers=[])
    record = DeadLettered(
        id=derived_id(raw.position, stage),
        stage=stage,
        reason=reason,
        error=f"{type(error).__name__}: {error}"[:2000],
        attempts=attempts,
        origin_topic=raw.topic,
        origin_partition=raw.partition,
        origin_offset=raw.offset,
        failed_at=rfc3339(int(now() * 1000)),
        key_base64=None if kept.key is None else base64.b64encode(kept.key).decode(),
        value_base64=None if kept.value is None else base64.b64encode(kept.value).decode(),
        value_bytes=None if raw.value is None else len(raw.value),
        headers=tuple((name, base64.b64encode(value or b"").decode()) for name, value in kept.headers),
    )
    parent, _ = read_envelope(raw.headers, raw.position)
    envelope = Envelope(record.id, parent.correlation_id, parent.id, record.failed_at)
    return Outgoing(record.topic, record.key.encode(), encode(record), to_headers(DeadLettered, envelope))

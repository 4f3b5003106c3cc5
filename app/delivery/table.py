"""Faust tables written a batch at a time: the changelog is on the broker before RocksDB and before the ack.

Each writing stage owns one table. Its mark (the last offset applied of each source partition) lies in the same
table, so that state and mark reach the changelog in one record batch: both are there, or neither.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, MutableMapping, Sequence
from heapq import merge
from itertools import takewhile
from typing import Any, Final, Generic, TypeVar

import msgspec

from app.delivery.producer import Fenced
from app.delivery.recovery import WholeRecovery
from schemas.base import Entity

V = TypeVar("V", bound=Entity)
Rows = dict[bytes, bytes | None]

MARK_PREFIX: Final = "~mark|"
OPEN_PREFIX: Final = "~open|"
MOVED_PREFIX: Final = "~moved|"
OWN_PREFIXES: Final = (MARK_PREFIX.encode(), OPEN_PREFIX.encode(), MOVED_PREFIX.encode(), b"__faust\0")
"""Begin the keys of rows that no stage wrote; Faust keeps its offset in the database too."""
ROCKSDB_OPTIONS: Final = {
    "block_cache_size": 4 << 20,
    "block_cache_compressed_size": 1 << 20,
    "write_buffer_size": 2 << 20,
    "max_write_buffer_number": 2,
}
"""Faust's own defaults reserve 2 GiB of block cache for each partition of each table."""

_encode = msgspec.json.Encoder().encode


class PartitionRows:
    """The rows of one partition of a table, with what the batch and the event in hand have written so far.

    `uncommitted` is what earlier batches wrote that is not in the table yet, newest first.
    """

    def __init__(self, database: Any, uncommitted: Sequence[Rows] = ()) -> None:
        self._database = database
        self._uncommitted = uncommitted
        self.batch: Rows = {}
        self._event: Rows = {}

    def get(self, key: bytes) -> bytes | None:
        """The stored JSON of a key as the current event sees it."""
        for rows in (self._event, self.batch, *self._uncommitted):
            if key in rows:
                return rows[key]
        value: bytes | None = self._database.get(key)
        return value

    def under(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The rows whose keys begin with `prefix` as the current event sees them, in order of their keys."""
        layers = (*reversed(self._uncommitted), self.batch, self._event)
        written = {k: v for rows in layers for k, v in rows.items() if k.startswith(prefix)}
        stored = (row for row in self._stored(prefix) if row[0] not in written)
        # In one order wherever a row lies, so that a repeated event meets the rows as it did the first time.
        for key, value in merge(stored, sorted(written.items())):
            if value is not None and not key.startswith(OWN_PREFIXES):
                yield key, value

    def _stored(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        if isinstance(self._database, dict):
            return iter(sorted(row for row in self._database.items() if row[0].startswith(prefix)))
        return takewhile(lambda row: row[0].startswith(prefix), self._database.items(from_key=prefix))

    def put(self, key: bytes, value: bytes | None) -> None:
        """Write a row, or delete it with None, on behalf of the current event."""
        self._event[key] = value

    def save(self) -> None:
        """Keep what the current event wrote."""
        if self._event:
            self.batch.update(self._event)
            self._event = {}

    def undo(self) -> None:
        """Forget what the current event wrote."""
        self._event = {}

    def mark(self, topic: str) -> int | None:
        """The last offset of the source topic's partition whose effects are in this table, or soon will be."""
        value = self._before_batch(f"{MARK_PREFIX}{topic}".encode())
        return None if value is None else int(value)

    def _before_batch(self, key: bytes) -> bytes | None:
        for rows in self._uncommitted:
            if key in rows:
                return rows[key]
        value: bytes | None = self._database.get(key)
        return value

    def set_mark(self, topic: str, offset: int) -> None:
        """Move the mark; last in the batch, so that a torn write never has the mark without the state."""
        self._put_last(f"{MARK_PREFIX}{topic}", offset)

    def _put_last(self, key: str, offset: int) -> None:
        self.batch.pop(key.encode(), None)
        self.batch[key.encode()] = str(offset).encode()

    def moved(self, topic: str, partition: int) -> int:
        """The offset of the last record that was sent on here from that partition of the topic; -1 where none was."""
        value = self.get(f"{MOVED_PREFIX}{topic}|{partition}".encode())
        return -1 if value is None else int(value)

    def set_moved(self, topic: str, partition: int, offset: int) -> None:
        """Say which record was the last; after those that it stands for, as a mark."""
        self._put_last(f"{MOVED_PREFIX}{topic}|{partition}", offset)

    def left_open(self, topic: str) -> frozenset[int]:
        """Offsets up to the mark whose effects are not in this table, since nobody has answered yet."""
        value = self._before_batch(f"{OPEN_PREFIX}{topic}".encode())
        return frozenset() if value is None else frozenset(msgspec.json.decode(value, type=list[int]))

    def leave_open(self, topic: str, offsets: Collection[int]) -> None:
        """Say which offsets up to the mark have yet to be applied."""
        self.batch[f"{OPEN_PREFIX}{topic}".encode()] = _encode(sorted(offsets)) if offsets else None


class Section(MutableMapping[str, V], Generic[V]):
    """Rows of one kind as a mapping: what a stage is handed."""

    def __init__(self, rows: PartitionRows, prefix: str, entity: type[V]) -> None:
        self._rows = rows
        self._prefix = prefix
        self._decode = msgspec.json.Decoder(entity).decode

    def _key(self, key: str) -> bytes:
        return (self._prefix + key).encode()

    def __getitem__(self, key: str) -> V:
        value = self._rows.get(self._key(key))
        if value is None:
            raise KeyError(key)
        return self._decode(value)

    def get(self, key: str, default: Any = None) -> Any:
        """The value of `key`, or `default`."""
        value = self._rows.get(self._key(key))
        return default if value is None else self._decode(value)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._rows.get(self._key(key)) is not None

    def __setitem__(self, key: str, value: V) -> None:
        self._rows.put(self._key(key), _encode(value))

    def __delitem__(self, key: str) -> None:
        self._rows.put(self._key(key), None)

    def under(self, prefix: str) -> Iterator[tuple[str, V]]:
        """The rows whose keys begin with `prefix`, in order of their keys; write none of them before the last is read.

        As much work as there are such rows, so a stage asks for few of them, or rarely.
        """
        skipped = len(self._key(""))
        return ((key[skipped:].decode(), self._decode(value)) for key, value in self._rows.under(self._key(prefix)))

    def __iter__(self) -> Iterator[str]:
        raise NotImplementedError("a stage looks keys up; lists come from the projections")

    def __len__(self) -> int:
        raise NotImplementedError("a stage looks keys up; counts come from the projections")


class BatchTable(WholeRecovery):
    """A table keyed by text: Faust declares, assigns and recovers it, `write` fills it.

    Values are JSON. Keys are the raw bytes of the source record's key, so that look-ups are routed to the worker
    that owns the row.
    """

    logger = logging.getLogger("faust.tables")

    def _serializer_from_type(self, typ: Any) -> Any:
        return "raw" if typ in (str, bytes) else super()._serializer_from_type(typ)

    def database(self, partition: int) -> Any:
        """The RocksDB database of a partition that this worker owns."""
        return self.data._db_for_partition(partition)

    def rows(self, partition: int, uncommitted: Sequence[Rows] = ()) -> PartitionRows:
        """A fresh view of one partition for one batch, over rows that will be in the table soon."""
        return PartitionRows(self.database(partition), uncommitted)

    async def write(self, producer: Fenced, partition: int, rows: Rows) -> None:
        """Put `rows` on the changelog, wait for the brokers, then into RocksDB in one write with the offset."""
        if not rows:
            return
        topic = self.changelog_topic.get_topic_name()
        before = self.applied(partition)
        last = await producer.send_to(topic, partition, rows.items())
        # Where rows of others stand between (a worker that did not know that it had lost the partition), they are read
        # in the next recovery: this offset says that nothing before it is missing.
        whole = last - len(rows) == before
        self._put(partition, rows.items(), last if whole else before)

"""As what the records of a fetch are handed over: each at once as a Raw, whatever its headers are called.

aiokafka reads names of headers as UTF-8 and nothing else. Other clients write any bytes there and the brokers take
them, so that one such record stopped its partition for every consumer, and with it every worker, for good.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.consumer import fetcher as driver
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.legacy_records import LegacyRecordBatch
from aiokafka.record.memory_records import _MemoryRecordsPy

from app.delivery.raw import Raw

_HEAD: Final = struct.Struct(">qi")
"""Of a batch: the offset of its first record, and how many bytes follow."""
_LAST: Final = struct.Struct(">i")
"""Of a batch: how far its last record is from its first."""
_MAGIC_AT, _LAST_AT, _WITH_HEADERS = 16, 23, 2


class _Readable(bytearray):
    """Bytes whose text is read as Java's consumer does: what is no UTF-8 in it becomes U+FFFD."""

    def __getitem__(self, where: Any) -> Any:
        found = super().__getitem__(where)
        return _Readable(found) if isinstance(where, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "replace") -> str:
        """The text, whatever the bytes are."""
        return super().decode(encoding, "replace")


class _LenientBatch(_DefaultRecordBatchPy):  # type: ignore[misc]
    """A batch as aiokafka reads it in Python; several times slower than what is compiled."""

    _buffer: Any

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer = _Readable(self._buffer)


class _LenientRecords(_MemoryRecordsPy):  # type: ignore[misc]
    """The batches of a fetch, each of them lenient."""

    def next_batch(self) -> Any:
        """The next one; only where `has_next` says that there is one."""
        found: Any = self._next_slice
        self._cache_next()
        magic = found[_MAGIC_AT]
        return _LenientBatch(found) if magic >= _WITH_HEADERS else LegacyRecordBatch(found, magic)


class WholeRecords(driver.MemoryRecords):  # type: ignore[misc]
    """The batches of a fetch, with the bytes that they are read from."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.data = data


class PartitionRecords(driver.PartitionRecords):  # type: ignore[misc]
    """The records of a fetch; from the first one on whose headers aiokafka cannot read, they are read leniently."""

    _records: Any
    _records_iterator: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._records_iterator = self._all(self._records_iterator)

    def _all(self, unpacked: Iterator[Any]) -> Iterator[Any]:
        try:
            yield from unpacked
        except UnicodeDecodeError:
            # What was taken back so far stays known, and each batch before this one has been read to its end.
            data = self._records.data
            self._records = _LenientRecords(data[_batch_of(data, self.next_fetch_offset) :])
            yield from self._unpack_records()


def _batch_of(data: bytes, offset: int) -> int:
    """Where the first batch begins that ends at this offset or after it."""
    start = 0
    while start + _LAST_AT + _LAST.size <= len(data):
        base, size = _HEAD.unpack_from(data, start)
        further = _LAST.unpack_from(data, start + _LAST_AT)[0] if data[start + _MAGIC_AT] >= _WITH_HEADERS else 0
        if base + further >= offset:
            break
        start += _HEAD.size + size
    return start


# Named when an answer comes, so that each consumer of this process unpacks it so.
driver.MemoryRecords, driver.PartitionRecords = WholeRecords, PartitionRecords


class _Maker:
    """Makes the Raws of a partition, and tells each of the offsets before it at which there is nothing to read."""

    __slots__ = ("expected",)

    def __init__(self, expected: int) -> None:
        self.expected = expected

    def make(self, tp: TopicPartition, record: Any) -> Raw:
        """The Raw of what aiokafka has unpacked."""
        offset = record.offset
        expected, self.expected = self.expected, offset + 1
        if expected == offset:
            return Raw(tp.topic, tp.partition, offset, record.timestamp, record.key, record.value, record.headers)
        return Raw(tp.topic, tp.partition, offset, record.timestamp, record.key, record.value, record.headers, expected)


class _Fetched(OrderedDict[TopicPartition, Any]):
    """What aiokafka's fetcher keeps until it is asked for, with a word for each answer on what its records become."""

    def __init__(self, stays: Callable[[str], bool]) -> None:
        super().__init__()
        self._stays = stays
        self._ends: dict[TopicPartition, tuple[int, int]] = {}
        """Up to where the last answer went, and up to where there was anything in it."""

    def __setitem__(self, tp: TopicPartition, found: Any) -> None:
        # Where the broker refused, there is an error in place of records.
        records = getattr(found, "_partition_records", None)
        if records is not None and not self._stays(tp.topic):
            start = records.next_fetch_offset
            end, expected = self._ends.pop(tp, (start, start))
            # The end of a transaction is often the last of an answer, and what follows it the first of the next.
            maker = _Maker(expected if end == start else start)
            records._consumer_record = maker.make
            records._records_iterator = self._followed(tp, records, maker, records._records_iterator)
        super().__setitem__(tp, found)

    def _followed(self, tp: TopicPartition, records: Any, maker: _Maker, unpacked: Iterator[Raw]) -> Iterator[Raw]:
        yield from unpacked
        self._ends[tp] = records.next_fetch_offset, maker.expected


def unpacks_raw(fetcher: Any, stays: Callable[[str], bool]) -> None:
    """Have aiokafka's fetcher make a Raw of each record at once, but of topics that stay as they are.

    It makes a ConsumerRecord, most of which nobody reads: making that first costs more than reading the JSON does.
    """
    fetcher._records = _Fetched(stays)

"""What the records of a fetch become, made of bytes that aiokafka's own producer packed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import aiokafka.record._crc32c as checksum
import pytest
from aiokafka import TopicPartition
from aiokafka.codec import gzip_encode
from aiokafka.consumer import fetcher as driver
from aiokafka.consumer.fetcher import FetchError
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import ConsumerRecord

from app.delivery.raw import Raw
from app.delivery.unpacking import unpacks_raw

TARGET = TopicPartition("ratings", 3)
READ_COMMITTED = 1
ABORT, COMMIT = b"\0\0\0\0", b"\0\0\0\1"


def packed(base: int, *names: bytes, producer: int = -1, control: bytes = b"", gzip: bool = False) -> bytes:
    """A batch from offset `base` on: a record for each name of a header, or the end of a transaction."""
    batch = BatchBuilder(1 << 20, 0, is_transactional=int(producer >= 0))
    for number, name in enumerate(names):
        # Only text can be handed in, so that what is none is put in its place afterwards.
        batch.append(key=b"k", value=b"%d" % (base + number), timestamp=7, headers=[("Z" * len(name), b"x")])
    if control:
        batch.append(key=control, value=b"\0" * 6, timestamp=7, headers=[])
    batch.close()
    data = bytearray(batch._build())
    at = 61
    for name in names:
        at = data.index(b"Z" * len(name), at)
        data[at : at + len(name)] = name
    if gzip:
        data[61:] = gzip_encode(bytes(data[61:]))
        data[8:12] = (len(data) - 12).to_bytes(4, "big")
        data[22] |= 0x01
    return sealed(data, base, producer, bool(control))


def sealed(data: bytearray, base: int, producer: int, control: bool) -> bytes:
    """A batch as the broker keeps it: with its place, its producer, and a sum over it all."""
    data[0:8] = base.to_bytes(8, "big")
    data[22] |= 0x20 if control else 0
    data[43:51] = producer.to_bytes(8, "big", signed=True)
    data[17:21] = checksum.crc(bytes(data[21:])).to_bytes(4, "big")
    return bytes(data)


class Fetches:
    """A fetcher that gets one answer after the other, each from where the one before it ended."""

    def __init__(self, start: int = 0) -> None:
        self.fetcher = SimpleNamespace()
        unpacks_raw(self.fetcher, lambda topic: topic.endswith("changelog"))
        self.position = start

    def bring(self, *batches: bytes, aborted: tuple[tuple[int, int], ...] = (), target: Any = TARGET) -> list[Any]:
        """What comes of an answer."""
        records = driver.PartitionRecords(
            target,
            driver.MemoryRecords(b"".join(batches)),
            list(aborted),
            self.position,
            None,
            None,
            True,
            READ_COMMITTED,
        )
        self.fetcher._records[target] = SimpleNamespace(_partition_records=records)
        found = list(self.fetcher._records.pop(target)._partition_records)
        self.position = records.next_fetch_offset
        return found


class TestRawRecords:
    """aiokafka's own unpacking, of bytes that its own producer packed."""

    def unpacked(self, topic: str) -> list[Any]:
        """What comes of two records, one with everything and one with as little as there can be."""
        batch = BatchBuilder(1 << 20, 0, is_transactional=False)
        batch.append(key=b"k", value=b"v", timestamp=7, headers=[("name", b"x"), ("name", None)])
        batch.append(key=None, value=None, timestamp=8, headers=[])
        batch.close()
        return Fetches().bring(bytes(batch._build()), target=TopicPartition(topic, 3))

    def test_a_record_is_raw_with_all_that_it_carries(self) -> None:
        headers = [("name", b"x"), ("name", None)]
        assert self.unpacked("ratings") == [
            Raw("ratings", 3, 0, 7, b"k", b"v", headers),
            Raw("ratings", 3, 1, 8, None, None, []),
        ]

    def test_what_faust_recovers_from_stays_as_aiokafka_makes_it(self) -> None:
        kept = self.unpacked("seen-changelog")
        assert [(type(record), record.serialized_value_size) for record in kept] == [
            (ConsumerRecord, 1),
            (ConsumerRecord, -1),
        ]

    def test_a_refusal_is_put_away_as_it_is(self) -> None:
        fetcher = SimpleNamespace()
        unpacks_raw(fetcher, lambda topic: False)
        refusal = FetchError(error=ValueError("no"), backoff=0.1)
        fetcher._records[TARGET] = refusal
        assert fetcher._records[TARGET] is refusal


class TestNamesOfHeaders:
    """Other clients write any bytes there, and brokers take them."""

    @pytest.mark.parametrize("gzip", [False, True])
    def test_a_name_that_is_no_text_is_read_with_replacements(self, gzip: bool) -> None:
        fetches = Fetches()
        found = fetches.bring(packed(0, b"fine", b"\xff\xfe", b"fine", gzip=gzip))
        assert [(raw.offset, raw.value) for raw in found] == [(0, b"0"), (1, b"1"), (2, b"2")]
        assert [raw.headers for raw in found] == [[("fine", b"x")], [("\ufffd\ufffd", b"x")], [("fine", b"x")]]
        assert fetches.position == 3

    def test_batches_before_and_behind_it_are_read_once_each(self) -> None:
        fetches = Fetches(start=11)
        found = fetches.bring(packed(10, b"a", b"b"), packed(12, b"\xff", b"c"), packed(20, b"d"), packed(21, b"\xfe"))
        assert [raw.offset for raw in found] == [11, 12, 13, 20, 21]

    def test_what_a_transaction_took_back_stays_taken_back(self) -> None:
        batches = [
            packed(0, b"a", producer=7),
            packed(1, b"\xff"),
            packed(2, b"b", b"\xff", producer=7),
            packed(4, producer=7, control=ABORT),
            packed(5, b"\xff", producer=7),
            packed(6, producer=7, control=COMMIT),
        ]
        assert [raw.offset for raw in Fetches().bring(*batches, aborted=((7, 0),))] == [1, 5]

    def test_others_than_workers_read_it_too(self) -> None:
        found = Fetches().bring(packed(0, b"\xff"), target=TopicPartition("some-changelog", 0))
        assert [(type(record), record.headers) for record in found] == [(ConsumerRecord, (("\ufffd", b"x"),))]


class TestNothingBetween:
    """Where an answer of the broker leaves offsets out, nobody has to look for what stands there."""

    def told(self, found: list[Raw]) -> list[tuple[int, int]]:
        return [(raw.offset, raw.nothing_from) for raw in found]

    def test_the_end_of_a_transaction_is_no_record(self) -> None:
        batches = [packed(0, b"a", producer=7), packed(1, producer=7, control=COMMIT), packed(2, b"b", b"c")]
        assert self.told(Fetches().bring(*batches)) == [(0, -1), (2, 1), (3, -1)]

    def test_it_may_be_the_last_of_an_answer(self) -> None:
        fetches = Fetches()
        end = packed(1, producer=7, control=COMMIT)
        assert self.told(fetches.bring(packed(0, b"a", producer=7), end)) == [(0, -1)]
        assert self.told(fetches.bring(packed(2, producer=8, control=COMMIT))) == []
        assert self.told(fetches.bring(packed(3, b"b"))) == [(3, 1)]

    def test_what_was_passed_over_by_a_seek_may_hold_anything(self) -> None:
        fetches = Fetches()
        fetches.bring(packed(0, b"a"), packed(1, producer=7, control=COMMIT))
        fetches.position = 5
        assert self.told(fetches.bring(packed(5, b"b"), packed(9, b"c"))) == [(5, -1), (9, 6)]

    def test_what_was_left_unread_may_hold_anything(self) -> None:
        fetches = Fetches()
        records = driver.PartitionRecords(
            TARGET, driver.MemoryRecords(packed(0, b"a", b"b")), [], 0, None, None, True, READ_COMMITTED
        )
        fetches.fetcher._records[TARGET] = SimpleNamespace(_partition_records=records)
        next(records)
        fetches.position = 2
        assert self.told(fetches.bring(packed(4, b"c"))) == [(4, 2)]

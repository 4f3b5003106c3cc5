"""Part `micro`: microseconds of each step of the film path, in memory and one at a time."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import rocksdict
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from agents.clean import clean_rating
from app.delivery.fetching import unpacks_raw
from app.delivery.guard import Reader, outgoing
from app.delivery.producer import Outgoing
from app.delivery.raw import Raw
from app.delivery.table import PartitionRows, Section
from schemas.catalogue import decode, encode
from schemas.entities import FilmTally, SeenRating
from schemas.events import RatingCleaned, RatingObserved
from tests.bench import data
from tests.bench.model import new_learner
from tests.bench.options import Options
from tests.bench.report import Report, Table, median, spread

BATCH = 500


class Steps:
    """Each method does one step for every event and returns the microseconds of one."""

    def __init__(self, options: Options, directory: Path) -> None:
        size = 5_000 if options.quick else 20_000
        source = data.source_records(options.ratings, size)
        self._raws = [_raw(n, record) for n, record in enumerate(source)]
        pairs = data.cleaned(options.ratings, size)
        self._cleaned = [record for record, _ in pairs]
        self._training = [_raw(n, record) for n, (_, record) in enumerate(pairs)]
        self._reader = Reader((RatingObserved,), 1, 1_000_000, placed=True)
        self._training_reader = Reader((RatingCleaned,), 1, 2_000_000, placed=False)
        self._messages: list[Any] = [self._reader.read(raw) for raw in self._raws]
        self._rows = [
            (f"{m.data.film_id}|rating|movielens|{m.data.source_record_id}", m.offset) for m in self._messages
        ]
        self.database = rocksdict.Rdict(str(directory), rocksdict.Options(raw_mode=True))
        self._out = [record for _, record in pairs]

    def steps(self) -> dict[str, Callable[[], float]]:
        """By what each step is called."""
        return {
            "fetched bytes to raw records": self.raw,
            "decode a rating (JSON alone)": self.decode,
            "read a rating (checks, envelope, decode)": self.read,
            "read a training record": self.read_training,
            "clean (decision alone, tables as dicts)": self.clean,
            "table: look up a row that is not there": self.miss,
            "table: put a row": self.put,
            "table: a batch of rows into RocksDB": self.write,
            "table: look up a row that is there": self.hit,
            "encode a training record (JSON alone)": self.encode,
            "outgoing event (id, headers, encode)": self.outgoing,
            "producer: append to a batch": self.append,
            "learner: predict and learn": self.observe,
        }

    def raw(self) -> float:
        """As aiokafka's fetcher unpacks what a broker sent, with the headers of an event."""
        fetcher, target = SimpleNamespace(), TopicPartition(self._out[0].topic, 0)
        unpacks_raw(fetcher, lambda topic: False)

        def unpack(packed: bytes) -> None:
            records = PartitionRecords(target, MemoryRecords(packed), [], 0, None, None, True, 0)
            fetcher._records[target] = SimpleNamespace(_partition_records=records)
            for _ in records:
                pass

        return _timed_over(map(_packed, self._batches()), unpack, len(self._out))

    def decode(self) -> float:
        """`schemas.catalogue.decode`."""
        types = (RatingObserved,)
        return _timed_over(self._raws, lambda raw: decode(raw.value, types))

    def read(self) -> float:
        """`Reader.read`."""
        return _timed_over(self._raws, self._reader.read)

    def read_training(self) -> float:
        """`Reader.read` with all headers there."""
        return _timed_over(self._training, self._training_reader.read)

    def clean(self) -> float:
        """`clean_rating`."""
        return asyncio.run(_clean(self._messages))

    def _section(self, rows: PartitionRows) -> Section[SeenRating]:
        return Section(rows, "rating|", SeenRating)

    def miss(self) -> float:
        """`Section.get`."""
        section = self._section(PartitionRows(self.database))
        return _timed_over(self._rows, lambda row: section.get(row[0] + "?"))

    def put(self) -> float:
        """`Section.__setitem__`, and the end of each event."""
        rows = PartitionRows(self.database)
        section = self._section(rows)
        value = _row(0)

        def put(row: tuple[str, int]) -> None:
            section[row[0]] = value
            rows.save()

        return _timed_over(self._rows, put)

    def write(self) -> float:
        """As `BatchTable.write`, without the changelog."""
        rows = PartitionRows(self.database)
        section = self._section(rows)
        for name, offset in self._rows:
            section[name] = _row(offset)
        rows.save()
        pairs = list(rows.batch.items())
        return _timed_over([pairs[n : n + BATCH] for n in range(0, len(pairs), BATCH)], self._write_batch, len(pairs))

    def _write_batch(self, pairs: list[tuple[bytes, bytes]]) -> None:
        batch = rocksdict.WriteBatch(raw_mode=True)
        for key, value in pairs:
            batch.put(key, value)
        self.database.write(batch)

    def hit(self) -> float:
        """`Section.get`."""
        section = self._section(PartitionRows(self.database))
        return _timed_over(self._rows, lambda row: section.get(row[0]))

    def encode(self) -> float:
        """`schemas.catalogue.encode`."""
        return _timed_over(self._cleaned, encode)

    def outgoing(self) -> float:
        """`outgoing`."""
        return _timed_over(
            list(zip(self._cleaned, self._messages, strict=True)), lambda pair: outgoing(pair[0], "clean", pair[1], 0)
        )

    def append(self) -> float:
        """`BatchBuilder.append`, a new batch whenever one is full."""
        return _timed_over(self._batches(), _filled, len(self._out))

    def _batches(self) -> list[list[Outgoing]]:
        return [self._out[n : n + BATCH] for n in range(0, len(self._out), BATCH)]

    def observe(self) -> float:
        """`RatingLearner.observe`."""
        return _timed_over(self._cleaned, new_learner().observe)


def _filled(records: list[Outgoing]) -> BatchBuilder:
    batch = BatchBuilder(1 << 20, 0, is_transactional=False)
    for record in records:
        batch.append(key=record.key, value=record.value, timestamp=None, headers=record.headers)
    batch.close()
    return batch


def _packed(records: list[Outgoing]) -> bytes:
    return bytes(_filled(records)._build())


def _timed_over(items: Iterable[Any], step: Callable[[Any], Any], events: int | None = None) -> float:
    """Microseconds an event of running the step for each item; preparing the items is not counted."""
    todo = list(items)
    gc.collect()
    gc.freeze()
    started = time.process_time()
    for item in todo:
        step(item)
    return (time.process_time() - started) / (events or len(todo)) * 1e6


async def _clean(messages: list[Any]) -> float:
    seen: dict[str, SeenRating] = {}
    tallies: dict[str, FilmTally] = {}
    started = time.process_time()
    for message in messages:
        async for _ in clean_rating(message, seen, tallies, {}):
            pass
    return (time.process_time() - started) / len(messages) * 1e6


async def run(options: Options, report: Report) -> None:
    """Every step, a few times."""
    # In a thread, because one of the steps needs an event loop of its own.
    found = await asyncio.to_thread(_measure, options)
    table = Table(f"Microseconds an event, median of {options.rounds}", ("", "µs"))
    for name, times in found.items():
        table.add(name, spread(times, ".1f"))
    table.notes = [f"processor time; batches of {BATCH}; data: {options.ratings.origin}"]
    report.show(table)
    report.figures["micro"] = {name: median(times) for name, times in found.items()}


def _measure(options: Options) -> dict[str, list[float]]:
    steps = Steps(options, options.scratch / "micro")
    found: dict[str, list[float]] = {}
    with closing(steps.database):
        for _ in range(options.rounds):
            for name, step in steps.steps().items():
                found.setdefault(name, []).append(step())
    return found


def _raw(offset: int, record: Outgoing) -> Raw:
    return Raw(record.topic, 0, offset, data.stamp(offset), record.key, record.value, record.headers)


def _row(offset: int) -> SeenRating:
    return SeenRating(offset=offset, score=7.0, votes=None, ordinal=1)

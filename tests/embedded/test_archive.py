"""Archive and restore on real brokers: same offsets, times, keys, headers and tombstones, whatever is killed."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from app.embedded.archive import ArchiveDivergedError, Archiver, is_filler, restore, verify
from app.embedded.broker import Broker
from app.embedded.ends import group_less_consumer, look
from app.embedded.partition_log import PartitionLog, read_records, segment_files, write_partition_count
from app.embedded.ports import PortBook
from app.embedded.segment import ArchivedRecord, ArchiveError
from app.embedded.servers import start_server
from tests.kafka_server import KafkaServer

pytestmark = pytest.mark.embedded
Position = tuple[int, int]


class Log(Protocol):
    """A broker that tests can make forget."""

    @property
    def bootstrap(self) -> str: ...
    async def forget(self, topics: Iterable[str]) -> None: ...


class TansuLog:
    def __init__(self, broker: Broker) -> None:
        self.broker = broker

    @property
    def bootstrap(self) -> str:
        return self.broker.bootstrap

    async def forget(self, topics: Iterable[str]) -> None:
        await self.broker.child.kill()
        self.broker.child.start()
        await self.broker.child.wait_ready(self.broker.answers, 60)


class KafkaLog:
    def __init__(self, server: KafkaServer) -> None:
        self.bootstrap = server.bootstrap

    async def forget(self, topics: Iterable[str]) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        await admin.delete_topics(list(topics))
        while set(topics) & set(await admin.list_topics()):  # noqa: ASYNC110  another process deletes them
            await asyncio.sleep(0.1)
        await admin.close()


@pytest.fixture(params=["tansu", pytest.param("kafka", marks=pytest.mark.kafka)])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Log]:
    if request.param == "kafka":
        yield KafkaLog(request.getfixturevalue("kafka"))
    else:
        book = PortBook(tmp_path / "ports.json")
        broker = asyncio.run(start_server(Broker, tmp_path / "broker", book, Broker.name))
        yield TansuLog(broker)
        asyncio.run(broker.child.stop())


def name(topic: str) -> str:
    return f"{topic}-{uuid.uuid4().hex[:6]}"


async def create(log: Log, **topics: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=log.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, count, 1) for topic, count in topics.items()])
    await admin.close()


async def produce(log: Log, topic: str, partitions: int, numbers: Iterable[int]) -> None:
    """One record a number, to the partition that the number names; all kinds of keys, values and headers."""
    async with AIOKafkaProducer(bootstrap_servers=log.bootstrap, acks="all", linger_ms=5) as producer:
        sent = []
        for n in numbers:
            value = None if n % 11 == 4 else f"{n}".encode() * (1 + n % 50)
            key = None if n % 7 == 3 and value is not None else b"tt%d" % (n % 13)
            headers = [("ce_id", b"%d" % n), ("ce_id", b"again"), ("", b"")][: n % 4]
            stamp = 1_500_000_000_000 + n
            sent.append(await producer.send(topic, value, key, n % partitions, stamp, headers))
        await asyncio.gather(*sent)


def plain(record: ConsumerRecord | ArchivedRecord) -> tuple[Any, ...]:
    return (record.offset, record.timestamp, record.key, record.value, tuple(record.headers))


async def contents(log: Log, topic: str, partitions: int) -> dict[int, list[tuple[Any, ...]]]:
    """Every record of a topic, as it stands on the broker."""
    consumer = group_less_consumer(log.bootstrap)
    await consumer.start()
    beginning = {TopicPartition(topic, n): 0 for n in range(partitions)}
    ends = {tp: seen.end for tp, seen in (await look(consumer, beginning, 60)).items()}
    found: dict[int, list[tuple[Any, ...]]] = {n: [] for n in range(partitions)}
    for tp in beginning:
        consumer.seek(tp, 0)
    while any([await consumer.position(tp) < end for tp, end in ends.items()]):
        for tp, records in (await consumer.getmany(timeout_ms=200)).items():
            found[tp.partition] += [plain(record) for record in records]
    await consumer.stop()
    return found


def archived(directory: Path, topic: str, partitions: int) -> dict[int, list[tuple[Any, ...]]]:
    return {
        n: [plain(record) for record in chain.from_iterable(read_records(directory, topic, n))]
        for n in range(partitions)
    }


@asynccontextmanager
async def archiving(log: Log, directory: Path, *topics: str) -> AsyncIterator[Archiver]:
    """An archiver that follows the topics and has everything when the block ends."""
    archiver = Archiver(log.bootstrap, directory, topics)
    run = asyncio.create_task(archiver.run())
    await asyncio.wait_for(archiver.following(), 60)
    yield archiver
    await archiver.stop(drain=True)
    await run


async def test_what_is_forgotten_comes_back_the_same(log: Log, tmp_path: Path) -> None:
    topic, other, directory = name("ratings"), name("reviews"), tmp_path / "archive"
    await create(log, **{topic: 3, other: 1})
    await produce(log, topic, 3, range(500))
    async with archiving(log, directory, topic, other) as archiver:
        await produce(log, topic, 3, range(500, 2000))
        await produce(log, other, 1, range(40))
    before = await contents(log, topic, 3), await contents(log, other, 1)
    assert (archived(directory, topic, 3), archived(directory, other, 1)) == before
    assert archiver.status().records == 2040
    assert [part.lag for part in archiver.status().partitions] == [0, 0, 0, 0]

    await log.forget([topic, other])
    calls: list[tuple[int, int]] = []
    report = await restore(log.bootstrap, directory, {topic: 3, other: 1}, lambda *call: calls.append(call))
    assert (report.records, report.fillers) == (2040, 0)
    assert calls[-1] == (2040, 2040)
    assert (await contents(log, topic, 3), await contents(log, other, 1)) == before

    async with archiving(log, directory, topic, other):
        await produce(log, topic, 3, range(2000, 2300))
    assert archived(directory, topic, 3) == await contents(log, topic, 3)
    assert verify(directory).damage == []
    assert verify(directory).records == 2340


async def test_a_gap_is_filled_with_records_that_readers_can_tell(log: Log, tmp_path: Path) -> None:
    topic = name("facts")
    write_partition_count(tmp_path, topic, 1)
    part = PartitionLog(tmp_path, topic, 0)
    kept = [ArchivedRecord(n, 1000 + n, b"k", b"v%d" % n) for n in (3, 4, 9)]
    part.append(kept)
    part.close()
    report = await restore(log.bootstrap, tmp_path, {topic: 1})
    assert (report.records, report.fillers) == (3, 7)
    on_broker = (await contents(log, topic, 1))[0]
    assert [record[0] for record in on_broker] == list(range(10))
    assert [record for record in on_broker if not is_filler(record[4])] == [plain(record) for record in kept]
    async with archiving(log, tmp_path / "another", topic):
        pass
    assert archived(tmp_path / "another", topic, 1)[0] == [plain(record) for record in kept]


async def test_training_comes_back_compacted_and_nothing_ahead_of_the_ratings(log: Log, tmp_path: Path) -> None:
    write_partition_count(tmp_path, "ratings", 2)
    write_partition_count(tmp_path, "training-ratings", 1)
    for partition in range(2):
        part = PartitionLog(tmp_path, "ratings", partition)
        part.append([ArchivedRecord(n, n, b"tt1", b"{}") for n in range(3)])
        part.close()
    said = [(0, 0), (1, 0), (0, 1), (0, 0), (0, 1), (1, 1), (1, 2), (1, 3), (0, 2)]
    part = PartitionLog(tmp_path, "training-ratings", 0)
    part.append([ArchivedRecord(n, n, b"", b'{"partition":%d,"offset":%d}' % said[n]) for n in range(len(said))])
    part.close()
    partitions = {"ratings": 2, "training-ratings": 1}
    report = await restore(log.bootstrap, tmp_path, partitions)
    assert [(done.kept, done.dropped) for done in report.compactions] == [(6, 3)]
    lessons = (await contents(log, "training-ratings", 1))[0]
    assert [record[0] for record in lessons] == list(range(6))
    assert [record[1] for record in lessons] == [0, 1, 2, 5, 6, 8]
    async with archiving(log, tmp_path, "ratings", "training-ratings"):
        pass
    await log.forget(partitions)


async def test_an_archiver_killed_anywhere_leaves_no_gap_and_no_double(log: Log, tmp_path: Path) -> None:
    topic, directory, chance = name("input"), tmp_path / "archive", random.Random(11)
    await create(log, **{topic: 2})
    command = (sys.executable, "-m", "tests.embedded.archiver_process", log.bootstrap, str(directory), topic)
    produced = kept = 0
    for _ in range(5):
        process = await asyncio.create_subprocess_exec(*command, stderr=subprocess.DEVNULL)
        before, rounds_left = kept, chance.randrange(8)
        while kept == before or rounds_left > 0:
            rounds_left -= kept > before
            await produce(log, topic, 2, range(produced, produced + 300))
            produced += 300
            await asyncio.sleep(chance.random() * 0.1)
            halfway = archived(directory, topic, 2)
            assert all(record[0] == n for records in halfway.values() for n, record in enumerate(records))
            kept = sum(map(len, halfway.values()))
        process.kill()
        await process.wait()
    async with archiving(log, directory, topic):
        pass
    assert archived(directory, topic, 2) == await contents(log, topic, 2)
    assert verify(directory).damage == []
    assert len(segment_files(directory, topic, 0)) > 1


async def test_an_archive_of_another_log_is_not_continued(log: Log, tmp_path: Path) -> None:
    topic = name("ratings")
    await create(log, **{topic: 1})
    await produce(log, topic, 1, range(20))
    async with archiving(log, tmp_path, topic):
        pass
    before = archived(tmp_path, topic, 1)
    await log.forget([topic])
    await create(log, **{topic: 1})
    with pytest.raises(ArchiveDivergedError, match="restore the archive first"):
        await Archiver(log.bootstrap, tmp_path, [topic]).run()
    refused = Archiver(log.bootstrap, tmp_path, [topic])
    run = asyncio.create_task(refused.run())
    with pytest.raises(ArchiveError, match="ended before it could follow"):
        await refused.following()
    await asyncio.gather(run, return_exceptions=True)
    await produce(log, topic, 1, range(1000, 1030))
    with pytest.raises(ArchiveDivergedError, match="is not the record that was archived"):
        await Archiver(log.bootstrap, tmp_path, [topic]).run()
    assert archived(tmp_path, topic, 1) == before


async def test_a_topic_with_records_or_other_partitions_is_not_restored_over(log: Log, tmp_path: Path) -> None:
    topic, wide = name("ratings"), name("reviews")
    for each in (topic, wide):
        write_partition_count(tmp_path, each, 1)
        part = PartitionLog(tmp_path, each, 0)
        part.append([ArchivedRecord(0, 0, b"k", b"v")])
        part.close()
    await create(log, **{topic: 1})
    await produce(log, topic, 1, [1])
    with pytest.raises(ArchiveError, match="has 1 records already"):
        await restore(log.bootstrap, tmp_path, {topic: 1})
    with pytest.raises(ArchiveError, match="is archived with 1 partitions"):
        await restore(log.bootstrap, tmp_path, {wide: 4})


async def test_stopping_without_draining_ends_soon_and_the_next_goes_on(log: Log, tmp_path: Path) -> None:
    topic = name("ratings")
    await create(log, **{topic: 1})
    archiver = Archiver(log.bootstrap, tmp_path, [topic])
    run = asyncio.create_task(archiver.run())
    await archiver.following()
    await archiver.stop(drain=False)
    await run
    await produce(log, topic, 1, range(10))
    async with archiving(log, tmp_path, topic):
        pass
    assert len(archived(tmp_path, topic, 1)[0]) == 10


async def test_a_drain_that_cannot_be_finished_says_so(log: Log, tmp_path: Path) -> None:
    topic = name("ratings")
    await create(log, **{topic: 1})
    archiver = Archiver(log.bootstrap, tmp_path, [topic])
    run = asyncio.create_task(archiver.run())
    await archiver.following()
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    await produce(log, topic, 1, range(10))
    with pytest.raises(ArchiveError, match="before all of it was archived"):
        await archiver.stop(drain=True)

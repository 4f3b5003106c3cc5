"""Where a partition truly ends, read from fetch responses: ListOffsets is wrong on the embedded broker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import OffsetOutOfRangeError

from app.embedded.fillers import is_filler
from app.embedded.partition_log import PartitionLog
from app.embedded.segment import ArchiveError

_FETCH_MS: Final = 100
_POLL_SECONDS: Final = 0.1


class ArchiveDivergedError(ArchiveError):
    """The broker's log is not the one that was archived (not restored, or made anew): nothing is archived."""


class Look(NamedTuple):
    """What a fetch at some offset showed: the partition's first offset, its end, and the record there, if any."""

    start: int
    end: int
    record: ConsumerRecord | None


def group_less_consumer(bootstrap: str | list[str]) -> AIOKafkaConsumer:
    """A consumer that belongs to no group and commits nothing, for reading whole partitions fast."""
    return AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        fetch_max_wait_ms=_FETCH_MS,
        fetch_max_bytes=50 << 20,
        max_partition_fetch_bytes=8 << 20,
    )


async def look(
    consumer: AIOKafkaConsumer, at: Mapping[TopicPartition, int], timeout: float
) -> dict[TopicPartition, Look]:
    """Fetch each partition at an offset and tell what is there; assigns the partitions to the consumer.

    Raises TimeoutError where the broker does not answer in time.
    """
    consumer.assign(list(at))
    starts = dict.fromkeys(at, 0)
    for tp, offset in at.items():
        consumer.seek(tp, offset)
    first: dict[TopicPartition, ConsumerRecord] = {}
    give_up = time.monotonic() + timeout
    while any(consumer.highwater(tp) is None for tp in at):
        if time.monotonic() > give_up:
            raise TimeoutError(f"no answer from the broker about {sorted(at)} within {timeout:g} s")
        try:
            for tp, records in (await consumer.getmany(timeout_ms=_FETCH_MS)).items():
                first.setdefault(tp, records[0])
        except OffsetOutOfRangeError as error:
            # Cut by retention, or the log is shorter than thought: look at what there is.
            found = await consumer.beginning_offsets(list(error.args[0]))
            for tp, start in found.items():
                starts[tp] = start
                consumer.seek(tp, start)
    return {tp: Look(starts[tp], consumer.highwater(tp), first.get(tp)) for tp in at}


async def partitions_of(bootstrap: str, topics: Iterable[str], timeout: float) -> dict[str, int]:
    """How many partitions each topic has, once all of them exist. Raises ArchiveError.

    Asks about all topics at once: the embedded broker makes a topic, with four partitions, when asked for it by name.
    """
    wanted = set(topics)
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        give_up = time.monotonic() + timeout
        while True:
            listed = await admin.describe_topics()
            found = {topic["topic"]: len(topic["partitions"]) for topic in listed if topic["partitions"]}
            if wanted <= found.keys():
                return {topic: found[topic] for topic in wanted}
            if time.monotonic() > give_up:
                missing = ", ".join(sorted(wanted - found.keys()))
                raise ArchiveError(f"no such topics on {bootstrap}: {missing}")
            await asyncio.sleep(_POLL_SECONDS)
    finally:
        await admin.close()


def check_continues(part: PartitionLog, found: Look) -> None:
    """Raises ArchiveDivergedError where the broker's log is shorter than the archive or says something else."""
    name = f"{part.topic}/{part.partition}"
    if found.end < part.end:
        raise ArchiveDivergedError(
            f"{name}: the broker has {found.end} records, the archive {part.end}: restore the archive first"
        )
    record, last = found.record, part.last
    if record is None or last is None or record.offset != last.offset or is_filler(last.headers):
        return
    if (record.key, record.value, record.timestamp) != (last.key, last.value, last.timestamp):
        raise ArchiveDivergedError(
            f"{name}: offset {last.offset} on the broker is not the record that was archived: "
            "this is another log, give it another archive directory"
        )

"""Where a worker under test finds its servers, and what it leaves on them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from app.delivery.fetching import RawConsumer
from app.delivery.raw import Raw
from app.delivery.transport import true_ends
from app.settings import Mongo
from app.storage.documents import PROJECTIONS
from app.storage.mongo import MongoStore
from schemas.base import Layout
from schemas.catalogue import topics

Place = tuple[str, int]
"""A topic's partition."""


@dataclass(frozen=True)
class Servers:
    """One broker, one database, and a folder for everything else; MLflow where a test brings one."""

    bootstrap: str
    mongo: str
    directory: Path
    embedded: bool
    mlflow: str = ""

    def log(self) -> BrokerLog:
        """What lies on the broker."""
        return BrokerLog(self.bootstrap)

    async def documents(self) -> dict[str, list[dict[str, Any]]]:
        """Every document that can be made again from the events, by collection."""
        store = MongoStore(Mongo(url=self.mongo))
        try:
            return {name: by_id(await store.documents[name].find({})) for name in PROJECTIONS}
        finally:
            store.close()


def by_id(documents: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Documents in one order."""
    return sorted(documents, key=lambda document: str(document["_id"]))


class BrokerLog:
    """Reads whole topics with a consumer of no group."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap

    async def ends(self, counts: Mapping[str, int]) -> dict[Place, int]:
        """The end offset of each partition of these topics, as a fetch says it."""
        targets = [TopicPartition(topic, p) for topic, count in counts.items() for p in range(count)]
        consumer = AIOKafkaConsumer(bootstrap_servers=self._bootstrap)
        await consumer.start()
        try:
            listed = await consumer.end_offsets(targets)
        finally:
            await consumer.stop()
        fetched = await true_ends([self._bootstrap], {tp: end for tp, end in listed.items() if end})
        return {(tp.topic, tp.partition): max(end, fetched.get(tp, 0)) for tp, end in listed.items()}

    async def read(self, topic: str, partitions: int) -> list[Raw]:
        """Everything on a topic, partition by partition, each in its order."""
        found: dict[int, list[Raw]] = defaultdict(list)
        ends = {p: end for (_, p), end in (await self.ends({topic: partitions})).items() if end}
        if not ends:
            return []
        consumer = RawConsumer(bootstrap_servers=self._bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        try:
            consumer.assign([TopicPartition(topic, p) for p in ends])
            async with asyncio.timeout(120):
                for p, end in ends.items():
                    target = TopicPartition(topic, p)
                    while await consumer.position(target) < end:
                        records = (await consumer.getmany(target, timeout_ms=500)).get(target, ())
                        found[p] += records
        finally:
            await consumer.stop()
        return [raw for p in sorted(found) for raw in found[p]]

    async def latest(self, topic: str, partitions: int) -> dict[int, dict[bytes, bytes]]:
        """What a table holds that is recovered from this changelog."""
        rows: dict[int, dict[bytes, bytes]] = {p: {} for p in range(partitions)}
        for raw in await self.read(topic, partitions):
            assert raw.key is not None
            if raw.value is None:
                rows[raw.partition].pop(raw.key, None)
            else:
                rows[raw.partition][raw.key] = raw.value
        return rows


def cut(partitions: int) -> dict[str, int]:
    """How many partitions each topic has."""
    return {
        topic: 1 if any(record.layout is Layout.SINGLE for record in records) else partitions
        for topic, records in topics().items()
    }


async def emptied(bootstrap: str) -> None:
    """Take Marquee's topics away, and the changelogs of these tests."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        ours = {name for name in await admin.list_topics() if name in topics() or name.startswith("crash-")}
        if ours:
            await admin.delete_topics(list(ours))
        # A topic can only be made again once the old one is gone from the metadata.
        while ours & set(await admin.list_topics()):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    finally:
        await admin.close()

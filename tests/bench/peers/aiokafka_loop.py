"""The same model in a plain aiokafka loop, training-ratings -> rating-predictions; arguments: broker, group.

At least once as such loops are written: send, flush, then commit, each second. It keeps nothing else.
"""

from __future__ import annotations

import asyncio
import sys
import time

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from schemas.catalogue import encode
from schemas.events import RatingCleaned, RatingPredicted
from tests.bench.model import new_learner


async def run(bootstrap: str, group: str) -> None:
    """Run until killed."""
    decode = msgspec.json.Decoder(RatingCleaned).decode
    learner = new_learner()
    consumer = AIOKafkaConsumer(
        RatingCleaned.topic,
        bootstrap_servers=bootstrap,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=5)
    await consumer.start()
    await producer.start()
    committed = time.monotonic()
    while True:
        for records in (await consumer.getmany(timeout_ms=200, max_records=500)).values():
            for record in records:
                said = learner.observe(decode(record.value))
                if said is not None:
                    await producer.send(RatingPredicted.topic, encode(said), record.key)
        if time.monotonic() - committed >= 1.0:
            await producer.flush()
            await consumer.commit()
            committed = time.monotonic()


if __name__ == "__main__":
    asyncio.run(run(*sys.argv[1:3]))

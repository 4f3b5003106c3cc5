"""What a transaction took back was never said: nobody reads it, neither as it comes nor where a gap is closed."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from app.delivery.contiguity import KafkaLogReader
from tests.kafka.lab import Lab, Place, running, wait_for
from tests.kafka_server import KafkaServer

pytestmark = [pytest.mark.kafka]


async def test_records_of_a_transaction_that_was_taken_back_are_not_applied(kafka: KafkaServer, tmp_path: Path) -> None:
    lab = Lab(kafka.bootstrap, tmp_path, "transactions", 1)
    await lab.prepare(0)
    worker = lab.worker(pause=0.0)
    worker.start()
    said: set[Place] = set()
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id="transactions")
    await producer.start()
    try:
        async with running(worker):
            for taken_back in (False, True, True, False):
                await producer.begin_transaction()
                for _ in range(5):
                    sent = await producer.send_and_wait(lab.source, b'{"name":"name-0"}', b"name-0", partition=0)
                    said |= set() if taken_back else {Place(0, sent.offset)}
                await (producer.abort_transaction() if taken_back else producer.commit_transaction())
            await wait_for(lambda: worker.kept.keys() >= said, lambda: f"{worker.kept} kept", worker)
            assert worker.kept == dict.fromkeys(said, 1)
            await worker.stop()
    finally:
        await producer.stop()
    found = await KafkaLogReader([kafka.bootstrap]).read(lab.source, 0, 0, max(said).offset + 1)
    assert {Place(raw.partition, raw.offset) for raw in found} == said

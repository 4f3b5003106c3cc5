"""The second line: what delivery skipped is found missing by the tables' marks, read again and applied in order."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.embedded.broker import Broker
from tests.kafka.lab import Lab, Place, running, wait_for
from tests.kafka_server import KafkaServer

APPLIED, COMMITTED, WAITING = 500, 700, 1_000


@pytest.fixture(
    params=[pytest.param("kafka", marks=pytest.mark.kafka), pytest.param("tansu", marks=pytest.mark.embedded)]
)
def bootstrap(request: pytest.FixtureRequest) -> str:
    """Each broker in turn."""
    server: KafkaServer | Broker = request.getfixturevalue(request.param)
    return server.bootstrap


async def test_a_gap_between_the_mark_and_the_committed_offset_is_closed_in_order(
    bootstrap: str, tmp_path: Path
) -> None:
    lab = Lab(bootstrap, tmp_path, "gap", 1)
    await lab.prepare(100)
    await lab.tick(WAITING)
    await lab.commit(COMMITTED)
    await lab.mark(APPLIED - 1)
    worker = lab.worker(pause=0.0)
    worker.start()
    due = {Place(0, offset) for offset in range(APPLIED, WAITING)}
    async with running(worker):
        await wait_for(lambda: worker.applied >= WAITING, lambda: f"{worker.applied} applied", worker)
        await wait_for(lambda: worker.kept.keys() >= due, lambda: f"{len(worker.kept)} kept", worker)
        assert worker.status["gaps"] == 2 * (COMMITTED - APPLIED), "each of the two stages closes its own"
        await worker.stop()
    assert worker.kept == dict.fromkeys(due, 1)
    emitted = [json.loads(record.value)["offset"] for record in await lab.records(lab.sink)]
    assert sorted(emitted) == list(range(APPLIED, WAITING))
    counts, marks = await lab.stored()
    assert sum(counts.values()) == WAITING - APPLIED
    assert marks == {0: WAITING - 1}
    tocks = await lab.tocks()
    per_name: dict[str, list[int]] = {}
    for place in sorted(tocks):
        ((name, count),) = tocks[place]
        per_name.setdefault(name, []).append(count)
    assert all(counted == list(range(1, len(counted) + 1)) for counted in per_name.values())

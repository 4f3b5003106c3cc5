"""Two workers forget a person: each has part of what is known, and nothing is proved before both have let go of it."""

from __future__ import annotations

import asyncio
import signal
from typing import Any, Final

import aiohttp
import pytest

from tests.crash.crowd import Feeder
from tests.crash.gallery import PEOPLE, gallery
from tests.crash.judge import drained
from tests.crash.servers import Servers
from tests.crash.straight_pictures import files_below, files_named
from tests.crash.worker import WorkerProcess, until

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(600)]

PARTITIONS: Final = 4
FINDS: Final = 60


async def test_a_person_is_proved_erased_only_when_both_workers_have_erased_them(on_kafka: Servers) -> None:
    shown = gallery(0)
    async with shown.served(), Feeder(on_kafka) as feeder:
        workers = [_worker(on_kafka, name, shown.authority) for name in ("worker-1", "worker-2")]
        for worker in workers:
            worker.start()
        await until(lambda: _share(workers), "both have tables of people", *workers)
        await feeder.send(shown.finds()[:FINDS])
        await drained(on_kafka, *workers)
        # Both hold some of the table of people, so that either has to be asked.
        for person in list(PEOPLE)[:2]:
            await _forget_while_one_stands_still(workers, person)
        await drained(on_kafka, *workers)
        documents = await on_kafka.documents()
        assert {image["celebrity_id"] for image in documents["images"]} == set(list(PEOPLE)[2:])
        named = files_named(documents["images"])
        files = {path.partition(".")[0] for path in files_below(on_kafka.directory / "images")}
        assert {path for path in files if not path.startswith("incoming")} == named
        for worker in workers:
            assert await worker.stop() == 0


async def _forget_while_one_stands_still(workers: list[WorkerProcess], person: str) -> None:
    first, second = workers
    second.signal(signal.SIGSTOP)
    try:
        async with aiohttp.ClientSession() as http, http.delete(f"{first.url}/celebrities/{person}") as answer:
            assert answer.status == 202, await answer.text()
        for _ in range(3):
            proof = await _proof(first, person)
            assert proof is not None
            assert not proof["erased"]
            assert f"tables: the worker at {second.url} does not say" in {each["where"] for each in proof["left"]}
            await asyncio.sleep(0.5)
    finally:
        second.signal(signal.SIGCONT)
    for worker in workers:
        await until(lambda worker=worker: _erased(worker, person), f"{person} is erased", *workers)  # type: ignore[misc]
        proof = await _proof(worker, person)
        assert proof is not None
        assert {each["left"] for each in proof["left"]} == {0}
        assert {"table: claims", "table: faces", "tables: partitions to be compacted"} <= {
            each["where"] for each in proof["left"]
        }


async def _proof(worker: WorkerProcess, person: str) -> Any:
    return (await worker.get(f"/celebrities/{person}/erasure"))[1]


async def _erased(worker: WorkerProcess, person: str) -> bool:
    proof = await _proof(worker, person)
    return bool(proof and proof["erased"])


async def _share(workers: list[WorkerProcess]) -> bool:
    held = []
    for worker in workers:
        status, said, _ = await worker.get("/statusz")
        held.append(said["assignment"].get("celebrity-submissions", []) if status == 200 else [])
    return all(held) and sorted(held[0] + held[1]) == list(range(PARTITIONS))


def _worker(servers: Servers, name: str, authority: str) -> WorkerProcess:
    return WorkerProcess(
        servers,
        "crash-forgets",
        name,
        PARTITIONS,
        program="tests.crash.blocks_for_faces",
        storage__snapshots=servers.directory / "snapshots",
        storage__images=servers.directory / "images",
        fetch__allow=authority,
        pictures__processes=1,
        pictures__nsfw="false",
        broker__session_timeout=60,
    )

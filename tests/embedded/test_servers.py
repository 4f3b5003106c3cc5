"""The embedded servers as one: addresses, one owner a directory, restarts, and nothing left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from motor.motor_asyncio import AsyncIOMotorClient

from app.embedded.addresses import FILE_NAME, Addresses, running
from app.embedded.leftovers import identity
from app.embedded.process import EmbeddedError
from app.embedded.servers import EmbeddedServers

pytestmark = [pytest.mark.embedded, pytest.mark.slow]
WAIT = 120.0


async def until(happens: Any) -> None:
    give_up = time.monotonic() + WAIT
    while not await happens():
        assert time.monotonic() < give_up, "it did not happen in time"
        await asyncio.sleep(0.05)


async def test_everything_answers_and_a_restart_has_the_same_addresses_and_documents(tmp_path: Path) -> None:
    async with EmbeddedServers(tmp_path) as servers:
        first = msgspec.json.decode((tmp_path / FILE_NAME).read_bytes(), type=Addresses)
        own = (servers.broker_url, servers.mongo_url, servers.mlflow_url)
        assert first == Addresses(*own, None, os.getpid(), embedded=True)
        servers.publish(web="http://127.0.0.1:6066")
        assert running(tmp_path) == msgspec.structs.replace(first, web="http://127.0.0.1:6066")
        await servers.mlflow_ready(WAIT)
        client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(servers.mongo_url)
        await client.get_default_database().films.insert_one({"_id": "tt1"})
        pids = [server.child.pid for server in (servers.broker, servers.mongo, servers.mlflow)]
    assert running(tmp_path) is None
    assert not (tmp_path / FILE_NAME).exists()
    assert [identity(pid) for pid in pids if pid is not None] == [None] * 3
    async with EmbeddedServers(tmp_path) as servers:
        assert (servers.broker_url, servers.mongo_url, servers.mlflow_url) == (first.broker, first.mongo, first.mlflow)
        assert await client.get_default_database().films.find_one() == {"_id": "tt1"}
    client.close()


async def test_a_second_marquee_on_the_directory_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    async with EmbeddedServers(tmp_path) as servers:
        with pytest.raises(EmbeddedError, match="another Marquee"):
            await EmbeddedServers(tmp_path).__aenter__()
        assert running(tmp_path) is not None
        assert await servers.broker.answers()


async def test_a_killed_database_comes_back_by_itself(tmp_path: Path) -> None:
    async with EmbeddedServers(tmp_path) as servers:
        killed = servers.mongo.child.pid
        assert killed is not None
        os.kill(killed, signal.SIGKILL)

        async def back() -> bool:
            return servers.mongo.child.pid not in (None, killed) and await servers.mongo.answers()

        await until(back)


async def test_a_killed_broker_is_reported_and_not_replaced_by_an_empty_one(tmp_path: Path) -> None:
    async with EmbeddedServers(tmp_path) as servers:
        watch = asyncio.create_task(servers.watch())
        assert servers.broker.child.pid is not None
        os.kill(servers.broker.child.pid, signal.SIGKILL)
        with pytest.raises(EmbeddedError, match="broker ended"):
            await asyncio.wait_for(watch, WAIT)
        assert not servers.broker.child.running


async def test_a_killed_marquee_leaves_nothing_that_stops_the_next(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys; from pathlib import Path; from app.embedded.servers import EmbeddedServers\n"
        "async def main():\n"
        "    async with EmbeddedServers(Path(sys.argv[1])):\n"
        "        print('up', flush=True); await asyncio.sleep(600)\n"
        "asyncio.run(main())"
    )
    command = (sys.executable, "-c", script, str(tmp_path))
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"up\n"
    before = running(tmp_path)
    assert before is not None
    assert before.pid == process.pid
    process.kill()
    await process.wait()
    assert (tmp_path / FILE_NAME).exists()
    assert running(tmp_path) is None
    async with EmbeddedServers(tmp_path) as servers:
        assert await servers.broker.answers()
        assert await servers.mongo.answers()


async def test_a_broker_that_cannot_start_takes_the_others_down_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALF_TANSU_BIN", "/bin/false")
    with pytest.raises(EmbeddedError, match="broker ended at once"):
        await EmbeddedServers(tmp_path).__aenter__()
    assert running(tmp_path) is None
    assert list((tmp_path / "run").glob("*.pid")) == []
    monkeypatch.delenv("CALF_TANSU_BIN")
    async with EmbeddedServers(tmp_path) as servers:
        assert await servers.broker.answers()

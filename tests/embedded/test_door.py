"""The embedded broker's public port: shut while events are put back and before the archive is closed."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from app.delivery import shortcut
from app.embedded.door import Door
from app.embedded.ports import LOOPBACK, free_port
from app.embedded.servers import EmbeddedServers
from tests.embedded.test_up import Up

MUCH = 8 << 20


@asynccontextmanager
async def echoing() -> AsyncIterator[int]:
    """The port of a server that sends back what it reads."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while part := await reader.read(1 << 16):
                writer.write(part)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, LOOPBACK, 0)
    async with server:
        yield int(server.sockets[0].getsockname()[1])


async def test_a_shut_door_refuses_and_an_open_one_hands_on_in_both_directions() -> None:
    async with echoing() as inside:
        door = Door(free_port())
        door.lead_to(f"{LOOPBACK}:{inside}")
        try:
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(LOOPBACK, door.port)
            await door.open()
            reader, writer = await asyncio.open_connection(LOOPBACK, door.port)
            # More than any buffer on the way takes at once.
            writer.write(b"x" * MUCH)
            assert await asyncio.wait_for(reader.readexactly(MUCH), 60.0) == b"x" * MUCH
            await door.close()
            # Reset or ended, as the system has it.
            with suppress(OSError):
                assert await asyncio.wait_for(reader.read(), 60.0) == b""
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(LOOPBACK, door.port)
        finally:
            await door.close()
            door.leave()


async def test_a_visitor_is_sent_away_where_nobody_is_inside() -> None:
    door = Door(free_port())
    door.lead_to(f"{LOOPBACK}:{free_port()}")
    try:
        await door.open()
        reader, _ = await asyncio.open_connection(LOOPBACK, door.port)
        with suppress(OSError):
            assert await asyncio.wait_for(reader.read(), 60.0) == b""
    finally:
        await door.close()
        door.leave()


@pytest.mark.embedded
async def test_behind_a_shut_door_the_broker_serves_those_who_are_led_past_it(tmp_path: Path) -> None:
    async with EmbeddedServers(tmp_path, shut=True) as servers:
        assert await _sent(servers.broker.bootstrap) == 0
        shortcut.forget(servers.broker.bootstrap)
        with pytest.raises(KafkaError):
            await _sent(servers.broker.bootstrap)
        await servers.open()
        assert await _sent(servers.broker.bootstrap) == 1


async def _sent(bootstrap: str) -> int:
    """The offset of a record that is sent now."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        return int((await producer.send_and_wait("words", b"x", partition=0)).offset)
    finally:
        await producer.stop()


class Client:
    """Somebody who sends ratings without a pause, again where one was refused, and notes what was acknowledged."""

    def __init__(self, bootstrap: str) -> None:
        self.acknowledged: list[str] = []
        self._bootstrap = bootstrap
        self._enough = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._send()))

    def __enter__(self) -> Client:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join()

    def goes_on(self, up: Up) -> None:
        """Wait until some hundred more are acknowledged."""
        enough = len(self.acknowledged) + 200
        up.until(lambda: len(self.acknowledged) > enough)

    async def _send(self) -> None:
        n = 0
        while not self._enough.is_set():
            producer = AIOKafkaProducer(bootstrap_servers=self._bootstrap, acks="all", request_timeout_ms=5_000)
            try:
                await producer.start()
                while not self._enough.is_set():
                    n += 1
                    rating = {"film_id": f"tt000000{n % 6 + 1}", "source": "client", "source_record_id": str(n)}
                    value = json.dumps(rating | {"value": n % 10 + 1, "best": 10, "worst": 1}).encode()
                    await asyncio.wait_for(producer.send_and_wait("ratings", value, rating["film_id"].encode()), 5.0)
                    self.acknowledged.append(str(n))
            except (KafkaError, OSError, TimeoutError):
                await asyncio.sleep(0.05)
            finally:
                with suppress(KafkaError, OSError):
                    await producer.stop()


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    """A Marquee that is not started yet."""
    found = Up(tmp_path)
    yield found
    found.kill_what_is_left()


@pytest.mark.embedded
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_a_client_was_told_is_taken_stays_though_it_goes_on_through_stops_and_starts(up: Up) -> None:
    up.start()
    broker = json.loads((up.data / "marquee.json").read_text())["broker"].removeprefix("kafka://")
    with Client(broker) as client:
        for _ in range(2):
            client.goes_on(up)
            assert up.stop(signal.SIGTERM) == 0
            up.start()
        client.goes_on(up)
    there = asyncio.run(_record_ids(broker))
    assert set(client.acknowledged) <= there
    up.until(lambda: up.predicted() == len(there))
    assert up("dlq", "list") == []
    assert up.stop(signal.SIGTERM) == 0


async def _record_ids(bootstrap: str) -> set[str]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition("ratings", n) for n in range(4)])
        found: set[str] = set()
        while records := await consumer.getmany(timeout_ms=3_000):
            found |= {json.loads(each.value)["source_record_id"] for part in records.values() for each in part}
        return found
    finally:
        await consumer.stop()

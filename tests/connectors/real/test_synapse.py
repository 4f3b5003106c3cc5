"""The `messenger` connector against a real Matrix homeserver: Synapse, in a virtual environment of its own."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import pytest

from app.connectors.answers import Answer
from app.connectors.base import FilmTarget, Request
from app.connectors.errors import RetryableError
from app.connectors.fetch import Fetcher
from app.connectors.messenger_payloads import matrix_fault
from app.connectors.registry import config_of, make
from app.connectors.runner import CursorStore, Report, State, run_connector
from app.embedded.ports import LOOPBACK, free_port
from tests.connectors.suite import NAME, Broker, KilledError

pytestmark = [pytest.mark.connectors, pytest.mark.slow]

PYTHON: Final = "MARQUEE_SYNAPSE_PYTHON"
"""Names the Python of an environment with Synapse (pip install matrix-synapse), which cannot share ours."""
REQUIRE: Final = "MARQUEE_REQUIRE_CONNECTORS"
PATIENCE: Final = 90.0
FILMS: Final = (
    FilmTarget(film_id="tt1375666", title="Inception", year=2010),
    FilmTarget(film_id="tt0133093", title="The Matrix", year=1999),
)


def configuration(folder: Path, port: int) -> dict[str, Any]:
    """The least that Synapse needs; JSON is YAML too."""
    freely = {"per_second": 1000, "burst_count": 1000}
    return {
        "server_name": "local.test",
        "listeners": [
            {"port": port, "bind_addresses": [LOOPBACK], "type": "http", "tls": False,
             "resources": [{"names": ["client"]}]},
        ],
        "database": {"name": "sqlite3", "args": {"database": str(folder / "homeserver.db")}},
        "media_store_path": str(folder / "media"),
        "signing_key_path": str(folder / "signing.key"),
        "pid_file": str(folder / "pid"),
        "report_stats": False,
        "trusted_key_servers": [],
        "enable_registration": True,
        "enable_registration_without_verification": True,
        "rc_registration": freely,
        "rc_message": {"per_second": 5, "burst_count": 40},
    }  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its address."""
    python = os.environ.get(PYTHON, "")
    if not python or not Path(python).exists():
        told = f"set {PYTHON} to the Python of an environment with matrix-synapse"
        if os.environ.get(REQUIRE) == "1":
            pytest.fail(f"{REQUIRE}=1, but there is no Synapse: {told}")
        pytest.skip(f"NO SYNAPSE: {told}")
    folder, port = tmp_path_factory.mktemp("synapse"), free_port()
    config = folder / "homeserver.yaml"
    config.write_text(json.dumps(configuration(folder, port)))
    command = [python, "-m", "synapse.app.homeserver", "--config-path", str(config)]
    subprocess.run([*command, "--generate-keys"], cwd=folder, check=True, timeout=PATIENCE, capture_output=True)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        url = f"http://{LOOPBACK}:{port}"
        try:
            asyncio.run(_until_up(url, process))
        except TimeoutError:
            pytest.fail(f"Synapse did not start: {(folder / 'log').read_text()[-3000:]}")
        yield url
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def _until_up(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE
    async with aiohttp.ClientSession() as http:
        while True:
            try:
                async with http.get(f"{url}/_matrix/client/versions") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            if process.poll() is not None or time.monotonic() > end:
                raise TimeoutError
            await asyncio.sleep(0.2)


class Person:
    """An account, and what it does."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http, self._url = http, f"{url}/_matrix/client/v3"
        self.token = ""
        self._sent = 0

    async def ask(self, method: str, place: str, body: Any = None, good: bool = True) -> tuple[int, bytes]:
        """Status and body of an answer."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        async with self._http.request(method, f"{self._url}/{place}", json=body, headers=headers) as response:
            data = await response.read()
        assert response.status == 200 or not good, data
        return response.status, data

    async def register(self, name: str) -> None:
        """Make the account."""
        body = {"username": name, "password": "pass-word-1", "auth": {"type": "m.login.dummy"}}
        self.token = json.loads((await self.ask("POST", "register", body))[1])["access_token"]

    async def room(self, alias: str) -> str:
        """Make a public room."""
        body = {"room_alias_name": alias, "preset": "public_chat"}
        return str(json.loads((await self.ask("POST", "createRoom", body))[1])["room_id"])

    async def say(self, room: str, body: str, kind: str = "m.room.message", good: bool = True, **more: Any) -> Any:
        """Send an event; its id, or the status and body of a refusal."""
        self._sent += 1
        place = f"rooms/{quote(room)}/send/{kind}/{self._sent}"
        status, data = await self.ask("PUT", place, {"msgtype": "m.text", "body": body, **more}, good)
        return json.loads(data)["event_id"] if status == 200 else (status, data)


async def run(url: str, token: str, folder: Path, broker: Broker, *rooms: str, page_size: int = 3) -> Report:
    """One run of the connector."""
    table = {"kind": "messenger", "profile": "matrix", "base_url": url, "rate": "1000/s", "rooms": rooms}
    config = config_of(NAME, {**table, "page_size": page_size})
    async with Fetcher((url.removeprefix("http://"),), 20.0) as fetcher:
        connector = make(config, fetcher, {"MARQUEE_MATRIX_TOKEN": token})
        assert "@films" in await connector.check()
        return await run_connector(NAME, connector, broker, CursorStore(folder), request=Request(NAME, FILMS))


async def test_a_room_is_read_to_its_end_and_on_from_there(server: str, tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as http:
        anna, films = Person(http, server), Person(http, server)
        await anna.register("anna")
        await films.register("films")
        room = await anna.room("cinema")
        first = await anna.say(room, "Inception tt1375666 — 9/10")
        for n in range(6):
            await anna.say(room, f"small talk {n}")
        await anna.say(room, "The Matrix: 4/5")
        gone = await anna.say(room, "Inception 1/10")
        new = {"msgtype": "m.text", "body": "Inception 7/10"}
        edit = {"rel_type": "m.replace", "event_id": first}
        await anna.say(room, "* Inception 7/10", **{"m.new_content": new, "m.relates_to": edit})
        await anna.say(room, "", "m.room.encrypted", algorithm="m.megolm.v1.aes-sha2", ciphertext="x")
        await anna.ask("PUT", f"rooms/{quote(room)}/redact/{quote(gone)}/r1", {})
        await films.ask("POST", f"join/{quote('#cinema:local.test')}", {})

        broker = Broker()
        report = await run(server, films.token, tmp_path, broker, "#cinema:local.test", "!none:local.test")
        assert report.status == "success", report
        found = broker.records("film-mentions")
        assert [each["value"] for each in found] == [9.0, 4.0, 7.0]
        assert found[0]["mention_id"] == found[2]["mention_id"] != found[1]["mention_id"]
        assert "anna" not in str(broker.sent())
        assert any("1 encrypted" in note for note in report.notes), report.notes
        assert any("1 messages were taken back" in note for note in report.notes), report.notes
        assert any("!none:local.test" in note for note in report.notes), report.notes

        again = Broker()
        assert (await run(server, films.token, tmp_path, again, "#cinema:local.test")).status == "success"
        assert again.sent() == []
        await anna.say(room, "The Matrix 2/5")
        await run(server, films.token, tmp_path, again, "#cinema:local.test")
        assert [each["value"] for each in again.records("film-mentions")] == [2.0]


async def test_a_killed_run_is_gone_on_with(server: str, tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as http:
        films = Person(http, server)
        await films.register("films2")
        room = await films.room("killed")
        for n in range(1, 8):
            await films.say(room, f"Inception {n}/10")
        first, rest = Broker(dies_at=2), Broker()
        with pytest.raises(KilledError):
            await run(server, films.token, tmp_path, first, room, page_size=2)
        assert (await run(server, films.token, tmp_path, rest, room, page_size=2)).status == "success"
        values = [each["value"] for each in first.records("film-mentions") + rest.records("film-mentions")]
        assert values == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]


async def test_a_place_that_the_server_does_not_know_is_left_for_the_beginning(server: str, tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as http:
        films = Person(http, server)
        await films.register("films3")
        room = await films.room("lost")
        await films.say(room, "Inception 9/10")
        lost = {"memory": {room: {"room": room, "from": "of-another-server"}}}
        CursorStore(tmp_path).save(NAME, State(cursor=lost))
        broker = Broker()
        report = await run(server, films.token, tmp_path, broker, room)
        assert report.status == "success", report
        assert len(broker.records("film-mentions")) == 1
        assert any("from its beginning" in note for note in report.notes)


async def test_a_token_that_is_no_good_pauses(server: str, tmp_path: Path) -> None:
    table = {"kind": "messenger", "profile": "matrix", "base_url": server, "rooms": ["!a:local.test"]}
    async with Fetcher((server.removeprefix("http://"),), 20.0) as fetcher:
        connector = make(config_of(NAME, table), fetcher, {"MARQUEE_MATRIX_TOKEN": "syt_wrong"})
        report = await run_connector(NAME, connector, Broker(), CursorStore(tmp_path), request=Request(NAME, FILMS))
    assert (report.status, report.reaction) == ("failed", "pause")
    assert "M_UNKNOWN_TOKEN" in (report.error or "")


async def test_its_refusal_of_haste_is_understood(server: str) -> None:
    async with aiohttp.ClientSession() as http:
        person = Person(http, server)
        await person.register("hasty")
        room = await person.room("hasty")
        for n in range(200):
            said = await person.say(room, f"{n}", good=False)
            if isinstance(said, tuple):
                break
        else:
            pytest.fail("nothing was refused")
    status, body = said
    error = matrix_fault(Answer("https://m.example", status, {}, body))
    assert status == 429
    assert isinstance(error, RetryableError)
    assert 0 < (error.after or 0) < 60

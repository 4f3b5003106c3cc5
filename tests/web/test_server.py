"""The web service itself: where it listens, when it refuses to, and what it tells Faust."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import aiohttp
import pytest
from yarl import URL

from agents.errors import MustStopError
from app.settings import ConfigError
from app.web.guard import is_loopback
from app.web.server import WebService
from tests.web.conftest import Start
from tests.web.stand_ins import make_worker, service_of


async def test_port_0_takes_a_free_one_and_other_workers_learn_it(start: Start) -> None:
    running = await start()
    assert running.service.port not in {None, 0}
    assert str(running.worker.app.conf.canonical_url) == running.url


async def test_a_configured_address_is_what_other_workers_are_told(start: Start) -> None:
    worker = make_worker(canonical_url="http://worker-1:6066")
    await start(worker)
    assert str(worker.app.conf.canonical_url) == "http://worker-1:6066"


async def test_the_port_that_faust_was_told_on_the_command_line_wins(start: Start, unused_port: int) -> None:
    worker = make_worker(port=6066)
    worker.app.conf.web_port = unused_port
    running = await start(worker)
    assert running.service.port == unused_port


async def test_a_port_that_is_taken_stops_the_worker_with_what_to_change(start: Start) -> None:
    running = await start()
    worker = make_worker()
    worker.app.conf.web_port = running.service.port
    service = service_of(worker)
    with pytest.raises(MustStopError, match="MARQUEE_WEB__PORT"):
        await service.on_start()
    await service.on_stop()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "worker-1", "127.0.0.1.example.com"])
async def test_others_may_not_reach_a_worker_that_asks_for_no_token(host: str) -> None:
    service = WebService(make_worker(host=host), token="")
    with pytest.raises(ConfigError, match="MARQUEE_API_TOKEN"):
        await service.on_start()
    assert service.port is None


async def test_with_a_token_it_listens_to_others(start: Start) -> None:
    running = await start(make_worker(host="0.0.0.0"), token="secret")
    async with running.get("/livez", headers={"Host": "marquee.example"}) as response:
        assert response.status == 200
    told = URL(str(running.worker.app.conf.canonical_url))
    assert told.host not in {"0.0.0.0", "127.0.0.1"}
    assert told.port == running.service.port


async def test_the_token_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARQUEE_API_TOKEN", "secret")
    service = WebService(make_worker())
    await service.start()
    try:
        async with (
            aiohttp.ClientSession() as client,
            client.post(f"http://127.0.0.1:{service.port}/films", json={"title": "x"}) as response,
        ):
            assert response.status == 401
    finally:
        await service.stop()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost", "LOCALHOST"])
def test_loopback_is_known_by_all_its_names(host: str) -> None:
    assert is_loopback(host)


async def test_it_answers_before_there_is_a_kafka_and_stops_at_once() -> None:
    worker = make_worker()
    worker.prepared = worker.gate_open = False
    service = WebService(worker, token="")
    await service.start()
    async with aiohttp.ClientSession() as client:
        async with client.get(f"http://127.0.0.1:{service.port}/livez") as response:
            assert response.status == 200
        async with client.get(f"http://127.0.0.1:{service.port}/readyz") as response:
            assert response.status == 503
            assert (await response.json())["checks"]["mongo"]["ok"] is True
    async with asyncio.timeout(30):
        await service.stop()
    with pytest.raises(aiohttp.ClientConnectionError):
        async with aiohttp.ClientSession() as client, client.get(f"http://127.0.0.1:{service.port}/livez"):
            pass


def test_the_real_faust_app_has_all_that_the_web_reads_of_it() -> None:
    import faust
    from faust.types import TP

    from app.delivery.table import BatchTable
    from app.web.engine import Engine

    app = faust.App("marquee", store="memory://", web_port=6066, Table=BatchTable)
    app.Table("predictions", key_type=bytes, value_type=bytes, partitions=4)
    app.assignor.changelog_distribution = {"http://a:1": {"marquee-predictions-changelog": [0, 1]}}
    engine = Engine(SimpleNamespace(app=app, prepared=True, gate_open=True))
    assert engine.owner("predictions", 1) == URL("http://a:1")
    assert engine.owner("predictions", 2) is None
    assert engine.members() == ["http://a:1"]
    assert (engine.actives(), engine.rebalancing, engine.recovering) == (set(), False, False)
    assert engine.own_url.port == 6066
    assert engine.generation == app.consumer_generation_id
    assert engine.end(TP("ratings", 0)) is None
    assert engine.gate_stuck is False

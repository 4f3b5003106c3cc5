"""`marquee up` refuses what could not work before it starts anything."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from app.cli.up import _announce
from app.settings import Broker, Settings
from tests.cli.conftest import Marquee


def test_an_address_that_others_reach_needs_a_token_before_anything_is_started(marquee: Marquee) -> None:
    marquee.environment |= {"MARQUEE_WEB__HOST": "0.0.0.0", "MARQUEE_API_TOKEN": None}
    for words in (("up", "--embedded"), ("up",)):
        assert "MARQUEE_API_TOKEN is not set" in marquee.mistake(*words)
    assert list(marquee.directory.iterdir()) == []


def test_the_embedded_broker_serves_one_worker(marquee: Marquee) -> None:
    assert "serves one worker" in marquee("up", "--embedded", "--workers", "2", code=2).stderr


@pytest.mark.parametrize("place", ["there", "there/below"])
def test_a_data_directory_that_is_a_file_is_told_in_one_line(marquee: Marquee, place: str) -> None:
    (marquee.directory / "there").write_text("mine")
    for words in (("up", "--embedded"), ("up",)):
        told = marquee.mistake(*words, "--data-dir", place)
        assert told.startswith(f"marquee: {place}: ")
        assert told.endswith("name another data directory with --data-dir or [storage] data")
    assert (marquee.directory / "there").read_text() == "mine"


async def test_it_is_up_once_a_worker_says_that_it_is_ready(capsys: pytest.CaptureFixture[str]) -> None:
    answers = [readiness(kafka=False, mongo=True), readiness(kafka=False, mongo=True), readiness(True, True), None]

    async def ready(_: web.Request) -> web.Response:
        answer = answers.pop(0)
        return web.json_response(answer, status=200 if answer is None else 503)

    application = web.Application()
    application.router.add_get("/readyz", ready)
    async with TestServer(application) as server:
        running: Any = SimpleNamespace(web_url=str(server.make_url("")).rstrip("/"))
        announcing = asyncio.create_task(_announce(running, Settings(broker=Broker(url="kafka://far:9092"))))
        said = ""
        while "Marquee is up" not in said:
            await asyncio.sleep(0.05)
            captured = capsys.readouterr()
            said += captured.err + captured.out
        announcing.cancel()
    waiting, up = said.splitlines()
    assert waiting.startswith("started; waiting for Kafka at kafka://far:9092")
    assert up.startswith("Marquee is up: http://127.0.0.1:")
    assert answers == []


def readiness(kafka: bool, mongo: bool) -> dict[str, Any]:
    """What a worker answers while it is not ready."""
    return {"ready": False, "checks": {"kafka": {"ok": kafka}, "mongo": {"ok": mongo}}}

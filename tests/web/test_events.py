"""Server-sent events: numbered, kept alive, bounded, and told again to those who were cut off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agents.errors import Unavailable
from app.web.bus import MAX_WATCHERS, QUEUE_LENGTH, Bus
from tests.web.conftest import Running
from tests.web.stand_ins import fill


async def frames(response: Any) -> AsyncIterator[dict[str, str]]:
    """The frames of a stream; comments under the name `comment`."""
    frame: dict[str, str] = {}
    async for raw in response.content:
        line = raw.decode().rstrip("\n")
        if not line:
            yield frame
            frame = {}
        else:
            name, _, value = line.partition(": ")
            frame[name or "comment"] = value if name else line


async def until(stream: AsyncIterator[dict[str, str]], event: str) -> dict[str, str]:
    async with asyncio.timeout(30):
        async for frame in stream:
            if frame.get("event") == event:
                return frame
    raise AssertionError("the stream ended")


async def opened(response: Any) -> AsyncIterator[dict[str, str]]:
    """The stream, once the worker has let this watcher in."""
    stream = frames(response)
    async with asyncio.timeout(30):
        assert (await anext(stream))["retry"] == "2000"
    return stream


async def test_a_watcher_is_told_what_happens_in_order_with_ids(running: Running) -> None:
    async with running.get("/events") as response:
        assert response.content_type == "text/event-stream"
        stream = await opened(response)
        for n in range(3):
            running.service.site.bus.publish("film", {"film_id": f"tt{n}", "title": "two\nlines"})
        told = [await until(stream, "film") for _ in range(3)]
    assert [frame["data"] for frame in told] == [f'{{"film_id":"tt{n}","title":"two\\nlines"}}' for n in range(3)]
    assert len({frame["id"] for frame in told}) == 3


async def test_who_was_cut_off_is_told_what_was_missed_and_nothing_twice(running: Running) -> None:
    bus = running.service.site.bus
    async with running.get("/events") as response:
        stream = await opened(response)
        bus.publish("film", {"n": 1})
        seen = (await until(stream, "film"))["id"]
    bus.publish("film", {"n": 2})
    bus.publish("film", {"n": 3})
    async with running.get("/events", headers={"Last-Event-ID": seen}) as response:
        stream = frames(response)
        assert [(await until(stream, "film"))["data"] for _ in range(2)] == ['{"n":2}', '{"n":3}']


async def test_an_id_of_another_run_or_of_nobody_is_passed_over(running: Running) -> None:
    running.service.site.bus.publish("film", {"n": 1})
    for strange in ("deadbeef-1", "-", "x", "é-1", "1-²"):
        async with running.get("/events", params={"after": strange}) as response:
            assert response.status == 200
            stream = await opened(response)
            running.service.site.bus.publish("film", {"n": strange})
            frame = await until(stream, "film")
            assert "n" in frame["data"]
            assert frame["data"] != '{"n":1}'


async def test_a_quiet_stream_is_kept_alive(running: Running) -> None:
    running.service.site.keep_alive = 0.02
    async with running.get("/events") as response, asyncio.timeout(30):
        async for frame in frames(response):
            if "comment" in frame:
                break


async def test_the_pulse_reaches_watchers_every_second(running: Running) -> None:
    async with running.get("/events") as response:
        frame = await until(frames(response), "pulse")
    assert '"gate_open":true' in frame["data"]
    assert '"clean":{"rate":' in frame["data"]


async def test_a_slow_watcher_loses_the_oldest_and_costs_no_more_memory() -> None:
    bus = Bus()
    with bus.watch(None) as watcher:
        for n in range(QUEUE_LENGTH + 50):
            bus.publish("film", n)
        waiting = await watcher.take()
    assert (len(waiting), watcher.dropped) == (QUEUE_LENGTH, 50)
    assert waiting[-1].data == str(QUEUE_LENGTH + 49).encode()
    assert not bus.watched


async def test_when_too_many_watch_the_next_is_told_to_come_back(running: Running) -> None:
    bus = running.service.site.bus
    crowd = [bus.watch(None) for _ in range(MAX_WATCHERS)]
    for each in crowd:
        each.__enter__()
    async with running.get("/events") as response:
        assert response.status == 503
    for each in crowd:
        each.__exit__(None, None, None)


async def test_a_stopping_worker_ends_the_stream(running: Running) -> None:
    async with running.get("/events") as response:
        stream = await opened(response)
        await running.service.stop()
        async with asyncio.timeout(30):
            assert [frame async for frame in stream if frame.get("event") == "film"] == []


async def test_a_watcher_that_goes_is_forgotten_without_a_fuss(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    running.service.site.keep_alive = 0.02
    async with running.get("/events") as response:
        await opened(response)
    async with asyncio.timeout(30):
        while running.service.site.bus.watched:  # noqa: ASYNC110  nothing tells when a socket's end was noticed
            await asyncio.sleep(0.01)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_prediction_is_told_with_the_title_of_its_film_where_documents_answer(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, films = running.service, running.worker.store.films

    async def looked() -> list[tuple[str, dict[str, Any]]]:
        return [("prediction", {"film_id": name, "predicted": 7.0}) for name in ("tt1375666", "Q404")]

    async def away(film_ids: list[str]) -> dict[str, str]:
        raise Unavailable("MongoDB is away")

    monkeypatch.setattr(service._tail, "look", looked)
    await fill(running.worker.store, "tt1375666", "Inception", [8.0])
    with service.site.bus.watch(None):
        await service.look()
        monkeypatch.setattr(films, "titles", away)
        await service.look()
    said = [(shown["film_id"], shown["title"]) for kind, shown in service.site.bus.past(4) if kind == "prediction"]
    assert said == [("Q404", None), ("tt1375666", None), ("Q404", None), ("tt1375666", "Inception")]

"""Keyed look-ups are right from any worker, also while the group changes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from app.delivery.producer import partition_of
from app.web.routing import HOP_HEADER
from tests.web.conftest import Running, Start
from tests.web.stand_ins import PARTITIONS, make_worker, owned_tables

FILMS = [f"tt{n:07d}" for n in range(1, 41)]


async def group(start: Start) -> list[Running]:
    """Two workers that share the partitions, and know it."""
    first, second = await start(make_worker()), await start(make_worker())
    first.worker.own([0, 2])
    second.worker.own([1, 3])
    agree(first, second)
    return [first, second]


def agree(*runnings: Running) -> None:
    owners = {running.url: owned_tables(running.worker.app.assignor.actives) for running in runnings}
    for running in runnings:
        running.worker.app.assignor.owners = owners


def owner_of(film: str, runnings: list[Running]) -> Running:
    return runnings[partition_of(film.encode(), PARTITIONS) % 2]


async def ask(running: Running, film: str, **options: Any) -> tuple[int, Any]:
    async with running.get(f"/films/{film}/prediction", **options) as response:
        return response.status, await response.json(content_type=None)


async def test_every_film_is_answered_alike_by_both_workers(start: Start) -> None:
    workers = await group(start)
    for n, film in enumerate(FILMS):
        owner_of(film, workers).worker.predict(film, n / 10)
    for n, film in enumerate(FILMS):
        for running in workers:
            status, answer = await ask(running, film)
            assert (status, answer["predicted"]) == (200, n / 10)


async def test_a_film_that_its_owner_does_not_know_is_404_from_both(start: Start) -> None:
    for running in await group(start):
        for film in FILMS[:8]:
            assert (await ask(running, film))[0] == 404


async def test_a_row_left_behind_by_a_former_assignment_is_never_shown(start: Start) -> None:
    workers = await group(start)
    film = next(film for film in FILMS if owner_of(film, workers) is workers[1])
    workers[0].worker.predict(film, 1.0)
    workers[1].worker.predict(film, 9.0)
    assert (await ask(workers[0], film))[1]["predicted"] == 9.0


async def test_an_owner_that_is_down_gives_503_and_when_to_come_back(start: Start) -> None:
    workers = await group(start)
    film = next(film for film in FILMS if owner_of(film, workers) is workers[1])
    await workers[1].service.stop()
    async with workers[0].get(f"/films/{film}/prediction") as response:
        assert response.status == 503
        assert "Retry-After" in response.headers


async def test_an_owner_that_is_frozen_gives_503_soon(start: Start) -> None:
    workers = await group(start)
    film = next(film for film in FILMS if owner_of(film, workers) is workers[1])
    asked = asyncio.Event()

    async def freeze(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()

    # Connections are taken, as the kernel does for a process that is stopped, and nothing is said.
    frozen = await asyncio.start_server(freeze, "127.0.0.1", 0)
    owners = workers[0].worker.app.assignor.owners
    url = f"http://127.0.0.1:{frozen.sockets[0].getsockname()[1]}/"
    workers[0].worker.app.assignor.owners = {url: owners[workers[1].url]}
    async with frozen, asyncio.timeout(2.7), workers[0].get(f"/films/{film}/prediction") as response:
        assert (response.status, response.headers["Retry-After"]) == (503, "2")
    assert asked.is_set()


async def test_two_workers_that_point_at_each_other_answer_instead_of_asking_for_ever(start: Start) -> None:
    first, second = await group(start)
    film = FILMS[0]
    first.worker.own([])
    second.worker.own([])
    everything = owned_tables(make_owner_of_all())
    first.worker.app.assignor.owners = {second.url: everything}
    second.worker.app.assignor.owners = {first.url: everything}
    for running in (first, second):
        status, problem = await ask(running, film)
        assert (status, problem["status"]) == (503, 503)


def make_owner_of_all() -> set[Any]:
    worker = make_worker()
    worker.own()
    return worker.app.assignor.actives


async def test_a_request_that_was_passed_on_once_is_not_passed_on_again(start: Start) -> None:
    workers = await group(start)
    film = next(film for film in FILMS if owner_of(film, workers) is workers[1])
    workers[1].worker.predict(film, 5.0)
    assert (await ask(workers[0], film, headers={HOP_HEADER: "1"}))[0] == 503


@pytest.mark.parametrize("state", ["starting", "gate shut", "recovering", "rebalancing", "nobody", "on its way"])
async def test_nothing_is_answered_from_a_table_that_may_be_incomplete(running: Running, state: str) -> None:
    worker, film = running.worker, FILMS[0]
    worker.predict(film, 5.0)
    assert (await ask(running, film))[0] == 200
    if state == "starting":
        worker.prepared = False
    elif state == "gate shut":
        worker.gate_open = False
    elif state == "recovering":
        worker.app.in_recovery = True
    elif state == "rebalancing":
        worker.app.rebalancing = True
    elif state == "nobody":
        worker.own([])
        worker.app.assignor.owners = {}
    else:
        worker.app.assignor.actives = set()
    status, problem = await ask(running, film)
    assert status == 503
    assert problem["title"] == "Service Unavailable"

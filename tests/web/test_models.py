"""Models over HTTP: live from their owner, else from their snapshots."""

from __future__ import annotations

from typing import Any

from tests.web.conftest import Running, Start
from tests.web.stand_ins import make_worker, owned_tables

FACTS = {"lessons": {"lessons": 600, "labels": 400}, "metrics": {"mae": 1.1, "mae_warm": None}, "created_at": 1000.0}


async def model(running: Running, path: str = "/models/future-rating") -> Any:
    async with running.get(path) as response:
        assert response.status == 200
        return await response.json()


async def test_a_model_that_nobody_owns_is_told_from_its_newest_snapshot(running: Running) -> None:
    running.service.site.now = lambda: 1060.0
    await running.worker.store.pointers.advance("future-rating", 599, "aa" * 32, FACTS)
    shown = await model(running)
    assert (shown["live"], shown["version"], shown["counts"]["labels"]) == (False, None, 400)
    assert shown["metrics"] == {"mae": 1.1}
    assert shown["snapshot_age_seconds"] == 60.0
    assert [each["applied_offset"] for each in shown["snapshots"]] == [599]


async def test_its_owner_tells_the_live_figures_and_the_course_of_the_errors(running: Running) -> None:
    running.worker.own_model({"mae": 0.9, "running_mean": 1.0}, lag=3)
    shown = await model(running)
    assert (shown["live"], shown["version"], shown["lag"]) == (True, "fr10-test", 3)
    assert shown["metrics"] == {"mae": 0.9, "running_mean": 1.0}
    assert shown["curve"]["names"] == ["model", "running_mean"]
    assert shown["curve"]["points"][0] == [64, [1.2, 1.5]]
    assert (await model(running, "/models"))["items"][0] == shown


async def test_any_worker_tells_what_the_owner_knows(start: Start) -> None:
    owner, other = await start(make_worker()), await start(make_worker())
    other.worker.own([])
    other.worker.app.assignor.actives = set()
    owners = {owner.url: owned_tables(owner.worker.app.assignor.actives)}
    other.worker.app.assignor.owners = owner.worker.app.assignor.owners = owners
    owner.worker.own_model({"mae": 0.9})
    assert (await model(other))["live"] is True
    assert (await model(other))["owner"] == owner.url
    await owner.service.stop()
    assert (await model(other))["live"] is False


async def test_an_unknown_model_is_404_and_the_known_ones_are_named(running: Running) -> None:
    async with running.get("/models/nothing") as response:
        assert response.status == 404
        assert "future-rating" in (await response.json(content_type=None))["detail"]

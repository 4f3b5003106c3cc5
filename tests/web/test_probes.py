"""Probes tell the truth, each check by name, and state and metrics agree with it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from faust.types import TP

from app.observe import metrics
from app.web.gauges import prediction_errors
from app.web.probes import Ping
from models.face_learner import FaceLearner
from models.rating_learner import RatingLearner
from models.review_learner import ReviewLearner
from tests.web.conftest import Running, Start
from tests.web.stand_ins import make_worker


async def readiness(running: Running) -> tuple[int, dict[str, Any]]:
    async with running.get("/readyz") as response:
        return response.status, await response.json()


async def test_a_worker_that_reads_is_ready(running: Running) -> None:
    status, body = await readiness(running)
    assert status == 200
    assert body["ready"] is True
    assert {name: check["ok"] for name, check in body["checks"].items()} == dict.fromkeys(
        ("kafka", "producer", "assignment", "tables", "source_gate", "mongo", "mlflow"), True
    )


@pytest.mark.parametrize(
    ("check", "spoil"),
    [
        ("source_gate", lambda worker: setattr(worker, "gate_open", False)),
        ("producer", lambda worker: setattr(worker, "prepared", False)),
        ("assignment", lambda worker: setattr(worker.app, "rebalancing", True)),
        ("tables", lambda worker: setattr(worker.app, "in_recovery", True)),
    ],
)
async def test_one_thing_amiss_makes_it_unready_and_is_named(running: Running, check: str, spoil: Any) -> None:
    spoil(running.worker)
    status, body = await readiness(running)
    assert status == 503
    assert [name for name, each in body["checks"].items() if not each["ok"]] == [check]


@pytest.mark.parametrize("server", ["kafka", "mongo"])
async def test_a_server_that_is_away_makes_it_unready(start: Start, server: str) -> None:
    running = await start(**{server: False})
    status, body = await readiness(running)
    assert (status, body["checks"][server]["ok"]) == (503, False)
    assert "away" in body["checks"][server]["detail"]


async def test_mlflow_away_is_shown_and_changes_nothing(start: Start) -> None:
    running = await start(mlflow=False)
    status, body = await readiness(running)
    assert (status, body["ready"]) == (200, True)
    assert body["checks"]["mlflow"] == {
        "ok": False,
        "needed": False,
        "detail": "ConnectionRefusedError: mlflow is away",
    }


async def test_the_worker_lives_whatever_else_is_down(start: Start) -> None:
    running = await start(kafka=False, mongo=False, mlflow=False)
    running.worker.prepared = running.worker.gate_open = False
    async with running.get("/livez") as response:
        assert response.status == 200
        assert (await response.json())["alive"] is True


async def test_a_server_is_asked_once_a_second_however_many_want_to_know() -> None:
    asked, now = [], [0.0]

    async def ask() -> None:
        asked.append(now[0])

    ping = Ping(ask, fresh=1.0, clock=lambda: now[0])
    for now[0] in (0.0, 0.5, 0.9, 1.0, 1.5):
        assert await ping.answer() == (True, "answers")
    assert asked == [0.0, 1.0]


async def test_state_names_servers_assignment_lag_and_models(start: Start) -> None:
    worker = make_worker()
    running = await start(worker)
    worker.own([1])
    mark = {b"~mark|rating-predictions": b"41"}
    worker.tables["predictions"].partitions[1] |= mark
    worker.app.ends[TP("rating-predictions", 1)] = 50
    worker.own_model({"mae": 0.9})
    worker.keeper.newest_at["future-rating"] = running.service.site.now() - 30
    async with running.get("/statusz") as response:
        state = await response.json()
    assert state["broker"] == "kafka://127.0.0.1:9092"
    assert (state["mongo"], state["mlflow"]) == ("mongodb://127.0.0.1:27017/marquee", "http://127.0.0.1:5000")
    assert state["generation"] == 7
    assert state["assignment"]["ratings"] == [1]
    assert state["lag"]["latest"] == 8
    assert state["lag"]["learn-ratings"] == 3
    assert state["model_versions"] == {"future-rating": "fr10-test"}
    assert 29 < state["snapshot_age"]["future-rating"] < 90
    (spot,) = [each for each in state["offsets"] if each["stage"] == "latest"]
    assert spot == {
        "stage": "latest", "topic": "rating-predictions", "partition": 1, "applied": 41, "end": 50, "lag": 8
    }  # fmt: skip


async def test_passwords_in_addresses_are_not_shown(start: Start) -> None:
    import msgspec

    worker = make_worker()
    mongo = msgspec.structs.replace(worker.settings.mongo, url="mongodb://me:hidden@db/marquee?authSource=hidden")
    worker.settings = msgspec.structs.replace(worker.settings, mongo=mongo)
    running = await start(worker)
    async with running.get("/statusz") as response:
        text = await response.text()
    assert "hidden" not in text
    assert '"mongo":"mongodb://db/marquee"' in text


async def test_metrics_show_lag_gate_and_snapshot_age_and_forget_what_went_elsewhere(running: Running) -> None:
    worker = running.worker
    worker.own_model({"mae": 0.9, "running_mean": 1.1, "mae_cold": None, "drifts": 2.0})
    worker.keeper.newest_at["future-rating"] = running.service.site.now() - 30
    worker.app.ends[TP("ratings", 2)] = 11
    async with running.get("/metrics") as response:
        assert response.headers["Content-Type"].startswith("text/plain; version=")
        text = await response.text()
    assert "marquee_gate_open 1.0" in text
    assert 'marquee_lag{partition="2",stage="clean",topic="ratings"} 11.0' in text
    assert re.search(r'marquee_snapshot_age_seconds\{model="future-rating"\} [3-9]\d', text)
    assert dict(re.findall(r'marquee_model_error\{measure="(\w+)",model="future-rating"\} (\S+)', text)) == {
        "mae": "0.9",
        "running_mean": "1.1",
    }
    worker.gate_open = False
    worker.learners["future-rating"].lessons = None
    async with running.get("/metrics") as response:
        text = await response.text()
    assert "marquee_gate_open 0.0" in text
    assert "marquee_lag{" not in text
    assert "marquee_snapshot_age_seconds{" not in text
    assert "marquee_model_error{" not in text


@pytest.mark.parametrize(
    ("learner", "shown"),
    [
        (RatingLearner, {"mae": 0.25, "global_mean": 0.25, "running_mean": 0.25, "damped_mean_3": 0.25}),
        (ReviewLearner, {"wrong": 0.75, "wrong_majority": 0.75}),
        (FaceLearner, {"wrong": 0.75, "wrong_majority": 0.75, "wrong_met": 0.75}),
    ],
)
def test_each_model_shows_its_error_beside_those_of_its_baselines(learner: Any, shown: dict[str, float]) -> None:
    errors = dict(prediction_errors(dict.fromkeys(learner().metrics(), 0.25)))
    assert errors.items() >= shown.items()
    assert not errors.keys() & {"drifts", "auc"}


async def test_the_pulse_counts_events_a_second_for_each_stage() -> None:
    from app.web.pulse import Pulse

    now = [100.0]
    pulse = Pulse(["clean"], clock=lambda: now[0])
    pulse.beat([])
    before = pulse.stages["clean"].events
    metrics.EVENTS.labels("clean").inc(300)
    now[0] = 102.0
    pulse.beat([])
    assert pulse.stages["clean"].rate == 150.0
    assert pulse.stages["clean"].events == before + 300
    assert pulse.history("clean") == [0.0, 150.0]


async def test_between_two_looks_the_pulse_shows_the_lags_of_the_last() -> None:
    from app.web.parts import Spot
    from app.web.pulse import Pulse

    pulse = Pulse(["clean"])
    pulse.beat([Spot("clean", "ratings", 0, 4, 10), Spot("clean", "ratings", 1, 2, 4)])
    assert pulse.stages["clean"].lag == 6
    pulse.beat()
    assert pulse.stages["clean"].lag == 6
    pulse.beat([Spot("clean", "ratings", 0, 9, 10)])
    assert pulse.stages["clean"].lag == 0

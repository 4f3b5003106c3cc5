"""What MLflow hears: metrics, pictures, versions; and that nobody waits for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.embedded.mlflow import Mlflow as MlflowServer
from app.embedded.ports import PortBook
from app.embedded.servers import start_server
from app.learning.registry import CHAMPION
from app.learning.tracking import Report, RunLog, TrackingService
from app.settings import Mlflow
from models.face_learner import FaceLearner
from tests.learning.test_snapshots import taught
from tests.models.faces import album


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[MlflowServer]:
    started = await start_server(MlflowServer, tmp_path, PortBook(tmp_path / "ports.json"), "mlflow")
    yield started
    await started.child.stop()


def settings(server: MlflowServer) -> Mlflow:
    return Mlflow(tracking_uri=server.url, experiment="tests")


def report(skill: float, version: str, lessons: int = 5000) -> Report:
    return Report(
        name="future-rating",
        version=version,
        lessons=lessons,
        labels=4000,
        metrics={"mae": skill},
        skill=skill,
        state=lambda: b"state",
    )


@pytest.mark.embedded
async def test_a_better_model_becomes_the_champion_and_a_worse_one_does_not(server: MlflowServer) -> None:
    from mlflow.tracking import MlflowClient

    log = RunLog(settings(server))
    log.log(report(0.95, "fr10-1"))
    client = MlflowClient(tracking_uri=server.url, registry_uri=server.url)
    assert client.get_model_version_by_alias("future-rating", CHAMPION).tags["version"] == "fr10-1"
    RunLog(settings(server)).log(report(0.97, "fr10-2"))
    assert client.get_model_version_by_alias("future-rating", CHAMPION).tags["version"] == "fr10-1"
    RunLog(settings(server)).log(report(0.91, "fr10-3"))
    champion = client.get_model_version_by_alias("future-rating", CHAMPION)
    assert champion.tags["version"] == "fr10-3"
    assert int(champion.version) == 2
    runs = client.search_runs([client.get_experiment_by_name("tests").experiment_id])
    assert {run.data.tags["version"] for run in runs} == {"fr10-1", "fr10-2", "fr10-3"}
    # After a restart the same version goes on in its run.
    RunLog(settings(server)).log(report(0.90, "fr10-3", lessons=9000))
    again = client.search_runs([client.get_experiment_by_name("tests").experiment_id])
    assert len(again) == 3
    history = client.get_metric_history(
        next(run.info.run_id for run in again if run.data.tags["version"] == "fr10-3"), "mae"
    )
    assert [metric.step for metric in history] == [5000, 9000]


@pytest.mark.embedded
async def test_a_model_that_is_worse_than_its_baseline_is_not_registered(server: MlflowServer) -> None:
    from mlflow.tracking import MlflowClient

    RunLog(settings(server)).log(report(1.02, "fr10-1"))
    assert MlflowClient(registry_uri=server.url, tracking_uri=server.url).search_registered_models() == []


@pytest.mark.embedded
async def test_the_service_logs_a_picture_and_notices_that_mlflow_is_away(server: MlflowServer) -> None:
    from mlflow.tracking import MlflowClient

    learners: Any = {"future-rating": SimpleNamespace(lessons=SimpleNamespace(learnt=3000, learner=taught(3000)))}
    service = TrackingService(settings(server), learners)
    await service.report(artifacts=True)
    assert service.available is True
    client = MlflowClient(tracking_uri=server.url)
    (run,) = client.search_runs([client.get_experiment_by_name("tests").experiment_id])
    assert {file.path for file in client.list_artifacts(run.info.run_id)} >= {"future-rating-error.png", "model"}
    assert run.data.metrics["running_mean"] > 0
    await server.child.stop()
    await service.report()
    assert service.available is False
    await service.on_stop()


@pytest.mark.embedded
async def test_what_mlflow_shows_of_faces_goes_with_whoever_is_forgotten(server: MlflowServer) -> None:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=server.url)

    def files() -> dict[str, int]:
        runs = client.search_runs([client.get_experiment_by_name("tests").experiment_id])
        return {run.data.tags["version"]: len(client.list_artifacts(run.info.run_id)) for run in runs}

    def faces(version: str, forgotten_up_to: int, drawn: bool = True) -> Report:
        def draw(folder: Path) -> Path:
            (folder / "faces-confusion.png").write_bytes(b"picture")
            return folder / "faces-confusion.png"

        pictures, state = ((draw,), lambda: b"card") if drawn else ((), None)
        figures: Any = {"lessons": 1, "labels": 1, "metrics": {"accuracy": 1.0}, "skill": None}
        return Report("faces", version, **figures, state=state, pictures=pictures, forgotten_up_to=forgotten_up_to)

    RunLog(settings(server)).log(faces("old", 0))
    log = RunLog(settings(server))
    log.log(faces("new", 0))
    assert files() == {"old": 2, "new": 2}
    log.log(faces("new", 9))
    assert files() == {"old": 0, "new": 2}
    log._artifacts(log._run(faces("new", 12)), faces("new", 12, drawn=False))
    assert files() == {"old": 0, "new": 0}


@pytest.mark.embedded
async def test_few_faces_of_few_people_make_a_champion_with_its_confusion_matrix(server: MlflowServer) -> None:
    from mlflow.tracking import MlflowClient

    learner = FaceLearner()
    learners: Any = {"faces": SimpleNamespace(lessons=SimpleNamespace(learnt=True, learner=learner))}
    service = TrackingService(settings(server), learners)
    client = MlflowClient(tracking_uri=server.url, registry_uri=server.url)
    faces = album(people=5, pictures=12)
    for face in faces[: learner.labels_needed - 1]:
        learner.observe(face)
    await service.report(artifacts=True)
    assert client.search_registered_models() == []
    for face in faces[learner.labels_needed - 1 :]:
        learner.observe(face)
    await service.report(artifacts=True)
    champion = client.get_model_version_by_alias("faces", CHAMPION)
    assert champion.tags["version"] == learner.model_version
    assert float(champion.tags["skill"]) == pytest.approx(learner.skill(), abs=1e-6)
    assert "faces-confusion.png" in {file.path for file in client.list_artifacts(champion.run_id)}
    await service.on_stop()

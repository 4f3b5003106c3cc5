"""The embedded MLflow takes what people look at: metrics, artifacts, versions and aliases."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.server import constants

from app.embedded import mlflow as embedded
from app.embedded.mlflow import Mlflow

pytestmark = [pytest.mark.embedded, pytest.mark.slow]


@pytest.fixture(autouse=True)
def quiet_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")


def test_the_variables_are_those_that_the_server_reads() -> None:
    assert embedded.BACKEND_VARIABLE == constants.BACKEND_STORE_URI_ENV_VAR
    assert embedded.REGISTRY_VARIABLE == constants.REGISTRY_STORE_URI_ENV_VAR
    assert embedded.ARTIFACT_ROOT_VARIABLE == constants.ARTIFACT_ROOT_ENV_VAR
    assert embedded.ARTIFACTS_VARIABLE == constants.ARTIFACTS_DESTINATION_ENV_VAR
    assert embedded.SERVE_ARTIFACTS_VARIABLE == constants.SERVE_ARTIFACTS_ENV_VAR


def test_metrics_and_artifacts_come_back(mlflow: Mlflow, tmp_path: Path) -> None:
    client = MlflowClient(mlflow.url)
    run = client.create_run(client.create_experiment("future-rating")).info.run_id
    client.log_batch(run, metrics=[Metric("mae", 1 / (step + 1), 1000 + step, step) for step in range(50)])
    (tmp_path / "report.txt").write_text("0.61")
    client.log_artifact(run, str(tmp_path / "report.txt"))
    client.set_terminated(run)
    assert [metric.value for metric in client.get_metric_history(run, "mae")] == [1 / (n + 1) for n in range(50)]
    (tmp_path / "back").mkdir()
    fetched = client.download_artifacts(run, "report.txt", str(tmp_path / "back"))
    assert Path(fetched).read_text() == "0.61"


def test_a_version_is_registered_and_found_by_its_alias(mlflow: Mlflow, tmp_path: Path) -> None:
    client = MlflowClient(mlflow.url)
    run = client.create_run("0").info.run_id
    (tmp_path / "snapshot.bin").write_bytes(b"state")
    client.log_artifact(run, str(tmp_path / "snapshot.bin"), "model")
    client.create_registered_model("future-rating")
    source = f"{client.get_run(run).info.artifact_uri}/model"
    versions = [client.create_model_version("future-rating", source, run).version for _ in range(2)]
    client.set_registered_model_alias("future-rating", "champion", versions[1])
    champion = client.get_model_version_by_alias("future-rating", "champion")
    assert (champion.version, champion.run_id) == (versions[1], run)


def test_it_keeps_everything_under_its_directory_and_runs_no_jobs(mlflow: Mlflow) -> None:
    root = mlflow.child.log_file.parent.parent
    assert (root / "mlflow" / "mlflow.db").exists()
    assert "Job" not in mlflow.child.log_file.read_text()

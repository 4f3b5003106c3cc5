"""`marquee models compare, promote, rollback` against an MLflow with versions in it, one without, and none."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.embedded.addresses import Addresses, publish
from app.embedded.lock import DirectoryLock
from app.embedded.mlflow import Mlflow as MlflowServer
from app.learning.tracking import Report, RunLog
from app.settings import Mlflow
from tests.cli.conftest import Marquee

ADDRESS = "MARQUEE_MLFLOW__TRACKING_URI"


@pytest.fixture
def empty(marquee: Marquee, mlflow: MlflowServer) -> Marquee:
    """The command line with an MLflow in which nothing is registered."""
    marquee.environment[ADDRESS] = mlflow.url
    return marquee


@pytest.fixture
def filled(empty: Marquee, mlflow: MlflowServer, request: pytest.FixtureRequest) -> Marquee:
    """Two versions of one model, the second the champion, then one of another."""
    log = RunLog(Mlflow(tracking_uri=mlflow.url, experiment=request.node.name))
    for name, version, skill, metrics in (
        ("future-rating", "a", 0.95, {"mae": 0.5, "running_mean": 0.52, "expert_x": 1.0}),
        ("future-rating", "b", 0.90, {"mae": 0.4, "running_mean": 0.52, "expert_x": 1.0}),
        ("sentiment", "nb", 0.30, {"accuracy": 0.875}),
    ):
        figures: Any = {"lessons": 5000, "labels": 4000, "metrics": metrics, "skill": skill}
        log._runs.clear()
        log.log(Report(name, version, **figures, state=lambda: b"state"))
    return empty


@pytest.mark.embedded
def test_versions_stand_beside_each_other_newest_first(filled: Marquee) -> None:
    found = filled.json("models", "compare")
    assert [(each["model"], each["version"], each["champion"], each["skill"]) for each in found] == [
        ("sentiment", "1", True, 0.3),
        ("future-rating", "2", True, 0.9),
        ("future-rating", "1", False, 0.95),
    ]
    assert found[1]["metrics"] == {"mae": 0.4, "running_mean": 0.52, "expert_x": 1.0}
    assert found[1]["champion_before"] == "1"
    assert found[1]["registered_at"].endswith("Z")
    lines = filled("models", "compare", "future-rating").stdout.splitlines()
    assert lines[0].split() == [
        "model",
        "version",
        "champion",
        "registered",
        "skill",
        "model",
        "version",
        "metrics",
        "now",
    ]
    assert [line.split()[:3] for line in lines[1:]] == [["future-rating", "2", "yes"], ["future-rating", "1", "-"]]
    assert lines[1].endswith("0.9    b              mae 0.400, running_mean 0.520")


@pytest.mark.embedded
def test_a_version_is_promoted_by_hand_and_taken_back(filled: Marquee) -> None:
    assert (
        filled("models", "promote", "future-rating", "1").stdout
        == "version 1 of future-rating is the champion, before it version 2\n"
    )
    lines = filled("models", "compare", "future-rating").stdout.splitlines()
    assert lines[2].split()[2:4] == ["by", "hand"]
    again = filled.json("models", "promote", "future-rating", "1")
    assert (again["version"], again["champion"], again["promoted_by"], again["champion_before"]) == (
        "1",
        True,
        "hand",
        "2",
    )
    assert filled.json("models", "rollback", "future-rating")["version"] == "2"
    assert filled("models", "rollback", "future-rating").stdout == "version 1 of future-rating is the champion\n"
    line = filled.mistake("models", "rollback", "future-rating")
    assert line == "marquee: future-rating had no champion before version 1; registered are: 1, 2"


@pytest.mark.embedded
def test_what_is_not_registered_is_answered_by_what_is(filled: Marquee) -> None:
    promote = ("models", "promote")
    unknown = "marquee: future-rating has no registered version 7; registered are: 1, 2"
    assert filled.mistake(*promote, "future-rating", "7") == unknown
    elsewhere = "models with registered versions are: future-rating, sentiment"
    assert elsewhere in filled.mistake(*promote, "faces", "1")
    assert elsewhere in filled.mistake("models", "compare", "faces")
    assert elsewhere in filled.mistake("models", "rollback", "faces")
    for wrong in ("two", "0"):
        line = filled.mistake(*promote, "future-rating", wrong, code=2)
        assert f"'{wrong}' is not a registered version: give its number, as `marquee models compare` lists it" in line
    assert "Missing argument 'VERSION'" in filled.mistake(*promote, "future-rating", code=2)
    assert "refuses" in filled.mistake(*promote, "future/rating", "1")


@pytest.mark.embedded
def test_an_empty_registry_says_how_it_is_filled(empty: Marquee) -> None:
    assert "once it beats its baseline" in empty("models", "compare").stdout
    assert empty.json("models", "compare") == []
    assert "once it beats its baseline" in empty.mistake("models", "promote", "future-rating", "1")


@pytest.mark.embedded
def test_an_embedded_marquee_is_asked_where_its_mlflow_is(
    filled: Marquee, mlflow: MlflowServer, tmp_path: Path
) -> None:
    del filled.environment[ADDRESS], filled.environment["MARQUEE_BROKER__URL"]
    lock = DirectoryLock(tmp_path / "data")
    lock.acquire()
    try:
        nowhere = "mongodb://127.0.0.1:1/marquee"
        publish(tmp_path / "data", Addresses("kafka://127.0.0.1:1", nowhere, mlflow.url, None, os.getpid()))
        assert len(filled.json("models", "compare", "--data-dir", "data")) == 3
        assert len(filled.json("models", "compare")) == 3
    finally:
        lock.release()


CALLS = [("compare",), ("promote", "future-rating", "1"), ("rollback", "future-rating")]


@pytest.mark.parametrize("words", CALLS, ids=lambda words: words[0])
def test_without_mlflow_each_says_how_to_start_one(words: tuple[str, ...], marquee: Marquee) -> None:
    marquee.environment[ADDRESS] = "http://me:secret@127.0.0.1:1"
    line = marquee.mistake("models", *words)
    assert line.startswith("marquee: MLflow at http://me:…@127.0.0.1:1 does not answer: start it (`marquee up")
    marquee.environment[ADDRESS] = ""
    assert marquee.mistake("models", *words) == "marquee: MLflow is turned off: set [mlflow] tracking_uri"


def test_an_mlflow_that_hangs_is_given_up_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        words = [sys.executable, "-m", "app", "models", "rollback", "future-rating", "--config", tmp_path / "none.toml"]
        (tmp_path / "none.toml").touch()
        surroundings = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        done = subprocess.run(
            words, env={**surroundings, ADDRESS: address}, capture_output=True, text=True, check=False, timeout=120
        )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"marquee: MLflow at {address} does not answer")

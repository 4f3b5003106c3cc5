"""Who is the champion: by report, by hand, and back again."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from mlflow.exceptions import MlflowException

from app.embedded.mlflow import Mlflow as MlflowServer
from app.learning.registry import BEFORE_TAG, Registered, Registry, RegistryError, connect
from app.learning.tracking import Report, RunLog
from app.settings import Mlflow

NAME = "future-rating"


class Reports:
    """What a worker reports to an experiment of its own, and the registry that it fills."""

    def __init__(self, url: str, experiment: str) -> None:
        self.settings = Mlflow(tracking_uri=url, experiment=experiment)
        self.client = connect(url)
        self.registry = Registry(self.client)

    def __call__(self, version: str, skill: float, name: str = NAME) -> None:
        """One report with a state, by a worker that has just been started."""
        figures: Any = {"lessons": 5000, "labels": 4000, "metrics": {"mae": skill}, "skill": skill}
        RunLog(self.settings).log(Report(name, version, **figures, state=lambda: b"state"))

    def champion(self) -> Registered:
        """The champion of the model."""
        found = self.registry.champion(NAME)
        assert found is not None
        return found


@pytest.fixture
def reports(mlflow: MlflowServer, request: pytest.FixtureRequest) -> Reports:
    return Reports(mlflow.url, request.node.name)


pytestmark = pytest.mark.embedded


def test_a_promotion_by_report_keeps_who_was_champion_before(reports: Reports) -> None:
    reports("a", 0.95)
    assert (reports.champion().promoted_by, reports.champion().champion_before) == ("report", None)
    reports("b", 0.90)
    champion = reports.champion()
    assert (champion.version, champion.promoted_by, champion.champion_before) == ("2", "report", "1")
    assert champion.held_since is None


def test_a_champion_by_hand_outlives_the_reports_of_versions_that_were_there_before(reports: Reports) -> None:
    reports("a", 0.95)
    reports("b", 0.90)
    reports("c", 1.10)
    promoted = reports.registry.promote(NAME, "1")
    assert (promoted.champion, promoted.promoted_by, promoted.champion_before) == (True, "hand", "2")
    for _ in range(2):
        reports("b", 0.80)
        reports("c", 0.70)
    assert reports.champion() == promoted
    # The one that nobody could have promoted yet is there to be promoted, once.
    assert [(each.version, each.model_version) for each in reports.registry.versions(NAME)] == [
        ("3", "c"),
        ("2", "b"),
        ("1", "a"),
    ]


def test_a_later_and_better_version_takes_over_from_a_champion_by_hand(reports: Reports) -> None:
    reports("a", 0.95)
    reports("b", 0.80)
    reports.registry.promote(NAME, "1")
    reports("c", 0.97)
    assert reports.champion().version == "1"
    reports("c", 0.90)
    champion = reports.champion()
    assert (champion.model_version, champion.champion_before, champion.promoted_by) == ("c", "1", "report")


def test_a_version_is_no_later_one_because_its_run_was_ended_and_begun_anew(reports: Reports) -> None:
    reports("a", 0.95)
    reports("b", 0.90)
    reports.registry.promote(NAME, "1")
    experiment = reports.client.get_experiment_by_name(reports.settings.experiment).experiment_id
    (run,) = reports.client.search_runs([experiment], "tags.version = 'b'")
    reports.client.set_terminated(run.info.run_id)
    reports("b", 0.70)
    reports.client.delete_run(run.info.run_id)
    reports("b", 0.60)
    assert len(reports.client.search_runs([experiment], "tags.version = 'b'")) == 1
    assert reports.champion().version == "1"


def test_going_back_leads_further_back_each_time_and_is_a_word_by_hand(reports: Reports) -> None:
    for version, skill in (("a", 0.95), ("b", 0.90), ("c", 0.85)):
        reports(version, skill)
    back = reports.registry.rollback(NAME)
    assert (back.version, back.champion, back.promoted_by) == ("2", True, "hand")
    reports("c", 0.80)
    assert reports.champion().version == "2"
    assert reports.registry.rollback(NAME).version == "1"
    with pytest.raises(RegistryError, match="no champion before version 1; registered are: 1, 2, 3"):
        reports.registry.rollback(NAME)
    assert reports.champion().version == "1"


def test_going_back_from_a_promotion_by_hand_leads_to_what_it_replaced(reports: Reports) -> None:
    reports("a", 0.95)
    reports("b", 0.90)
    reports.registry.promote(NAME, "1")
    assert reports.registry.rollback(NAME).version == "2"
    assert reports.registry.rollback(NAME).version == "1"
    with pytest.raises(RegistryError, match="no champion before"):
        reports.registry.rollback(NAME)


def test_promoting_the_champion_again_renews_the_word_and_keeps_who_was_before(reports: Reports) -> None:
    reports("a", 0.95)
    reports("b", 0.90)
    Registry(reports.client, now=lambda: 1e9).promote(NAME, "2")
    assert reports.champion().held_since == 1e12
    again = Registry(reports.client, now=lambda: 2e9).promote(NAME, "2")
    assert (again.champion, again.champion_before, again.promoted_at) == (True, "1", "2033-05-18T03:33:20.000Z")
    assert reports.registry.rollback(NAME).version == "1"


def test_a_champion_that_was_removed_is_named_and_the_present_one_stays(reports: Reports) -> None:
    reports("a", 0.95)
    reports("b", 0.90)
    reports.client.delete_model_version(NAME, "1")
    with pytest.raises(RegistryError, match="no registered version 1; registered are: 2"):
        reports.registry.rollback(NAME)
    assert reports.champion().version == "2"


def test_without_a_champion_nothing_was_before_the_next_one(reports: Reports) -> None:
    reports("a", 0.95)
    reports("b", 0.90)
    reports.client.delete_registered_model_alias(NAME, "champion")
    with pytest.raises(RegistryError, match="no champion to go back from"):
        reports.registry.rollback(NAME)
    assert reports.registry.promote(NAME, "2").champion_before is None


def test_versions_have_the_metrics_that_their_runs_have_now(reports: Reports) -> None:
    reports("a", 0.95)
    reports("a", 0.93)
    (only,) = reports.registry.versions(NAME)
    assert only.skill == 0.95
    assert reports.registry.metrics(only) == {"mae": 0.93}
    assert reports.registry.versions("faces") == []


def test_a_word_whose_time_was_spoilt_still_holds(reports: Reports) -> None:
    reports("a", 0.95)
    reports.registry.promote(NAME, "1")
    reports.client.set_model_version_tag(NAME, "1", "promoted_at", "yesterday")
    reports("b", 0.50)
    assert reports.champion().version == "1"
    assert BEFORE_TAG not in reports.client.get_model_version(NAME, "1").tags


class Fails(BaseHTTPRequestHandler):
    """An MLflow whose database is away."""

    def do_GET(self) -> None:
        """No."""
        self.send_response(500)
        self.end_headers()
        self.wfile.write(b'{"error_code": "INTERNAL_ERROR", "message": "database is locked"}')

    def log_message(self, *_: object) -> None:
        """Silence."""


def test_an_mlflow_that_fails_is_not_taken_for_one_without_a_champion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Fails)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with pytest.raises(MlflowException):
            Registry(connect(f"http://127.0.0.1:{server.server_port}")).champion(NAME)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

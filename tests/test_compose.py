"""Holds docker-compose.yml and what it mounts to the compose schema and to the program itself."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "app" / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
WORKERS = [name for name in SERVICES if name.startswith("worker-")]
DASHBOARD = json.loads((DEPLOY / "grafana" / "dashboards" / "marquee.json").read_text())

each_service = pytest.mark.parametrize("name", sorted(SERVICES))


def _compose_schema() -> jsonschema.protocols.Validator:
    # Only the package's data is wanted, so it is found without being imported.
    (folder,) = importlib.util.find_spec("check_jsonschema").submodule_search_locations
    schema = json.loads((Path(folder) / "builtin_schemas" / "vendor" / "compose-spec.json").read_text())
    return jsonschema.validators.validator_for(schema)(schema)


def test_compose_file_follows_the_compose_schema() -> None:
    faults = [f"{error.json_path}: {error.message}" for error in _compose_schema().iter_errors(COMPOSE)]
    assert faults == []


def test_the_schema_check_finds_a_misspelt_key() -> None:
    broken = {"services": {"kafka": {**SERVICES["kafka"], "helthcheck": {}}}}
    assert not _compose_schema().is_valid(broken)


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_reads_the_configuration_that_is_mounted(name: str) -> None:
    (target,) = [v.split(":")[1] for v in SERVICES[name]["volumes"] if "/config:" in v]
    assert SERVICES[name]["working_dir"] == target
    assert "MARQUEE_CONFIG" not in SERVICES[name]["environment"]
    # Without the files it starts all the same.
    assert SERVICES[name]["env_file"] == [{"path": "app/deploy/config/credentials.env", "required": False}]


def _has_compose() -> bool:
    docker = shutil.which("docker")
    asked = [docker or "docker", "compose", "version"]
    return docker is not None and subprocess.run(asked, check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(not _has_compose(), reason="no docker client with compose here: the schema test stands alone")
def test_docker_itself_accepts_the_compose_file() -> None:
    command = ["docker", "compose", "--file", str(ROOT / "docker-compose.yml"), "config", "--quiet"]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env={**os.environ, "MARQUEE_API_TOKEN": "t"}
    )
    assert done.returncode == 0, done.stderr


def test_it_holds_everything_that_a_deployment_needs() -> None:
    assert set(SERVICES) == {
        "kafka", "mongo", "mlflow", "worker-1", "worker-2", "prometheus", "grafana", "kafka-ui",
    }  # fmt: skip


@each_service
def test_every_image_is_pinned_to_a_full_version(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9./-]+:v?\d+\.\d+\.\d+", SERVICES[name]["image"])


@each_service
def test_every_service_has_a_health_check_and_comes_back(name: str) -> None:
    service = SERVICES[name]
    assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
    assert service["healthcheck"]["retries"] >= 1
    assert service["restart"] == "unless-stopped"
    assert service["init"] is True


@each_service
def test_every_port_is_bound_to_this_machine_only(name: str) -> None:
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in SERVICES[name]["ports"])


def test_no_two_services_want_the_same_port() -> None:
    ports = [port.split(":")[1] for service in SERVICES.values() for port in service["ports"]]
    assert len(ports) == len(set(ports))


@each_service
def test_every_dependency_is_waited_for_until_it_is_healthy(name: str) -> None:
    for dependency, rule in SERVICES[name].get("depends_on", {}).items():
        assert dependency in SERVICES
        assert rule == {"condition": "service_healthy"}


def _mounts() -> Iterator[tuple[str, str]]:
    for name, service in SERVICES.items():
        for mount in service.get("volumes", []):
            yield name, mount.split(":")[0]


def test_every_mounted_file_and_volume_exists() -> None:
    for name, source in _mounts():
        if source.startswith("./"):
            assert (ROOT / source).exists(), f"{name} mounts {source}"
        else:
            assert source in COMPOSE["volumes"], f"{name} mounts {source}"
    assert {source for _, source in _mounts()} >= set(COMPOSE["volumes"])


def test_the_image_is_built_from_files_that_exist() -> None:
    build = SERVICES["worker-1"]["build"]
    lines = (ROOT / build["dockerfile"]).read_text().splitlines()
    copied = [
        word for line in lines if line.startswith("COPY ") and "--from" not in line for word in line.split()[1:-1]
    ]
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {"requirements.lock", "app", "agents", "models", "schemas"} <= set(copied)
    for source in copied:
        assert (ROOT / source).exists(), source
        assert source in allowed, f".dockerignore keeps {source} out"


def test_the_image_runs_as_a_user_and_checks_its_pins() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    assert re.search(r"^USER marquee$", text, re.M)
    assert "--require-hashes" in text
    assert re.search(r"^HEALTHCHECK ", text, re.M)
    assert "/livez" in text
    assert all(re.search(r":\d+\.\d+\.\d+", line) for line in re.findall(r"^FROM (.*)$", text, re.M))


def test_workers_are_two_with_names_addresses_and_tables_of_their_own() -> None:
    assert len(WORKERS) == 2
    own = [
        (
            SERVICES[name]["environment"]["MARQUEE_WORKER__ID"],
            SERVICES[name]["environment"]["MARQUEE_WEB__CANONICAL_URL"],
            SERVICES[name]["volumes"][0],
        )
        for name in WORKERS
    ]
    assert all(len(set(column)) == 2 for column in zip(*own, strict=True))
    for name in WORKERS:
        assert SERVICES[name]["environment"]["MARQUEE_WEB__CANONICAL_URL"] == f"http://{name}:6066"
        assert SERVICES[name]["stop_grace_period"] == "60s"


def test_workers_cannot_start_without_a_token() -> None:
    for name in WORKERS:
        assert SERVICES[name]["environment"]["MARQUEE_API_TOKEN"].startswith("${MARQUEE_API_TOKEN:?")


def test_workers_are_configured_by_settings_that_exist() -> None:
    from app.settings import describe, load

    known = {f"MARQUEE_{section}__{key}".upper() for section, key, _ in describe()} | {"MARQUEE_API_TOKEN"}
    for name in WORKERS:
        environment = SERVICES[name]["environment"]
        assert set(environment) <= known
        settings = load(environ=environment)
        assert settings.worker.id == name
        assert settings.servers == ["kafka:29092"]


def test_the_example_configuration_is_valid() -> None:
    from app.settings import load

    settings = load(DEPLOY / "marquee.example.toml", environ={})
    assert [film.imdb for film in settings.films] == ["tt1375666", "tt0245429"]


def test_prometheus_asks_every_worker() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    (job,) = config["scrape_configs"]
    assert job["static_configs"][0]["targets"] == [f"{name}:6066" for name in WORKERS]
    assert all((DEPLOY / file).is_file() for file in config["rule_files"])


def _queries() -> Iterator[str]:
    for panel in DASHBOARD["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    for group in yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]:
        yield from (rule["expr"] for rule in group["rules"])


def test_dashboard_and_alerts_ask_only_for_metrics_that_exist() -> None:
    from app.observe.metrics import metric_names

    asked = {name for query in _queries() for name in re.findall(r"marquee_[a-z_]+", query)}
    assert sorted(asked - metric_names()) == []
    assert asked


def test_dashboard_shows_every_metric_there_is() -> None:
    from app.observe.metrics import metric_names

    text = json.dumps(DASHBOARD)
    series = {re.sub(r"_(bucket|sum|count)$", "", name) for name in metric_names()}
    assert [name for name in sorted(series) if name not in text] == []


def test_dashboard_is_provisioned_from_where_it_is_mounted() -> None:
    provisioning = DEPLOY / "grafana" / "provisioning"
    provider = yaml.safe_load((provisioning / "dashboards" / "marquee.yml").read_text())["providers"][0]
    source = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"][0]
    mounts = dict(mount.split(":")[:2] for mount in SERVICES["grafana"]["volumes"])
    assert mounts["./app/deploy/grafana/dashboards"] == provider["options"]["path"]
    assert {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]} == {source["uid"]}
    assert source["url"] == "http://prometheus:9090"

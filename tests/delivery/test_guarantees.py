"""What the guarantees rest on is set in the program, and nothing around it can change that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.runner import purpose
from app.topology import Kind, film_topology

ROOT = Path(__file__).parents[2]

GUARANTEES: dict[str, Any] = {
    "processing_guarantee": "at_least_once",
    "stream_wait_empty": True,
    "broker_max_poll_records": 2000,
    "stream_buffer_maxsize": 4096,
    "consumer_auto_offset_reset": "earliest",
    "producer_acks": -1,
    "table_standby_replicas": 0,
    "topic_disable_leader": True,
    "web_enabled": False,
    "consumer_group_instance_id": "worker-1",
    "id": "marquee",
    "store": "rocksdb:?driver=rocksdict",
    "Stream": "app.delivery.stream.BatchStream",
    "Table": "app.delivery.table.BatchTable",
    "Consumer": "app.delivery.transport.Consumer",
    "concurrency": [1],
    "sinks": 0,
}

HOSTILE = {
    "PROCESSING_GUARANTEE": "exactly_once",
    "STREAM_WAIT_EMPTY": "0",
    "BROKER_MAX_POLL_RECORDS": "5000",
    "STREAM_BUFFER_MAXSIZE": "100000",
    "CONSUMER_AUTO_OFFSET_RESET": "latest",
    "PRODUCER_ACKS": "0",
    "TABLE_STANDBY_REPLICAS": "3",
    "TOPIC_DISABLE_LEADER": "0",
    "WEB_ENABLED": "1",
    "CONSUMER_GROUP_INSTANCE_ID": "other",
    "APP_ID_FORMAT": "{id}-other",
    "APP_STORE": "memory://",
    "STORE_URL": "memory://",
    "AGENT_SUPERVISOR": "mode.supervisors.CrashingSupervisor",
}

SHOW = """
import json
from app.settings import load
from app.worker import Worker
app = Worker(load()).app
named = ("processing_guarantee", "stream_wait_empty", "broker_max_poll_records", "stream_buffer_maxsize",
         "consumer_auto_offset_reset", "producer_acks", "table_standby_replicas", "topic_disable_leader",
         "web_enabled", "consumer_group_instance_id", "id", "store")
found = {name: getattr(app.conf, name) for name in named}
classes = {"Stream": app.conf.Stream, "Table": app.conf.Table, "Consumer": app._new_transport().Consumer}
found |= {name: f"{kind.__module__}.{kind.__qualname__}" for name, kind in classes.items()}
found["concurrency"] = sorted({agent.concurrency for agent in app.agents.values()})
found["sinks"] = sum(len(agent._sinks) for agent in app.agents.values())
print(json.dumps(found, default=lambda value: getattr(value, "value", str(value))))
"""


def effective(directory: Path, environ: dict[str, str]) -> dict[str, Any]:
    """The settings that a worker would run with."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("MARQUEE_", "FAUST_"))}
    env = {**plain, "PYTHONPATH": str(ROOT), **environ}
    done = subprocess.run(
        [sys.executable, "-c", SHOW], cwd=directory, env=env, capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("environ", [{}, HOSTILE], ids=["plain", "hostile"])
def test_the_environment_does_not_change_what_the_guarantees_rest_on(tmp_path: Path, environ: dict[str, str]) -> None:
    found = effective(tmp_path, environ)
    assert found == GUARANTEES


def test_every_stage_says_of_itself_what_it_is_for() -> None:
    stages = [stage for stage in film_topology().stages if stage.kind is not Kind.LEARN]
    told = {stage.name: purpose(stage) or "" for stage in stages}
    assert len(told) > 20
    assert [name for name, text in told.items() if not text or "partial(" in text] == []
    assert told["latest"].startswith("Replace the film's row")


def test_a_worker_refuses_to_start_without_compiled_streams(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "NO_CYTHON": "1"}
    command = [sys.executable, "-m", "faust", "-A", "app", "worker"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode != 0
    assert "unset NO_CYTHON" in done.stdout + done.stderr

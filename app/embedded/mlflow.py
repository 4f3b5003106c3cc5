"""The embedded MLflow: its tracking server on SQLite, one process, nothing sent anywhere."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

import aiohttp

from app.embedded.ports import LOOPBACK, listens
from app.embedded.process import Child

# `mlflow server` hands these to the uvicorn process that it starts. Starting that process ourselves
# spares the first one: 3 s instead of 8 to the first answer, and 250 MB instead of 510.
BACKEND_VARIABLE: Final = "_MLFLOW_SERVER_FILE_STORE"
REGISTRY_VARIABLE: Final = "_MLFLOW_SERVER_REGISTRY_STORE"
ARTIFACT_ROOT_VARIABLE: Final = "_MLFLOW_SERVER_ARTIFACT_ROOT"
ARTIFACTS_VARIABLE: Final = "_MLFLOW_SERVER_ARTIFACT_DESTINATION"
SERVE_ARTIFACTS_VARIABLE: Final = "_MLFLOW_SERVER_SERVE_ARTIFACTS"

_QUIET: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_ENABLE_AI_GATEWAY": "false",
    # One client that logs metrics: threads and arenas beyond that only cost memory.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
}


class Mlflow:
    """An MLflow tracking server and registry on a loopback port, kept under `directory`/mlflow."""

    name: Final = "mlflow"
    start_seconds: Final = 120.0

    def __init__(self, directory: Path, port: int) -> None:
        self.port = port
        storage = (directory / "mlflow").absolute()
        artifacts = storage / "artifacts"
        artifacts.mkdir(parents=True, exist_ok=True)
        database = f"sqlite:///{storage / 'mlflow.db'}"
        env = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "_MLFLOW_"))}
        env |= _QUIET | {
            BACKEND_VARIABLE: database,
            REGISTRY_VARIABLE: database,
            ARTIFACT_ROOT_VARIABLE: "mlflow-artifacts:/",
            ARTIFACTS_VARIABLE: str(artifacts),
            SERVE_ARTIFACTS_VARIABLE: "true",
        }
        command = [sys.executable, "-m", "uvicorn", "mlflow.server.fastapi_app:app"]
        command += ["--host", LOOPBACK, "--port", str(port), "--workers", "1"]
        command += ["--log-level", "warning", "--no-access-log", "--timeout-graceful-shutdown", "3"]
        # Its imports take seconds of CPU; the stream that starts beside it goes first.
        self.child = Child(self.name, command, directory, env=env, nice=10, stop_seconds=6.0)

    @property
    def url(self) -> str:
        """The tracking URI."""
        return f"http://{LOOPBACK}:{self.port}"

    async def answers(self) -> bool:
        """Whether the server answers from its database (the first question makes the tables)."""
        if not await listens(self.port):
            return False
        question = f"{self.url}/api/2.0/mlflow/experiments/get?experiment_id=0"
        timeout = aiohttp.ClientTimeout(total=self.start_seconds)
        try:
            async with aiohttp.ClientSession(timeout=timeout) as http, http.get(question) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

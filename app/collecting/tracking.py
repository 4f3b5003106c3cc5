"""A run in MLflow for each run of a connector, so that collecting is looked at where learning is. Never in the way."""

from __future__ import annotations

import asyncio
import logging
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from app.collecting.outbox import Outbox
from app.collecting.rejects import Rejects, write_csv
from app.collecting.runs import Carried, totals
from app.learning.registry import connect
from app.secret_urls import without_user
from app.settings import Mlflow

log = logging.getLogger(__name__)

MOST_WAITING: Final = 200
"""Runs that wait for MLflow; the oldest are dropped for newer ones."""
TRIES: Final = 3
PAUSE_SECONDS: Final = 10.0
REJECTED: Final = "rejected.csv"


class RunTracking:
    """Logs runs from a thread, one after another. What MLflow does not take in a few tries is dropped."""

    def __init__(
        self,
        settings: Mlflow,
        outbox: Outbox[Carried],
        rejects: Rejects,
        kinds: dict[str, str] | None = None,
        pause: float = PAUSE_SECONDS,
    ) -> None:
        self._settings = settings
        self._outbox = outbox
        self._rejects = rejects
        self._kinds = kinds if kinds is not None else {}
        self._pause = pause
        self._client: ScrapeLog | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="mlflow-scrapes")
        self._waiting: asyncio.Queue[tuple[str, Carried, bool]] = asyncio.Queue(MOST_WAITING)
        self.available: bool | None = None
        """Whether the last call reached MLflow; None before the first."""
        left = outbox.left() if settings.tracking_uri else []
        rejects.sweep({carried.rejected for _, carried in left})
        for name, carried in left:
            self._put(name, carried, again=True)

    def log(self, carried: Carried) -> None:
        """Log it soon, if need be in another life; nothing where tracking is turned off."""
        if self._settings.tracking_uri:
            self._put(self._outbox.keep(carried), carried)

    def _put(self, name: str, carried: Carried, again: bool = False) -> None:
        if self._waiting.full():
            self._done(*self._waiting.get_nowait()[:2])
            self._waiting.task_done()
        self._waiting.put_nowait((name, carried, again))

    def _done(self, name: str, carried: Carried) -> None:
        self._outbox.done(name)
        # Not before: a notice whose file is gone would tell less.
        self._rejects.remove(carried.rejected)

    async def run(self) -> None:
        """Log what an earlier life left behind, then what is put, until cancelled."""
        while True:
            name, carried, again = await self._waiting.get()
            try:
                await self._log(carried, again)
                # Not where a stop cut it off: then the next life logs it.
                self._done(name, carried)
            finally:
                self._waiting.task_done()

    async def drained(self, seconds: float) -> None:
        """Return once every run is logged or given up, or so many seconds have passed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._waiting.join()

    def close(self) -> None:
        """Leave a call that still hangs behind: it ends by its own time-out."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _log(self, carried: Carried, again: bool) -> None:
        loop = asyncio.get_running_loop()
        for n in range(TRIES):
            try:
                await asyncio.wait_for(loop.run_in_executor(self._thread, self._send, carried, again or n > 0), 60.0)
                self.available = True
                return
            except Exception as error:
                if self.available is not False:
                    where = without_user(self._settings.tracking_uri)
                    log.warning("MLflow at %s is away, collecting goes on: %s", where, error)
                self.available = False
            if n + 1 < TRIES:
                await asyncio.sleep(self._pause)
        log.info("%s: run %s is not in MLflow", carried.connector, carried.run.run_id)

    def _send(self, carried: Carried, again: bool) -> None:
        if self._client is None:
            self._client = ScrapeLog(self._settings, self._rejects)
        if again:
            self._client.remove(carried)
        self._client.log(carried, self._kinds.get(carried.connector, ""))


class ScrapeLog:
    """The experiment of scrapes. Every call may raise when MLflow is away."""

    def __init__(self, settings: Mlflow, rejects: Rejects) -> None:
        self._client = connect(settings.tracking_uri)
        self._rejects = rejects
        self._name = f"{settings.experiment}-scrapes"
        self._experiment: str | None = None

    def log(self, carried: Carried, kind: str) -> None:
        """One finished run with its parameters, its figures, and the rejected records as a file."""
        from mlflow.entities import Metric, Param

        report, run = carried.report, carried.run
        end = int(time.time() * 1000)
        when = run.logical_date or report.started_at
        tags = {"connector": carried.connector, "run_id": run.run_id, "attempt": str(run.attempt)}
        tags["status"] = report.status
        begun = end - int(report.seconds * 1000)
        made: Any = self._client.create_run(
            self._experiment_id(), start_time=begun, tags=tags, run_name=f"{carried.connector} {when}"
        )
        name = str(made.info.run_id)
        params = {
            "connector": carried.connector,
            "kind": kind,
            "trigger": run.trigger,
            "logical_date": run.logical_date or "",
            "attempt": str(run.attempt),
        }
        self._client.log_batch(
            name,
            metrics=[Metric(key, value, end, 0) for key, value in figures(carried).items()],
            params=[Param(key, value) for key, value in params.items()],
        )
        self._artifacts(name, carried)
        self._client.set_terminated(name, "FAILED" if report.status == "failed" else "FINISHED", end)

    def remove(self, carried: Carried) -> None:
        """Take away what a try that was cut off has logged of it."""
        quote = '"' if "'" in carried.run.run_id else "'"
        mine = f"tags.run_id = {quote}{carried.run.run_id}{quote} and tags.attempt = '{carried.run.attempt}'"
        for found in self._client.search_runs([self._experiment_id()], mine):
            self._client.delete_run(found.info.run_id)

    def _artifacts(self, name: str, carried: Carried) -> None:
        report = carried.report
        with tempfile.TemporaryDirectory(prefix="marquee-") as directory:
            path, refused = Path(directory) / REJECTED, totals(carried.run, report).rejected
            if write_csv(self._rejects.rows(carried.rejected, report.faults, refused), path):
                self._client.log_artifact(name, str(path))
            if report.error is not None:
                path = Path(directory) / "error.txt"
                path.write_text(report.error + "\n", encoding="utf-8")
                self._client.log_artifact(name, str(path))

    def _experiment_id(self) -> str:
        if self._experiment is None:
            found = self._client.get_experiment_by_name(self._name)
            made = found.experiment_id if found else self._client.create_experiment(self._name)
            self._experiment = str(made)
        return self._experiment


def figures(carried: Carried) -> dict[str, float]:
    """What a run did, as numbers."""
    counts = msgspec.structs.asdict(totals(carried.run, carried.report))
    return {**{name: float(value) for name, value in counts.items()}, "seconds": carried.report.seconds}

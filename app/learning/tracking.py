"""MLflow, for people: metrics in batches, pictures now and then, a version on promotion. Never in anyone's way."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
from mode import Service

from app.learning.registry import REPORT, SKILL_TAG, VERSION_TAG, Registry, connect
from app.learning.service import LearnerService
from app.secret_urls import without_user
from app.settings import Mlflow

log = logging.getLogger(__name__)

PROMOTION_LABELS: Final = 1000
"""Labels that a prequential window needs before a model may be compared by it, where the model does not say."""
FORGOTTEN_TAG: Final = "forgotten_up_to"
"""On runs of a model of people: the last forgetting that nothing in them is from before."""


@dataclass(frozen=True)
class Report:
    """What is said of a model at one moment; made on the event loop, sent from a thread."""

    name: str
    version: str
    lessons: int
    labels: int
    metrics: Mapping[str, float]
    skill: float | None
    """Window error over the running baseline's error on the same window; below 1 is better than the baseline."""
    state: Callable[[], bytes] | None = None
    pictures: tuple[Callable[[Path], Path | None], ...] = ()
    """Each draws into a folder; None where there is nothing to draw yet."""
    labels_needed: int = PROMOTION_LABELS
    """Before it may be the champion."""
    forgotten_up_to: int | None = None
    """Of a model of people: the last forgetting that state and pictures are from after; None of any other model."""


class TrackingService(Service):  # type: ignore[misc]
    """Logs the models that this worker owns. MLflow away or hanging costs a log line and nothing else."""

    def __init__(self, settings: Mlflow, learners: Mapping[str, LearnerService], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._settings = settings
        self._learners = learners
        # One thread: MLflow's client is slow and its order matters; the event loop never waits for it.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="mlflow")
        self._client: RunLog | None = None
        self._artifacts_at: dict[str, float] = {}
        self._forgotten_up_to: dict[str, int] = {}
        self._asked = asyncio.Event()
        self.available: bool | None = None
        """Whether the last call reached MLflow; None before the first."""

    def report_soon(self) -> None:
        """Log every model owned here, pictures included, without waiting for the next turn."""
        self._asked.set()

    @Service.task  # type: ignore[untyped-decorator]
    async def _report(self) -> None:
        if not self._settings.tracking_uri:
            return
        while not self.should_stop:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.metrics_every):
                    await self._asked.wait()
            asked = self._asked.is_set()
            self._asked.clear()
            if not self.should_stop:
                await self.report(artifacts=asked)

    async def report(self, artifacts: bool = False) -> None:
        """Log every model owned here now."""
        loop = asyncio.get_running_loop()
        for name, service in self._learners.items():
            lessons = service.lessons
            if self.should_stop or lessons is None:
                continue
            # Pictures from before a forgetting are replaced also where nothing was learnt since a restart.
            owed = getattr(lessons.learner, "forgotten_up_to", 0) > self._forgotten_up_to.get(name, 0)
            if not lessons.learnt and not owed:
                continue
            due = (
                artifacts
                or owed
                or time.monotonic() - self._artifacts_at.get(name, -1e9) >= self._settings.artifacts_every
            )
            report = describe(lessons.learner, with_artifacts=due)
            if due:
                self._artifacts_at[name] = time.monotonic()
            try:
                await asyncio.wait_for(loop.run_in_executor(self._thread, self._send, report), 60.0)
                self.available = True
                if due:
                    self._forgotten_up_to[name] = report.forgotten_up_to or 0
            except Exception as error:
                if self.available is not False:
                    where = without_user(self._settings.tracking_uri)
                    log.warning("MLflow at %s is away, learning goes on: %s", where, error)
                self.available = False

    def _send(self, report: Report) -> None:
        if self._client is None:
            self._client = RunLog(self._settings)
        self._client.log(report)

    async def on_stop(self) -> None:
        """Leave a call that still hangs behind: it ends by its own time-out."""
        self._asked.set()
        self._thread.shutdown(wait=False, cancel_futures=True)


def describe(learner: Any, with_artifacts: bool) -> Report:
    """A learner's figures; copies, so that a thread may use them while learning goes on."""
    personal = getattr(learner, "personal", False)
    state = (_card(learner) if personal else learner.to_bytes()) if with_artifacts else None
    return Report(
        name=learner.name,
        version=learner.model_version,
        lessons=learner.lessons,
        labels=learner.labels,
        metrics={key: float(value) for key, value in learner.metrics().items() if value is not None},
        skill=learner.skill(),
        state=(lambda: state) if state is not None else None,
        pictures=_pictures(learner) if with_artifacts else (),
        labels_needed=getattr(learner, "labels_needed", PROMOTION_LABELS),
        forgotten_up_to=learner.forgotten_up_to if personal else None,
    )


def _card(learner: Any) -> bytes:
    """What is logged in place of a state that has to be erased with whoever is in it."""
    return msgspec.json.encode({"model_version": learner.model_version, "counts": learner.counts()})


def _pictures(learner: Any) -> tuple[Callable[[Path], Path | None], ...]:
    from app.learning.plots import draw_confusion, draw_curve

    name, curve = learner.name, learner.curve()
    drawn: list[Callable[[Path], Path | None]] = [lambda folder: draw_curve(curve, folder / f"{name}-error.png", name)]
    if hasattr(learner, "confusion"):
        confusion = learner.confusion()
        drawn.append(lambda folder: draw_confusion(confusion, folder / f"{name}-confusion.png", name))
    return tuple(drawn)


class RunLog:
    """One MLflow run a model, taken up again after a restart. Every call may raise when MLflow is away."""

    def __init__(self, settings: Mlflow) -> None:
        self._client = connect(settings.tracking_uri)
        self._registry = Registry(self._client)
        self._uri = settings.tracking_uri
        self._experiment_name = settings.experiment
        self._experiment: str | None = None
        self._runs: dict[str, str] = {}

    def log(self, report: Report) -> None:
        """Metrics always; state and picture where the report has them; a version where the model is better."""
        from mlflow.entities import Metric

        run = self._run(report)
        now = int(time.time() * 1000)
        metrics = [Metric(key, value, now, report.lessons) for key, value in report.metrics.items()]
        self._client.log_batch(run, metrics=metrics)
        if report.state is not None or report.pictures:
            self._artifacts(run, report)

    def _run(self, report: Report) -> str:
        known = self._runs.get(report.name)
        if known is not None:
            return known
        experiment = self._experiment_id()
        query = f"tags.model = '{report.name}' and tags.version = '{report.version}' and attributes.status = 'RUNNING'"
        found = self._client.search_runs([experiment], query, max_results=1)
        if found:
            run = str(found[0].info.run_id)
        else:
            tags = {"model": report.name, "version": report.version}
            run = str(self._client.create_run(experiment, tags=tags, run_name=report.name).info.run_id)
            self._client.log_param(run, "model_version", report.version)
        self._runs[report.name] = run
        return run

    def _experiment_id(self) -> str:
        if self._experiment is None:
            found = self._client.get_experiment_by_name(self._experiment_name)
            self._experiment = (
                str(found.experiment_id) if found else str(self._client.create_experiment(self._experiment_name))
            )
        return self._experiment

    def _artifacts(self, run: str, report: Report) -> None:
        if report.forgotten_up_to is not None:
            self._forget_older(report.name, report.forgotten_up_to)
            self._client.set_tag(run, FORGOTTEN_TAG, str(report.forgotten_up_to))
        with tempfile.TemporaryDirectory(prefix="marquee-") as directory:
            folder = Path(directory)
            for drawn in filter(None, (draw(folder) for draw in report.pictures)):
                self._client.log_artifact(run, str(drawn))
            if report.state is not None:
                path = folder / f"{report.name}.state"
                path.write_bytes(report.state())
                self._client.log_artifact(run, str(path), "model")
                self._maybe_promote(run, report)

    def _forget_older(self, model: str, up_to: int) -> None:
        """Delete what runs of a model of people show from before the last forgetting."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        for run in self._client.search_runs([self._experiment_id()], f"tags.model = '{model}'"):
            if int(run.data.tags.get(FORGOTTEN_TAG, 0)) >= up_to:
                continue
            for file in self._client.list_artifacts(run.info.run_id):
                files = get_artifact_repository(run.info.artifact_uri, tracking_uri=self._uri)
                files.delete_artifacts(file.path)
            self._client.set_tag(run.info.run_id, FORGOTTEN_TAG, str(up_to))

    def _maybe_promote(self, run: str, report: Report) -> None:
        """Register a version where it beats the champion, both measured against the same baseline on their window.

        It is the champion then, unless somebody's word since it was first seen is that another one be.
        """
        if report.skill is None or report.labels < report.labels_needed or report.skill >= 1.0:
            return
        champion = self._registry.champion(report.name)
        held = False
        if champion is not None:
            better = champion.skill is None or report.skill < champion.skill
            if champion.model_version == report.version or not better:
                return
            since = champion.held_since
            held = since is not None and self._first_seen(report) <= since
        if held and any(each.model_version == report.version for each in self._registry.versions(report.name)):
            return
        figures = {SKILL_TAG: f"{report.skill:.6f}", "lessons": str(report.lessons)}
        made = self._registry.register(report.name, run, {VERSION_TAG: report.version, **figures})
        if held:
            log.info("%s: version %s is better than the champion, which was set by hand", report.name, made)
            return
        self._registry.promote(report.name, made, by=REPORT)
        log.info("%s: version %s is the champion (skill %.4f)", report.name, made, report.skill)

    def _first_seen(self, report: Report) -> int:
        """When the model's version was first reported, in ms since 1970, whatever became of that run."""
        from mlflow.entities import ViewType

        query = f"tags.model = '{report.name}' and tags.version = '{report.version}'"
        first = {"order_by": ["attributes.start_time ASC"], "max_results": 1, "run_view_type": ViewType.ALL}
        (run,) = self._client.search_runs([self._experiment_id()], query, **first)
        return int(run.info.start_time)

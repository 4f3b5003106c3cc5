"""The gauges that are read off the worker when Prometheus asks, rather than kept up while it works."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.observe import metrics
from app.web.parts import Spot, WorkerParts, owned_model
from models.prequential import BASELINES

TEXT = CONTENT_TYPE_LATEST
ERRORS: Final = frozenset({"mae", "rmse", "mae_cold", "mae_warm", "mae_by_film", "best_expert", *BASELINES})
"""Measures of models that are errors as they stand."""
RIGHT: Final = "accuracy"
"""How measures begin that are shares of right answers, whose complement is the error."""


def exposition(worker: WorkerParts, spots: Iterable[Spot], now: Callable[[], float] = time.time) -> bytes:
    """Every metric in Prometheus' text format, the gauges freshly read."""
    metrics.GATE_OPEN.set(1 if worker.gate_open else 0)
    # A partition or model that went to another worker must not be shown here any longer.
    metrics.LAG.clear()
    for spot in spots:
        if spot.lag is not None:
            metrics.LAG.labels(spot.stage, spot.topic, str(spot.partition)).set(spot.lag)
    metrics.SNAPSHOT_AGE.clear()
    for name, age in snapshot_ages(worker, now).items():
        metrics.SNAPSHOT_AGE.labels(name).set(age)
    metrics.MODEL_ERROR.clear()
    for name, learner in worker.learners.items():
        model = owned_model(learner)
        for measure, error in prediction_errors(model.metrics()) if model is not None else ():
            metrics.MODEL_ERROR.labels(name, measure).set(error)
    return generate_latest(metrics.REGISTRY)


def prediction_errors(measures: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """Errors of a model and its baselines by measure, as far as labels have come; less is better in all of them."""
    for measure, value in measures.items():
        if value is None:
            continue
        if measure in ERRORS:
            yield measure, float(value)
        elif measure.startswith(RIGHT):
            yield measure.replace(RIGHT, "wrong", 1), 1.0 - float(value)


def snapshot_ages(worker: WorkerParts, now: Callable[[], float] = time.time) -> dict[str, float]:
    """Seconds since the newest snapshot of each model that this worker owns."""
    newest = worker.keeper.newest_at
    return {
        name: max(0.0, now() - newest[name])
        for name, learner in worker.learners.items()
        if learner.lessons is not None and name in newest
    }

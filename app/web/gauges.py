"""The gauges that are read off the worker when Prometheus asks, rather than kept up while it works."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.observe import metrics
from app.web.parts import Spot, WorkerParts

TEXT = CONTENT_TYPE_LATEST


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
    return generate_latest(metrics.REGISTRY)


def snapshot_ages(worker: WorkerParts, now: Callable[[], float] = time.time) -> dict[str, float]:
    """Seconds since the newest snapshot of each model that this worker owns."""
    newest = worker.keeper.newest_at
    return {
        name: max(0.0, now() - newest[name])
        for name, learner in worker.learners.items()
        if learner.lessons is not None and name in newest
    }

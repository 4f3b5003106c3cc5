"""How fast each stage works, from the metrics once a second, so that the stages themselves need not say."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

import msgspec
from prometheus_client import Counter

from app.observe import metrics
from app.web.parts import Spot

KEPT_SECONDS: Final = 120


class StagePulse(msgspec.Struct, kw_only=True):
    """A stage of this worker: events a second, totals since the start, records that wait."""

    rate: float
    events: int
    errors: int
    dead_letters: int
    lag: int | None


class Pulse:
    """The last two minutes of every stage."""

    def __init__(self, stages: Iterable[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._stages = tuple(stages)
        self._clock = clock
        self._last: tuple[float, dict[str, float]] | None = None
        self._rates: dict[str, deque[float]] = {stage: deque(maxlen=KEPT_SECONDS) for stage in self._stages}
        self._lags: dict[str, int] = {}
        self.stages: dict[str, StagePulse] = {}

    def beat(self, spots: Iterable[Spot] | None = None) -> None:
        """Compare the counters with those of the beat before; without `spots` the lags stay those of the last look."""
        now, events = self._clock(), by_stage(metrics.EVENTS)
        before, old = self._last or (now, events)
        seconds = max(now - before, 1e-9)
        self._last = now, events
        errors, dead = by_stage(metrics.ERRORS), by_stage(metrics.DEAD_LETTERS)
        if spots is not None:
            self._lags = lag_by_stage(spots)
        for stage in self._stages:
            rate = max(0.0, events.get(stage, 0.0) - old.get(stage, 0.0)) / seconds
            self._rates[stage].append(rate)
            self.stages[stage] = StagePulse(
                rate=round(rate, 1),
                events=int(events.get(stage, 0)),
                errors=int(errors.get(stage, 0)),
                dead_letters=int(dead.get(stage, 0)),
                lag=self._lags.get(stage),
            )

    def history(self, stage: str) -> list[float]:
        """Events a second, one number a beat, oldest first."""
        return list(self._rates[stage])


def by_stage(counter: Counter) -> dict[str, float]:
    """The total of each stage over a counter's other labels."""
    totals: dict[str, float] = {}
    for metric in counter.collect():
        for sample in metric.samples:
            if sample.name.endswith("_total"):
                stage = sample.labels["stage"]
                totals[stage] = totals.get(stage, 0.0) + sample.value
    return totals


def lag_by_stage(spots: Iterable[Spot]) -> dict[str, int]:
    """The records that wait for each stage, over the partitions whose ends are known."""
    lags: dict[str, int] = {}
    for spot in spots:
        if spot.lag is not None:
            lags[spot.stage] = lags.get(spot.stage, 0) + spot.lag
    return lags

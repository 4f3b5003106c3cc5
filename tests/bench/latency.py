"""Part `latency`: from a rating sent to its prediction read, at a steady rate."""

from __future__ import annotations

import time
from pathlib import Path

from schemas.events import RatingCleaned, RatingObserved, RatingPredicted
from tests.bench import data
from tests.bench.feed import RATE, Feed
from tests.bench.options import Options
from tests.bench.processes import Measured, Moment
from tests.bench.report import Report, Table, percentile, progress, verdict
from tests.bench.rig import Rig

WARM_UP = 10.0
"""Seconds of the same traffic before the clock runs: the first writes to each partition make the broker's files."""
SECONDS = 12.0
P50_TARGET = 10.0
P99_TARGET = 30.0


async def run(rig: Rig, options: Options, report: Report) -> None:
    """The worker and Quix Streams, one after the other."""
    count = options.partitions[-1]
    title = f"Rating sent to prediction read, {RATE:g} a second for {SECONDS:g} s, {count} partitions, in ms"
    table = Table(title, ("", "p50", "p99", "max", "answered", "CPU of a core"))
    for name in ("whole path", "Quix Streams, two hops with state"):
        directory = await rig.fresh()
        await rig.create({RatingObserved.topic: count, RatingCleaned.topic: 1, RatingPredicted.topic: count})
        process = _process(rig, name, directory, count, options.profile)
        delays, sent, load = await _measure(rig, options, process, count)
        p50, p99 = percentile(delays, 0.5), percentile(delays, 0.99)
        worst = max(delays, default=float("nan"))
        table.add(name, f"{p50:.1f}", f"{p99:.1f}", f"{worst:.1f}", f"{len(delays)} of {sent}", f"{load:.0%}")
        report.figures.setdefault("latency", {})[name] = {"p50": p50, "p99": p99, "max": worst, "load": load}
        progress(f"{name}: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
        if name == "whole path":
            table.notes.append(f"p50 <= {P50_TARGET:g} ms: {verdict(p50, P50_TARGET, at_least=False)}")
            table.notes.append(f"p99 <= {P99_TARGET:g} ms: {verdict(p99, P99_TARGET, at_least=False)}")
    table.notes.append(f"measured after {WARM_UP:g} s of the same traffic")
    table.notes.append(rig.note)
    report.show(table)


def _process(rig: Rig, name: str, directory: Path, count: int, profile: Path | None) -> Measured:
    return rig.worker(directory, count, profile) if name == "whole path" else rig.peer("quix_app", directory, "two")


async def _measure(rig: Rig, options: Options, process: Measured, count: int) -> tuple[list[float], int, float]:
    """Delays in milliseconds, how many ratings should have one, and the share of a core that was used."""
    needed = int((WARM_UP + SECONDS) * RATE) + 10
    feed = Feed(rig.bootstrap, iter(data.source_records(options.ratings, needed)), count)
    async with feed.open(), process:
        await feed.one()
        await feed.answered(120.0)
        await feed.steadily(WARM_UP)
        process.toggle_samples()
        before = Moment.now(process.pid)
        begun = time.perf_counter()
        await feed.steadily(SECONDS)
        after = Moment.now(process.pid)
        process.toggle_samples()
        await feed.settled(10.0)
        await process.kill9()
    counted = {cause: at for cause, at in feed.sent.items() if at >= begun}
    delays = [1000 * (feed.seen[cause] - at) for cause, at in counted.items() if cause in feed.seen]
    return delays, len(counted), (after.cpu - before.cpu) / (after.wall - before.wall)

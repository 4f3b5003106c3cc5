"""Part `memory`: resident memory over a long run, through `marquee evaluate` and through the worker."""

from __future__ import annotations

import asyncio
import csv
from collections.abc import Callable
from pathlib import Path

from schemas.events import RatingCleaned, RatingObserved, RatingPredicted
from tests.bench import data
from tests.bench.options import Options
from tests.bench.processes import Measured, resident_mb
from tests.bench.queues import Ends, fill, first_and_last
from tests.bench.report import Report, Table, progress
from tests.bench.rig import Rig

SHARES = (0.1, 0.25, 0.5, 0.75, 1.0)
FLAT_SHARE = 0.10
"""Growth from a quarter of the run to its end, as a share of what is in memory, that is still called flat."""


async def run(rig: Rig, options: Options, report: Report) -> None:
    """Both, and whether they are flat."""
    sizes = (100_000, 20_000) if options.quick else (1_000_000, 200_000)
    labels = tuple(f"{share:.0%}" for share in SHARES)
    table = Table("Resident memory in MB, by share of the run", ("", *labels, "after 25 %", ""))
    for name, size, measure in (("marquee evaluate", sizes[0], _evaluate), ("worker", sizes[1], _worker)):
        ratings = data.made(options.scratch, size)
        found = await measure(rig, options, ratings, size)
        growth = found[-1] - found[1]
        said = "flat" if growth <= FLAT_SHARE * found[1] else "GROWS"
        table.add(f"{name}, {size:,} ratings", *(f"{mb:.0f}" for mb in found), f"{growth:+.0f} MB", said)
        report.figures.setdefault("memory", {})[name] = dict(zip(labels, found, strict=True))
        progress(f"{name}: {' '.join(f'{mb:.0f}' for mb in found)} MB")
    table.notes = [
        f"ratings made in MovieLens' shape, {data.FILMS:,} films; flat: at most {FLAT_SHARE:.0%} more at the end"
        " than after a quarter",
        rig.note,
    ]
    report.show(table)


async def _worker(rig: Rig, options: Options, ratings: data.Ratings, size: int) -> list[float]:
    count = options.partitions[-1]
    directory = await rig.fresh()
    topics = {RatingObserved.topic: count, RatingCleaned.topic: 1, RatingPredicted.topic: count}
    await rig.create(topics)
    await fill(rig.bootstrap, data.source_records(ratings), topics)
    worker = rig.worker(directory, count)
    async with Ends(rig.bootstrap, RatingPredicted.topic, count) as ends, worker:
        gauge = _Gauge(size, lambda: resident_mb(worker.pid))
        await first_and_last(ends, worker, size, each=gauge.look)
        await worker.kill9()
    return gauge.found


class _Gauge:
    """Reads the memory whenever another of `SHARES` is reached."""

    def __init__(self, goal: int, read: Callable[[], float]) -> None:
        self._goal, self._read = goal, read
        self.found: list[float] = []

    def look(self, done: int) -> None:
        while len(self.found) < len(SHARES) and done >= SHARES[len(self.found)] * self._goal:
            self.found.append(self._read())


async def _evaluate(rig: Rig, options: Options, ratings: data.Ratings, size: int) -> list[float]:
    """`evaluate` shows no progress to programs, so the run is divided by its time."""
    path = options.scratch / f"ratings-{size}.csv"
    _as_movielens(ratings, path)
    process = Measured("evaluate", options.scratch / "evaluate", ["-m", "app", "evaluate", "--ratings", str(path)])
    found: list[float] = []
    process.start()
    pid = process.pid
    while process.running:
        found.append(resident_mb(pid))
        await asyncio.sleep(0.1)
    progress(process.log().strip()[-600:])
    await process.stop()
    seen = [mb for mb in found if mb > 0]
    return [seen[min(len(seen) - 1, max(0, round(share * len(seen)) - 1))] for share in SHARES]


def _as_movielens(ratings: data.Ratings, path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("userId", "movieId", "rating", "timestamp"))
        writer.writerows(ratings.read())

"""Part `memory`: resident memory over a long run, through `marquee evaluate` and through the worker."""

from __future__ import annotations

import csv
from pathlib import Path

from schemas.events import RatingCleaned, RatingObserved, RatingPredicted
from tests.bench import data
from tests.bench.gauge import SHARES, Gauge
from tests.bench.options import Options
from tests.bench.processes import answer, resident_mb
from tests.bench.queues import Ends, fill, first_and_last
from tests.bench.report import Report, Table, progress
from tests.bench.rig import Rig

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
        gauge = Gauge(size, lambda: resident_mb(worker.pid))
        await first_and_last(ends, worker, size, each=gauge.look)
        await worker.kill9()
    return gauge.found


async def _evaluate(rig: Rig, options: Options, ratings: data.Ratings, size: int) -> list[float]:
    path = options.scratch / f"ratings-{size}.csv"
    _as_movielens(ratings, path)
    found: list[float] = await answer("evaluate", str(path), str(size))
    return found


def _as_movielens(ratings: data.Ratings, path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("userId", "movieId", "rating", "timestamp"))
        writer.writerows(ratings.read())

"""Part `restart`: how long nothing comes out when a worker is killed under load and started again at once."""

from __future__ import annotations

import asyncio
import time

from schemas.events import RatingCleaned, RatingObserved, RatingPredicted
from tests.bench import data
from tests.bench.feed import RATE, Feed
from tests.bench.options import Options
from tests.bench.report import Report, Table, median, progress, spread, verdict
from tests.bench.rig import Rig

BEFORE = 8.0
TARGET = 10.0
LIMIT = 90.0
IN_FLIGHT = 0.5
"""What the killed worker had sent is still arriving for so long; a new one needs longer to import its modules."""


async def run(rig: Rig, options: Options, report: Report) -> None:
    """Kill and start again, several times, with the tables and the snapshots that are there by then."""
    count = options.partitions[-1]
    directory = await rig.fresh()
    await rig.create({RatingObserved.topic: count, RatingCleaned.topic: 1, RatingPredicted.topic: count})
    records = data.source_records(options.ratings)
    feed = Feed(rig.bootstrap, iter(records), count)
    found: list[float] = []
    async with feed.open(), rig.worker(directory, count) as worker:
        await feed.one()
        await feed.answered(120.0)
        feeding = asyncio.create_task(feed.steadily(len(records) / RATE - 1))
        for _ in range(1 if options.quick else 3):
            await asyncio.sleep(BEFORE)
            await worker.kill9()
            killed = time.perf_counter()
            worker.start()
            try:
                found.append(await feed.answered(LIMIT, since=killed + IN_FLIGHT) - killed)
            except TimeoutError:
                found.append(LIMIT)
            progress(f"first new prediction {found[-1]:.1f} s after kill -9")
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
        whole = await feed.settled(LIMIT)
        await worker.kill9()
    table = Table(f"kill -9 under {RATE:g} ratings a second, started again at once", ("", "seconds", "target", ""))
    said = verdict(median(found), TARGET, at_least=False)
    table.add(f"to the first new prediction (median of {len(found)})", spread(found, ".1f"), f"<= {TARGET:g}", said)
    missing = len(feed.sent.keys() - feed.seen.keys())
    state = "every one has its prediction" if whole else f"{missing} WITHOUT a prediction"
    table.notes = [f"{len(feed.sent):,} ratings sent, {state}; {feed.repeats:,} records were repeats", rig.note]
    report.show(table)
    report.figures["restart"] = {"seconds": found, "sent": len(feed.sent), "missing": missing}

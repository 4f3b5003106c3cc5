"""Part `rebuild`: from the archive to a broker, a model and tables that stand where they stood."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from app.delivery.topics import FOR_EVER, partitions
from app.embedded.archive import Archiver, restore
from app.embedded.partition_log import PartitionLog, write_partition_count
from app.embedded.segment import ArchivedRecord
from app.settings import Settings, Topics
from schemas.events import RatingCleaned, RatingObserved, RatingPredicted
from tests.bench import data
from tests.bench.marks import applied
from tests.bench.options import Options
from tests.bench.queues import Ends, first_and_last
from tests.bench.report import Report, Table, progress, verdict
from tests.bench.rig import Rig

TARGET = 10_000
FRAME = 500


async def run(rig: Rig, options: Options, report: Report) -> None:
    """What `marquee up --embedded` does at a start, with the clock running."""
    count = options.partitions[-1]
    counts = {t: n for t, n in partitions(Settings(topics=Topics(partitions=count))).items() if t in FOR_EVER}
    archive = options.scratch / "archive"
    size = await asyncio.to_thread(_archive, options, archive, counts, count)
    directory = await rig.fresh()
    begun = time.perf_counter()
    restored = await restore(rig.bootstrap, archive, counts)
    put_back = time.perf_counter()
    progress(f"rebuild: {restored.records:,} records restored in {put_back - begun:.1f} s")
    archiver = Archiver(rig.bootstrap, archive, counts)
    archiving = asyncio.create_task(archiver.run())
    await archiver.following()
    worker = rig.worker(directory, count)
    started = time.perf_counter()
    async with worker, Ends(rig.bootstrap, RatingPredicted.topic, count) as ends:
        first, last = await first_and_last(ends, worker, size)
        stages = {"cleaned-ratings": (RatingObserved.topic, count), "predictions": (RatingPredicted.topic, count)}
        await applied(rig.bootstrap, rig.name, stages, size)
        tables = time.perf_counter()
        await worker.kill9()
    await archiver.stop(drain=False)
    await asyncio.gather(archiving, return_exceptions=True)
    steps = {
        "archive to broker, in records": restored.records / (put_back - begun),
        "model, from its first answer to its last": (last.counted - first.counted) / (last.wall - first.wall),
        "model and tables, from the model's first answer": size / (tables - first.wall),
        "all, with the worker's start": size / (put_back - begun + tables - started),
    }
    _show(rig, steps, size, first.wall - started, report)


def _show(rig: Rig, steps: dict[str, float], size: int, start: float, report: Report) -> None:
    table = Table(f"Rebuild of {size:,} ratings from the archive", ("", "a second", "target", ""))
    for name, rate in steps.items():
        table.add(name, f"{rate:,.0f}", f">= {TARGET:,}", verdict(rate, TARGET, at_least=True))
    table.notes = [f"start of the worker to its first answer: {start:.1f} s", rig.note]
    report.show(table)
    report.figures["rebuild"] = {**steps, "start": start}


def _archive(options: Options, directory: Path, counts: dict[str, int], count: int) -> int:
    """An archive as a run over these ratings would have left it; how many ratings it holds."""
    source = data.source_records(options.ratings, options.events)
    training = [outgoing for _, outgoing in data.cleaned(options.ratings, options.events, count)]
    lanes: dict[tuple[str, int], list[ArchivedRecord]] = {}
    for records, partitions_ in ((source, count), (training, 1)):
        for n, record in enumerate(records):
            lane = lanes.setdefault((record.topic, data.lane(record, partitions_)), [])
            lane.append(ArchivedRecord(len(lane), data.stamp(n), record.key, record.value, tuple(record.headers)))
    for topic, number in counts.items():
        write_partition_count(directory, topic, number)
    for (topic, partition), rows in lanes.items():
        log = PartitionLog(directory, topic, partition)
        for start in range(0, len(rows), FRAME):
            log.append(rows[start : start + FRAME])
        log.sync()
        log.close()
    assert len(training) == len(source), f"{RatingCleaned.topic} has another number of records"
    return len(source)

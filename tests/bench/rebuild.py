"""Part `rebuild`: from an archive on disk to a worker that is ready, with all that is derived as it was."""

from __future__ import annotations

import asyncio
import os
import time
import urllib.request
from pathlib import Path

from app.delivery.topics import partitions
from app.embedded.archive import Archiver
from app.embedded.history import archive_dir
from app.embedded.lasting import lasting
from app.embedded.partition_log import PartitionLog, write_partition_count
from app.embedded.putting_back import Documents, put_back
from app.embedded.segment import ArchivedRecord
from app.settings import Settings, Topics
from schemas.events import RatingCleaned, RatingPredicted
from tests.bench import data
from tests.bench.options import Options
from tests.bench.queues import Ends
from tests.bench.report import Report, Table, progress, verdict
from tests.bench.rig import Rig

TARGET = 10_000
FRAME = 500
READY_SECONDS = 120.0


async def run(rig: Rig, options: Options, report: Report) -> None:
    """What `marquee up --embedded` does at a start, with the clock running."""
    count = options.partitions[-1]
    counts = {t: n for t, n in partitions(Settings(topics=Topics(partitions=count))).items() if t in lasting()}
    directory = await rig.fresh()
    place = directory / "data"
    size = await asyncio.to_thread(_archive, options, archive_dir(place), counts, count)
    environment = {**os.environ, **rig.environ(directory, count)}
    begun = time.perf_counter()
    made = await put_back(place, Documents.COMPLETE, environment, progress)
    put = time.perf_counter()
    progress(f"rebuild: {made.restored:,} records restored, {made.made:,} made, in {put - begun:.1f} s")
    archiver = Archiver(rig.bootstrap, archive_dir(place), counts)
    archiving = asyncio.create_task(archiver.run())
    await archiver.following()
    async with rig.worker(directory, count) as worker:
        await _ready(rig.web_url)
        ready = time.perf_counter()
        async with Ends(rig.bootstrap, RatingPredicted.topic, count) as ends:
            predicted = await ends.total()
        await worker.kill9()
    await archiver.stop(drain=False)
    await asyncio.gather(archiving, return_exceptions=True)
    if made.lessons["future-rating"] != size or predicted != size:
        raise RuntimeError(f"of {size:,} ratings {made.lessons} were learnt and {predicted:,} predicted")
    steps = {
        "topics, tables, marks and model, at work": size / made.seconds,
        "the same, with the start of its process": size / (put - begun),
        "all of it, to a worker whose /readyz is true": size / (ready - begun),
    }
    _show(rig, steps, size, ready - put, report)


async def _ready(url: str) -> None:
    give_up = time.monotonic() + READY_SECONDS
    while not await asyncio.to_thread(_is_ready, url):
        if time.monotonic() > give_up:
            raise RuntimeError(f"the worker is not ready after {READY_SECONDS:g} s")
        await asyncio.sleep(0.05)


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _show(rig: Rig, steps: dict[str, float], size: int, start: float, report: Report) -> None:
    table = Table(f"Rebuild of {size:,} ratings from the archive", ("", "a second", "target", ""))
    for name, rate in steps.items():
        table.add(name, f"{rate:,.0f}", f">= {TARGET:,}", verdict(rate, TARGET, at_least=True))
    table.notes = [
        f"start of the archiver and of the worker, to /readyz: {start:.1f} s, however many ratings there are",
        "in: archived topics, tables with marks and changelogs, predictions and registrations, the model's snapshot",
        "not in: documents, which outlive the broker on disk",
        rig.note,
    ]
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

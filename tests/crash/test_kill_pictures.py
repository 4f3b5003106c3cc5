"""A worker is killed ten times while it fetches, claims, cleans and judges pictures; what is left is as it must be.

What must be: every item has the verdict that its picture was made for, whatever happened on the way, because a
person's pictures are in one order from the first topic to the last. Order between people is the broker's: batches of
several partitions may have met in another way than without a kill. So the straight run is given the merged topics as
they lie there, and has to come to the same values on them, to the same rows, documents, files and model, byte by byte.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from app.delivery.raw import Raw
from app.pictures import service
from schemas.faces import FaceConfirmed
from schemas.ids import item_id
from schemas.pictures import ImageAccepted, ImageDiscarded, ImageExamined, ImageFetched, ImageKept, ImageRejected
from tests.bench.queues import Ends
from tests.crash.blocks_for_faces import ENGINE
from tests.crash.crowd import Feeder
from tests.crash.gallery import COPIES, PEOPLE, Gallery, Shown, gallery
from tests.crash.judge import Verdict, drained
from tests.crash.servers import Servers, cut
from tests.crash.straight_pictures import GIVEN, MERGED, StraightPictures, files_below, files_named
from tests.crash.worker import WorkerProcess, until

KILLS: Final = 10
STAGES: Final = tuple(
    record.topic for record in (ImageFetched, ImageFetched, ImageAccepted, ImageExamined, ImageKept, FaceConfirmed)
)
"""Each life ends soon after more has come out of one of these; fetching has the most under way."""
DECIDED: Final = (ImageFetched, ImageAccepted, ImageRejected, ImageExamined, ImageKept, ImageDiscarded, FaceConfirmed)

Report = Callable[[str], None]


class Storm:
    """Feeds in portions and kills in between, some time after a stage has got further, or while the worker starts."""

    def __init__(self, worker: WorkerProcess, seed: int) -> None:
        self.worker = worker
        self.rng = random.Random(f"picture storm {seed}")
        self.in_start = set(self.rng.sample(range(1, KILLS), KILLS // 5))
        """Which lives end before they have done anything."""
        self.ended: Counter[str] = Counter()

    async def life(self, n: int, feeding: Callable[[], Any]) -> None:
        """One start, and its violent end."""
        topic = self.rng.choice(STAGES)
        partitions = cut(self.worker.partitions)[topic]
        async with Ends(self.worker.servers.bootstrap, topic, partitions) as ends:
            goal = await ends.total() + self.rng.randint(1, 6)
            self.worker.start()
            fed = asyncio.create_task(feeding())
            if n in self.in_start:
                topic = "start"
                await asyncio.sleep(self.rng.uniform(1.0, 6.0))
            else:
                await until(partial(_more, ends, goal), f"more on {topic}", self.worker, every=0.001)
                # Most lives end between what is sent and what is remembered of it.
                await asyncio.sleep(self.rng.choice((0.0, 0.0, 0.01, 0.03, 0.1, 0.5)))
            await self.worker.kill9()
        self.ended[topic] += 1
        await fed


async def _more(ends: Ends, goal: int) -> bool:
    return await ends.total() >= goal


async def survives(servers: Servers, partitions: int, seed: int, report: Report) -> None:
    """Kill a worker ten times in 300 pictures, then look at everything that it left."""
    shown = gallery(0)
    async with shown.served(), Feeder(servers) as feeder:
        worker = _worker(servers, shown.authority, partitions)
        storm = Storm(worker, seed)
        finds = shown.finds()
        portion = -(-len(finds) // KILLS)
        worker.start()
        await worker.ready()
        await worker.kill9()
        for n in range(KILLS):
            part = finds[n * portion : (n + 1) * portion]
            await storm.life(n, lambda part=part: feeder.pace(part, storm.rng.uniform(20, 200)))
        worker.start()
        await drained(servers, worker)
        assert await worker.stop() == 0
        asked = shown.asked.copy()
        report(
            f"kill test of pictures, {'embedded broker' if servers.embedded else 'Apache Kafka'}, seed {seed}: "
            f"{len(shown.shown) + len(shown.shared)} pictures, {COPIES} of them copies, {KILLS} kills after "
            f"{', '.join(f'{topic} ({times})' for topic, times in sorted(storm.ended.items()))}; "
            f"{asked.total()} requests for {len(asked)} addresses"
        )
        verdict = await _straight(servers, shown, partitions)
    await _check_events(servers, verdict.straight, partitions, report)  # type: ignore[arg-type]
    await verdict.check_tables(worker.data, report)
    await verdict.check_documents(report)
    await verdict.check_models(servers.directory / "snapshots", report)
    await verdict.check_no_letters()
    images = (await servers.documents())["images"]
    _check_verdicts(shown, images, report)
    _check_files(servers.directory, images, report)


def _worker(servers: Servers, authority: str, partitions: int) -> WorkerProcess:
    return WorkerProcess(
        servers,
        "crash-pictures",
        partitions=partitions,
        program="tests.crash.blocks_for_faces",
        storage__snapshots=servers.directory / "snapshots",
        storage__images=servers.directory / "images",
        learning__snapshot_lessons=20,
        fetch__allow=authority,
        pictures__processes=2,
        pictures__nsfw="false",
        # The embedded broker lets a member of the same name back in only when the old one's session is over.
        broker__session_timeout=3 if servers.embedded else 10,
    )


async def _straight(servers: Servers, shown: Gallery, partitions: int) -> Verdict:
    log, counts = servers.log(), cut(partitions)
    given = {topic: await log.read(topic, counts[topic]) for topic in GIVEN}
    straight = StraightPictures(partitions, given, servers.directory / "straight", shown.authority)
    await straight.follow()
    training: dict[str, Sequence[Raw]] = defaultdict(tuple, {FaceConfirmed.topic: given[FaceConfirmed.topic]})
    return Verdict(servers, "crash-pictures", partitions, given, training, (), straight)


async def _check_events(servers: Servers, straight: StraightPictures, partitions: int, report: Report) -> None:
    """On each topic lies what the straight run says and nothing else, some of it more than once."""
    repeats = []
    for topic in dict.fromkeys(record.topic for record in DECIDED):
        found = [raw.value or b"" for raw in await servers.log().read(topic, cut(partitions)[topic])]
        said = straight.given.said[topic] if topic in MERGED else {r.value for r in straight.log.records(topic)}
        assert set(found) == said, topic
        decisions: dict[Any, set[bytes]] = defaultdict(set)
        for value in found:
            event = json.loads(value)
            decisions[event["item_id"], event.get("order")].add(value)
        assert [place for place, values in decisions.items() if len(values) > 1] == [], topic
        repeats.append(f"{topic} {len(said)} + {len(found) - len(said)}")
    report(f"  events and identical repeats: {', '.join(repeats)}; 0 contradictions")


def _check_verdicts(shown: Gallery, images: Sequence[Mapping[str, Any]], report: Report) -> None:
    """Each item came out as its picture was made to, and exactly one of each pair of a shared picture."""
    found = {image["_id"]: image for image in images}

    def of(one: Shown) -> tuple[str, str]:
        image = found[item_id(one.person, shown.url(one))]
        said = image["judged"] or image["claim"] or image["fetch"]
        return image["verdict"], said.get("reason", "")

    wrong = [(one, of(one)) for one in shown.shown if of(one)[0] != one.verdict or one.reason not in of(one)[1]]
    assert wrong == []
    assert [sorted(of(one)[0] for one in pair) for pair in shown.shared] == [["conflict", "kept"]] * len(shown.shared)
    assert len(found) == len(shown.shown) + 2 * len(shown.shared)
    counts = Counter(image["verdict"] for image in images)
    report(f"  verdicts of {len(PEOPLE)} people's items: {dict(counts)}, each as its picture was made for")


def _check_files(directory: Path, images: Sequence[Mapping[str, Any]], report: Report) -> None:
    """The same files as those of the straight run; each is named by a document, and none that is named is missing."""
    files, expected = files_below(directory / "images"), files_below(directory / "straight")
    assert {path.partition(".")[0] for path in files} == files_named(images)
    assert files.keys() == expected.keys()
    assert files == expected
    areas = Counter(path.partition("/")[0] for path in files)
    report(f"  files: {dict(areas)} equal to the straight run's; no orphan, none missing, nothing half written")


@pytest.fixture(autouse=True)
def blocks_for_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    """The straight run sees faces as the worker does."""
    monkeypatch.setattr(service, "FACES", ENGINE)


@pytest.mark.embedded
@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_ten_kills_on_the_embedded_broker_leave_the_pictures_of_a_straight_run(
    on_embedded: Servers, seed: int, report: Report
) -> None:
    await survives(on_embedded, 4, seed, report)


@pytest.mark.kafka
@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_ten_kills_on_apache_kafka_leave_the_pictures_of_a_straight_run(
    on_kafka: Servers, seed: int, report: Report
) -> None:
    await survives(on_kafka, 4, seed, report)

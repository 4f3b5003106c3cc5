"""Everything hostile through a real worker: right verdicts and reasons, nothing of a payload kept, memory bounded."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from schemas.catalogue import encode
from schemas.ids import item_id
from schemas.pictures import ImageFound
from tests.bench.processes import resident_mb
from tests.crash.crowd import Feeder, Given
from tests.crash.hostile_web import SECONDS, HostileWeb
from tests.crash.judge import drained
from tests.crash.servers import Servers
from tests.crash.straight_pictures import files_below, files_named
from tests.crash.worker import WorkerProcess
from tests.pictures.hostile import PAYLOAD

PERSON: Final = "Q1"
MOST_GROWTH_MB: Final = 250.0
"""Of the worker's own memory: many times less than the bodies that it is sent."""


class Gauge:
    """The most memory that a worker and its sandbox were seen with."""

    def __init__(self, worker: WorkerProcess) -> None:
        self._worker = worker
        self.own, self.sandbox = 0.0, 0.0
        self.before = self._own()

    def _own(self) -> float:
        return resident_mb(self._worker.pid or 0, alone=True)

    async def watch(self) -> None:
        """Until cancelled."""
        while True:
            own, everything = self._own(), resident_mb(self._worker.pid or 0)
            self.own, self.sandbox = max(self.own, own), max(self.sandbox, everything - own)
            await asyncio.sleep(0.05)


def _finds(urls: list[str]) -> list[Given]:
    given = []
    now = int(time.time() * 1000)
    for n, url in enumerate(urls):
        found = ImageFound(celebrity_id=PERSON, source="hostile", url=url)
        given.append(Given(ImageFound.topic, PERSON, encode(found), [], now + n))
    return given


def _said(image: Mapping[str, Any]) -> tuple[str, str]:
    part = image["judged"] or image["claim"] or image["fetch"]
    return image["verdict"], part.get("reason", "")


@pytest.mark.embedded
@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_worker_refuses_or_disarms_everything_hostile_and_keeps_what_is_good(
    on_embedded: Servers, seed: int, report: Callable[[str], None]
) -> None:
    there = HostileWeb()
    async with there.served(), Feeder(on_embedded) as feeder:
        images = on_embedded.directory / "images"
        worker = WorkerProcess(
            on_embedded,
            "crash-hostile",
            partitions=1,
            storage__images=images,
            fetch__allow=there.authority,
            fetch__seconds=SECONDS,
            pictures__processes=2,
            pictures__faces="false",
            pictures__nsfw="false",
        )
        worker.start()
        await worker.ready()
        pid, gauge = worker.pid, Gauge(worker)
        watching = asyncio.create_task(gauge.watch())
        traps = there.traps()
        urls = [*there.good(), *there.disarmed(), *(trap.url for trap in traps)]
        random.Random(f"hostile {seed}").shuffle(urls)
        await feeder.send(_finds(urls))
        await drained(on_embedded, worker)
        watching.cancel()
        assert (worker.pid, (await worker.get("/readyz"))[0]) == (pid, 200)
        assert there.open_bodies == 0
        assert await worker.stop() == 0
    found = {image["_id"]: image for image in (await on_embedded.documents())["images"]}
    said = {url: _said(found.pop(item_id(PERSON, url))) for url in urls}
    assert found == {}
    assert [(url, said[url]) for url in there.good() if said[url][0] != "kept"] == []
    # Some of the odd files hold one and the same picture.
    assert [(url, said[url]) for url in there.disarmed() if said[url][0] not in ("kept", "duplicate")] == []
    wrong = [(t, said[t.url]) for t in traps if said[t.url][0] != t.verdict or t.reason not in said[t.url][1]]
    assert wrong == []
    assert there.reached == []
    await _check_files(on_embedded, images)
    report(
        f"hostile pictures through a worker: {len(traps)} traps and {len(there.disarmed())} odd files among "
        f"{len(there.good())} good ones: {dict(Counter(verdict for verdict, _ in said.values()))}; worker "
        f"{gauge.before:.0f} MB before, {gauge.own:.0f} MB at most, its sandbox {gauge.sandbox:.0f} MB at most"
    )
    assert gauge.own - gauge.before < MOST_GROWTH_MB


async def _check_files(servers: Servers, images: Path) -> None:
    """Nothing of a payload is in what may be shown; no file is without a document, none is missing or half written."""
    files = files_below(images)
    shown = {path: data for path, data in files.items() if not path.startswith("original/")}
    assert [path for path, data in shown.items() if PAYLOAD in data or not data.startswith(b"\xff\xd8\xff")] == []
    documents = (await servers.documents())["images"]
    assert {path.partition(".")[0] for path in files} == files_named(documents)
    assert any(PAYLOAD in data for path, data in files.items() if path.startswith("original/"))

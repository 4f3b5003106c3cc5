"""A worker is killed ten times while its connectors run: every record comes once, and the history tells the truth."""

from __future__ import annotations

import asyncio
import json
import random
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

import aiohttp
import pytest

from tests.crash.judge import drained
from tests.crash.paced import PAGES, REVIEWS_A_PAGE, PacedSource, paced
from tests.crash.servers import Servers
from tests.crash.worker import WorkerProcess, until

ROWS: Final = 4000
KILLS: Final = 10
OF_THE_FILM: Final = 3
"""Submission, facts and mean rating of the one film beside its reviews."""

Report = Callable[[str], None]


class Collecting:
    """Lives of a worker whose connectors get a little further in each."""

    def __init__(self, worker: WorkerProcess, source: PacedSource, seed: int) -> None:
        self.worker = worker
        self.source = source
        self.rng = random.Random(f"scrape {seed}")
        self.in_start = set(self.rng.sample(range(1, KILLS), KILLS // 5))
        """Which lives end before their runs have gone on."""
        self.asked = False

    async def life(self, number: int) -> None:
        """One start, and its violent end at a random point."""
        self.source.share = (number + self.rng.uniform(0.3, 1.0)) / (KILLS + 1)
        given = self.source.given
        self.worker.start()
        if number in self.in_start:
            await asyncio.sleep(self.rng.uniform(1.0, 6.0))
        else:
            if not self.asked:
                await self.worker.ready()
                await self._ask()

            async def goes_on() -> bool:
                return self.source.given > given

            await until(goes_on, "a run goes on", self.worker, every=0.02)
            await asyncio.sleep(self.rng.uniform(0.0, 1.5))
        await self.worker.kill9()

    async def _ask(self) -> None:
        # The other connector runs by itself for the film that is registered.
        async with aiohttp.ClientSession() as http, http.post(f"{self.worker.url}/connectors/file/run") as answer:
            assert answer.status == 202, await answer.text()
        self.asked = True

    async def runs(self, name: str) -> list[dict[str, Any]]:
        """The history of a connector, the oldest run first."""
        status, found, _ = await self.worker.get(f"/connectors/{name}/runs")
        return found["items"][::-1] if status == 200 else []

    async def over(self) -> bool:
        """Whether both connectors have run, and nothing waits or runs."""
        histories = [await self.runs(name) for name in ("file", "pages")]
        return all(runs and {run["status"] for run in runs} <= {"success", "failed", "partial"} for runs in histories)


async def survives(servers: Servers, seed: int, report: Report) -> None:
    """Kill a worker ten times while its connectors run, then look at everything that it left."""
    async with paced(ROWS) as source:
        (servers.directory / "marquee.toml").write_text(source.tables)
        # The embedded broker lets a member of the same name back in only when the old one's session is over.
        session = 3 if servers.embedded else 10
        worker = WorkerProcess(servers, "crash-scrape", broker__session_timeout=session, tmdb_token="eyJ.not.real")
        collecting = Collecting(worker, source, seed)
        for number in range(KILLS):
            await collecting.life(number)
        source.share = 1.0
        worker.start()
        await until(collecting.over, "all runs are over", worker, every=0.3)
        await drained(servers, worker)
        broker, starts = "embedded broker" if servers.embedded else "Apache Kafka", len(collecting.in_start)
        report(f"kill test of connectors, {broker}, seed {seed}: {KILLS} kills, {starts} of them in starts")
        await check_history(collecting, report)
        assert await worker.stop() == 0
    await check_records(servers, worker.partitions, report)


@pytest.mark.embedded
@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_ten_kills_while_connectors_run_lose_and_repeat_nothing_on_the_embedded_broker(
    on_embedded: Servers, seed: int, report: Report
) -> None:
    await survives(on_embedded, seed, report)


@pytest.mark.kafka
@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_ten_kills_while_connectors_run_lose_and_repeat_nothing_on_apache_kafka(
    on_kafka: Servers, seed: int, report: Report
) -> None:
    await survives(on_kafka, seed, report)


async def check_history(collecting: Collecting, report: Report) -> None:
    """Each run is told once, as one run from its first start to its end, with all that it did."""
    (file,) = await collecting.runs("file")
    assert (file["status"], file["trigger"], file["attempt"]) == ("success", "manual", 1)
    assert file["resumed"] is True
    assert file["cursor_before"] == {}
    assert file["cursor_after"]["mark"]["line"] == ROWS + 1
    pages = await collecting.runs("pages")
    assert pages[0]["trigger"] == "registration"
    assert pages[0]["resumed"] is True
    for run, records in ((file, ROWS), *((run, PAGES * REVIEWS_A_PAGE + OF_THE_FILM) for run in pages)):
        assert (run["status"], run["error"], run["counts"]["rejected"]) == ("success", None, 0)
        # What a life sends again since the one before it was killed is neither more nor the same again.
        assert (run["counts"]["records"], run["counts"]["duplicates"]) == (records, 0)
        assert run["started_at"] <= run["finished_at"]
    for name in ("file", "pages"):
        _, view, _ = await collecting.worker.get(f"/connectors/{name}")
        assert (view["paused"], view["last_run"]["status"]) == (False, "success")
    report(f"  file {file['seconds']:.0f} s, {len(pages)} runs of pages")


async def check_records(servers: Servers, partitions: int, report: Report) -> None:
    """Every row and review has one event, one document and, where it is a rating, one prediction."""
    sent = {topic: await _by_id(servers, topic, partitions) for topic in ("ratings", "reviews")}
    rows = {name for name, values in sent["ratings"].items() if any(json.loads(v)["source"] == "file" for v in values)}
    assert len(rows) == ROWS
    assert len(sent["reviews"]) == PAGES * REVIEWS_A_PAGE
    assert [name for values in sent.values() for name, said in values.items() if len(said) > 1] == []
    predictions: dict[str, set[bytes]] = defaultdict(set)
    for raw in await servers.log().read("rating-predictions", partitions):
        predictions[json.loads(raw.value or b"")["cause_id"]].add(raw.value or b"")
    assert rows <= predictions.keys()
    assert [cause for cause, said in predictions.items() if len(said) > 1] == []
    documents = await servers.documents()
    kept = [document for document in documents["ratings"] if document["source"] == "file"]
    assert len(kept) == len({document["source_record_id"] for document in kept}) == ROWS
    assert len(documents["reviews"]) == PAGES * REVIEWS_A_PAGE
    assert await servers.log().read("dead-letters", 1) == []
    again = sum(map(len, await _all(servers, partitions))) - ROWS - PAGES * REVIEWS_A_PAGE
    report(f"  {len(rows)} ratings, {len(sent['reviews'])} reviews, each once downstream; {again} were sent again")


async def _all(servers: Servers, partitions: int) -> list[list[Any]]:
    return [await servers.log().read(topic, partitions) for topic in ("ratings", "reviews")]


async def _by_id(servers: Servers, topic: str, partitions: int) -> dict[str, set[bytes]]:
    found: dict[str, set[bytes]] = defaultdict(set)
    for raw in await servers.log().read(topic, partitions):
        found[dict(raw.headers)["ce_id"].decode()].add(raw.value or b"")
    return found

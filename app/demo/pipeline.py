"""The demo's part while everything runs: feed, watch, wait, and look at what came of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from app.collecting.runs import command_of
from app.connectors.registry import KINDS
from app.delivery.outset import first_event
from app.delivery.producer import Outgoing, Producer
from app.delivery.topics import partitions
from app.delivery.transport import true_ends
from app.demo.gallery import Gallery
from app.demo.pictures import Person
from app.demo.report import ConnectorRun, DemoReport
from app.demo.web import DemoWeb
from app.learning.plots import draw_curve
from app.learning.registry import CHAMPION
from app.settings import Mongo, Settings
from app.storage.mongo import MongoStore
from models.prequential import Curve
from schemas.commands import ControlModel
from schemas.events import DeadLettered, FactsObserved, RatingPredicted
from schemas.ids import derived_id
from schemas.scrapes import ScrapeRequested

MODEL: Final = "future-rating"
BASELINES: Final = ("global_mean", "running_mean", "damped_mean_3", "damped_mean_10", "best_expert")
REGISTERED: Final = 10.0
"""Seconds to wait for a champion; there is none where too few labels came, or the model beat no baseline."""
MOST_RUNS: Final = 50
PATIENCE: Final = 120.0
"""Seconds without any progress after which the demo goes on with what there is."""
MISSING: Final = f"did not come within {PATIENCE:.0f} s"


class Pipeline:
    """Runs the demo's films through a Marquee that is up."""

    def __init__(
        self, settings: Settings, marquee: Any, console: Console, people: Sequence[Person], web: DemoWeb
    ) -> None:
        self._settings = settings
        self._marquee = marquee
        self._servers = [marquee.servers.broker.bootstrap]
        self._store = MongoStore(Mongo(url=marquee.servers.mongo_url))
        self._console = console
        self._kinds = {name: str(table["kind"]) for name, table in settings.connectors.items()}
        self._gallery = Gallery(self._store, people, web, marquee.web_url)
        self._addresses = web.addresses

    async def run(self, ratings: int, facts: list[FactsObserved], films: int, seed: int) -> DemoReport:
        """Feed everything, wait until it has been predicted and projected, and report."""
        producer = Producer(self._servers, partitions(self._settings))
        await producer.start()
        try:
            await self._registered(films)
            await producer.send([_event(fact, derived_id(fact.film_id, "imdb")) for fact in facts])
            rate = await self._rate(producer, ratings)
            await self._projected(ratings)
            await self._until("pictures decided on", self._addresses, self._gallery.decided)
            await producer.send([_order("snapshot"), _order("report")])
            return await self._report(rate, facts, seed)
        finally:
            await producer.stop()
            self._store.close()

    async def _registered(self, films: int) -> None:
        """The worker pushes the films of `marquee.toml` by itself; wait for them."""
        await self._until("films", films, lambda: self._count("films"))

    async def _rate(self, producer: Producer, ratings: int) -> float:
        """Ask for a run of each connector that no registration asks for; predictions a second."""
        counting = asyncio.create_task(self._predictions(ratings))
        asked = [name for name in self._kinds if not KINDS[self._kinds[name]].targeted]
        requests = [ScrapeRequested(run_id=f"demo-{name}", connector=name, trigger="manual") for name in asked]
        await producer.send([command_of(request, time.time()) for request in requests])
        return await counting

    async def _runs(self) -> list[ConnectorRun]:
        """Every run that is over, once none is on its way."""
        deadline = time.monotonic() + PATIENCE
        while True:
            found = [run for name in self._kinds for run in (await self._store.runs.runs(name, MOST_RUNS)).items]
            if all(run.finished_at for run in found) or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.3)
        return [
            ConnectorRun(
                name=run.connector,
                kind=self._kinds[run.connector],
                trigger=run.trigger,
                status=run.status,
                records=run.counts.records,
                refused=run.counts.rejected,
                requests=run.counts.requests,
                seconds=run.seconds or 0.0,
            )
            for run in found
        ]

    async def _predictions(self, ratings: int) -> float:
        topic = RatingPredicted.topic
        targets = [TopicPartition(topic, n) for n in range(partitions(self._settings)[topic])]
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._servers, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        await consumer.start()
        causes: set[bytes] = set()
        # From here the connector feeds, so the rate is that of the whole way from the file to the prediction.
        began = last = time.monotonic()
        try:
            consumer.assign(targets)
            with self._progress("predictions", ratings) as (bar, task):
                while len(causes) < ratings and time.monotonic() - last < PATIENCE:
                    for records in (await consumer.getmany(timeout_ms=200)).values():
                        causes.update(_cause(record.value) for record in records)
                        last = time.monotonic()
                    rate = len(causes) / max(last - began, 1e-3)
                    bar.update(task, completed=len(causes), told=f"{len(causes):,} predictions, {rate:,.0f} a second")
        finally:
            await consumer.stop()
        self._tell_missing("predictions", ratings, len(causes))
        return len(causes) / max(last - began, 1e-3)

    async def _projected(self, ratings: int) -> None:
        await self._until("documents", ratings, lambda: self._count("predictions"))

    async def _count(self, what: str) -> int:
        return int(getattr(await self._store.films.counts(), what))

    async def _until(self, what: str, wanted: int, count: Any) -> None:
        """Wait for a count, for as long as it grows."""
        seen, moved = -1, time.monotonic()
        with self._progress(what, wanted) as (bar, task):
            while seen < wanted and time.monotonic() - moved < PATIENCE:
                now = await count()
                moved = time.monotonic() if now > seen else moved
                seen = max(seen, now)
                bar.update(task, completed=seen, told=f"{seen:,} {what}")
                await asyncio.sleep(0.3)
        self._tell_missing(what, wanted, seen)

    def _tell_missing(self, what: str, wanted: int, seen: int) -> None:
        if seen < wanted:
            self._console.print(f"[red]{MISSING}: {wanted - seen:,} of {wanted:,} {what}[/]", highlight=False)

    def _progress(self, what: str, total: int) -> Any:
        return _Bar(what, total, self._console)

    async def _report(self, rate: float, facts: list[FactsObserved], seed: int) -> DemoReport:
        counts = await self._store.films.counts()
        picture_there = await self._in_mlflow()
        model = await self._model()
        metrics = model["metrics"]
        picture = _draw(model["curve"], self._settings.data_dir / "report")
        return DemoReport(
            seed=seed,
            films=counts.films,
            facts=len(facts),
            ratings=counts.ratings,
            predictions=counts.predictions,
            dead_letters=await self._end(DeadLettered.topic),
            labelled=int(model["counts"].get("labels", 0)),
            mae=metrics.get("mae"),
            baselines={name: metrics[name] for name in BASELINES if name in metrics},
            snapshots=len(model["snapshots"]),
            events_per_second=round(rate, 1),
            seconds=0.0,
            connector_runs=await self._runs(),
            people=await self._gallery.report(self._settings.data_dir / "report"),
            picture=str(picture) if picture else None,
            mlflow=self._marquee.servers.mlflow_url,
            mlflow_picture=picture_there,
            champion=await self._champion(),
            dashboard=self._marquee.web_url,
        )

    async def _model(self) -> dict[str, Any]:
        """The model as its owner tells of it, once the snapshot that was asked for is there."""
        deadline = time.monotonic() + PATIENCE
        async with aiohttp.ClientSession() as session:
            while True:
                async with session.get(f"{self._marquee.web_url}/models/{MODEL}") as answer:
                    found: dict[str, Any] = await answer.json()
                if answer.status == 200 and (found["snapshots"] or time.monotonic() > deadline):
                    return found
                await asyncio.sleep(0.3)

    async def _in_mlflow(self) -> str | None:
        """The picture among MLflow's artifacts, once the report that was asked for is there."""
        api = f"{self._marquee.servers.mlflow_url}/api/2.0/mlflow"
        deadline = time.monotonic() + PATIENCE / 2
        async with aiohttp.ClientSession() as session:
            while time.monotonic() < deadline:
                try:
                    found = await _pictures(session, api, self._settings.mlflow.experiment)
                except aiohttp.ClientError:
                    found = []
                if found:
                    return found[0]
                await asyncio.sleep(0.5)
        return None

    async def _champion(self) -> str | None:
        """The version that MLflow's registry calls the champion."""
        address = f"{self._marquee.servers.mlflow_url}/api/2.0/mlflow/registered-models/alias"
        deadline = time.monotonic() + REGISTERED
        async with aiohttp.ClientSession() as session:
            while time.monotonic() < deadline:
                async with session.get(address, params={"name": MODEL, "alias": CHAMPION}) as answer:
                    if answer.status == 200:
                        return str((await answer.json())["model_version"]["version"])
                await asyncio.sleep(0.3)
        return None

    async def _end(self, topic: str) -> int:
        ends = await true_ends(self._servers, {TopicPartition(topic, 0): 0})
        return sum(ends.values())


class _Bar:
    """A progress bar in a terminal, now and then a line elsewhere."""

    def __init__(self, what: str, total: int, console: Console) -> None:
        columns = (SpinnerColumn(), BarColumn(), TextColumn("{task.fields[told]}"), TimeRemainingColumn())
        self._bar = Progress(*columns, console=console, transient=True)
        self._task = self._bar.add_task(what, total=total, told="")
        self._console = console
        self._told_at = time.monotonic()

    def __enter__(self) -> tuple[_Bar, int]:
        if self._console.is_terminal:
            self._bar.start()
        return self, int(self._task)

    def update(self, task: Any, completed: int, told: str) -> None:
        """Move the bar."""
        self._bar.update(task, completed=completed, told=told)
        if not self._console.is_terminal and time.monotonic() - self._told_at > 5:
            self._told_at = time.monotonic()
            self._console.print(told, highlight=False)

    def __exit__(self, *error: object) -> None:
        if self._console.is_terminal:
            self._bar.stop()


async def _pictures(session: aiohttp.ClientSession, api: str, experiment: str) -> list[str]:
    """Addresses of the pictures that runs of the model have in MLflow."""
    async with session.get(f"{api}/experiments/get-by-name", params={"experiment_name": experiment}) as answer:
        if answer.status != 200:
            return []
        number = (await answer.json())["experiment"]["experiment_id"]
    query = {"experiment_ids": [number], "filter": f"tags.model = '{MODEL}'"}
    async with session.post(f"{api}/runs/search", json=query) as answer:
        runs = (await answer.json()).get("runs", [])
    found = []
    for run in runs:
        async with session.get(f"{api}/artifacts/list", params={"run_id": run["info"]["run_id"]}) as answer:
            files = (await answer.json()).get("files", [])
        found += [f"{run['info']['run_id']}/{file['path']}" for file in files if file["path"].endswith(".png")]
    return found


def _event(record: FactsObserved | ControlModel, event_id: str) -> Outgoing:
    return first_event(record, event_id, time.time())


def _order(action: Any) -> Outgoing:
    return _event(ControlModel(model=MODEL, action=action), derived_id(f"demo/{time.time_ns()}", action))


def _cause(value: bytes) -> bytes:
    return msgspec.json.decode(value, type=RatingPredicted).cause_id.encode()


def _draw(curve: dict[str, Any] | None, folder: Path) -> Path | None:
    if curve is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    points = [(int(at), tuple(values)) for at, values in curve["points"]]
    found = Curve(curve["unit"], tuple(curve["names"]), points)
    return draw_curve(found, folder / f"{MODEL}-error.png", MODEL)

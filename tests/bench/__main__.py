"""`python -m tests.bench [part ...]`: measure and print."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import logging
import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tests.bench import data
from tests.bench.options import Options
from tests.bench.report import Report, progress
from tests.bench.rig import Rig, scratch

PARTS: Final = {
    "pipeline": "events/s and CPU of the whole path, the learner and the peers",
    "latency": "p50 and p99 from rating to prediction at 200 events a second",
    "restart": "seconds from kill -9 to the first new prediction",
    "rebuild": "ratings a second from the archive back to tables and model",
    "memory": "resident memory over a long run",
    "micro": "microseconds of each step in memory",
    "pictures": "which copies of photos are found, and what hashing and cleaning cost",
    "picture_path": "pictures/s from event to event, beside plain loops and img2dataset",
    "sources": "rows a second and memory of CSV, XML and SQL sources, beside libraries alone",
    "matching": "precision and recall of titles that name a film",
    "claims": "look-ups of near duplicates among up to a million pictures",
}
NEEDS_NO_SERVERS: Final = {"micro", "sources", "pictures", "claims", "matching"}
IS_EMBEDDED: Final = {"rebuild"}
"""An archive is only ever put back on the embedded broker."""


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status: 0 where everything asked for was measured, targets met or not."""
    arguments = _parse(argv)
    names = arguments.parts or list(PARTS)
    # A topic that was just made has no leader yet; aiokafka tries again, and says so.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    with scratch(arguments.keep) as folder:
        options = _options(arguments, folder)
        report = Report()
        report.figures["machine"] = _machine()
        progress(f"machine: {report.figures['machine']}")
        try:
            asyncio.run(_run(names, options, report))
        except KeyboardInterrupt:
            progress("stopped")
            return 130
        finally:
            if arguments.json:
                report.write(arguments.json)
    return 1 if report.figures.get("failed") else 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    about = "; ".join(f"{name}: {text}" for name, text in PARTS.items())
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=about)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], metavar="part", help="which parts; all if none")
    parser.add_argument("--quick", action="store_true", help="small sizes, one round: to see that it works")
    parser.add_argument("--events", type=int, help="ratings of each pipeline run (default 100,000; quick 20,000)")
    parser.add_argument("--rounds", type=int, help="rounds of the pipeline part (default 3; quick 1)")
    parser.add_argument("--partitions", default="1,4", help="partitions of the keyed topics, with commas (default 1,4)")
    parser.add_argument("--only", default="", metavar="TEXT", help="of the pipeline, what has this in its name")
    parser.add_argument("--photos", type=Path, metavar="DIR", help="further photos for the part `pictures`")
    parser.add_argument("--profile", type=Path, metavar="DIR", help="sample the worker's CPU and write what costs it")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="write logs and data there and leave them")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return parser.parse_args(argv)


def _options(arguments: argparse.Namespace, folder: Path) -> Options:
    quick = bool(arguments.quick)
    return Options(
        ratings=data.movielens(folder),
        events=arguments.events or (20_000 if quick else 100_000),
        rounds=arguments.rounds or (1 if quick else 3),
        partitions=tuple(int(part) for part in arguments.partitions.split(",")),
        only=arguments.only.lower(),
        quick=quick,
        profile=arguments.profile.absolute() if arguments.profile else None,
        photos=arguments.photos,
        scratch=folder,
    )


async def _run(names: Sequence[str], options: Options, report: Report) -> None:
    for name in names:
        module = importlib.import_module(f"tests.bench.{name}")
        progress(f"{name}: {PARTS[name]}")
        if name in NEEDS_NO_SERVERS:
            await module.run(options, report)
            continue
        folder = options.scratch / name
        folder.mkdir()
        async with Rig(folder, embedded=name in IS_EMBEDDED) as rig:
            await module.run(rig, options, report)


def _machine() -> dict[str, object]:
    return {
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
    }


if __name__ == "__main__":
    sys.exit(main())

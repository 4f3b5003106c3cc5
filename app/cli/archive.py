"""`marquee archive, rebuild`: the history on disk, and what is made anew from it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.call import Call, CliError, command, command_group, run
from app.cli.output import print_json, print_table

if TYPE_CHECKING:
    from app.embedded.survey import PartitionSurvey


def add_to(main: click.Group) -> None:
    """Add these commands."""
    group = command_group(main, "archive", told="The history of events on disk.", example="marquee archive status")
    command(group, "status", example="marquee archive status --data-dir data")(_status)
    command(group, "verify", example="marquee archive verify --data-dir data")(_verify)
    projection = click.Option(["--projection"], metavar="NAME", help="Only these documents, while Marquee runs.")
    model = click.Option(["--model"], metavar="NAME", help="Only this model, which is learnt anew at the next start.")
    command(main, "rebuild", projection, model, example="marquee rebuild --projection project-ratings")(_rebuild)


def _directory(call: Call) -> Path:
    from app.embedded.history import archive_dir

    found = archive_dir(call.own_settings().data_dir)
    if not found.is_dir():
        raise CliError(f"there is no archive in {found}: `marquee up --embedded` keeps one, or name it with --data-dir")
    return found


def _status(call: Call) -> None:
    """What the archive holds, topic by topic."""
    from app.embedded.survey import survey

    directory = _directory(call)
    found = survey(directory)
    if call.as_json:
        print_json({"directory": str(directory), "partitions": found})
        return
    _table(found)


def _table(found: list[PartitionSurvey]) -> None:
    rows = [
        (part.topic, part.partition, part.records, part.first, part.end, part.segments, f"{part.bytes / 1e6:.1f} MB")
        for part in found
    ]
    print_table(["topic", "partition", "records", "first", "end", "segments", "size"], rows, "the archive is empty")


def _verify(call: Call) -> None:
    """Read every byte of the archive and name what is damaged; exits 1 where something is."""
    from app.embedded.survey import verify

    report = verify(_directory(call))
    if call.as_json:
        print_json(report)
    else:
        for fault in report.damage:
            click.echo(f"marquee: {fault}", err=True)
        state = f"{len(report.damage)} damaged" if report.damage else "sound"
        click.echo(f"{report.records:,} records, {report.bytes / 1e6:.1f} MB: {state}")
    if report.damage:
        click.get_current_context().exit(1)


def _rebuild(call: Call, projection: str | None, model: str | None) -> None:
    """Make documents, a model, or everything anew from the events.

    Documents (--projection) are made anew while Marquee runs. Models and everything need it stopped: they are
    forgotten now and made again at the next start.
    """
    if projection is not None and model is not None:
        raise click.UsageError("Give --projection or --model, not both.", click.get_current_context())
    done: dict[str, Any] = {}
    if projection is not None:
        done = run(_rebuild_projection(call, projection))
    elif model is not None:
        done = run(_forget_model(call, model))
    else:
        done = _forget_everything(call)
    if call.as_json:
        print_json(done)
    else:
        click.echo(done["told"])


async def _rebuild_projection(call: Call, name: str) -> dict[str, Any]:
    from app.cli.rebuild import rebuild_projection

    count, seconds = await rebuild_projection(call.settings(), name)
    told = f"{name}: {count:,} events in {seconds:.1f} s ({count / max(seconds, 1e-6):,.0f} a second)"
    return {"projection": name, "events": count, "seconds": seconds, "told": told}


async def _forget_model(call: Call, name: str) -> dict[str, Any]:
    from app.cli.kafka import members
    from app.embedded.addresses import running
    from app.learning.specs import MODELS
    from app.storage.mongo import MongoStore

    own = call.own_settings()
    known = [spec.name for spec in MODELS]
    if name not in known:
        told = f"No model is called {name}; there are {', '.join(known)}."
        raise click.UsageError(told, click.get_current_context())
    if running(own.data_dir) is not None:
        raise CliError("Marquee runs: stop it, run this again, and start it; the model is then learnt anew")
    if (own.data_dir / "run" / "ports.json").exists() and (own.data_dir / "archive").exists():
        return {"model": name, "told": f"{name}: embedded, every model is learnt anew at each start"}
    store = MongoStore(own.mongo)
    try:
        await store.pointers.latest(name)
        if count := await members(own):
            raise CliError(
                f"{count} worker(s) of {own.worker.app} run, or ended within {own.broker.session_timeout:g} s: stop "
                "all, run this again, and start them; one that runs would put the model back"
            )
        await store.pointers.forget(name)
    finally:
        store.close()
    shutil.rmtree(own.snapshot_dir / name, ignore_errors=True)
    return {"model": name, "told": f"{name}: forgotten; it is learnt anew from its training topic at the next start"}


def _forget_everything(call: Call) -> dict[str, Any]:
    from app.embedded.addresses import running
    from app.embedded.up import CLEAN

    directory = call.own_settings().data_dir
    if running(directory) is not None:
        raise CliError("Marquee runs: stop it first; or name one --projection, which is made anew while it runs")
    _directory(call)
    (directory / "run" / CLEAN).unlink(missing_ok=True)
    return {"told": f"at the next `marquee up --embedded` everything in {directory} is made again from the archive"}

"""`marquee push`: films and celebrities onto the `input` topic, each waited for until the broker has it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from app.cli.call import Call, Whole, command, command_group, run
from app.cli.output import harmless, print_json
from schemas.base import Rejected
from schemas.commands import PushCelebrity, PushFilm
from schemas.ids import MOST_TMDB, derived_id

if TYPE_CHECKING:
    from app.cli.rows import Row
    from app.delivery.producer import Outgoing

Pushed = PushFilm | PushCelebrity

BATCH: Final = 500
SHOWN_FAULTS: Final = 20
KEPT_FAULTS: Final = 10_000
WAIT_SECONDS: Final = 30.0


def add_to(main: click.Group) -> None:
    """Add these commands."""
    push = command_group(
        main,
        "push",
        told="Put films and celebrities on the input topic.",
        example="marquee push film --title Inception",
    )
    wikidata = click.Option(["--wikidata"], metavar="Q...", help="Wikidata id.")
    tmdb = click.Option(["--tmdb"], type=Whole(1, MOST_TMDB), metavar="N", help="TMDB number.")
    film = (
        click.Option(["--title"], required=True, metavar="T"),
        click.Option(["--kind"], type=click.Choice(["movie", "tv"])),
        click.Option(["--year"], type=Whole(1870, 2200), metavar="Y"),
        click.Option(["--imdb"], metavar="tt...", help="IMDb id."),
        wikidata,
        tmdb,
    )
    name = click.Option(["--name"], required=True, metavar="N")
    path = click.Argument(["path"], type=click.Path(path_type=Path))
    told = "marquee push film --title Inception --year 2010 --imdb tt1375666"
    command(push, "film", *film, example=told)(_film)
    told = "marquee push celebrity --name 'Tilda Swinton'"
    command(push, "celebrity", name, wikidata, tmdb, example=told)(_celebrity)
    command(push, "file", path, example="marquee push file films.csv")(_file)


def _film(call: Call, **fields: Any) -> None:
    """Push a new film; prints its id once the broker has it."""
    _push_one(call, PushFilm(**fields))


def _celebrity(call: Call, **fields: Any) -> None:
    """Push a new celebrity; prints the id once the broker has it."""
    _push_one(call, PushCelebrity(**fields))


def _push_one(call: Call, pushed: Pushed) -> None:
    from app.pushes import command as to_command
    from app.pushes import identity
    from schemas.catalogue import decode, encode

    try:
        # Held to what the pipeline will hold it to, so that a mistake is told here.
        decode(encode(pushed), (PushFilm, PushCelebrity))
        found = identity(pushed)
    except Rejected as error:
        raise click.UsageError(f"{error}.", click.get_current_context()) from error
    event_id, record = to_command(pushed, found)
    run(_send(call, [record]))
    if call.as_json:
        print_json({"id": found, "event_id": event_id})
    else:
        click.echo(f"{found} (event {event_id})")


async def _send(call: Call, records: list[Outgoing]) -> None:
    import asyncio

    from app.cli.kafka import producer_for

    async with producer_for(call.settings(), (PushFilm.topic,)) as producer:
        await asyncio.wait_for(producer.send(records), WAIT_SECONDS)


def _file(call: Call, path: Path) -> None:
    """Push every film and celebrity of a CSV, JSON or NDJSON file (also .gz).

    Columns or fields: title, kind, year, imdb, wikidata, tmdb for films; name, wikidata, tmdb for celebrities; type
    (film or celebrity) where both are in one file. Good rows are sent, bad ones reported by line; then it exits 1.
    """
    from app.cli.rows import read_rows

    rows = read_rows(path)
    sent, refused, bad = run(_send_file(call, rows, None if path.suffix == ".gz" else path.stat().st_size))
    if call.as_json:
        lines = [{"line": line, "error": fault} for line, fault in bad]
        print_json({"sent": sent, "refused": refused, "bad": lines})
    else:
        for line, fault in bad[:SHOWN_FAULTS]:
            click.echo(harmless(f"{path}:{line}: {fault}"), err=True)
        if refused > SHOWN_FAULTS:
            click.echo(f"... and {refused - SHOWN_FAULTS} more bad rows (--json lists them)", err=True)
        click.echo(f"{sent} sent, {refused} bad")
    if refused:
        click.get_current_context().exit(1)


async def _send_file(call: Call, rows: Iterator[Row], size: int | None) -> tuple[int, int, list[tuple[int, str]]]:
    """How many rows were sent and refused, and the first of the refused with their lines."""
    import asyncio

    from app.cli.kafka import producer_for
    from app.cli.progress import progress

    sent, refused, bad = 0, 0, list[tuple[int, str]]()
    async with producer_for(call.settings(), (PushFilm.topic,)) as producer:
        with progress("rows", size) as advance:
            while batch := list(islice(rows, BATCH)):
                good, faults = _sorted_out(batch)
                bad += faults[: KEPT_FAULTS - len(bad)]
                await asyncio.wait_for(producer.send(good), WAIT_SECONDS)
                sent, refused = sent + len(good), refused + len(faults)
                advance(len(batch), batch[-1].position, size)
    return sent, refused, bad


def _sorted_out(batch: list[Row]) -> tuple[list[Outgoing], list[tuple[int, str]]]:
    """What can be sent, and the faults of the rest by line."""
    from app.pushes import command as to_command
    from app.pushes import identity
    from schemas.catalogue import encode

    good, bad = list[Any](), list[tuple[int, str]]()
    for row in batch:
        try:
            if row.pushed is None:
                raise Rejected(row.fault or "cannot be read")
            key = identity(row.pushed)
        except Rejected as error:
            bad.append((row.line, str(error)))
            continue
        # The same row has the same id, so that a file that is pushed twice is one story.
        good.append(to_command(row.pushed, key, derived_id(encode(row.pushed).decode(), "push-file"))[1])
    return good, bad

"""`marquee connectors run, pause, resume, backfill, runs`: words to a running Marquee, and what came of them."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from app.cli.call import Call, CliError, Whole, command, run
from app.cli.config import config_file
from app.cli.output import harmless, print_json, print_table
from app.cli.web import NoMarqueeError, get, say

if TYPE_CHECKING:
    from app.cli.progress import Advance
    from app.connectors.base import ConnectorConfig
    from app.connectors.runner import Report
    from app.settings import Settings
    from app.storage.collecting import RunView

SHOWN_FAULTS: Final = 20
POLL_SECONDS: Final = 0.5
PAUSED_SECONDS: Final = 3.0
"""How long a paused connector may take to be seen as resumed."""
SILENT_SECONDS: Final = 60.0
"""How long a worker may be away while it is waited for a run."""
OVER: Final = ("success", "partial", "failed", "skipped")
PAGE: Final = 200


def add_to(group: click.Group) -> None:
    """Add these commands."""
    name = click.Argument(["name"])
    start = click.Option(["--from-start"], is_flag=True, help="Forget how far the last run came.")
    no_wait = click.Option(["--no-wait"], is_flag=True, help="Ask for the run and leave.")
    reason = click.Option(["--reason"], default="", metavar="TEXT", help="Why, for others.")
    begin = click.Option(["--from", "begin"], required=True, metavar="DATE", help="First date, such as 2026-05-01.")
    end = click.Option(["--to", "end"], required=True, metavar="DATE", help="Last date; a day alone is a whole day.")
    limit = click.Option(["--limit"], type=Whole(1, 1000), default=20, show_default=True, metavar="N")
    command(group, "run", name, start, no_wait, example="marquee connectors run ratings")(_run)
    command(group, "pause", name, reason, example="marquee connectors pause ratings --reason 'they move'")(_pause)
    command(group, "resume", name, example="marquee connectors resume ratings")(_resume)
    command(
        group,
        "backfill",
        name,
        begin,
        end,
        example="marquee connectors backfill ratings --from 2026-05-01 --to 2026-05-03",
    )(_backfill)
    maybe = click.Argument(["name"], required=False)
    command(group, "runs", maybe, limit, example="marquee connectors runs ratings --limit 5")(_runs)


def as_run(report: Report) -> RunView:
    """The report of a run here, in the shape in which a worker shows its runs."""
    from app.storage.collecting import RunView
    from schemas.scrapes import ScrapeCounts

    counts = {name: getattr(report, name) for name in ScrapeCounts.__struct_fields__ if hasattr(report, name)}
    return RunView(
        run_id=report.run_id,
        connector=report.connector,
        attempt=1,
        status=report.status,
        trigger="manual",
        started_at=report.started_at,
        seconds=report.seconds,
        counts=ScrapeCounts(**counts, rejected=report.refused),
        cursor_before=report.cursor_before,
        cursor_after=report.cursor_after,
        error=report.error,
        retry_at=report.retry_at,
        faults=report.faults,
        notes=report.notes,
    )


def _run(call: Call, name: str, from_start: bool, no_wait: bool) -> None:
    """Run a connector now and wait for its end; it goes on where the last run stopped.

    Where no Marquee runs, it runs here, against the configured broker. Rows that cannot be used are reported by line
    and put away as dead letters; then it exits 1.
    """
    settings = call.settings()
    try:
        asked = say(settings, "connectors", name, "run", words={"from_start": from_start})
    except NoMarqueeError:
        if no_wait:
            raise
        _run_here(call, settings, name, from_start)
        return
    if no_wait:
        if call.as_json:
            print_json(asked)
        else:
            waits = " (it is paused, the run waits)" if asked["paused"] else ""
            click.echo(f"asked for run {asked['run_id']} of {name}{waits}")
        return
    _report(call, _wait_for(settings, name, asked["run_id"]))


def _wait_for(settings: Settings, name: str, run_id: str) -> dict[str, Any]:
    """The run once it is over. Raises CliError where it cannot begin, or nobody answers for long."""
    from app.cli.progress import progress

    begun = heard = time.monotonic()
    with progress("records", None) as advance:
        seen = 0
        while True:
            try:
                found = _find(settings, name, run_id)
                heard = time.monotonic()
            except NoMarqueeError:
                # A worker that starts again goes on with the run.
                if time.monotonic() - heard > SILENT_SECONDS:
                    raise
                found = None
            if found is not None:
                if found["status"] in OVER:
                    return found
                seen = _advance(advance, found, seen)
            waits = found is None or found["status"] == "waiting"
            if waits and heard - begun > PAUSED_SECONDS and (view := get(settings, "connectors", name))["paused"]:
                why = f" ({view['pause_reason']})" if view["pause_reason"] else ""
                raise CliError(f"{name} is paused{why}: the run waits until `marquee connectors resume {name}`")
            time.sleep(POLL_SECONDS)


def _find(settings: Settings, name: str, run_id: str) -> dict[str, Any] | None:
    page = get(settings, "connectors", name, "runs", limit=PAGE)
    attempts: list[dict[str, Any]] = [each for each in page["items"] if each["run_id"] == run_id]
    # A further attempt has a time of its own to begin at; what was asked for now is the first.
    return attempts[-1] if attempts else None


def _advance(advance: Advance, found: dict[str, Any], seen: int) -> int:
    records = int(found["counts"]["records"])
    advance(records - seen, found["done"], found["total"])
    return records


def _report(call: Call, found: dict[str, Any]) -> None:
    """What a run came to. Raises CliError where it failed, exits 1 where records were refused."""
    if call.as_json:
        print_json(found)
    else:
        _tell(found)
        if found["error"] is not None:
            raise CliError(found["error"])
    if found["status"] != "success":
        click.get_current_context().exit(1)


def _tell(found: dict[str, Any]) -> None:
    counts = found["counts"]
    for note in found.get("notes", ()):
        click.echo(harmless(note), err=True)
    for line, fault in found["faults"][:SHOWN_FAULTS]:
        click.echo(harmless(f"line {line}: {fault}" if line else fault), err=True)
    more = counts["rejected"] - len(found["faults"][:SHOWN_FAULTS])
    if more > 0:
        click.echo(f"... and {more} more were refused: `marquee dlq list` has them", err=True)
    seconds = found["seconds"] or 0.0
    old = f" ({counts['duplicates']} of them the same as before)" if counts["duplicates"] else ""
    told = f"{counts['records']} records sent{old}, {counts['rejected']} refused"
    click.echo(f"{told}, in {seconds:.1f} s ({found['status']})")
    if counts["requests"]:
        told = f"{counts['requests']} requests, {counts['retries']} retries, {counts['bytes']:,} bytes"
        click.echo(f"{told}, {counts['not_modified']} answers had nothing new")
    if found["retry_at"]:
        click.echo(f"not before {found['retry_at']}", err=True)


def _run_here(call: Call, settings: Settings, name: str, from_start: bool) -> None:
    from app.connectors.registry import connector_config

    config = connector_config(settings, name, config_file(call))
    report = run(_carry_out(call, settings, config, name, from_start))
    _report(call, msgspec.to_builtins(as_run(report)))


async def _carry_out(call: Call, settings: Settings, config: ConnectorConfig, name: str, from_start: bool) -> Report:
    """Raises CliError for a fault of the connector's code, KafkaError where the broker does not take its records."""
    from aiokafka.errors import KafkaError

    from app.cli.kafka import producer_for
    from app.cli.progress import progress
    from app.connectors.fetch import Fetcher
    from app.connectors.known import request_for
    from app.connectors.registry import make, topics_of
    from app.connectors.runner import CursorStore, run_connector

    async with (
        Fetcher.of(settings) as fetcher,
        producer_for(settings, topics_of(config)) as producer,
    ):
        click.echo(f"no Marquee answers: {name} runs here, against {settings.broker.url}", err=True)
        connector, store = make(config, fetcher), CursorStore(settings.data_dir)
        asked: dict[str, Any] = {"request": request_for(settings, name), "from_start": from_start}
        try:
            with progress("records", None) as advance:
                return await run_connector(name, connector, producer, store, **asked, advance=advance)
        except KafkaError:
            raise
        except Exception as error:
            raise _fault(call, name, error, connector.session.redact) from None


def _fault(call: Call, name: str, error: Exception, redact: Callable[[str], str]) -> CliError:
    """What a worker would say of it, without credentials; its traceback may hold some too."""
    if call.debug:
        click.echo(redact("".join(traceback.format_exception(error))), err=True)
    told = redact(f"{type(error).__name__}: {error}")[:1000]
    more = "" if call.debug else " (--debug shows where)"
    return CliError(f"{name} failed by a fault of its code, what it kept before stays: {told}{more}")


def _pause(call: Call, name: str, reason: str) -> None:
    """Begin no further run of a connector until it is resumed; one that is under way ends as it would."""
    _steered(call, say(call.settings(), "connectors", name, "pause", words={"reason": reason}), "is paused")


def _resume(call: Call, name: str) -> None:
    """Let a connector run again."""
    _steered(call, say(call.settings(), "connectors", name, "resume", words={}), "goes on")


def _steered(call: Call, answer: dict[str, Any], told: str) -> None:
    if call.as_json:
        print_json(answer)
    else:
        click.echo(f"{answer['connector']} {told} (event {answer['event_id']})")


def _backfill(call: Call, name: str, begin: str, end: str) -> None:
    """Run a connector for each date of its schedule from one date to another; a date is backfilled only once."""
    from agents.due import span

    try:
        span(begin, end)
    except ValueError as error:
        raise click.UsageError(f"--{error}.", click.get_current_context()) from error
    answer = say(call.settings(), "connectors", name, "backfill", words={"from": begin, "to": end})
    if call.as_json:
        print_json(answer)
        return
    print_table(["logical date", "run"], [(each["logical_date"], each["run_id"]) for each in answer["runs"]])
    if answer["paused"]:
        click.echo(f"{name} is paused: the runs wait until `marquee connectors resume {name}`", err=True)


def _runs(call: Call, name: str | None, limit: int) -> None:
    """The runs of a connector, or of all, the one last asked for first."""
    path = ("runs",) if name is None else ("connectors", name, "runs")
    found = get(call.settings(), *path, limit=limit)
    if call.as_json:
        print_json(found)
        return
    rows = [_row(each) for each in found["items"]]
    headings = [
        "connector",
        "status",
        "trigger",
        "for",
        "attempt",
        "begun",
        "seconds",
        "records",
        "duplicates",
        "rejected",
        "error or note",
    ]
    print_table(headings, rows, "nothing ran yet")


def _row(found: dict[str, Any]) -> list[Any]:
    keys = ("connector", "status", "trigger", "logical_date", "attempt", "started_at", "seconds")
    notes = found.get("notes", ())
    told = f"{notes[0]} (and {len(notes) - 1} more)" if len(notes) > 1 else next(iter(notes), None)
    error = found["error"] or ("later than promised" if found["sla_missed"] else told)
    counted = (found["counts"][name] for name in ("records", "duplicates", "rejected"))
    return [*(found[key] for key in keys), *counted, error]

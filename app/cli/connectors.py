"""`marquee connectors`: what there is to collect from, and one run of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import msgspec

from app.cli.call import Call, CliError, command, run
from app.cli.config import config_file
from app.cli.output import print_fields, print_json, print_table

if TYPE_CHECKING:
    from app.connectors.base import ConnectorConfig
    from app.connectors.runner import Report
    from app.settings import Settings

SHOWN_FAULTS = 20


def add_to(main: click.Group) -> None:
    """Add these commands."""
    group = click.Group("connectors", help="Collect from outside sources.")
    main.add_command(group)
    name = click.Argument(["name"])
    maybe = click.Argument(["name"], required=False)
    start = click.Option(["--from-start"], is_flag=True, help="Forget how far the last run came.")
    command(group, "kinds", example="marquee connectors kinds --json")(_kinds)
    command(group, "list", example="marquee connectors list")(_list)
    command(group, "check", maybe, example="marquee connectors check ratings")(_check)
    command(group, "show", name, example="marquee connectors show ratings")(_show)
    command(group, "run", name, start, example="marquee connectors run ratings")(_run)


def _kinds(call: Call) -> None:
    """The kinds of source there are, with their profiles and the JSON Schema of their configuration."""
    from app.connectors.registry import KINDS, kinds

    if call.as_json:
        print_json(kinds())
        return
    rows = [
        (name, ", ".join(kind.profiles), ", ".join(_own_keys(kind.spec)), (kind.__doc__ or "").split(";")[0])
        for name, kind in KINDS.items()
    ]
    print_table(["kind", "profiles", "keys of its own", "what it does"], rows)


def _own_keys(config: type[ConnectorConfig]) -> list[str]:
    from app.connectors.base import ConnectorConfig

    return [key for key in config.__struct_fields__ if key not in ConnectorConfig.__struct_fields__]


def _list(call: Call) -> None:
    """The connectors of the configuration, and their last runs."""
    from app.connectors.runner import CursorStore

    settings = call.own_settings()
    store = CursorStore(settings.data_dir)
    rows: list[dict[str, Any]] = []
    for name, table in settings.connectors.items():
        last = store.load(name).last_run
        rows.append(
            {
                "name": name,
                "kind": table.get("kind"),
                "schedule": table.get("schedule"),
                "last_run": last.started_at if last else None,
                "status": last.status if last else None,
                "records": last.records if last else None,
                "refused": last.refused if last else None,
            }
        )
    if call.as_json:
        print_json(rows)
        return
    columns = ["name", "kind", "schedule", "last_run", "status", "records", "refused"]
    empty = "none: add a table [connectors.NAME] to marquee.toml"
    print_table([c.replace("_", " ") for c in columns], [[row[c] for c in columns] for row in rows], empty)


def _config(call: Call, settings: Settings, name: str) -> ConnectorConfig:
    from app.connectors.registry import connector_config

    return connector_config(settings, name, config_file(call))


def _check(call: Call, name: str | None) -> None:
    """Look whether a source (or each one) can be read, without reading it."""
    settings = call.own_settings()
    found = run(_checks(call, settings, [name] if name else list(settings.connectors)))
    if call.as_json:
        print_json(found)
    else:
        print_table(["name", "ok", "found"], [(row["name"], row["ok"], row["detail"]) for row in found], "none")
    if not all(row["ok"] for row in found):
        click.get_current_context().exit(1)


async def _checks(call: Call, settings: Settings, names: list[str]) -> list[dict[str, Any]]:
    from app.connectors.errors import SourceError
    from app.connectors.fetch import Fetcher
    from app.connectors.registry import make
    from app.settings import ConfigError

    rows: list[dict[str, Any]] = []
    for name in names:
        async with Fetcher.of(settings) as fetcher:
            try:
                detail, ok = await make(_config(call, settings, name), fetcher).check(), True
            except (SourceError, ConfigError) as error:
                if len(names) == 1 and name not in settings.connectors:
                    raise
                detail, ok = str(error), False
        rows.append({"name": name, "ok": ok, "detail": detail})
    return rows


def _show(call: Call, name: str) -> None:
    """A connector's configuration, how far it is, and its last run."""
    from app.connectors.runner import CursorStore

    settings = call.own_settings()
    config = _config(call, settings, name)
    state = CursorStore(settings.data_dir).load(name)
    fields = {
        "name": name,
        "config": msgspec.to_builtins(config),
        "cursor": state.cursor,
        "last_run": msgspec.to_builtins(state.last_run),
    }
    if call.as_json:
        print_json(fields)
    else:
        print_fields(fields)


def _run(call: Call, name: str, from_start: bool) -> None:
    """Run a connector now, to its end; it goes on where the last run stopped.

    Rows that cannot be used are reported by line and put away as dead letters; then it exits 1.
    """
    settings = call.settings()
    report = run(_run_now(settings, _config(call, settings, name), name, from_start))
    if call.as_json:
        print_json(report)
    else:
        _tell(report)
    if report.error is not None and not call.as_json:
        raise CliError(report.error)
    if report.status != "success":
        click.get_current_context().exit(1)


async def _run_now(settings: Settings, config: ConnectorConfig, name: str, from_start: bool) -> Report:
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
        with progress("records", None) as advance:
            return await run_connector(
                name,
                make(config, fetcher),
                producer,
                CursorStore(settings.data_dir),
                request=request_for(settings, name),
                from_start=from_start,
                advance=advance,
            )


def _tell(report: Report) -> None:
    for note in report.notes:
        click.echo(note, err=True)
    for line, fault in report.faults[:SHOWN_FAULTS]:
        click.echo(f"line {line}: {fault}" if line else fault, err=True)
    if report.refused > SHOWN_FAULTS:
        click.echo(f"... and {report.refused - SHOWN_FAULTS} more were refused: `marquee dlq list` has them", err=True)
    click.echo(f"{report.records} records sent, {report.refused} refused, in {report.seconds:.1f} s ({report.status})")
    if report.requests:
        told = f"{report.requests} requests, {report.retries} retries, {report.bytes:,} bytes"
        click.echo(f"{told}, {report.not_modified} answers had nothing new, {report.quota_used} spent of the quota")
    if report.retry_at:
        click.echo(f"run it again after {report.retry_at}", err=True)

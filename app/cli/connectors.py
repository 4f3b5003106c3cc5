"""`marquee connectors`: what there is to collect from, how it is configured, and how it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import msgspec

from app.cli import connector_runs
from app.cli.call import Call, command, command_group, run
from app.cli.config import config_file
from app.cli.output import print_fields, print_json, print_table
from app.cli.web import NoMarqueeError, get

if TYPE_CHECKING:
    from app.connectors.base import ConnectorConfig
    from app.settings import Settings

ALL = 1000


def add_to(main: click.Group) -> None:
    """Add these commands."""
    group = command_group(main, "connectors", told="Collect from outside sources.", example="marquee connectors list")
    name = click.Argument(["name"])
    maybe = click.Argument(["name"], required=False)
    command(group, "kinds", example="marquee connectors kinds --json")(_kinds)
    command(group, "list", example="marquee connectors list")(_list)
    command(group, "check", maybe, example="marquee connectors check ratings")(_check)
    command(group, "show", name, example="marquee connectors show ratings")(_show)
    connector_runs.add_to(group)


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
    """The connectors, with schedule and last run; where no Marquee runs, as the configuration has them."""
    try:
        found = get(call.settings(), "connectors", limit=ALL)
    except NoMarqueeError:
        found = {"items": [_configured(call, name) for name in call.own_settings().connectors], "next": None}
    if call.as_json:
        print_json(found)
        return
    rows = [_row(view) for view in found["items"]]
    headings = ["name", "kind", "profile", "schedule", "next", "state", "last run", "status", "records", "rejected"]
    print_table(headings, rows, "none: add a table [connectors.NAME] to marquee.toml")


def _row(view: dict[str, Any]) -> list[Any]:
    last = view["last_run"] or {}
    counts = last.get("counts", {})
    state = "cannot be used" if view["error"] else "paused" if view["paused"] else "on"
    begun = last.get("started_at") or last.get("asked_at")
    ends = [begun, last.get("status"), counts.get("records"), counts.get("rejected")]
    return [*(view[key] for key in ("name", "kind", "profile", "schedule", "next_date")), state, *ends]


def _configured(call: Call, name: str) -> dict[str, Any]:
    """A connector in the shape in which a worker shows it, from its table and what a run here has left."""
    from app.connectors.registry import config_of
    from app.connectors.runner import CursorStore
    from app.settings import ConfigError

    settings = call.own_settings()
    table = settings.connectors[name]
    try:
        terms, error = msgspec.to_builtins(config_of(name, table).terms), None
    except ConfigError as wrong:
        terms, error = None, str(wrong)
    last = CursorStore(settings.data_dir).load(name).last_run
    return {
        "name": name,
        "kind": str(table.get("kind", "?")),
        "profile": table.get("profile"),
        "schedule": table.get("schedule"),
        "timezone": str(table.get("timezone", "UTC")),
        "next_date": None,
        "paused": False,
        "pause_reason": "",
        "error": error,
        "last_run": msgspec.to_builtins(connector_runs.as_run(last)) if last else None,
        "terms": terms,
    }


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
    from app.connectors.registry import connector_config, make
    from app.settings import ConfigError

    rows: list[dict[str, Any]] = []
    for name in names:
        async with Fetcher.of(settings) as fetcher:
            try:
                config = connector_config(settings, name, config_file(call))
                detail, ok = await make(config, fetcher).check(), True
            except (SourceError, ConfigError) as error:
                if len(names) == 1 and name not in settings.connectors:
                    raise
                detail, ok = str(error), False
        rows.append({"name": name, "ok": ok, "detail": detail})
    return rows


def _show(call: Call, name: str) -> None:
    """A connector's configuration (with --json its JSON Schema too), its state, how far it is, and its last run."""
    from app.connectors.registry import KINDS, connector_config
    from app.connectors.runner import CursorStore

    settings = call.settings()
    config = connector_config(settings, name, config_file(call))
    try:
        view = get(settings, "connectors", name)
        cursor = (view["last_run"] or {}).get("cursor_after", {})
    except NoMarqueeError:
        view = _configured(call, name)
        cursor = CursorStore(settings.data_dir).load(name).cursor
    fields = {**view, "config": _shown(config), "cursor": cursor}
    if call.as_json:
        print_json({**fields, "schema": msgspec.json.schema(KINDS[config.kind].spec)})
    else:
        print_fields(fields)


def _shown(config: ConnectorConfig) -> Any:
    """A configuration without what no configuration should hold."""
    import os

    from app.connectors.redaction import Credentials

    known = Credentials(config.token_env, os.environ)
    known.get()

    def clean(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: clean(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [clean(inner) for inner in value]
        return known.text(value) if isinstance(value, str) else value

    return clean(msgspec.to_builtins(config))

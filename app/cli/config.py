"""`marquee config check`: the configuration held to every rule before anything is started with it."""

from __future__ import annotations

from pathlib import Path

import click

from app.cli.call import Call, CliError, command, command_group
from app.cli.output import print_json
from app.settings import ConfigError


def add_to(main: click.Group) -> None:
    """Add these commands."""
    config = command_group(main, "config", told="The configuration.", example="marquee config check")
    command(config, "check", example="marquee config check --config marquee.toml")(_check)
    command(config, "apply", example="marquee config apply")(_apply)


def _check(call: Call) -> None:
    """Check marquee.toml and the environment; a mistake is named with file, line and key."""
    faults = config_faults(call)
    file = config_file(call)
    if call.as_json:
        print_json({"ok": not faults, "file": str(file) if file else None, "errors": faults})
    elif not faults:
        click.echo(f"{file} is in order" if file else "no marquee.toml here: all settings have their defaults")
    else:
        for fault in faults[:-1]:
            click.echo(f"marquee: {fault}", err=True)
    if faults and not call.as_json:
        raise CliError(faults[-1])
    if faults:
        click.get_current_context().exit(1)


def _apply(call: Call) -> None:
    """Let the running workers take up changed connectors, films and people; other keys are named, and wait.

    The workers read the file that they were started with.
    """
    from app.cli.web import say

    found = say(call.settings(), "config", "apply", words={})
    failed = [each for each in found["others"] if not each["ok"]]
    if call.as_json:
        print_json(found)
    else:
        for what, names in found["connectors"].items():
            click.echo(f"connectors {what}: {', '.join(names) or 'none'}")
        click.echo(f"new films and people: {found['pushed']}")
        for key in found["needs_restart"]:
            click.echo(f"{key} needs a restart", err=True)
    if failed:
        raise CliError("; ".join(f"{each['url']} did not take it up: {each['detail']}" for each in failed))


def config_faults(call: Call) -> list[str]:
    """What is wrong with the configuration, each with its place."""
    from app.connectors.registry import connector_faults

    try:
        settings = call.own_settings()
    except ConfigError as error:
        return [str(error)]
    return connector_faults(settings, config_file(call))


def config_file(call: Call) -> Path | None:
    """The file that the settings come from."""
    import os

    named = call.config or (Path(os.environ["MARQUEE_CONFIG"]) if os.environ.get("MARQUEE_CONFIG") else None)
    default = Path("marquee.toml")
    return named or (default if default.exists() else None)

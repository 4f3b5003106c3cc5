"""`marquee demo`: what `make demo` runs."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import click

from app.cli.call import Call, CliError, command


def add_to(main: click.Group) -> None:
    """Add this command."""
    leave = click.Option(["--exit"], is_flag=True, help="Stop after the report (default without a terminal).")
    command(main, "demo", leave, example="marquee demo --exit")(_demo)


def _demo(call: Call, exit: bool) -> None:  # noqa: A002  the option's name
    """Run real ratings of real films through everything, embedded, and print a report."""
    try:
        # By name: the demo is a part of its own, which only this command needs.
        demo: Any = importlib.import_module("app.demo.run")
    except ModuleNotFoundError as error:
        raise CliError(f"the demo cannot run ({error}): run `make setup`") from error
    data_dir: Path | None = call.data_dir
    code = demo.main(call.own_settings(), data_dir=data_dir, leave=exit, as_json=call.as_json, config=call.config)
    click.get_current_context().exit(int(code or 0))

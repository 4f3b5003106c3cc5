"""`marquee doctor`: looks at everything that Marquee needs, and says how to mend what fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from app.cli.call import Call, command, run
from app.cli.config import config_faults, config_file
from app.cli.output import print_json

if TYPE_CHECKING:
    from app.cli.checks import Check


def add_to(main: click.Group) -> None:
    """Add this command."""
    command(main, "doctor", example="marquee doctor --data-dir data")(_doctor)


def _doctor(call: Call) -> None:
    """Check configuration, broker, topics, MongoDB, MLflow, disk, clocks; exits 1 where something fails."""
    found = run(_checks(call))
    if call.as_json:
        print_json({"ok": all(check.ok for check in found), "checks": found})
    else:
        width = max(len(check.name) for check in found)
        for check in found:
            click.echo(f"{'ok    ' if check.ok else 'FAILED'}  {check.name.ljust(width)}  {check.found}")
            if check.fix is not None:
                click.echo(f"        {' ' * width}  -> {check.fix}")
    if not all(check.ok for check in found):
        click.get_current_context().exit(1)


async def _checks(call: Call) -> list[Check]:
    import asyncio

    from app.cli.checks import CHECKS, Check
    from app.cli.terms import check_terms

    faults = config_faults(call)
    if faults:
        return [Check("configuration", False, fault, "mend it, then run `marquee config check`") for fault in faults]
    file = config_file(call)
    found = [Check("configuration", True, f"{file} is in order" if file else "no marquee.toml: all defaults")]
    settings = call.settings()
    for answer in await asyncio.gather(*(check(settings) for check in (*CHECKS, check_terms))):
        found += answer if isinstance(answer, list) else [answer]
    return found

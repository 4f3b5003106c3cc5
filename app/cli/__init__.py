"""The `marquee` command: every command takes --config, --data-dir and --help; --json where it prints data."""

from __future__ import annotations

import click

from app.cli import (
    archive,
    celebrities,
    config,
    connectors,
    demo,
    dlq,
    doctor,
    evaluate,
    flows,
    identify,
    lookups,
    matches,
    push,
    up,
)
from app.cli.call import MarqueeGroup

__all__ = ["main"]


@click.group(cls=MarqueeGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def main() -> None:
    """Follows films on the open web as a stream of events, and predicts where their ratings go."""


for part in (
    up,
    demo,
    push,
    lookups,
    celebrities,
    identify,
    connectors,
    matches,
    evaluate,
    flows,
    dlq,
    archive,
    doctor,
    config,
):
    part.add_to(main)

"""`marquee demo`: what `make demo` runs."""

from __future__ import annotations

from pathlib import Path

import click

from app.cli.call import Call, Whole, command


def add_to(main: click.Group) -> None:
    """Add this command."""
    leave = click.Option(["--exit"], is_flag=True, help="Stop after the report (default without a terminal).")
    seed = click.Option(["--seed"], type=int, default=1, show_default=True, envvar="MARQUEE_DEMO_SEED", metavar="N")
    films = click.Option(["--films"], type=Whole(10, 1000), default=300, show_default=True, metavar="N")
    faces = click.Option(
        ["--faces"],
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        metavar="DIR",
        help="Labelled pictures to learn as well: one folder a person.",
    )
    command(main, "demo", leave, seed, films, faces, example="marquee demo --exit --seed 7")(_demo)


def _demo(call: Call, exit: bool, seed: int, films: int, faces: Path | None) -> None:  # noqa: A002  the option's name
    """Run real ratings of real films through everything, embedded, and print a report.

    The seed chooses the films; another one gives other figures.
    """
    from app.demo.run import main

    click.get_current_context().exit(main(seed, films, call.data_dir, leave=exit, as_json=call.as_json, faces=faces))

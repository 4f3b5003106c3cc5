"""How commands print: JSON for programs, tables for people, plain columns where the output is not a terminal."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click
import msgspec

Cell = str | int | float | bool | None

_STEERING: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What a terminal obeys instead of showing it (C0, C1), what turns the direction round, and what it cannot be sent."""


def print_json(value: Any) -> None:
    """One JSON document, indented."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    # JSON escapes what is below a space, and no more; whatever else steers can only stand in a string.
    click.echo(_STEERING.sub(lambda found: "\n" if found[0] == "\n" else f"\\u{ord(found[0]):04x}", text))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Cell]], empty: str = "nothing") -> None:
    """Rows under their headings; `empty` is said where there are none."""
    texts = [[_text(cell) for cell in row] for row in rows]
    if not texts:
        click.echo(empty)
    elif sys.stdout.isatty():
        _rich_table(columns, texts)
    else:
        widths = [max(map(len, column)) for column in zip(columns, *texts, strict=True)]
        for row in [list(columns), *texts]:
            padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            click.echo("  ".join(padded).rstrip())


def print_fields(fields: Mapping[str, Any], indent: int = 0) -> None:
    """A mapping as lines of name and value, inner ones indented; None is left out."""
    width = max((len(name) for name in fields), default=0)
    for name, value in fields.items():
        if value is None or value == [] or value == {}:
            continue
        label = " " * indent + harmless(name.replace("_", " ")).ljust(width)
        if isinstance(value, Mapping):
            click.echo(label.rstrip())
            print_fields(value, indent + 2)
        elif isinstance(value, list):
            click.echo(label.rstrip())
            for item in value:
                click.echo(" " * (indent + 2) + _item(item))
        else:
            click.echo(f"{label}  {_text(value)}")


def write_or_print(text: str, out: Path | None) -> None:
    """The text into a file, or to standard output."""
    if out is None:
        click.echo(text)
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text + "\n", encoding="utf-8")
    click.echo(f"wrote {out}", err=True)


def _item(item: Any) -> str:
    if isinstance(item, Mapping):
        return ", ".join(
            f"{harmless(name.replace('_', ' '))} {_text(value)}" for name, value in item.items() if value is not None
        )
    return _text(item)


def _text(cell: Any) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float):
        return f"{cell:.3f}".rstrip("0").rstrip(".")
    if isinstance(cell, list | tuple):
        return ", ".join(map(_text, cell))
    return harmless(str(cell))


def harmless(text: str) -> str:
    """A text that somebody sent, in one line and without anything that steers a terminal."""
    return _STEERING.sub(lambda found: " " if found[0].isspace() else ascii(found[0])[1:-1], text)


def _rich_table(columns: Sequence[str], texts: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    # Room is short: columns that say nothing are left out, and an id that is broken in two cannot be copied.
    told = [n for n in range(len(columns)) if n == 0 or any(row[n] != "-" for row in texts)]
    for n in told:
        table.add_column(columns[n], overflow="fold", min_width=None if n else max(len(row[0]) for row in texts))
    for row in texts:
        table.add_row(*(row[n] for n in told))
    # Titles of films are text, not markup.
    Console(markup=False, highlight=False).print(table)

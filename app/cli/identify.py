"""`marquee identify`: whose faces are on a picture, asked from a worker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from app.cli.call import Call, CliError, command
from app.cli.output import print_json, print_table
from app.cli.web import post


def add_to(main: click.Group) -> None:
    """Add this command."""
    file = click.Argument(["file"], type=click.Path(path_type=Path), metavar="FILE")
    command(main, "identify", file, example="marquee identify photo.jpg --json")(_identify)


def _identify(call: Call, file: Path) -> None:
    """Say who is on a picture."""
    settings = call.settings()
    found = post(settings, "identify", body=_read(file, settings.fetch.max_bytes))
    if call.as_json:
        print_json(found)
        return
    columns = ("face", "who", "confidence", "or")
    print_table(columns, [_row(face) for face in found["faces"]], "no face was found on this picture")


def _read(file: Path, most: int) -> bytes:
    try:
        with file.open("rb") as opened:
            data = opened.read(most + 1)
    except OSError as error:
        raise CliError(f"{file} cannot be read: {error.strerror}") from error
    if not data:
        raise CliError(f"{file} is empty: name a picture")
    if len(data) > most:
        raise CliError(f"{file} is too large: [fetch] max_bytes allows {most} bytes")
    return data


def _row(face: dict[str, Any]) -> tuple[str, str, float, str]:
    others = [
        f"{each['celebrity_id']} {each['confidence']:.2f}"
        for each in face["candidates"]
        if each["celebrity_id"] != face["celebrity_id"]
    ]
    x, y, width, height = face["box"]
    return (f"{width}x{height} at {x},{y}", face["celebrity_id"] or "unknown", face["confidence"], ", ".join(others))

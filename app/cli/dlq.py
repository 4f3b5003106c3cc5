"""`marquee dlq`: the records that could not be read or handled."""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from app.cli.call import Call, CliError, command, command_group, run
from app.cli.output import harmless, print_fields, print_json, print_table

if TYPE_CHECKING:
    from app.cli.dead_letters import Letter

SHORT_ID = 13
SHORT_ERROR = 90
PREVIEW = 2000


def add_to(main: click.Group) -> None:
    """Add these commands."""
    group = command_group(
        main, "dlq", told="Dead letters: records that could not be read or handled.", example="marquee dlq list"
    )
    ids = click.Argument(["ids"], nargs=-1, metavar="ID...")
    stage = click.Option(["--stage"], metavar="S", help="Only those of this stage.")
    everything = click.Option(["--all", "everything"], is_flag=True, help="All that are open.")
    dry = click.Option(["--dry-run"], is_flag=True, help="Only say what would be done.")
    resolved = click.Option(["--all", "resolved"], is_flag=True, help="Also those that are resolved.")
    value = click.Option(
        ["--value"], type=click.Path(path_type=Path, allow_dash=True), help="Send this file's bytes instead (one ID)."
    )
    drop = click.Option(["--drop-header"], multiple=True, metavar="H", help="Leave this header out.")
    again = click.Option(["--again"], is_flag=True, help="Also those that are resolved.")
    replay = (ids, everything, stage, dry, value, drop, again)
    command(group, "list", stage, resolved, example="marquee dlq list --stage clean")(_list)
    command(group, "show", click.Argument(["letter_id"], metavar="ID"), example="marquee dlq show 5f0c")(_show)
    command(group, "replay", *replay, example="marquee dlq replay --all --stage clean")(_replay)
    command(group, "purge", ids, everything, stage, dry, example="marquee dlq purge --all")(_purge)


def _list(call: Call, stage: str | None, resolved: bool) -> None:
    """Open dead letters, oldest first."""
    from app.cli.dead_letters import letters

    found = [letter for letter in run(letters(call.settings(), stage)) if resolved or not letter.resolved]
    if call.as_json:
        print_json([_fields(letter) for letter in found])
        return
    rows = [_row(letter) for letter in found]
    print_table(["id", "when", "stage", "origin", "error", "resolved"], rows, "no dead letters")


def _row(letter: Letter) -> tuple[str, str, str, str, str, bool]:
    record = letter.record
    error = record.error if len(record.error) <= SHORT_ERROR else record.error[: SHORT_ERROR - 1] + "…"
    origin = f"{record.origin_topic}-{record.origin_partition}-{record.origin_offset}"
    return letter.id[:SHORT_ID], record.failed_at, record.stage, origin, " ".join(error.split()), letter.resolved


def _fields(letter: Letter) -> dict[str, Any]:
    return {**msgspec.to_builtins(letter.record), "resolved": letter.resolved}


def _show(call: Call, letter_id: str) -> None:
    """One dead letter, whole: where it came from, why it failed, its key, value and headers."""
    from app.cli.dead_letters import chosen, letters

    (letter,) = chosen(run(letters(call.settings())), [letter_id])
    if call.as_json:
        print_json(_fields(letter))
        return
    fields = {name: value for name, value in _fields(letter).items() if not name.endswith("_base64")}
    fields["key"] = _readable(letter.record.key_base64)
    fields["headers"] = [f"{name}: {_readable(value)}" for name, value in letter.record.headers]
    print_fields(fields)
    click.echo(_readable(letter.record.value_base64) or "(the value was too large to keep, or there was none)")


def _readable(encoded: str | None) -> str | None:
    if encoded is None:
        return None
    raw = base64.b64decode(encoded)
    text = raw[:PREVIEW].decode(errors="backslashreplace")
    # What somebody sent must not steer the terminal.
    shown = "\n".join(map(harmless, text.split("\n")))
    return shown + (f"… ({len(raw)} bytes)" if len(raw) > PREVIEW else "")


def _picked(call: Call, ids: tuple[str, ...], everything: bool, stage: str | None, again: bool) -> list[Letter]:
    """The letters that are meant, only open ones unless `again`."""
    from app.cli.dead_letters import chosen, letters

    if bool(ids) == (everything or stage is not None):
        raise click.UsageError("Give IDs, or --all, or --stage S.", click.get_current_context())
    found = run(letters(call.settings(), stage))
    picked = chosen(found, ids) if ids else found
    return [letter for letter in picked if again or not letter.resolved]


def _replay(
    call: Call,
    ids: tuple[str, ...],
    everything: bool,
    stage: str | None,
    dry_run: bool,
    value: Path | None,
    drop_header: tuple[str, ...],
    again: bool,
) -> None:
    """Send records back to the topic they came from. One that is resolved already is not sent twice."""
    from app.cli.dead_letters import can_go_back, replay

    picked = _picked(call, ids, everything, stage, again)
    if value is not None and len(ids) != 1:
        raise click.UsageError("--value needs exactly one ID.", click.get_current_context())
    kept: list[str] = []
    for letter in list(picked):
        try:
            can_go_back(letter.record)
        except CliError as error:
            picked.remove(letter)
            kept.append(str(error))
    if not dry_run and picked:
        gone = run(replay(call.settings(), picked, _bytes(value), drop_header))
        picked = [letter for letter in picked if letter.id not in gone]
        kept += dict.fromkeys(gone.values())
    _tell(call, picked, "would be replayed" if dry_run else "replayed", kept)


def _purge(call: Call, ids: tuple[str, ...], everything: bool, stage: str | None, dry_run: bool) -> None:
    """Give records up: they are resolved without being sent anywhere."""
    from app.cli.dead_letters import resolve

    picked = _picked(call, ids, everything, stage, again=False)
    if not dry_run and picked:
        run(resolve(call.settings(), picked))
    _tell(call, picked, "would be purged" if dry_run else "purged", [])


def _bytes(value: Path | None) -> bytes | None:
    if value is None:
        return None
    return sys.stdin.buffer.read() if str(value) == "-" else value.read_bytes()


def _tell(call: Call, picked: list[Letter], done: str, kept: list[str]) -> None:
    if call.as_json:
        print_json({done.replace(" ", "_"): [letter.id for letter in picked], "not_possible": kept})
    else:
        for letter in picked:
            record = letter.record
            place = f"{record.origin_topic}-{record.origin_partition}-{record.origin_offset}"
            click.echo(f"{letter.id}  {place}")
        click.echo(f"{len(picked)} {done}")
        for line in kept:
            click.echo(f"marquee: {line}", err=True)
    if kept:
        click.get_current_context().exit(1)

"""`marquee celebrities, celebrity`: people and their pictures, and what is to become of them, through a worker."""

from __future__ import annotations

import time
from typing import Any, Final

import click

from app.cli.call import Call, CliError, Whole, command, sort_option
from app.cli.output import print_fields, print_json, print_table
from app.cli.web import delete, get, say

VERDICTS: Final = ("pending", "kept", "duplicate", "conflict", "rejected", "quarantined", "failed")
SORTS: Final = ("name", "registered")
NOT_KEPT: Final = ("duplicate", "conflict", "rejected", "quarantined", "failed")
ALL: Final = 1000
SHORT: Final = 12
ERASED_SECONDS: Final = 60.0
"""Without anything more being erased, until nobody waits any longer."""
POLL_SECONDS: Final = 0.5


def add_to(main: click.Group) -> None:
    """Add these commands."""
    listed = (
        click.Option(["--search"], metavar="S", help="Only names with these words."),
        sort_option(*SORTS),
        click.Option(["--limit"], type=Whole(1, 200), default=20, show_default=True, metavar="N"),
    )
    command(main, "celebrities", *listed, example="marquee celebrities --search tilda")(_celebrities)
    one = (
        click.Argument(["celebrity_id"], metavar="ID"),
        click.Option(["--rejected"], is_flag=True, help="List every picture that is not kept, with the reason."),
        click.Option(["--verdict"], type=click.Choice(VERDICTS), help="List the pictures with this verdict."),
        click.Option(["--keep"], metavar="ITEM", help="Keep a picture whatever was decided."),
        click.Option(["--reject"], metavar="ITEM", help="Reject a picture."),
        click.Option(["--note"], metavar="TEXT", help="Why, with --keep or --reject."),
        click.Option(["--resolve"], metavar="IMAGE", help="Say whose a picture is that is claimed for two people."),
        click.Option(["--as", "belongs_to"], metavar="ID", help="With --resolve: this person's."),
        click.Option(["--both"], is_flag=True, help="With --resolve: it shows both."),
        click.Option(["--neither"], is_flag=True, help="With --resolve: it shows neither."),
        click.Option(["--forget"], is_flag=True, help="Erase the person everywhere, and prove it."),
        click.Option(["--yes"], is_flag=True, help="With --forget: do not ask."),
    )
    command(main, "celebrity", *one, example="marquee celebrity Q200534 --rejected")(_celebrity)


def _celebrities(call: Call, search: str | None, sort: str | None, limit: int) -> None:
    """The people who are followed, with their pictures by verdict."""
    found = get(call.settings(), "celebrities", search=search, sort=sort, limit=limit)
    if call.as_json:
        print_json(found)
        return
    rows = [
        [each["celebrity_id"], each["name"], *(each["images"].get(verdict, 0) for verdict in VERDICTS)]
        for each in found["items"]
    ]
    empty = "nobody is known yet: push somebody with `marquee push celebrity --name ...`"
    headings = ["celebrity id", "name", *VERDICTS]
    if any(each["same_as"] for each in found["items"]):
        headings.append("same as")
        rows = [[*row, ", ".join(each["same_as"]) or None] for row, each in zip(rows, found["items"], strict=True)]
    print_table(headings, rows, empty)


def _celebrity(call: Call, celebrity_id: str, **options: Any) -> None:
    """One person: what is known, the pictures by verdict, and what is to become of them.

    ITEM and IMAGE are what --rejected and --verdict list: an item's id, or the picture's own.
    """
    asked = [name for name in ("rejected", "verdict", "keep", "reject", "resolve", "forget") if options[name]]
    if len(asked) > 1:
        raise _wrong(f"Give one of --{' and --'.join(asked)}.")
    _check_companions(options)
    match asked:
        case ["rejected"] | ["verdict"]:
            _pictures(call, celebrity_id, NOT_KEPT if options["rejected"] else (options["verdict"],))
        case ["keep"] | ["reject"]:
            _rule(call, celebrity_id, asked[0], options[asked[0]], options["note"])
        case ["resolve"]:
            _resolve(call, celebrity_id, options["resolve"], _owner(options))
        case ["forget"]:
            _forget(call, celebrity_id, sure=options["yes"])
        case _:
            _show(call, celebrity_id)


def _check_companions(options: dict[str, Any]) -> None:
    """Raises UsageError for an option that says nothing without another."""
    for names, needed in (
        (("note",), ("keep", "reject")),
        (("belongs_to", "both", "neither"), ("resolve",)),
        (("yes",), ("forget",)),
    ):
        alone = [name for name in names if options[name]]
        if alone and not any(options[name] for name in needed):
            option = "as" if alone[0] == "belongs_to" else alone[0]
            raise _wrong(f"--{option} goes with --{' or --'.join(needed)}.")


def _owner(options: dict[str, Any]) -> str:
    said = [options["belongs_to"], "both" if options["both"] else None, "neither" if options["neither"] else None]
    given = [each for each in said if each]
    if len(given) != 1:
        raise _wrong("Give one of --as ID, --both and --neither with --resolve.")
    return str(given[0])


def _wrong(text: str) -> click.UsageError:
    return click.UsageError(text, click.get_current_context())


def _show(call: Call, celebrity_id: str) -> None:
    found = get(call.settings(), "celebrities", celebrity_id)
    if call.as_json:
        print_json(found)
    else:
        print_fields(found)


def _pictures(call: Call, celebrity_id: str, verdicts: tuple[str, ...]) -> None:
    settings, items = call.settings(), list[dict[str, Any]]()
    for verdict in verdicts:
        cursor: str | None = ""
        while cursor is not None:
            path = ("celebrities", celebrity_id, "images")
            page = get(settings, *path, verdict=verdict, limit=ALL, cursor=cursor or None)
            items += page["items"]
            cursor = page["next"]
    if call.as_json:
        print_json({"items": items, "next": None})
        return
    rows = [_row(item) for item in items]
    headings = ["item", "verdict", "reason", "copy of", "distance", "claimed for", "source", "url"]
    print_table(headings, rows, f"no picture of {celebrity_id} has this verdict")


def _row(item: dict[str, Any]) -> list[Any]:
    copied = item["duplicate_of"]
    return [
        item["item_id"],
        item["verdict"],
        item["reason"],
        copied and copied[:SHORT],
        item["distance"],
        item["conflict_with"],
        item["source"],
        item["url"],
    ]


def _rule(call: Call, celebrity_id: str, decision: str, name: str, note: str | None) -> None:
    path = ("celebrities", celebrity_id, "images", name, "ruling")
    sent = say(call.settings(), *path, words={"decision": decision, "note": note or ""})
    if call.as_json:
        print_json(sent)
    else:
        click.echo(f"{decision} {sent['id']} (event {sent['event_id']})")


def _resolve(call: Call, celebrity_id: str, name: str, belongs_to: str) -> None:
    path = ("celebrities", celebrity_id, "images", name, "resolve")
    sent = say(call.settings(), *path, words={"belongs_to": belongs_to})
    if call.as_json:
        print_json(sent)
        return
    for word in sent["items"]:
        click.echo(f"{word['decision']} {word['item_id']} of {word['celebrity_id']} (event {word['event_id']})")


def _forget(call: Call, celebrity_id: str, *, sure: bool) -> None:
    settings = call.settings()
    if not sure and click.get_text_stream("stdin").isatty():
        click.confirm(f"Erase pictures, faces, hashes and all that is known of {celebrity_id}?", abort=True, err=True)
    asked = delete(settings, "celebrities", celebrity_id)
    deadline, before = time.monotonic() + ERASED_SECONDS, None
    while True:
        proof = get(settings, "celebrities", celebrity_id, "erasure")
        done = proof["erased"] and proof["event_id"] == asked["event_id"]
        if done or time.monotonic() > deadline:
            break
        if proof["left"] != before:
            # A busy machine or a long archive takes its time; what matters is that it gets on.
            deadline, before = time.monotonic() + ERASED_SECONDS, proof["left"]
        time.sleep(POLL_SECONDS)
    if call.as_json:
        print_json(proof | {"same_as": asked["same_as"], "notes": asked["notes"]})
    else:
        print_table(["where", "left"], [[each["where"], each["left"]] for each in proof["left"]])
        for each in proof["later"]:
            click.echo(f"not before {each['until']}: {each['where']}")
        for note in asked["notes"]:
            click.echo(note)
    if not done:
        raise CliError(
            f"not all of {celebrity_id} is erased, and for {ERASED_SECONDS:.0f} s nothing more was: the command is in "
            "the log, so look again later; `marquee doctor` says whether a worker stands still"
        )

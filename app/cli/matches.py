"""`marquee matches`: mentions that wait for somebody to say of which film they are."""

from __future__ import annotations

from typing import Any

import click

from app.cli.call import Call, command
from app.cli.output import print_json, print_table
from app.cli.web import get, say
from app.settings import Settings

ALL = 1000


def add_to(main: click.Group) -> None:
    """Add this command."""
    options = (
        click.Option(
            ["--resolve"], metavar="ID", help="Say of which film a mention is; the beginning of its id will do."
        ),
        click.Option(["--film"], metavar="FILM", help="With --resolve: of this film, such as tt1375666."),
        click.Option(["--none"], is_flag=True, help="With --resolve: of no film."),
    )
    command(main, "matches", *options, example="marquee matches --resolve 5f0c --film tt0069293")(_matches)


def _matches(call: Call, resolve: str | None, film: str | None, none: bool) -> None:
    """Mentions that are of a film, but not certainly of one of those known; or the word on one of them."""
    if resolve is None and (film or none):
        raise click.UsageError("--film and --none go with --resolve.", click.get_current_context())
    if resolve is not None and bool(film) == none:
        raise click.UsageError("Give one of --film FILM and --none with --resolve.", click.get_current_context())
    if resolve is not None:
        _resolve(call, resolve, film)
        return
    found = get(call.settings(), "matches", limit=ALL)
    if call.as_json:
        print_json(found)
        return
    rows = [_row(each) for each in found["items"]]
    headings = ["mention", "title", "year", "source", "why it waits", "may be"]
    print_table(headings, rows, "none: every mention is of a film that is known for certain, or of none")
    if found["open"] > len(rows):
        click.echo(f"... and {found['open'] - len(rows)} more", err=True)


def _row(match: dict[str, Any]) -> list[Any]:
    films = [f"{film['film_id']} {film['title']} ({film['year'] or '?'})" for film in match["candidates"]]
    title = match["title"] or (match["excerpt"] or "")[:60]
    return [match["mention_id"], title, match["year"], match["source"], match["reason"], ", ".join(films)]


def _whole(settings: Settings, mention_id: str) -> str:
    """The id of the one open mention that begins so; itself where it is an id, or where not all of them are seen."""
    found = get(settings, "matches", limit=ALL)
    ids = [each["mention_id"] for each in found["items"]]
    if mention_id in ids or found["open"] > len(ids):
        return mention_id
    begun = [each for each in ids if each.startswith(mention_id)]
    if len(begun) > 1:
        raise click.UsageError(f"{len(begun)} open mentions begin with {mention_id}: give more of the id.")
    return begun[0] if begun else mention_id


def _resolve(call: Call, mention_id: str, film: str | None) -> None:
    settings = call.settings()
    mention_id = _whole(settings, mention_id)
    sent = say(settings, "matches", mention_id, words={"film_id": film})
    if call.as_json:
        print_json(sent)
    else:
        click.echo(f"{mention_id} is of {film or 'no film'} (event {sent['event_id']})")

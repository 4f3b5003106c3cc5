"""`marquee film, films, models`: what is known and learnt, asked from a worker."""

from __future__ import annotations

from typing import Any, Final

import click

from app.cli import registry
from app.cli.call import Call, Whole, command, command_group, sort_option
from app.cli.output import print_fields, print_json, print_table
from app.cli.web import get

SORTS: Final = ("title", "year", "n_ratings", "predicted", "current_mean", "updated")


def add_to(main: click.Group) -> None:
    """Add these commands."""
    search = click.Option(["--search"], metavar="S", help="Only titles with these words.")
    sort = sort_option(*SORTS)
    limit = click.Option(["--limit"], type=Whole(1, 1000), default=20, show_default=True, metavar="N")
    command(main, "film", click.Argument(["film_id"], metavar="ID"), example="marquee film tt1375666")(_film)
    command(main, "films", search, sort, limit, example="marquee films --search incep --limit 5")(_films)
    models = command_group(main, "models", told="What is learnt.", example="marquee models list")
    command(models, "list", example="marquee models list")(_models)
    command(models, "show", click.Argument(["name"]), example="marquee models show future-rating --json")(_model)
    registry.add_to(models)


def _film(call: Call, film_id: str) -> None:
    """What is known of a film, what is predicted, and by which sources."""
    found = get(call.settings(), "films", film_id)
    if call.as_json:
        print_json(found)
    else:
        print_fields(found)


def _films(call: Call, search: str | None, sort: str | None, limit: int) -> None:
    """The films that are followed."""
    found = get(call.settings(), "films", search=search, sort=sort, limit=limit)
    if call.as_json:
        print_json(found)
        return
    none = f"no film's title has {search!r} in it" if search else "no film is known yet"
    _table(found, none if search else f"{none}: push one with `marquee push film --title ...`")


def _models(call: Call) -> None:
    """Every model with its version, metrics and snapshot."""
    found = get(call.settings(), "models")
    if call.as_json:
        print_json(found)
        return
    _table(found, "no model has learnt anything yet")


def _model(call: Call, name: str) -> None:
    """One model: versions, metrics over time, snapshots."""
    found = get(call.settings(), "models", name)
    if call.as_json:
        print_json(found)
    else:
        print_fields(found)


def _table(found: Any, empty: str) -> None:
    """A page of `{"items": [...]}` (or a bare list), its plain fields as columns."""
    items = found["items"] if isinstance(found, dict) else found
    columns = [
        name
        for name in dict.fromkeys(name for item in items for name in item)
        if not any(isinstance(item.get(name), dict | list) for item in items)
    ]
    headings = [name.replace("_", " ") for name in columns]
    print_table(headings, [[item.get(name) for name in columns] for item in items], empty)

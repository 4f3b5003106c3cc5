"""`marquee models compare, promote, rollback`: the versions in MLflow's registry, and which one is the champion."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from app.cli.call import Call, CliError, Whole, command
from app.cli.checks import shown
from app.cli.output import print_json, print_table

if TYPE_CHECKING:
    from app.learning.registry import Registered, Registry

SECONDS: Final = 5
MAIN: Final = ("mae", "rmse", "running_mean", "accuracy", "accuracy_majority", "auc")
"""The metrics that stand in the table, with the baselines that they are to be held against."""
NUMBER: Final = Whole(1, 2**31 - 1, "a registered version: give its number, as `marquee models compare` lists it")


def add_to(models: click.Group) -> None:
    """Add these commands."""
    some = click.Argument(["name"], required=False)
    command(models, "compare", some, example="marquee models compare future-rating")(_compare)
    version = click.Argument(["version"], type=NUMBER)
    promoted = "marquee models promote future-rating 2"
    command(models, "promote", click.Argument(["name"]), version, example=promoted)(_promote)
    command(models, "rollback", click.Argument(["name"]), example="marquee models rollback future-rating")(_rollback)


def _compare(call: Call, name: str | None) -> None:
    """Registered versions beside each other, newest first, with their skill and the metrics of their runs.

    Skill is the error over that of the baseline when the version was registered: below 1 is better than the baseline.
    """
    with _registry(call) as registry:
        found = registry.require(name) if name is not None else registry.versions()
        found = [msgspec.structs.replace(each, metrics=registry.metrics(each)) for each in found]
    if call.as_json:
        print_json(found)
        return
    headings = ["model", "version", "champion", "registered", "skill", "model version", "metrics now"]
    empty = (
        "no version is registered yet: a model is once it beats its baseline on enough labels (`marquee models list`)"
    )
    print_table(headings, [_row(each) for each in found], empty)


def _row(each: Registered) -> list[Any]:
    champion = "-" if not each.champion else "by hand" if each.held_since is not None else "yes"
    metrics = ", ".join(f"{name} {each.metrics[name]:.3f}" for name in MAIN if name in each.metrics)
    when = f"{each.registered_at[:10]} {each.registered_at[11:16]}"
    return [each.model, each.version, champion, when, each.skill, each.model_version, metrics or "-"]


def _promote(call: Call, name: str, version: int) -> None:
    """Make a registered version the champion, until a later one is better than it."""
    with _registry(call) as registry:
        _tell(call, registry.promote(name, str(version)))


def _rollback(call: Call, name: str) -> None:
    """Make the champion before the champion again, until a later one is better than it."""
    with _registry(call) as registry:
        _tell(call, registry.rollback(name))


def _tell(call: Call, champion: Registered) -> None:
    if call.as_json:
        print_json(champion)
        return
    before = f", before it version {champion.champion_before}" if champion.champion_before else ""
    click.echo(f"version {champion.version} of {champion.model} is the champion{before}")


@contextmanager
def _registry(call: Call) -> Iterator[Registry]:
    uri = call.settings().mlflow.tracking_uri
    if not uri:
        raise CliError("MLflow is turned off: set [mlflow] tracking_uri")
    from app.learning.registry import Registry, connect

    try:
        yield Registry(connect(uri, SECONDS, retries=0))
    except Exception as error:
        # Not before `connect`, which says what MLflow reads when it is imported.
        from mlflow.exceptions import MlflowException

        if not isinstance(error, MlflowException):
            raise
        raise CliError(_reason(error.message, shown(uri))) from error


def _reason(message: str, uri: str) -> str:
    # What the client says of a server that is away is a page long; what a server refuses is said by the server.
    if message.startswith("API request to"):
        ways = "start it (`marquee up --embedded`), name its directory with --data-dir, or set [mlflow] tracking_uri"
        return f"MLflow at {uri} does not answer: {ways}"
    return f"MLflow at {uri} refuses: {' '.join(message.split())[:200]}"

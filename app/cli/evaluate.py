"""`marquee evaluate`: how well the default models do on any data set, without a broker."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click
import msgspec

from app.cli.call import Call, CliError, command
from app.cli.output import print_fields, print_json

BESIDE: Final = frozenset({"bad_lines", "bad_examples"})
"""Parts of a report that are told beside it."""


def add_to(main: click.Group) -> None:
    """Add this command."""
    path = click.Path(path_type=Path)
    ratings = click.Option(["--ratings"], type=path, metavar="FILE", help="CSV in the MovieLens layout, or NDJSON.")
    reviews = click.Option(["--reviews"], type=path, metavar="FILE", help="CSV or NDJSON with text and positive.")
    scale = click.Option(["--scale"], metavar="A:B", help="Range of the ratings (default: read from the data).")
    example = "marquee evaluate --ratings ratings.csv --scale 0.5:5 --json"
    command(main, "evaluate", ratings, reviews, scale, example=example)(_evaluate)


def _evaluate(call: Call, ratings: Path | None, reviews: Path | None, scale: str | None) -> None:
    """Predict, score, then learn each record of a file in turn, and report the errors (on the 0-10 scale)."""
    context = click.get_current_context()
    if (ratings is None) == (reviews is None):
        raise click.UsageError("Give --ratings FILE or --reviews FILE.", context)
    if reviews is not None and scale is not None:
        raise click.UsageError("--scale is for --ratings only.", context)
    report = _ratings(ratings, scale) if ratings is not None else _reviews(reviews)
    fields: dict[str, Any] = msgspec.to_builtins(report)
    for bad in report.bad_examples:
        click.echo(f"{ratings or reviews}:{bad.line}: left out: {bad.reason}", err=True)
    if report.bad_lines > len(report.bad_examples):
        click.echo(f"... and {report.bad_lines - len(report.bad_examples)} more lines left out", err=True)
    told = {name: value for name, value in fields.items() if name not in BESIDE}
    if call.as_json:
        print_json(told)
    else:
        print_fields(told)


def _ratings(path: Path, scale: str | None) -> Any:
    from app.cli.progress import progress
    from models.evaluation import evaluate_ratings
    from models.rating_files import Scale

    try:
        known = Scale.parse(scale) if scale is not None else None
    except ValueError as error:
        raise click.UsageError(f"--scale: {error}.", click.get_current_context()) from error
    with progress("ratings", None) as advance:
        return _read(path, lambda: evaluate_ratings(path, known, _steps(advance)))


def _reviews(path: Path | None) -> Any:
    from app.cli.progress import progress
    from models.evaluation import evaluate_reviews

    assert path is not None
    with progress("reviews", None) as advance:
        return _read(path, lambda: evaluate_reviews(path, _steps(advance)))


def _steps(advance: Any) -> Any:
    """The evaluation says how far it is, the bar wants to know how much that is more than before."""
    before = 0

    def step(done: int, total: int | None) -> None:
        nonlocal before
        advance(done - before, done, total)
        before = done

    return step


def _read(path: Path, work: Any) -> Any:
    from models.rating_files import UnreadableFile

    try:
        return work()
    except UnreadableFile as error:
        raise CliError(f"{path}: {error}") from error
    except (OSError, EOFError) as error:
        raise CliError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error

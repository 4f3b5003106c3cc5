"""`marquee evaluate`: how well the default models do on any data set, without a broker."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click
import msgspec

from app.cli.call import Call, CliError, command
from app.cli.output import harmless, print_fields, print_json

BESIDE: Final = frozenset({"bad_lines", "bad_files", "bad_examples"})
"""Parts of a report that are told beside it."""


class _Path(click.Path):
    """A path that says something: an empty one is the current directory to Python, and meant by nobody."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path."""
        if not str(value):
            self.fail("an empty name says nothing; the current directory is '.'", param, ctx)
        return super().convert(value, param, ctx)


def add_to(main: click.Group) -> None:
    """Add this command."""
    path = _Path(path_type=Path)
    ratings = click.Option(["--ratings"], type=path, metavar="FILE", help="CSV in the MovieLens layout, or NDJSON.")
    reviews = click.Option(["--reviews"], type=path, metavar="FILE", help="CSV or NDJSON with text and positive.")
    faces = click.Option(["--faces"], type=path, metavar="DIR", help="Pictures, one folder a person.")
    scale = click.Option(["--scale"], metavar="A:B", help="Range of the ratings (default: read from the data).")
    example = "marquee evaluate --ratings ratings.csv --scale 0.5:5 --json"
    command(main, "evaluate", ratings, reviews, faces, scale, example=example)(_evaluate)


def _evaluate(call: Call, ratings: Path | None, reviews: Path | None, faces: Path | None, scale: str | None) -> None:
    """Predict, score, then learn each record in turn, and report errors (on the 0-10 scale) or right names."""
    context = click.get_current_context()
    given = [path for path in (ratings, reviews, faces) if path is not None]
    if len(given) != 1:
        raise click.UsageError("Give --ratings FILE, --reviews FILE or --faces DIR.", context)
    if ratings is None and scale is not None:
        raise click.UsageError("--scale is for --ratings only.", context)
    if ratings is not None:
        report = _ratings(ratings, scale)
    else:
        report = _reviews(reviews) if reviews is not None else _faces(given[0])
    fields: dict[str, Any] = msgspec.to_builtins(report)
    _tell_left_out(given[0], report)
    told = {name: value for name, value in fields.items() if name not in BESIDE}
    if call.as_json:
        print_json(told)
    else:
        print_fields(told)


def _tell_left_out(path: Path, report: Any) -> None:
    """What of a file or folder could not be used."""
    lines, files = getattr(report, "bad_lines", 0), getattr(report, "bad_files", 0)
    for bad in report.bad_examples:
        where = f"{path}:{bad.line}" if lines else path / bad.path
        click.echo(harmless(f"{where}: left out: {bad.reason}"), err=True)
    if lines + files > len(report.bad_examples):
        what = "lines" if lines else "files"
        click.echo(f"... and {lines + files - len(report.bad_examples)} more {what} left out", err=True)


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


def _faces(path: Path) -> Any:
    from app.cli.progress import progress
    from app.pictures.faces import load_engine
    from app.pictures.looking import FileLooker
    from models.face_evaluation import evaluate_faces

    look = FileLooker(load_engine())
    with progress("pictures", None) as advance:
        return _read(path, lambda: evaluate_faces(path, look, _steps(advance)))


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

"""What the demo found, for people and as JSON."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from app.demo.gallery import PeopleReport


class ConnectorRun(msgspec.Struct, kw_only=True):
    """One run of a connector, as its history tells it."""

    name: str
    kind: str
    trigger: str | None
    status: str
    records: int
    refused: int
    requests: int
    seconds: float


class DemoReport(msgspec.Struct, kw_only=True):
    """The report of one demo; errors are on the 0-10 scale, rates in ratings a second."""

    seed: int
    films: int
    facts: int
    ratings: int
    predictions: int
    dead_letters: int
    labelled: int
    mae: float | None
    baselines: dict[str, float]
    snapshots: int
    events_per_second: float
    seconds: float
    connector_runs: list[ConnectorRun]
    people: PeopleReport
    picture: str | None
    mlflow: str
    mlflow_picture: str | None
    champion: str | None
    dashboard: str


def print_report(report: DemoReport, console: Console) -> None:
    """The report as tables."""
    console.print()
    main = Table(title=f"Marquee demo, seed {report.seed}", show_header=False, title_justify="left")
    rows: list[tuple[str, str]] = [
        ("films registered", f"{report.films:,} (facts of {report.facts:,} from IMDb)"),
        ("ratings", f"{report.ratings:,}"),
        ("predictions", f"{report.predictions:,}"),
        ("dead letters", f"{report.dead_letters:,}"),
        ("model snapshots", f"{report.snapshots:,}"),
        ("speed", f"{report.events_per_second:,.0f} ratings a second, from Kafka to prediction"),
        ("time", f"{report.seconds:,.1f} s in all"),
        ("error over time", report.picture or "not drawn: too few labels"),
        ("MLflow", f"{report.mlflow} ({_in_mlflow(report)})"),
        ("dashboard", report.dashboard),
    ]
    for name, text in rows:
        main.add_row(name, text)
    console.print(main)
    console.print(_errors(report))
    console.print(_runs(report.connector_runs))
    console.print(_people(report.people))


def _runs(runs: Sequence[ConnectorRun]) -> Table:
    # A frame would leave too little of 80 columns for the names.
    table = Table(title="Runs", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("connector", "kind", "asked by", "status"):
        table.add_column(name, overflow="fold")
    for name in ("records", "refused", "requests", "seconds"):
        table.add_column(name, justify="right")
    for run in runs:
        counts = (f"{run.records:,}", f"{run.refused:,}", f"{run.requests:,}", f"{run.seconds:.1f}")
        table.add_row(run.name, run.kind, run.trigger or "", run.status, *counts)
    return table


def _people(people: PeopleReport) -> Table:
    table = Table(title="People and their pictures", show_header=False, title_justify="left")
    table.add_row("people", f"{people.celebrities:,}")
    table.add_row("pictures found", f"{people.found:,}")
    table.add_row("copies of others", f"{people.duplicates:,}")
    table.add_row("rejected", f"{people.rejected:,}" + (f", and {people.failed:,} not there" if people.failed else ""))
    for reason, count in people.reasons.items():
        table.add_row("", f"{count:,} x {reason}")
    table.add_row("kept", f"{people.kept:,}" + (f", {people.pending:,} undecided" if people.pending else ""))
    table.add_row("faces learnt", f"{people.faces:,}")
    for asked in people.asked:
        said = f"{asked.said or 'unknown'} ({asked.confidence:.2f})" if asked.confidence is not None else "no face"
        table.add_row("who is who", f"a new picture of {asked.person}: {said}")
    table.add_row("contact sheet", people.sheet or "no pictures")
    return table


def _in_mlflow(report: DemoReport) -> str:
    champion = f"champion version {report.champion}" if report.champion else "no champion yet"
    return f"{champion}; picture {'logged' if report.mlflow_picture else 'not logged'}"


def _errors(report: DemoReport) -> Table:
    title = f"Mean absolute error of a film's next 10 ratings, 0-10 scale, {report.labelled:,} labels"
    table = Table("predictor", "error", "Marquee is better by", title=title, title_justify="left")
    if report.mae is None:
        return table
    table.add_row("Marquee (FR-10)", f"{report.mae:.4f}", "")
    for name, error in report.baselines.items():
        table.add_row(name.replace("_", " "), f"{error:.4f}", f"{100 * (1 - report.mae / error):+.1f} %")
    return table

"""What somebody should look at, worst first: the first thing that the dashboard says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from app.observe import metrics
from app.storage.picture_views import PeopleCounts
from app.web.connectors_pages import connector_url
from app.web.connectors_shapes import ConnectorView
from app.web.pages import person_url
from app.web.probes import Readiness
from app.web.pulse import StagePulse, by_stage
from app.web.shapes import ModelView

LAG_WARNING: Final = 1000
SNAPSHOT_WARNING_SECONDS: Final = 3600.0
LABELS_NEEDED: Final = 200
"""Before so many labels a model's error says little."""


class Notice(msgspec.Struct, frozen=True):
    """One sentence; `level` is `bad` where events wait or look-ups fail, else `warn`."""

    level: str
    text: str
    link: str | None = None


def notices(
    readiness: Readiness,
    stages: dict[str, StagePulse],
    models: Iterable[ModelView],
    gate_stuck: bool,
    people: PeopleCounts | None = None,
    connectors: Iterable[ConnectorView] = (),
) -> list[Notice]:
    """Everything that is not as it should be."""
    found = [*_of_checks(readiness), *_of_stages(stages), *_of_models(models), *_of_people(people)]
    found += _of_connectors(connectors)
    if gate_stuck:
        found.append(Notice("bad", "No source event has been read for over a minute: the gate is stuck.", "/readyz"))
    return sorted(found, key=lambda notice: notice.level)


def _of_checks(readiness: Readiness) -> Iterator[Notice]:
    for name, check in readiness.checks.items():
        if not check.ok:
            yield Notice("bad" if check.needed else "warn", f"{name.replace('_', ' ')}: {check.detail}", "/readyz")


def _of_stages(stages: dict[str, StagePulse]) -> Iterator[Notice]:
    gaps = by_stage(metrics.GAP_EVENTS)
    for name, stage in stages.items():
        if stage.dead_letters:
            yield Notice(
                "warn", f"{name} has put {stage.dead_letters} records away as dead letters: `marquee dlq list`"
            )
        if stage.lag is not None and stage.lag > LAG_WARNING:
            yield Notice("warn", f"{name} is {stage.lag} records behind", "/statusz")
        if gaps.get(name):
            yield Notice("warn", f"{name} was handed a gap and read {gaps[name]:g} events again: nothing is lost")


def _of_models(models: Iterable[ModelView]) -> Iterator[Notice]:
    for model in models:
        link = f"/models/{model.name}"
        if model.snapshot_age_seconds is not None and model.snapshot_age_seconds > SNAPSHOT_WARNING_SECONDS:
            yield Notice("warn", f"{model.name}: the last snapshot is over an hour old", link)
        ours, baseline = model.metrics.get("mae"), model.metrics.get("running_mean")
        labelled = model.counts.get("labels", 0) >= LABELS_NEEDED
        if labelled and ours is not None and baseline is not None and ours > baseline:
            yield Notice("bad", f"{model.name} errs more ({ours:.3f}) than the running mean ({baseline:.3f})", link)


def _of_connectors(connectors: Iterable[ConnectorView]) -> Iterator[Notice]:
    for view in connectors:
        link, last = connector_url(view.name), view.last_run
        if view.error:
            yield Notice("bad", f"connector {view.name} cannot be used as it is configured: {view.error}", link)
        elif view.paused:
            yield Notice("warn", f"connector {view.name} is paused: {view.pause_reason or 'by hand'}", link)
        elif last is not None and last.status == "failed":
            yield Notice("warn", f"connector {view.name} failed: {last.error or 'it does not say why'}", link)


def _of_people(people: PeopleCounts | None) -> Iterator[Notice]:
    if people is not None and people.conflicts:
        claimed = "picture is" if people.conflicts == 1 else "pictures are"
        link = f"{person_url(people.conflict_of)}?verdict=conflict" if people.conflict_of else None
        yield Notice("warn", f"{people.conflicts} {claimed} claimed for two people: say whose", link)

"""What the runner makes of the topology's rows, without a broker."""

from __future__ import annotations

from itertools import pairwise

from app.delivery.stream import BUSY_BATCH
from app.runner import lingers, read_by_none_but
from app.settings import Settings
from app.topology import film_topology


def test_patient_stages_take_turns_within_their_patience_and_others_wait_for_none_of_it() -> None:
    topology, settings = film_topology(), Settings()
    found = lingers(topology, settings)
    prompt = {found[stage.name] for stage in topology.stages if not (stage.patient or stage.aside)}
    assert prompt == {(settings.delivery.linger, BUSY_BATCH)}
    waits = [found[stage.name] for stage in topology.stages if stage.patient]
    assert {least for _, least in waits} == {0}
    assert all(0 <= seconds < settings.delivery.patience for seconds, _ in waits)
    # Those that follow one topic stand beside each other; no two of all are less than half of an even share apart.
    assert all(abs(one - other) > settings.delivery.patience / 3 for (one, _), (other, _) in pairwise(waits))
    ordered = sorted(seconds for seconds, _ in waits)
    assert min(b - a for a, b in pairwise(ordered)) > settings.delivery.patience / len(waits) / 2


def test_what_stands_aside_of_the_way_to_a_prediction_waits_for_larger_batches_but_not_as_long_as_documents() -> None:
    topology, settings = film_topology(), Settings()
    found = lingers(topology, settings)
    aside = {stage.name: found[stage.name] for stage in topology.stages if stage.aside}
    assert set(aside) == {"register", "list-films", "match", "collect-films"}
    assert set(aside.values()) == {(settings.delivery.patience / 2, 0)}


def test_no_topic_is_quiet_that_leads_to_a_prediction_or_carries_what_somebody_asked_for() -> None:
    quiet = read_by_none_but(film_topology(), lambda stage: stage.patient or stage.aside)
    assert quiet >= {"film-submissions", "films-registered", "rating-predictions"}
    assert quiet.isdisjoint({"input", "ratings", "reviews", "facts", "control", "images-found", "scrape-requests"})

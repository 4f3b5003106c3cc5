"""What the runner makes of the topology's rows, without a broker."""

from __future__ import annotations

from itertools import pairwise

from app.delivery.stream import BUSY_BATCH
from app.runner import lingers
from app.settings import Settings
from app.topology import film_topology


def test_patient_stages_take_turns_within_their_patience_and_others_wait_for_none_of_it() -> None:
    topology, settings = film_topology(), Settings()
    found = lingers(topology, settings)
    prompt = {found[stage.name] for stage in topology.stages if not stage.patient}
    assert prompt == {(settings.delivery.linger, BUSY_BATCH)}
    waits = [found[stage.name] for stage in topology.stages if stage.patient]
    assert {least for _, least in waits} == {0}
    assert all(0 <= seconds < settings.delivery.patience for seconds, _ in waits)
    # Those that follow one topic stand beside each other; no two of all are less than half of an even share apart.
    assert all(abs(one - other) > settings.delivery.patience / 3 for (one, _), (other, _) in pairwise(waits))
    ordered = sorted(seconds for seconds, _ in waits)
    assert min(b - a for a, b in pairwise(ordered)) > settings.delivery.patience / len(waits) / 2

"""Which topics an archive has to hold, read from the topology."""

from __future__ import annotations

from app.topology import Kind, Stage, Topology, film_topology
from schemas.base import Layout
from schemas.catalogue import SOURCE_TOPICS, topics
from schemas.commands import ControlModel


def lasting(topology: Topology | None = None) -> frozenset[str]:
    """The topics that only the clock decided; all others can be derived from them again and come out the same.

    They are: what comes from outside, the world's answers, and topics in which the events of several topics or
    partitions meet. Orders to models are for the worker that runs, and do not last.
    """
    stages = (topology or film_topology()).stages
    found = set()
    for topic, records in topics().items():
        makers = [stage for stage in stages if any(made.topic == topic for made in stage.emits)]
        made = {record for stage in makers for record in stage.emits}
        if topic in SOURCE_TOPICS or len(makers) != 1 or not made.issuperset(records) or _mixes(makers[0], topic):
            found.add(topic)
    return frozenset(found - {ControlModel.topic})


def _mixes(stage: Stage, topic: str) -> bool:
    """Whether what a stage puts on a topic depends on more than the order of each partition that it reads."""
    if stage.kind is Kind.REACH:
        return True
    if stage.layout is Layout.SINGLE:
        return False
    keys = {record.key_field for record in stage.reads}
    return any(
        made.layout is Layout.SINGLE or made.key_field not in keys for made in stage.emits if made.topic == topic
    )

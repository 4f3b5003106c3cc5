"""What the web reads of the running Faust app, all of it in one place."""

from __future__ import annotations

from collections import defaultdict

from faust.types import TP
from yarl import URL

from app.delivery.transport import end_of
from app.topology import Kind
from app.web.parts import Learning, Spot, WorkerParts


class Engine:
    """A view of the worker's place in its consumer group. Nothing here waits or changes anything."""

    def __init__(self, worker: WorkerParts) -> None:
        self._worker = worker
        self._app = worker.app

    @property
    def own_url(self) -> URL:
        """How other workers reach this one."""
        return URL(str(self._app.conf.canonical_url))

    @property
    def rebalancing(self) -> bool:
        """Whether the group is dealing out its partitions."""
        return bool(self._app.rebalancing)

    @property
    def recovering(self) -> bool:
        """Whether tables are being filled from their changelogs."""
        return bool(self._app.in_recovery)

    @property
    def readable(self) -> bool:
        """Whether the tables hold everything that was acknowledged."""
        return self._worker.gate_open and not self.rebalancing and not self.recovering

    @property
    def generation(self) -> int:
        """The group's generation as this worker knows it."""
        return int(self._app.consumer_generation_id)

    @property
    def gate_stuck(self) -> bool:
        """Whether no source event has been read for so long that somebody should look."""
        return bool(self._worker.prepared and getattr(self._app.consumer, "gate_stuck", False))

    def actives(self) -> set[TP]:
        """Partitions that this worker owns, changelogs among them."""
        return set(self._app.assignor.assigned_actives())

    def changelog(self, table: str) -> str:
        """The changelog topic of a table."""
        return str(self._app.tables[table].changelog_topic.get_topic_name())

    def owner(self, table: str, partition: int) -> URL | None:
        """The worker that owns a table's partition; None while nobody is known to."""
        topic = self.changelog(table)
        for url, topics in self._app.assignor.tables_metadata().items():
            if partition in topics.get(topic, ()):
                return URL(url)
        return None

    def members(self) -> list[str]:
        """The addresses of all workers that own a table's partition."""
        return sorted(url for url, topics in self._app.assignor.tables_metadata().items() if topics)

    def end(self, tp: TP) -> int | None:
        """The offset after the partition's last record, as the last fetch said; None before the first."""
        if not self._worker.prepared:
            return None
        return end_of(self._app.consumer, tp)

    def spots(self) -> list[Spot]:
        """Where every stage stands at every partition that it has here."""
        if not self._worker.prepared or not self.readable:
            return []
        # Every second and on the loop that predicts: each topic is looked up once, not each partition for each stage.
        owned: defaultdict[str, list[int]] = defaultdict(list)
        for topic, partition in sorted(self.actives()):
            owned[topic].append(partition)
        spots = []
        for stage in self._worker.topology.stages:
            if stage.table is None or stage.kind is Kind.LEARN or stage.topic not in owned:
                continue
            held = set(owned[self.changelog(stage.table.name)])
            table = stage.table.name
            spots += [self._spot(stage.name, table, TP(stage.topic, n)) for n in owned[stage.topic] if n in held]
        return spots + self._learning()

    def _spot(self, stage: str, table: str, tp: TP) -> Spot:
        applied = self._worker.tables[table].rows(tp.partition).mark(tp.topic)
        return Spot(stage, tp.topic, tp.partition, applied, self.end(tp))

    def _learning(self) -> list[Spot]:
        found = []
        for stage in self._worker.topology.stages:
            learner = self._learner_of(stage.name) if stage.kind is Kind.LEARN else None
            applied = None if learner is None else learner.applied
            if learner is not None and applied is not None:
                lag = learner.lag
                found.append(Spot(stage.name, stage.topic, 0, applied, None if lag is None else applied + 1 + lag))
        return found

    def _learner_of(self, stage: str) -> Learning | None:
        return next((each for each in self._worker.learners.values() if each.spec.stage == stage), None)

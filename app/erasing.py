"""Gives a worker's web server the places to look for traces of who is forgotten, and its tables their compaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from faust.types import TP
from yarl import URL

from app.storage.erasure import Compacting, OwnTrace
from app.web.erasure import ArchiveTrace, BrokerTrace, GroupTrace, SnapshotTrace
from app.web.erasure_mlflow import MlflowTrace
from app.web.parts import owned_model
from app.web.people_shapes import Left

if TYPE_CHECKING:
    from app.worker import Worker


def follow_erasures(worker: Worker) -> Compacting:
    """The service that compacts this worker's tables; from now on its web server looks everywhere for traces."""
    site, people = worker.web.site, worker.store.people

    def owned(table: str) -> list[int]:
        changelog, actives = site.engine.changelog(table), site.engine.actives() if site.engine.readable else set()
        return sorted(tp.partition for tp in actives if TP(changelog, tp.partition) == tp)

    def model(name: str) -> Any:
        return owned_model(worker.learners[name])

    def others() -> list[URL]:
        urls = [URL(url) for url in site.engine.members()]
        own = site.engine.own_url
        return [url for url in urls if (url.host, url.port) != (own.host, own.port)]

    compacting = Compacting(people, worker.tables, owned, worker.collecting.forget_answers)
    trace = OwnTrace(worker.tables, owned, model, lambda: compacting.compacted)

    async def own(celebrity_id: str) -> list[Left]:
        if not site.engine.readable:
            return [Left("tables: cannot be read at the moment", 1)]
        told = await people.forgotten(celebrity_id)
        found = await trace(celebrity_id, told.order if told is not None else 0)
        found["pictures: under way"] = await worker.under_way.left(celebrity_id)
        found["files: folders not looked through since the start"] = int(not worker.sweeping.through)
        return [Left(where, count) for where, count in found.items()]

    site.own_trace = own
    site.traces += [
        GroupTrace(own, others, site.lookups.ask),
        SnapshotTrace(people, worker.keeper),
        ArchiveTrace(people, worker.settings.data_dir),
        MlflowTrace(people, worker.settings.mlflow, worker.web.client),
        BrokerTrace(people, worker.settings),
    ]
    return compacting

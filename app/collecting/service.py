"""Keeps the scheduler of a worker going: which connectors there are, which of them are this worker's."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from mode import Service

from agents.errors import Unavailable
from agents.scrapes import Askable
from app.background import begin
from app.collecting.board import TableBoard
from app.collecting.collector import Collector
from app.collecting.forgotten import Forgotten
from app.collecting.notify import Notice, Notifier, Webhook
from app.collecting.outbox import Outbox
from app.collecting.rejects import MOST_BYTES, Rejects
from app.collecting.runs import Carried, Carrier
from app.collecting.targets import film_target, person_target
from app.collecting.tracking import RunTracking
from app.connectors.base import FilmTarget, PersonTarget
from app.connectors.config import ConnectorConfig
from app.connectors.fetch import Fetcher
from app.connectors.known import configured_films, configured_people
from app.connectors.registry import KINDS, config_of
from app.delivery.producer import Sender
from app.delivery.table import PartitionRows
from app.settings import ConfigError, Settings
from app.storage.followed import followed
from app.storage.store import Store
from schemas.scrapes import Target

log = logging.getLogger(__name__)

KNOWN_AT_MOST = 10_000
"""Films or people that a run without targets is about."""


class CollectorService(Service):  # type: ignore[misc]
    """Runs the connectors of the configuration whose partitions are assigned to this worker."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        sink: Sender,
        owned: Callable[[], set[int]],
        rows: Callable[[int], PartitionRows],
        environ: Mapping[str, str] = os.environ,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.settings = settings
        self._store = store
        self._fetcher = Fetcher.of(settings)
        kept = MOST_BYTES if settings.mlflow.tracking_uri else 0
        rejects = Rejects(settings.data_dir / "connectors" / "rejected", kept)
        carrier = Carrier(sink, self._fetcher, settings.data_dir, self._everyone, environ, rejects=rejects)
        board = TableBoard(settings.topics.partitions, owned, rows)
        usable = usable_connectors(settings)
        self._kinds = {name: config.kind for name, config in usable.items()}
        told, notices = settings.collecting, settings.data_dir / "connectors" / "notices"
        self._tracking = RunTracking(settings.mlflow, Outbox(notices / "mlflow", Carried), rejects, self._kinds)
        hook = told.webhook, told.webhook_timeout, self._fetcher, Outbox(notices / "webhook", Notice)
        self._webhook = Webhook(*hook) if told.webhook else None
        notifier = Notifier(self._webhook, self._tracking)
        self._forgotten = Forgotten(store.people)
        self.collector = Collector(usable, board, sink, carrier, notify=notifier, forgotten=self._forgotten.among)
        self._tasks: list[asyncio.Task[None]] = []

    async def on_start(self) -> None:
        """Open the sessions that runs share."""
        await self._fetcher.__aenter__()
        works = {"the scheduler of connectors": self.collector.run(), "telling MLflow of runs": self._tracking.run()}
        if self._webhook is not None:
            works["telling the webhook"] = self._webhook.run()
        self._tasks = [begin(work, name) for name, work in works.items()]

    async def on_stop(self) -> None:
        """Leave what runs to the next owner, who goes on from its cursor."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tracking.close()
        await self._fetcher.__aexit__()

    def apply(self, settings: Settings) -> None:
        """Go on with the connectors, films and people of another configuration; all else stays as it was."""
        changed = {"connectors": settings.connectors, "films": settings.films, "celebrities": settings.celebrities}
        self.settings = msgspec.structs.replace(self.settings, **changed)
        usable = usable_connectors(self.settings)
        self._kinds.clear()
        self._kinds.update({name: config.kind for name, config in usable.items()})
        self.collector.configure(usable)

    def forget_answers(self) -> None:
        """Keep nothing of what sources answered: the next runs ask for all of it."""
        self._fetcher.cache.clear()

    async def _everyone(self) -> tuple[tuple[FilmTarget, ...], tuple[PersonTarget, ...]]:
        """All that is followed: what the configuration names, and what was pushed besides."""
        films = {film.film_id: film for film in configured_films(self.settings)}
        people: dict[str, PersonTarget] = {}
        try:
            people |= await self._configured_people()
            named_films, named_people = await followed(self._store.documents, KNOWN_AT_MOST)
            films |= {target.id: film_target(target) for target in named_films}
            people |= {target.id: person_target(target) for target in named_people}
        except Unavailable as error:
            log.warning(
                "only the films that the configuration names are collected, since the store can say neither what else "
                "is followed nor who was forgotten: %s",
                error,
            )
        return tuple(films.values()), tuple(people.values())

    async def _configured_people(self) -> dict[str, PersonTarget]:
        """People of the configuration but for those who were forgotten, whom a line there does not bring back."""
        found = {person.celebrity_id: person for person in configured_people(self.settings)}
        gone = await self._forgotten.among([Target(id=name, kind="person") for name in found])
        return {name: person for name, person in found.items() if Target(id=name, kind="person") not in gone}


def usable_connectors(settings: Settings) -> dict[str, ConnectorConfig]:
    """The connectors whose configuration is whole; the others are logged, and left out until they are mended."""
    found = {}
    for name, table in settings.connectors.items():
        try:
            found[name] = config_of(name, table)
        except ConfigError as error:
            log.error("connector %s is left out: %s", name, error)
    return found


def asked_on_registration(settings: Settings, about: str) -> tuple[Askable, ...]:
    """The connectors that can be asked about one new film or person."""
    kinds = {name: KINDS[config.kind] for name, config in usable_connectors(settings).items()}
    asked = {name: kind for name, kind in kinds.items() if kind.targeted and kind.about in (about, "any")}
    return tuple(Askable(name, kind.looks_up_by) for name, kind in asked.items())

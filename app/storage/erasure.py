"""What this worker's own tables and models have of a person, and RocksDB made to let go of what was deleted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol

import rocksdict
from mode import Service

from agents.errors import Unavailable
from agents.register import gone
from app.delivery.table import PartitionRows, Section
from app.stage import TableSpec
from app.storage.picture_queries import PictureQueries
from app.topology import CELEBRITIES, CLAIMS, FACES, SCRAPES
from models.face_learner import MODEL
from schemas.base import Entity
from schemas.entities import Celebrity, Claim, PersonFaces

log = logging.getLogger(__name__)

PEOPLE_TABLES: Final = (CELEBRITIES, CLAIMS, FACES, SCRAPES)
LOOK_SECONDS: Final = 2.0

Place = tuple[str, int]
"""A table and a partition of it."""
Owned = Callable[[str], list[int]]
"""The partitions of a table that this worker has, whole."""


class TableOf(Protocol):
    """A table by its partitions."""

    def rows(self, partition: int) -> PartitionRows:
        """One partition."""


class OwnTrace:
    """Counts what is left of a person in what one worker owns; the mark that they are gone counts as nothing."""

    def __init__(
        self,
        tables: Mapping[str, TableOf],
        owned: Owned,
        model: Callable[[str], Any],
        compacted: Callable[[], Mapping[Place, int]],
    ) -> None:
        self._tables = tables
        self._owned = owned
        self._model = model
        self._compacted = compacted

    async def __call__(self, celebrity_id: str, order: int) -> dict[str, int]:
        """Counts by place; `order` is that of the forgetting."""
        found = await asyncio.to_thread(self.rows, celebrity_id)
        learner = self._model(MODEL)
        if learner is not None:
            found["model: faces in force"] = learner.faces_of(celebrity_id)
        places = [(spec.name, n) for spec in PEOPLE_TABLES for n in self._owned(spec.name)]
        done = self._compacted()
        found["tables: partitions to be compacted"] = sum(done.get(place, 0) < order for place in places)
        return found

    def rows(self, celebrity_id: str) -> dict[str, int]:
        """Rows by table."""
        return {
            f"table: {spec.name}": sum(
                _rows_of(spec, self._tables[spec.name].rows(n), celebrity_id) for n in self._owned(spec.name)
            )
            for spec in PEOPLE_TABLES
        }


def _rows_of(spec: TableSpec, rows: PartitionRows, person: str) -> int:
    def section(prefix: str) -> Section[Any]:
        entity: type[Entity] = spec.sections[prefix]
        return Section(rows, prefix, entity)

    if spec is CELEBRITIES:
        known: Celebrity | None = section("").get(person)
        return int(known is not None and known != gone(known))
    if spec is CLAIMS:
        claims: Iterator[tuple[str, Claim]] = section("image|").under("")
        items = sum(1 for _ in section("item|").under(f"{person}|"))
        return items + sum(claim.celebrity_id == person for _, claim in claims)
    if spec is FACES:
        faces: PersonFaces | None = section("person|").get(person)
        own = faces is not None and faces != PersonFaces(forgotten=faces.forgotten)
        return own + sum(1 for _ in section("item|").under(f"{person}|"))
    queues = (state.queue for _, state in section("").under(""))
    return sum(any(target.id == person for target in run.targets) for queue in queues for run in queue)


class Compacting(Service):  # type: ignore[misc]
    """Compacts the tables of people after each forgetting: RocksDB keeps deleted rows in its files until then.

    `let_go` empties what the process keeps of what sources said, which may be of anybody.
    """

    def __init__(
        self,
        people: PictureQueries,
        tables: Mapping[str, Any],
        owned: Owned,
        let_go: Callable[[], None] = lambda: None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._let_go, self._let_go_at = let_go, 0
        self.compacted: dict[Place, int] = {}
        """The forgetting after which each partition was compacted last."""
        self._people = people
        self._tables = tables
        self._owned = owned
        self._rows = OwnTrace(tables, owned, lambda _: None, lambda: self.compacted)

    @Service.task  # type: ignore[untyped-decorator]
    async def _look(self) -> None:
        while not self.should_stop:
            await self.sleep(LOOK_SECONDS)
            try:
                await self.compact()
            except Unavailable as error:
                log.debug("not known who was forgotten: %s", error)
            except Exception:
                # A partition that goes to another worker is closed under the hands of whoever reads it.
                log.exception("the tables of people could not be compacted, trying again")

    async def compact(self) -> None:
        """Compact what was not since the last forgetting, once its rows are gone."""
        last = await self._people.last_forgotten()
        if last is not None and last[1] > self._let_go_at:
            self._let_go()
            self._let_go_at = last[1]
        places = [(spec.name, n) for spec in PEOPLE_TABLES for n in self._owned(spec.name)]
        self.compacted = {place: order for place, order in self.compacted.items() if place in places}
        if last is None or all(self.compacted.get(place, 0) >= last[1] for place in places):
            return
        person, order = last
        if any((await asyncio.to_thread(self._rows.rows, person)).values()):
            return
        for name, partition in places:
            await asyncio.to_thread(_compact, self._tables[name].table.database(partition))
            self.compacted[name, partition] = order


def _compact(database: Any) -> None:
    options = rocksdict.CompactOptions()
    # Else a lone file is moved down as it is, with the keys of what was deleted in it.
    options.set_bottommost_level_compaction(rocksdict.BottommostLevelCompaction.force())
    database.compact_range(None, None, options)

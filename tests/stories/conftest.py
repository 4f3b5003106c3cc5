"""A whole film pipeline in memory."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, get_args

import msgspec
import pytest

from agents.scrapes import Askable
from app.collecting.board import TableBoard
from app.collecting.collector import Collector
from app.collecting.forgotten import Forgotten
from app.learning.specs import MODELS
from app.memory import MemoryLog, MemoryRunner
from app.rulings import settlement, sides
from app.storage.memory import MemoryStore
from app.topology import Ports, film_topology
from schemas.catalogue import decode
from schemas.commands import ControlModel, PushCelebrity
from schemas.entities import Prediction
from schemas.events import RatingObserved
from schemas.ids import item_id
from schemas.pictures import ForgetCelebrity, ImageFound, RuleImage
from schemas.scrapes import RunEvent, ScrapeAdmitted
from tests.stories.pictures import FakePictures


class Story:
    """Push records, let everything settle, look at what came of it."""

    def __init__(self, partitions: int = 4) -> None:
        self.partitions = partitions
        self.now = 1_700_000_000_000
        self.log = MemoryLog(partitions, clock=lambda: self.now)
        self.store = MemoryStore()
        self.orders: list[ControlModel] = []
        self.pictures = FakePictures()
        ports = Ports(
            self.store.projections,
            self,
            people=self.store.pictures,
            pictures=self.pictures,
            files=self.pictures,
            collecting=self.store.collecting,
            people_connectors=(Askable("commons"), Askable("google", ("name",))),
        )
        topology = film_topology(ports)
        self.runner = MemoryRunner(topology, MODELS, self.log)

    async def obey(self, order: ControlModel) -> None:
        self.orders.append(order)

    async def rate(self, film: str, record: str, value: float, **fields: object) -> None:
        base = {"source": "ml", "best": 5.0, "worst": 0.5} | fields
        self.runner.push(RatingObserved(film_id=film, source_record_id=record, value=value, **base))  # type: ignore[arg-type]
        await self.runner.settle()

    async def find(self, person: str, *urls: str, source: str = "commons") -> None:
        for url in urls:
            self.runner.push(ImageFound(celebrity_id=person, source=source, url=url))
        await self.runner.settle()

    async def celebrity(self, name: str, wikidata: str) -> None:
        self.runner.push(PushCelebrity(name=name, wikidata=wikidata))
        await self.runner.settle()

    async def rule(self, item: str, person: str, decision: str, note: str = "") -> None:
        self.runner.push(RuleImage(item_id=item, celebrity_id=person, decision=decision, note=note))  # type: ignore[arg-type]
        await self.runner.settle()

    async def resolve(self, person: str, url: str, belongs_to: str) -> None:
        """What `--resolve` sends, as the documents are now."""
        people = self.store.people
        item = await people.item(person, item_id(person, url))
        assert item is not None
        for _, word, _ in await settlement(people, await sides(people, item), belongs_to):
            await self.rule(word.item_id, word.celebrity_id, word.decision, word.note)

    async def forget(self, person: str) -> None:
        self.runner.push(ForgetCelebrity(celebrity_id=person))
        await self.runner.settle()

    def asked(self, connector: str) -> list[ScrapeAdmitted]:
        """The runs that were admitted of a connector."""
        told = [decode(raw.value or b"", get_args(RunEvent), None) for raw in self.log.records("scrape-runs")]
        return [each for each in told if isinstance(each, ScrapeAdmitted) and each.connector == connector]

    def collector(self) -> Collector:
        """A scheduler without connectors of its own, over the rows of this story."""
        rows = self.runner.tables["scrapes"].rows
        board = TableBoard(self.partitions, lambda: set(range(self.partitions)), rows)
        carrier: Any = SimpleNamespace(followed={})
        forgotten = Forgotten(self.store.people).among
        return Collector({}, board, self.log, carrier, now=lambda: self.now / 1000, forgotten=forgotten)

    def latest(self, film: str) -> Prediction:
        """The row that answers for a film's prediction."""
        rows = self.runner.tables["predictions"].stored.values()
        (row,) = [found[film.encode()] for found in rows if film.encode() in found]
        return msgspec.json.decode(row, type=Prediction)

    def keys(self, table: str) -> list[str]:
        """The keys of the rows in a table that stages wrote, in order."""
        stored = self.runner.tables[table].stored
        return sorted(key for rows in stored.values() for raw in rows if not (key := raw.decode()).startswith("~"))

    def waiting(self, connector: str) -> list[tuple[str, int | None]]:
        """Whom the runs in a connector's queue are about, each in which of their lives."""
        board = TableBoard(self.partitions, set, self.runner.tables["scrapes"].rows)
        return [(target.id, target.life) for run in board.state(connector).queue for target in run.targets]

    async def verdicts(self, person: str) -> dict[str, str]:
        """The verdict of each address of a person."""
        page = await self.store.people.images(person, None, 1000, None)
        return {item.url: item.verdict for item in page.items}


@pytest.fixture
def story() -> Story:
    return Story()

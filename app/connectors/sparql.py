"""Kind `sparql`: who film people are, their pictures, and facts and review scores of films, from knowledge graphs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from functools import partial
from typing import Annotated, ClassVar, Final, Literal, TypeVar

import msgspec
from msgspec import Meta

from agents.scrapes import Sign
from app.connectors import sparql_queries as queries
from app.connectors.answers import Answer
from app.connectors.base import (
    About,
    Connector,
    ConnectorConfig,
    Cursor,
    FilmTarget,
    Note,
    Observed,
    PersonTarget,
    Refused,
    Request,
    Said,
    observed,
)
from app.connectors.config import Rate
from app.connectors.errors import SourceError
from app.connectors.session import Session
from app.connectors.sparql_client import Row, SparqlClient, sparql_fault
from app.connectors.sparql_records import parse_dbpedia_film, parse_film, parse_person, parse_score
from app.connectors.targets import At, each_target
from schemas.base import Record, Rejected

HOMES: Final = {"wikidata": "https://query.wikidata.org/sparql", "dbpedia": "https://dbpedia.org/sparql"}
T = TypeVar("T", FilmTarget, PersonTarget)
Found = Observed | Refused | Note
Out = AsyncGenerator[Found | At]
Answers = Callable[[Iterable[Row]], Iterator[Found]]


class Config(ConnectorConfig, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """`[connectors.NAME]` with `kind = "sparql"`."""

    profile: Literal["wikidata", "dbpedia"]
    rate: Rate | None = "1/s"
    query: Annotated[
        str, Meta(description="a SELECT that binds ?person: everyone it finds is followed, and nobody else asked about")
    ] = ""
    language: Annotated[str, Meta(pattern="^[a-z]{2,3}$", description="of names and texts")] = "en"
    batch: Annotated[int, Meta(ge=1, le=500, description="films or people a question")] = 50
    page: Annotated[int, Meta(ge=1, le=10_000, description="rows an answer")] = 1000
    width: Annotated[int, Meta(ge=64, le=4096, description="pixels; pictures are asked for no wider")] = 1280

    def home(self) -> str:
        """The service's address."""
        return self.base_url or HOMES[self.profile]


class Batch(msgspec.Struct, frozen=True):
    """Films or people who are asked about together; `id` is the last one's, so that rounds go on after it."""

    id: str
    films: tuple[FilmTarget, ...] = ()
    people: tuple[PersonTarget, ...] = ()
    query: str = ""

    @property
    def called(self) -> str:
        """Whom it is about, for people."""
        some = self.films or self.people
        if len(some) < 2:
            return self.id
        return f"{len(some)} {'films' if self.films else 'people'}, {some[0].id} to {some[-1].id}"


class SparqlConnector(Connector[Config]):
    """Asks Wikidata who people are, with pictures, and about films' facts and scores; or DBpedia for texts."""

    kind: ClassVar[str] = "sparql"
    about: ClassVar[About] = "any"
    targeted: ClassVar[bool] = True
    looks_up_by: ClassVar[tuple[Sign, ...]] = ("name", "imdb", "wikidata", "tmdb")
    profiles: ClassVar[tuple[str, ...]] = ("wikidata", "dbpedia")
    spec: ClassVar[type[ConnectorConfig]] = Config

    def __init__(self, config: Config, session: Session) -> None:
        super().__init__(config, session)
        self._client = SparqlClient(session, config.page)
        self._query = queries.people_of(config.query, config.language) if config.query else ""

    def fault(self, answer: Answer) -> SourceError | None:
        """A query that takes too long is not one to repeat."""
        return sparql_fault(answer)

    async def check(self) -> str:
        """Whether the service answers the smallest question. Raises SourceError."""
        found = await self._client.select("SELECT ?one WHERE { VALUES ?one { 1 } } ORDER BY ?one")
        return f"{self.config.home()} answers ({len(found.rows)} row)"

    def read(self, request: Request, cursor: Cursor) -> AsyncGenerator[Said]:
        """The people whom the query of the configuration finds, else those and the films of the request."""
        if self._query:
            batches: list[Batch] = [Batch("query", query=self._query)]
        else:
            size = self.config.batch
            batches = [
                *(Batch(some[-1].id, films=some) for some in _cut(request.films, size)),
                *(Batch(some[-1].id, people=some) for some in _cut(request.people, size)),
            ]
        return each_target(batches, cursor, partial(self._batch, self.source(request)), lambda batch: batch.called)

    async def _batch(self, source: str, batch: Batch, place: Cursor, memory: Cursor) -> Out:
        if batch.query:
            async with aclosing(self._found(source, batch.query, int(place.get("offset", 0)))) as said:
                async for each in said:
                    yield each
            return
        questions = self._questions(source, batch)
        for number in range(int(place.get("step", 0)), len(questions)):
            query, said_of = questions[number]
            for found in said_of(await self._rows(query, bool(batch.people))):
                yield found
            if number + 1 < len(questions):
                yield At({"step": number + 1})

    async def _found(self, source: str, query: str, offset: int | None) -> Out:
        """Everyone whom the query finds, a page at a time: each row is all of one person."""
        while offset is not None:
            page = await self._client.select(query, offset)
            for row in page.rows:
                for record in _read(row, partial(parse_person, target=None, source=source, width=self.config.width)):
                    yield record
            offset = page.next
            if offset is not None:
                yield At({"offset": offset})

    async def _rows(self, query: str, names_people: bool) -> list[Row]:
        """All solutions: only together do they show whether a name leads to one person."""
        rows: list[Row] = []
        offset: int | None = 0
        while offset is not None:
            page = await self._client.select(query, offset, names_people=names_people)
            rows += page.rows
            offset = page.next
        return rows

    def _questions(self, source: str, batch: Batch) -> list[tuple[str, Answers]]:
        """What is to be asked about a batch, one question after the other."""
        language = self.config.language
        of_people = partial(_people, batch.people, source, self.config.width)
        if self.config.profile == "dbpedia":
            texts = partial(_films, parse_dbpedia_film, batch.films, source)
            questions = [
                (queries.same_as(queries.DBPEDIA_FILMS, batch.films, language), texts),
                (queries.same_as(queries.DBPEDIA_PEOPLE, batch.people, language), of_people),
            ]
            return [(query, answers) for query, answers in questions if query]
        films = tuple(film for film in batch.films if film.wikidata or film.imdb or film.tmdb)
        if batch.people:
            return [(queries.people(batch.people, language), of_people)]
        if not films:
            return []
        return [
            (queries.films(queries.FILM_FACTS, films, language), partial(_films, parse_film, films, source)),
            (queries.films(queries.FILM_SCORES, films, language), partial(_scores, films, source)),
        ]


def _cut(targets: Sequence[T], size: int) -> Iterable[tuple[T, ...]]:
    ordered = sorted(targets, key=lambda target: target.id)
    return (tuple(ordered[begin : begin + size]) for begin in range(0, len(ordered), size))


def _people(targets: Sequence[PersonTarget], source: str, width: int, rows: Iterable[Row]) -> Iterator[Found]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row.get("key", "")].append(row)
    # Notes stay when a person is forgotten: runs know them by the id alone.
    for target in targets:
        match found[target.id]:
            case []:
                yield Note(f"{target.id}: nobody of that id or very name is known there")
            case [row]:
                yield from _read(row, partial(parse_person, target=target, source=source, width=width))
            case several:
                who = ", ".join(row.get("person", "").rpartition("/")[2] for row in several[:10])
                yield Note(f"{target.id}: the name may be that of any of {who}; none is guessed, give an id")


def _films(
    parse: Callable[..., Iterator[Record]],
    targets: Sequence[FilmTarget],
    source: str,
    rows: Iterable[Row],
) -> Iterator[Found]:
    known = {target.id: target for target in targets}
    for row in rows:
        # Of two items with one id, a mistake that happens, the first one speaks.
        target = known.pop(row.get("key", ""), None)
        if target is not None:
            yield from _read(row, partial(parse, target=target, source=source))


def _scores(targets: Sequence[FilmTarget], source: str, rows: Iterable[Row]) -> Iterator[Found]:
    known = {target.id: target for target in targets}
    for row in rows:
        if row.get("key", "") in known:
            found = parse_score(row, known[row["key"]], source)
            yield found if isinstance(found, Refused) else observed(found)


def _read(row: Row, parse: Callable[[Row], Iterator[Record]]) -> Iterator[Found]:
    try:
        for record in parse(row):
            yield observed(record)
    except Rejected as error:
        yield Refused(0, str(error), str(row).encode())

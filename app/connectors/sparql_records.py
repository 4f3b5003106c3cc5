"""The records in what Wikidata and DBpedia answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, unquote

from app.connectors.base import FilmTarget, PersonTarget, Refused
from app.connectors.identifiers import imdb_name, imdb_title, tmdb_number, wikidata_item
from app.connectors.movielens import moment
from app.connectors.sparql_client import Row
from schemas.base import Record, Rejected
from schemas.commands import SubmitCelebrity, SubmitFilm
from schemas.events import FactsObserved, RatingKind, RatingObserved
from schemas.pictures import ImageFound

FILE_PATH: Final = "https://commons.wikimedia.org/wiki/Special:FilePath/"
FILE_PAGE: Final = "https://commons.wikimedia.org/wiki/File:"
FIRST_FILM: Final = 1870
LAST_YEAR: Final = 2200
LONGEST_PLOT: Final = 200_000
_SCORE = re.compile(r"\s*(\d+(?:[.,]\d+)?)\s*(?:%|/\s*(\d+(?:[.,]\d+)?)|(?:out )?of\s+(\d+))\s*")


def parse_person(row: Row, target: PersonTarget | None, source: str, width: int) -> Iterator[Record]:
    """Who a person is, then the pictures of their item; `target` None where a query found them. `width` in pixels."""
    item = wikidata_item(row.get("person"))
    name = row.get("label") or (target.name if target else None)
    if target is None and (item is None or name is None):
        raise Rejected(f"no item of Wikidata with a name: {row}")
    celebrity = target.celebrity_id if target else str(item)
    yield SubmitCelebrity(
        celebrity_id=celebrity,
        name=str(name),
        wikidata=target.wikidata if target and target.wikidata else item,
        imdb=(target.imdb if target else None) or imdb_name(row.get("imdb")),
        tmdb=(target.tmdb if target else None) or tmdb_number(row.get("tmdb")),
    )
    # The order in which pictures are put together is the server's own affair.
    for address in sorted(set(row.get("pictures", "").split())):
        file = file_name(address)
        if file is not None:
            yield ImageFound(
                celebrity_id=celebrity,
                source=source,
                url=f"{FILE_PATH}{quote(file)}?width={width}",
                context_url=f"{FILE_PAGE}{quote(file.replace(' ', '_'))}",
            )


def file_name(address: str) -> str | None:
    """The file of Commons that an address of Special:FilePath leads to; None for any other address."""
    before, found, name = address.partition("Special:FilePath/")
    name = unquote(name.partition("?")[0]).replace("_", " ").strip()
    return name if found and name and re.match(r"https?://commons\.wikimedia\.org/", before) else None


def parse_film(row: Row, target: FilmTarget, source: str) -> Iterator[Record]:
    """The film's ids, then its facts."""
    year = _number(row.get("year"))
    year = year if year is not None and FIRST_FILM <= year <= LAST_YEAR else None
    yield SubmitFilm(
        film_id=target.film_id,
        title=target.title or row.get("label"),
        kind=target.kind,
        year=target.year or (int(year) if year else None),
        imdb=target.imdb or imdb_title(row.get("imdb")),
        wikidata=target.wikidata or wikidata_item(row.get("film")),
        tmdb=target.tmdb or tmdb_number(row.get("tmdb")),
    )
    yield FactsObserved(
        film_id=target.film_id,
        source=source,
        title=row.get("label"),
        year=int(year) if year else None,
        genres=tuple(sorted({genre[:64] for genre in row.get("genres", "").split("|") if genre})),
        runtime_minutes=_number(row.get("minutes")) or None,
        budget=_number(row.get("cost")),
    )


def parse_dbpedia_film(row: Row, target: FilmTarget, source: str) -> Iterator[Record]:
    """The film's facts; DBpedia states running times in seconds."""
    seconds = _number(row.get("seconds"))
    yield FactsObserved(
        film_id=target.film_id,
        source=source,
        title=row.get("label"),
        runtime_minutes=seconds / 60 if seconds else None,
        budget=_number(row.get("cost")),
        plot=(row.get("plot") or "")[:LONGEST_PLOT] or None,
    )


def parse_score(row: Row, target: FilmTarget, source: str) -> RatingObserved | Refused:
    """A review score of a film: "8.4/10" or "74/100" is a mean, "87%" a share of those who approve."""
    statement, score = row.get("statement", ""), row.get("score", "")
    found = _SCORE.fullmatch(score)
    value = _number(found[1].replace(",", ".")) if found else None
    best = _number((found[2] or found[3] or "100").replace(",", ".")) if found else None
    if value is None or not best or value > best:
        return Refused(0, f"{target.id}: the score {score[:100]!r} has no form that is known", str(row).encode())
    kind: RatingKind = "approval" if "%" in score else "mean"
    return RatingObserved(
        film_id=target.film_id,
        source=source,
        source_record_id=statement.rpartition("/")[2][:512] or score,
        value=value,
        best=best,
        worst=0.0,
        kind=kind,
        author=(row.get("by") or "")[:512] or None,
        observed_at=_day(row.get("day")),
        url=row.get("film"),
    )


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text else None
    except ValueError:
        return None
    return value if value is not None and 0 <= value < 1e13 else None


def _day(text: str | None) -> str | None:
    try:
        return moment(text) if text else None
    except Rejected:
        return None

"""The MovieLens layout, line by line: ratings, and the files that say which film a number stands for."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Iterator
from datetime import UTC
from typing import Final, NamedTuple

from agents.messages import rfc3339
from schemas import moments
from schemas.base import Rejected
from schemas.events import FactsObserved, RatingObserved
from schemas.ids import FILM_ID_FORMS, derived_id, fenced, film_id, is_film_id

NO_GENRES: Final = "(no genres listed)"
LAST_MOMENT: Final = 253_402_300_799
_TITLE_YEAR = re.compile(r"(?P<title>.*?)\s*\((?P<year>(?:18|19|20|21)\d\d)(?:[-–]\d{0,4})?\)\s*")
_ARTICLE = re.compile(r"(.*), (The|A|An)")


class Layout(NamedTuple):
    """Where each thing stands in a row of ratings; -1 where the file does not say it."""

    film: int
    value: int
    user: int
    time: int
    canonical: bool
    """Whether the film's column holds canonical ids and no numbers of the file's own."""


def cells_of(line: bytes) -> list[str]:
    """The cells of one line. Raises Rejected."""
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise Rejected(f"not UTF-8 at byte {error.start} of the line") from error
    if '"' not in text:
        return text.split(",")
    try:
        return next(csv.reader([text], strict=True))
    except (csv.Error, StopIteration) as error:
        raise Rejected(f"not CSV: {error}") from error


def layout_of(header: list[str]) -> Layout:
    """What the header says. Raises Rejected where a film or a rating is missing in it."""
    names = [name.strip().lower().lstrip("\ufeff").replace("_", "") for name in header]

    def find(*wanted: str) -> int:
        return next((names.index(name) for name in wanted if name in names), -1)

    canonical = find("filmid")
    film = canonical if canonical >= 0 else find("movieid")
    value = find("rating", "value")
    if film < 0 or value < 0:
        raise Rejected(
            f"the header is {','.join(header)[:200]!r}; it needs a column movieId or film_id, and one called rating"
        )
    return Layout(film, value, find("userid", "author"), find("timestamp", "observedat"), canonical >= 0)


class Film(NamedTuple):
    """A film of the files: its canonical id and what they say of it."""

    film_id: str
    title: str | None = None
    year: int | None = None
    genres: tuple[str, ...] = ()


class Films:
    """The films that the links and movies files name, by their number there."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._links: dict[str, str] = {}
        self._films: dict[str, Film] = {}

    def add_links(self, rows: Iterable[dict[str, str]]) -> None:
        """Rows of movieId, imdbId, tmdbId; the IMDb id wins."""
        for row in rows:
            number, imdb, tmdb = row.get("movieId", ""), row.get("imdbId", ""), row.get("tmdbId", "")
            imdb = imdb.removeprefix("tt")
            if number and imdb.isascii() and imdb.isdigit() and is_film_id(f"tt{imdb:0>7}"):
                self._links[number] = f"tt{imdb:0>7}"
            elif number and is_film_id(f"tmdb:movie/{tmdb.removesuffix('.0')}"):
                self._links[number] = f"tmdb:movie/{tmdb.removesuffix('.0')}"

    def add_movies(self, rows: Iterable[dict[str, str]]) -> None:
        """Rows of movieId, title such as "Matrix, The (1999)", genres with bars."""
        for row in rows:
            number = row.get("movieId", "")
            title, year = title_and_year(row.get("title", ""))
            genres = tuple(g[:64] for g in row.get("genres", "").split("|") if g and g != NO_GENRES)
            if number:
                self._films[number] = Film(self._identity(number, title, year), title, year, genres)

    def film_id(self, number: str) -> str:
        """The canonical id of a film of the files; never the bare number."""
        known = self._films.get(number)
        return known.film_id if known is not None else self._identity(number, None, None)

    def facts(self) -> Iterator[FactsObserved]:
        """What the movies file says of each film."""
        for film in self._films.values():
            yield FactsObserved(
                film_id=film.film_id, source=self._source, title=film.title, year=film.year, genres=film.genres
            )

    def _identity(self, number: str, title: str | None, year: int | None) -> str:
        linked = self._links.get(number)
        if linked is not None:
            return linked
        try:
            return film_id(title or f"{self._source} {number}", year, "movie", None, None, None)
        except Rejected:
            # A title without a letter or digit.
            return film_id(f"{self._source} {number}", year, "movie", None, None, None)


def title_and_year(text: str) -> tuple[str | None, int | None]:
    """ "Matrix, The (1999)" as ("The Matrix", 1999)."""
    found = _TITLE_YEAR.fullmatch(text.strip())
    title = (found["title"] if found else text).strip()
    turned = _ARTICLE.fullmatch(title)
    if turned:
        title = f"{turned[2]} {turned[1]}"
    return title[:500] or None, int(found["year"]) if found else None


class RatingRows:
    """Turns lines of a rating file into events; `worst` and `best` are the ends of the file's scale."""

    def __init__(self, layout: Layout, films: Films, source: str, worst: float, best: float) -> None:
        self._layout = layout
        self._films = films
        self._source = source
        self._worst, self._best = worst, best
        self._width = max(layout[:4]) + 1

    def parse(self, line: bytes, row: int) -> tuple[RatingObserved, str]:
        """The rating in a line, and the id of its event, which the same line always gets. Raises Rejected."""
        cells = cells_of(line)
        if len(cells) < self._width:
            raise Rejected(f"{len(cells)} cells, {self._width} are needed")
        place = self._layout
        film = self._film(cells[place.film].strip())
        value = self._value(cells[place.value].strip())
        user = cells[place.user].strip() if place.user >= 0 else ""
        time = cells[place.time].strip() if place.time >= 0 else ""
        record_id = f"{user}:{cells[place.film].strip()}" if user else f"line {row}"
        rating = RatingObserved(
            film_id=film,
            source=self._source,
            source_record_id=record_id[:512],
            value=value,
            best=self._best,
            worst=self._worst,
            kind="single",
            author=user[:512] or None,
            observed_at=moment(time) if time else None,
        )
        return rating, derived_id(f"{fenced(self._source)}|{film}|{record_id}|{value!r}|{time}", "csv")

    def _film(self, text: str) -> str:
        if not text:
            raise Rejected("the film's cell is empty")
        if not self._layout.canonical:
            return self._films.film_id(text)
        if not is_film_id(text):
            raise Rejected(f"film_id: {text[:100]!r} is none of the known forms: {FILM_ID_FORMS}")
        return text

    def _value(self, text: str) -> float:
        try:
            value = float(text)
        except ValueError as error:
            raise Rejected(f"rating: {text[:100]!r} is no number") from error
        if not math.isfinite(value) or not self._worst <= value <= self._best:
            raise Rejected(f"rating: {text[:100]} is outside the scale of {self._worst:g} to {self._best:g}")
        return value


def moment(text: str) -> str:
    """Seconds since 1970, or a date and time, as RFC 3339 in UTC. Raises Rejected."""
    try:
        if text.isascii() and text.isdigit() and int(text) <= LAST_MOMENT:
            return rfc3339(int(text) * 1000)
        when = moments.moment(text).astimezone(UTC)
        return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError) as error:
        raise Rejected(f"timestamp: {text[:100]!r} is neither seconds since 1970 nor a date") from error

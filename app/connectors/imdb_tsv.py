"""The layout of IMDb's published tables, row by row: mean ratings with their votes, and what each title is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Literal

from app.connectors.base import Observed, Refused, observed
from app.connectors.followed import Followed
from app.connectors.identifiers import imdb_title
from schemas.base import Rejected
from schemas.commands import SubmitFilm
from schemas.events import FactsObserved, RatingObserved

RATINGS: Final = ("tconst", "averageRating", "numVotes")
BASICS: Final = (
    "tconst", "titleType", "primaryTitle", "originalTitle", "isAdult", "startYear", "endYear", "runtimeMinutes",
    "genres",
)  # fmt: skip
NULL: Final = "\\N"
BEST: Final = 10.0
WORST: Final = 1.0
KINDS: Final[dict[str, Literal["movie", "tv"]]] = {
    "movie": "movie",
    "short": "movie",
    "tvMovie": "movie",
    "tvShort": "movie",
    "tvSpecial": "movie",
    "video": "movie",
    "tvSeries": "tv",
    "tvMiniSeries": "tv",
}
"""Episodes and games are no films."""


class ImdbRows:
    """Makes records of lines. Titles that nobody wants are passed over before they are looked at."""

    pending: Final = False

    def __init__(self, header: bytes, source: str, followed: Followed) -> None:
        """Raises Rejected for a header that is neither table's."""
        columns = tuple(header.decode("utf-8", "replace").strip().split("\t"))
        if columns not in (RATINGS, BASICS):
            raise Rejected(f"columns {', '.join(columns)[:200]} are those of neither title.ratings nor title.basics")
        self._width, self._source, self._followed = len(columns), source, followed
        self._make: Callable[[str, list[str]], Iterator[RatingObserved | FactsObserved | SubmitFilm]] = (
            self._rating if columns == RATINGS else self._title
        )

    def read(self, line: bytes, number: int) -> Iterator[Observed | Refused]:
        """The records of a line."""
        title = imdb_title(line.partition(b"\t")[0].decode("ascii", "replace"))
        film = self._followed.canonical(title) if title else None
        if title and film is None:
            return
        try:
            if title is None or film is None:
                raise Rejected("the first cell is no IMDb title id such as tt1375666")
            cells = line.decode().split("\t")
            if len(cells) != self._width:
                raise Rejected(f"{len(cells)} cells, {self._width} are due")
            for record in self._make(film, cells):
                yield observed(record, number)
        except UnicodeDecodeError as error:
            yield Refused(number, f"not UTF-8 at byte {error.start} of the line", line)
        except Rejected as error:
            yield Refused(number, str(error), line)

    def end(self) -> Iterator[Refused]:
        """Nothing is ever left."""
        yield from ()

    def _rating(self, film: str, cells: list[str]) -> Iterator[RatingObserved]:
        title, mean, votes = cells
        if NULL in (mean, votes):
            return
        value = _number("averageRating", mean)
        if not WORST <= value <= BEST:
            raise Rejected(f"averageRating: {mean} is outside the scale of 1 to 10")
        yield RatingObserved(
            film_id=film,
            source=self._source,
            source_record_id=title,
            value=value,
            best=BEST,
            worst=WORST,
            votes=int(_number("numVotes", votes)),
            kind="mean",
            url=f"https://www.imdb.com/title/{title}/",
        )

    def _title(self, film: str, cells: list[str]) -> Iterator[SubmitFilm | FactsObserved]:
        imdb, kind, name, _, _, start, _, minutes, genres = cells
        if kind not in KINDS:
            return
        title = None if name == NULL else name[:500]
        year = None if start == NULL else int(_number("startYear", start))
        runtime = None if minutes in (NULL, "0") else _number("runtimeMinutes", minutes)
        yield SubmitFilm(film_id=film, title=title, kind=KINDS[kind], year=year, imdb=imdb)
        yield FactsObserved(
            film_id=film,
            source=self._source,
            title=title,
            year=year,
            genres=() if genres == NULL else tuple(genres.split(",")),
            runtime_minutes=runtime,
        )


def is_imdb(header: bytes) -> bool:
    """Whether a file is one of IMDb's tables."""
    return header.removeprefix(b"\xef\xbb\xbf").startswith(b"tconst\t")


def _number(name: str, text: str) -> float:
    # float would also take "nan", "1_000" and space.
    if not (text.isascii() and text.replace(".", "", 1).isdigit()):
        raise Rejected(f"{name}: {text[:100]!r} is no number")
    return float(text)

"""Rows of any source as records: the one place where a cell becomes a film, a score, a moment or a text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any, Final

from agents.messages import rfc3339
from app.connectors.base import Observed, Refused, observed
from app.connectors.fields import Mapped, ends_of
from app.connectors.followed import Followed
from app.connectors.movielens import moment
from app.connectors.pseudonym import pseudonym
from schemas.base import Record, Rejected
from schemas.events import FactsObserved, RatingObserved, ReviewObserved
from schemas.ids import FILM_ID_FORMS, film_id, is_film_id

Row = Mapping[str, Any]
"""Cells by the names of `Fields`: text, numbers, moments, lists, None."""
MAX_RAW: Final = 1 << 16


class RowReader:
    """Makes records of rows as a configuration says; rows of films that nobody wants are passed over."""

    def __init__(self, config: Mapped, source: str, followed: Followed) -> None:
        """Raises SourceError for a scale without room."""
        self._config, self._source, self._followed = config, source, followed
        self._worst, self._best = ends_of(config.scale)
        self._make = {"ratings": self._rating, "reviews": self._review, "facts": self._facts}[config.target]

    def read(self, row: Row, place: str, number: int) -> Observed | Refused | None:
        """The record of a row, why it gives none, or None; `place` names the row at the source, `number` counts it."""
        try:
            film = self._film(row)
            if film is None:
                return None
            return observed(self._make(row, film, place), number)
        except Rejected as error:
            return Refused(number, f"{place}: {error}", raw_of(row))

    def _film(self, row: Row) -> str | None:
        canonical = text_of(row.get("film_id"))
        if canonical:
            if not is_film_id(canonical):
                raise Rejected(f"film_id: {canonical[:100]!r} is none of the known forms: {FILM_ID_FORMS}")
            return self._followed.canonical(canonical)
        imdb = text_of(row.get("imdb")).removeprefix("tt")
        if imdb and not (imdb.isascii() and imdb.isdigit()):
            raise Rejected(f"imdb: {imdb[:100]!r} is not an IMDb title id such as tt1375666")
        title = text_of(row.get("title"))
        found = film_id(
            title,
            _whole("year", row.get("year")),
            self._config.film_kind,
            f"tt{imdb:0>7}" if imdb else None,
            text_of(row.get("wikidata")) or None,
            _whole("tmdb", row.get("tmdb")),
        )
        return self._followed.canonical(found)

    def _rating(self, row: Row, film: str, place: str) -> Record:
        value = self._score(row)
        if value is None:
            raise Rejected("value: is empty")
        author = pseudonym(self._source, text_of(row.get("author")))
        return RatingObserved(
            film_id=film,
            source=self._source,
            source_record_id=(text_of(row.get("id")) or (f"{author}:{film}" if author else place))[:512],
            value=value,
            best=self._best,
            worst=self._worst,
            votes=_whole("votes", row.get("votes")),
            kind=self._config.rating_kind,
            author=author,
            observed_at=_moment(row.get("time")),
            url=text_of(row.get("url")) or None,
        )

    def _review(self, row: Row, film: str, place: str) -> Record:
        text = text_of(row.get("text"))
        if not text:
            raise Rejected("text: is empty")
        value = self._score(row)
        return ReviewObserved(
            film_id=film,
            source=self._source,
            source_record_id=(text_of(row.get("id")) or place)[:512],
            text=text,
            lang=text_of(row.get("lang")) or None,
            rating=value,
            best=None if value is None else self._best,
            worst=None if value is None else self._worst,
            author=pseudonym(self._source, text_of(row.get("author"))),
            observed_at=_moment(row.get("time")),
            url=text_of(row.get("url")) or None,
        )

    def _facts(self, row: Row, film: str, place: str) -> Record:
        genres = row.get("genres")
        parts = genres if isinstance(genres, (list, tuple)) else text_of(genres).split(self._config.separator)
        return FactsObserved(
            film_id=film,
            source=self._source,
            title=text_of(row.get("title")) or None,
            year=_whole("year", row.get("year")),
            genres=tuple(text for text in map(text_of, parts) if text),
            runtime_minutes=number_of("runtime_minutes", row.get("runtime_minutes")),
            budget=number_of("budget", row.get("budget")),
            plot=text_of(row.get("plot")) or None,
        )

    def _score(self, row: Row) -> float | None:
        value = number_of("value", row.get("value"))
        if value is not None and not self._worst <= value <= self._best:
            raise Rejected(f"value: {value:g} is outside the scale of {self._worst:g} to {self._best:g}")
        return value


def text_of(value: Any) -> str:
    """A cell as text without space around it; empty for None. Raises Rejected for what is no single value."""
    if value is None:
        return ""
    if isinstance(value, bytes):
        try:
            return value.decode().strip()
        except UnicodeDecodeError as error:
            raise Rejected(f"not UTF-8 at byte {error.start} of a cell") from error
    if isinstance(value, (list, tuple)):
        if len(value) > 1:
            raise Rejected(f"{len(value)} values where one is due")
        return text_of(value[0]) if value else ""
    if isinstance(value, dict):
        raise Rejected("a table where a value is due")
    # Half of a pair that some databases let through cannot be written as UTF-8.
    return str(value).strip().encode("utf-8", "replace").decode()


def number_of(name: str, value: Any) -> float | None:
    """A finite number; None for an empty cell. Raises Rejected."""
    text = text_of(value)
    if not text:
        return None
    try:
        number = float(text)
    except ValueError as error:
        raise Rejected(f"{name}: {text[:100]!r} is no number") from error
    if not math.isfinite(number):
        raise Rejected(f"{name}: {text[:100]!r} is no number")
    return number


def raw_of(row: Row) -> bytes:
    """A row as people may look at it in a dead letter."""
    shown = "\n".join(f"{name}: {value!s}" for name, value in row.items() if value is not None)
    return shown.encode("utf-8", "replace")[:MAX_RAW]


def _whole(name: str, value: Any) -> int | None:
    number = number_of(name, value)
    if number is None:
        return None
    if number != int(number):
        raise Rejected(f"{name}: {number:g} is no whole number")
    return int(number)


def _moment(value: Any) -> str | None:
    if isinstance(value, datetime):
        when = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, date):
        return f"{value.isoformat()}T00:00:00.000Z"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if not 0 <= value < 1e11:
            raise Rejected(f"time: {value} is no number of seconds since 1970")
        return rfc3339(int(value * 1000))
    text = text_of(value)
    return moment(text) if text else None

"""Rating files as columns in time order: MovieLens CSV or NDJSON, gzipped or not, in little memory."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import math
import zlib
from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TextIO

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.raters import rater_of
from schemas.base import BEST_SCORE, Rejected
from schemas.events import RatingKind, RatingObserved
from schemas.ids import fenced
from schemas.moments import moment
from schemas.numbers import decode_json
from schemas.scores import BEST_KNOWN, score_of

_COLUMNS: Final = ("userId", "movieId", "rating", "timestamp")
_USUAL_BESTS: Final = (5.0, 10.0, 100.0)
_EXAMPLES: Final = 20
KINDS: Final[tuple[RatingKind, ...]] = ("single", "mean", "approval")


class UnreadableFile(ValueError):  # noqa: N818
    """The file as a whole cannot be evaluated; the text says what it should look like."""


class BadLine(msgspec.Struct, frozen=True):
    """A line that was left out."""

    line: int
    reason: str


@dataclass
class BadLines:
    """How many lines were left out, and the first of them."""

    count: int = 0
    examples: list[BadLine] = field(default_factory=list)

    def add(self, line: int, reason: str) -> None:
        """Note one more."""
        self.count += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(BadLine(line, reason))


@dataclass(frozen=True)
class Scale:
    """The range of a source's ratings; scores are ten times the share of `best`."""

    worst: float
    best: float

    @classmethod
    def parse(cls, text: str) -> Scale:
        """The scale in `0.5:5`. Raises ValueError with what is wrong."""
        worst, colon, best = text.partition(":")
        try:
            scale = cls(float(worst), float(best))
        except ValueError:
            colon = ""
        if not colon or not 0.0 <= scale.worst < scale.best <= BEST_KNOWN:
            raise ValueError(f"scale {text!r} is none: write worst:best, such as 0.5:5 or 1:10")
        return scale


@dataclass
class Ratings:
    """Ratings by time, stably. Row i is film `films[film[i]]`, rater `raters[rater[i]]`, `score[i]` on 0-10."""

    films: list[str]
    raters: list[str]
    film: NDArray[np.int32]
    rater: NDArray[np.int32]
    score: NDArray[np.float64]
    kind: NDArray[np.int8]
    """Place in `KINDS`."""
    identity: NDArray[np.uint64] | None
    """Which source record a row is a version of; None where every row is a rating of its own."""
    bad: BadLines

    def __len__(self) -> int:
        return len(self.score)


class _Columns:
    """Columns while they are being read, 30 bytes a row."""

    def __init__(self) -> None:
        self.films: dict[str, int] = {}
        self.raters: dict[str, int] = {}
        self.film, self.rater, self.kind = array("i"), array("i"), array("b")
        self.value, self.time, self.identity = array("d"), array("d"), array("Q")
        self.bad = BadLines()

    def add(self, film: str, rater: str, value: float, time: float, kind: int = 0) -> None:
        self.film.append(self.films.setdefault(film, len(self.films)))
        self.rater.append(self.raters.setdefault(rater, len(self.raters)))
        self.value.append(value)
        self.time.append(time)
        self.kind.append(kind)

    def sorted(self, scores: NDArray[np.float64], keep: NDArray[np.bool_]) -> Ratings:
        order = np.argsort(np.frombuffer(self.time), kind="stable")
        order = order[keep[order]]
        identity = np.frombuffer(self.identity, dtype=np.uint64)[order] if self.identity else None
        return Ratings(
            films=list(self.films),
            raters=list(self.raters),
            film=np.frombuffer(self.film, dtype=np.int32)[order],
            rater=np.frombuffer(self.rater, dtype=np.int32)[order],
            score=scores[order],
            kind=np.frombuffer(self.kind, dtype=np.int8)[order],
            identity=identity,
            bad=self.bad,
        )


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """A text file for reading line by line, unpacked where it ends in .gz; what is no UTF-8 is replaced.

    Raises UnreadableFile where the packing is damaged, and OSError.
    """
    try:
        with path.open("rb") as raw:
            unpacked = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
            with io.TextIOWrapper(unpacked, encoding="utf-8-sig", errors="replace", newline="") as file:
                yield file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UnreadableFile(f"the gzip file is damaged: {error}") from error


def numbered_rows(file: TextIO, columns: tuple[str, ...], bad: BadLines) -> Iterator[tuple[int, list[str]]]:
    """Line numbers and the cells of `columns` of a CSV file with a header; short lines are noted in `bad`.

    Raises UnreadableFile where a column is missing.
    """
    reader = csv.reader(file)
    try:
        header = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise UnreadableFile(f"the first line must name {', '.join(columns)}: {error}") from error
    missing = [name for name in columns if name not in header]
    if missing:
        raise UnreadableFile(f"no column {', '.join(missing)}: the first line must name {', '.join(columns)}")
    places = [header.index(name) for name in columns]
    while True:
        try:
            row = next(reader, None)
            if row is None:
                return
            if row:
                yield reader.line_num, [row[place] for place in places]
        except IndexError:
            bad.add(reader.line_num, "too few cells")
        except csv.Error as error:
            bad.add(reader.line_num, str(error))


def is_ndjson(path: Path) -> bool:
    """Whether the first line that is not blank begins as a JSON object does."""
    with open_text(path) as file:
        return next((line.lstrip()[0] for line in file if line.strip()), "") == "{"


def read_ratings(path: Path, scale: Scale | None = None) -> Ratings:
    """All ratings of a file, by time. Lines that make no sense are left out and noted.

    Without a `scale`, a CSV file's is read from its largest rating: out of 5, 10 or 100; NDJSON states its own.
    Raises UnreadableFile for a file without any rating, and OSError.
    """
    columns = _Columns()
    with open_text(path) as file:
        if is_ndjson(path):
            scores, keep = _read_ndjson(file, columns, scale)
        else:
            scores, keep = _read_csv(file, columns, scale)
    if not keep.any():
        first = f" (line {columns.bad.examples[0].line}: {columns.bad.examples[0].reason})" if columns.bad.count else ""
        raise UnreadableFile(
            f"no rating in it{first}: CSV with a header {','.join(_COLUMNS)}, or a JSON object of `ratings` a line"
        )
    return columns.sorted(scores, keep)


def _read_csv(file: TextIO, columns: _Columns, scale: Scale | None) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    lines = array("q")
    for line, (rater, film, value, time) in numbered_rows(file, _COLUMNS, columns.bad):
        try:
            number, seconds = _number(value), _number(time)
        except ValueError:
            columns.bad.add(line, f"rating {value!r} or timestamp {time!r} is not a number")
            continue
        if not (math.isfinite(number) and math.isfinite(seconds) and film and rater):
            columns.bad.add(line, "an empty or infinite cell")
            continue
        columns.add(film, rater, number, seconds)
        lines.append(line)
    values = np.frombuffer(columns.value)
    scale = scale or _scale_of(values)
    keep = (values >= scale.worst) & (values <= scale.best)
    for row in np.flatnonzero(~keep):
        columns.bad.add(lines[row], f"rating {values[row]:g} is outside {scale.worst:g} to {scale.best:g}")
    return np.minimum(BEST_SCORE, BEST_SCORE * values / scale.best), keep


def _number(text: str) -> float:
    """The number in a cell. Raises ValueError, also for 4_5, which Python takes for 45 and nobody else does."""
    if "_" in text:
        raise ValueError(text)
    return float(text)


def _scale_of(values: NDArray[np.float64]) -> Scale:
    most = float(values.max()) if len(values) else 0.0
    best = next((best for best in _USUAL_BESTS if most <= best), None)
    if best is None:
        raise UnreadableFile(f"the largest rating is {most:g}, so the scale is not clear: name it, such as 1:{most:g}")
    return Scale(0.0, best)


def _read_ndjson(
    lines: Iterable[str], columns: _Columns, scale: Scale | None
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    decoder = msgspec.json.Decoder(RatingObserved)
    latest = -math.inf
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            rating: RatingObserved = decode_json(line, decoder)
            score = _score(rating, scale)
            # A rating that names no time stays behind the one before it in the file.
            latest = moment(rating.observed_at).timestamp() if rating.observed_at else latest
        except (msgspec.DecodeError, Rejected, ValueError) as error:
            columns.bad.add(number, str(error))
            continue
        rater = rater_of(rating.source, rating.author)
        columns.add(rating.film_id, rater, score, latest, KINDS.index(rating.kind or "single"))
        group = "approval" if rating.kind == "approval" else "rating"
        identity = f"{fenced(rating.film_id)}|{group}|{fenced(rating.source)}|{rating.source_record_id}".encode()
        columns.identity.append(int.from_bytes(hashlib.blake2b(identity, digest_size=8).digest(), "little"))
    scores = np.frombuffer(columns.value)
    return scores, np.ones(len(scores), dtype=np.bool_)


def _score(rating: RatingObserved, scale: Scale | None) -> float:
    best = rating.best if rating.best is not None or scale is None else scale.best
    worst = rating.worst if rating.worst is not None or scale is None else scale.worst
    return score_of(rating.value, best, worst)

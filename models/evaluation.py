"""Prequential reports of the default models on any file, through the very learners that serve."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
import numpy as np

from models.prequential import roc_auc
from models.rating_files import (
    KINDS,
    BadLine,
    BadLines,
    Ratings,
    Scale,
    UnreadableFile,
    is_ndjson,
    numbered_rows,
    open_text,
    read_ratings,
)
from models.rating_learner import RatingLearner
from models.review_learner import ReviewLearner
from schemas.base import BEST_SCORE, Record
from schemas.events import RatingCleaned, ReviewCleaned, SentimentPredicted

_CHUNK: Final = 1000
_WHEN: Final = "1970-01-01T00:00:00Z"

Progress = Callable[[int, int | None], None]
Clock = Callable[[], float]


class Baselines(msgspec.Struct, frozen=True):
    """Mean absolute errors of what a simple program would say; None before the first label."""

    global_mean: float | None
    running_mean: float | None
    damped_mean_3: float | None
    damped_mean_10: float | None
    best_expert: float | None
    """The best single expert, chosen in hindsight; the means above are among them."""


class RatingsReport(msgspec.Struct, frozen=True, kw_only=True):
    """How well the future-rating model predicts a file; errors on the 0-10 scale."""

    task: str = "future-rating"
    scale: int = int(BEST_SCORE)
    events: int
    labelled: int
    mae: float | None
    rmse: float | None
    mae_by_film: float | None
    mae_cold: float | None
    mae_warm: float | None
    baselines: Baselines
    us_per_event: float
    bad_lines: int = 0
    bad_examples: list[BadLine] = []


class ReviewsReport(msgspec.Struct, frozen=True, kw_only=True):
    """How well the sentiment model predicts a file."""

    task: str = "review-sentiment"
    events: int
    auc: float | None
    accuracy: float | None
    auc_last_fifth: float | None
    us_per_event: float
    bad_lines: int = 0
    bad_examples: list[BadLine] = []


class _Learner(Protocol):
    def observe(self, record: Any) -> Record | None: ...


class _Stopwatch:
    """CPU time of predict and learn alone, without reading a file and making records, or what else the machine does."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.seconds = 0.0
        self.events = 0

    def observe(self, learner: _Learner, records: list[Any]) -> list[Record | None]:
        started = self._clock()
        said = [learner.observe(record) for record in records]
        self.seconds += self._clock() - started
        self.events += len(records)
        return said

    @property
    def us_per_event(self) -> float:
        return round(self.seconds / self.events * 1e6, 2) if self.events else 0.0


def evaluate_ratings(
    path: Path,
    scale: Scale | None = None,
    progress: Progress | None = None,
    clock: Clock = time.thread_time,
    learner: RatingLearner | None = None,
) -> RatingsReport:
    """Predict and learn the ratings of a file in time order.

    In NDJSON, a record that is repeated is dropped and a changed one replaces the old, as in the pipeline.
    `learner` is for who wants its curve afterwards. Raises UnreadableFile and OSError.
    """
    ratings = read_ratings(path, scale)
    learner = learner or RatingLearner()
    watch = _Stopwatch(clock)
    total = len(ratings)
    for records in _chunks(_cleaned(ratings)):
        watch.observe(learner, records)
        if progress is not None:
            progress(records[-1].offset + 1, total)
    found = learner.metrics()
    return RatingsReport(
        events=watch.events,
        labelled=learner.labels,
        mae=found["mae"],
        rmse=found["rmse"],
        mae_by_film=found["mae_by_film"],
        mae_cold=found["mae_cold"],
        mae_warm=found["mae_warm"],
        baselines=Baselines(*(found[name] for name in Baselines.__struct_fields__)),
        us_per_event=watch.us_per_event,
        bad_lines=ratings.bad.count,
        bad_examples=ratings.bad.examples,
    )


def _chunks(records: Iterator[Any]) -> Iterator[list[Any]]:
    chunk = []
    for record in records:
        chunk.append(record)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _cleaned(ratings: Ratings) -> Iterator[RatingCleaned]:
    """The records that the cleaning stage would make."""
    counted = [0] * len(ratings.films)
    before, ordinals = _versions(ratings)
    for row in range(len(ratings)):
        film, score, kind = int(ratings.film[row]), float(ratings.score[row]), KINDS[int(ratings.kind[row])]
        earlier = int(before[row])
        replaces = None
        if earlier >= 0:
            ordinals[row] = ordinals[earlier]
            replaces = float(ratings.score[earlier])
            if replaces == score:
                continue
        elif kind != "approval":
            counted[film] += 1
            ordinals[row] = counted[film]
        rater = ratings.raters[ratings.rater[row]]
        yield RatingCleaned(
            film_id=ratings.films[film],
            source="file",
            source_record_id=str(row),
            score=score,
            kind=kind,
            ordinal=int(ordinals[row]),
            partition=0,
            offset=row,
            cause_id=f"file-0-{row}",
            received_at=_WHEN,
            replaces=replaces,
            author=rater,
        )


def _versions(ratings: Ratings) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """For each row, the row of the same record just before it (-1 for none); and room for ordinals."""
    before = np.full(len(ratings), -1, dtype=np.int32)
    if ratings.identity is not None:
        order = np.argsort(ratings.identity, kind="stable")
        same = ratings.identity[order][1:] == ratings.identity[order][:-1]
        before[order[1:][same]] = order[:-1][same]
    return before, np.zeros(len(ratings), dtype=np.int32)


def evaluate_reviews(
    path: Path, progress: Progress | None = None, clock: Clock = time.thread_time, learner: ReviewLearner | None = None
) -> ReviewsReport:
    """Predict and learn the reviews of a CSV or NDJSON file (`text`, `positive`) in file order.

    Raises UnreadableFile where no review is in it, and OSError.
    """
    learner = learner or ReviewLearner()
    bad, watch = BadLines(), _Stopwatch(clock)
    said, truth = array("d"), array("b")
    for records in _chunks(_reviews(path, bad)):
        for answer, record in zip(watch.observe(learner, records), records, strict=True):
            if isinstance(answer, SentimentPredicted):
                said.append(answer.positive)
                truth.append(record.positive)
        if progress is not None:
            progress(watch.events, None)
    if not said:
        first = f" (line {bad.examples[0].line}: {bad.examples[0].reason})" if bad.count else ""
        raise UnreadableFile(f"no review in it{first}: CSV with a header text,positive, or such a JSON object a line")
    scores, labels = np.frombuffer(said), np.frombuffer(truth, dtype=np.bool_)
    fifth = len(scores) - len(scores) // 5
    return ReviewsReport(
        events=len(scores),
        auc=roc_auc(scores, labels),
        accuracy=float(np.mean((scores >= 0.5) == labels)),
        auc_last_fifth=roc_auc(scores[fifth:], labels[fifth:]),
        us_per_event=watch.us_per_event,
        bad_lines=bad.count,
        bad_examples=bad.examples,
    )


class _Labelled(msgspec.Struct):
    text: str
    positive: bool | int | float | str


def _reviews(path: Path, bad: BadLines) -> Iterator[ReviewCleaned]:
    rows = _json_reviews(path, bad) if is_ndjson(path) else _csv_reviews(path, bad)
    for offset, (line, text, positive) in enumerate(rows):
        label = _LABELS.get(str(positive).strip().lower())
        if label is None or not text.strip():
            bad.add(line, f"positive {positive!r} is neither 0 nor 1" if label is None else "the text is empty")
            continue
        yield ReviewCleaned(
            film_id="file",
            source="file",
            source_record_id=str(line),
            text=text,
            partition=0,
            offset=offset,
            cause_id=f"file-0-{offset}",
            received_at=_WHEN,
            positive=label,
        )


_LABELS: Final = {"0": False, "0.0": False, "false": False, "1": True, "1.0": True, "true": True}


def _csv_reviews(path: Path, bad: BadLines) -> Iterator[tuple[int, str, object]]:
    with open_text(path) as file:
        for line, (text, positive) in numbered_rows(file, ("text", "positive"), bad):
            yield line, text, positive


def _json_reviews(path: Path, bad: BadLines) -> Iterator[tuple[int, str, object]]:
    decoder = msgspec.json.Decoder(_Labelled)
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                found = decoder.decode(line)
            except msgspec.DecodeError as error:
                bad.add(number, str(error))
                continue
            yield number, found.text, found.positive

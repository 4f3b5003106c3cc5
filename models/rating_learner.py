"""The future-rating learner: one record in, one prediction out, and every label learnt when it is due."""

from __future__ import annotations

import copy
import hashlib
import pickle
from typing import Any, Final, Self

import msgspec
from river.drift import ADWIN

from models.experts import Evidence, MixtureState
from models.features import FEATURE_SCHEMA, film_features
from models.film_history import FilmHistory
from models.future_rating import CODE_VERSION, HORIZON, MODEL, FutureRatingRegressor, Prediction
from models.linear import SgdLinearRegression
from models.prequential import BASELINES, Curve, RatingScores
from models.raters import RaterTable, rater_of
from models.snapshot import decode_state
from schemas.events import RatingCleaned, RatingPredicted
from schemas.ids import derived_id

_MIDDLE: Final = 5.0
_WIDEST_PRIOR: Final = 3.0
_RATER_PRIOR: Final = 5.0
_NO_FEATURES: Final[dict[int, float]] = {}


class RatingState(msgspec.Struct, array_like=True, kw_only=True):
    """Everything a learner has to remember, in the order in which it is written."""

    trees: int
    lessons: int
    marks: dict[int, int]
    films: dict[str, FilmHistory]
    raters: RaterTable
    total: float
    count: int
    mixture: MixtureState
    prior: tuple[dict[int, float], float]
    linear: tuple[dict[int, float], float]
    scores: RatingScores
    drift: bytes
    forest: bytes


class RatingLearner:
    """Folds cleaned ratings, in the order of their log, into predictions and a model.

    The same log gives the same predictions and the same state, bit for bit, however often it is interrupted:
    what a restarted stage emits twice is skipped by a watermark for each source partition. Memory grows with
    the films, not with the ratings or the raters.
    """

    name: Final = MODEL
    feature_schema: Final = FEATURE_SCHEMA

    def __init__(self, trees: int = 0) -> None:
        self._regressor = FutureRatingRegressor(trees=trees)
        self.model_version = f"fr{HORIZON}-{CODE_VERSION}" + (f"-arf{trees}" if trees else "")
        # A slow intercept follows the global mean of late; metadata moves a film's prior away from it.
        self._prior = SgdLinearRegression(lr=0.001, intercept_lr=0.00025, clip_gradient=12.0)
        self._films: dict[str, FilmHistory] = {}
        self._raters = RaterTable()
        self._marks: dict[int, int] = {}
        self._total = 0.0
        self._count = 0
        self._global_mean = _MIDDLE
        self._scores = RatingScores(experts=[0.0] * len(self._regressor.experts))
        self._drift: Any = ADWIN()  # type: ignore[no-untyped-call]
        self.lessons = 0
        """Records applied."""

    @property
    def labels(self) -> int:
        """Predictions whose label has come."""
        return self._scores.labels

    def observe(self, record: RatingCleaned) -> RatingPredicted | None:
        """Learn what this rating completes and predict the film's next ones; None for what was applied before.

        What its source keeps from training is only predicted for: it is no label, no rating of its film, no rater's
        habit, and in no mean or error figure.
        """
        if record.offset <= self._marks.get(record.partition, -1):
            return None
        self._marks[record.partition] = record.offset
        self.lessons += 1
        film = self._films.get(record.film_id)
        if record.terms is not None and not record.terms.train:
            return self._told(record, *self._unlearnt(film or FilmHistory(), record))
        if film is None:
            film = self._films[record.film_id] = FilmHistory()
        if record.facts is not None:
            film.features = film_features(record.facts)
        counted = record.kind != "approval" and (record.replaces is None or record.joins or film.lacks(record.ordinal))
        if counted:
            self._count_rating(film, record)
        elif record.kind != "approval":
            self._replace_rating(film, record)
        evidence = film.evidence(self._global_mean, self._prior_of(film))
        predicted = self._regressor.predict(evidence)
        if counted:
            film.keep(evidence, predicted)
        return self._told(record, film, predicted)

    def _unlearnt(self, film: FilmHistory, record: RatingCleaned) -> tuple[FilmHistory, Prediction]:
        """What the model says without the rating, which is neither counted nor kept, nor are facts that come with it.

        But for the watermark and the count of records, the state is as if the record had never come.
        """
        if record.facts is not None:
            film = copy.copy(film)
            film.features = film_features(record.facts)
        return film, self._regressor.predict(film.evidence(self._global_mean, self._prior_of(film)))

    def _told(self, record: RatingCleaned, film: FilmHistory, predicted: Prediction) -> RatingPredicted:
        return RatingPredicted(
            event_id=derived_id(record.cause_id, "predict"),
            cause_id=record.cause_id,
            film_id=record.film_id,
            predicted=predicted[0],
            current_mean=min(10.0, max(0.0, film.total / film.n)) if film.n else None,
            n_ratings=film.counted,
            model=MODEL,
            model_version=self.model_version,
            predicted_at=record.received_at,
            horizon=HORIZON,
        )

    def _prior_of(self, film: FilmHistory) -> float:
        prior = self._prior
        shift = prior.predict_one(film.features) if film.features else prior.intercept
        shift = _WIDEST_PRIOR if shift > _WIDEST_PRIOR else -_WIDEST_PRIOR if shift < -_WIDEST_PRIOR else shift
        return self._global_mean + shift

    def _count_rating(self, film: FilmHistory, record: RatingCleaned) -> None:
        score = record.score
        rater = rater_of(record.source, record.author)
        offset = self._raters.offset(rater)
        expected = (film.total + _RATER_PRIOR * self._prior_of(film)) / (film.n + _RATER_PRIOR)
        self._raters.add(rater, score - expected)
        self._total += score
        self._count += 1
        self._global_mean = self._total / self._count
        self._prior.learn_one(film.features or _NO_FEATURES, score - self._global_mean)
        if self._regressor.mixture.wants_preview(film.n) and (latest := film.latest()):
            self._regressor.preview(*latest, score)
        film.count(record.ordinal, score, score - offset)
        due = film.due()
        if due is not None:
            self._learn(*due)
            film.scored(abs(due[1][0] - due[2]))

    def _replace_rating(self, film: FilmHistory, record: RatingCleaned) -> None:
        difference = record.score - (record.replaces or 0.0)
        if film.amend(record.ordinal, difference, record.score):
            self._raters.amend(rater_of(record.source, record.author), difference)
            self._total += difference
            self._global_mean = self._total / self._count

    def _learn(self, evidence: Evidence, predicted: Prediction, label: float) -> None:
        errors = self._regressor.learn(evidence, predicted, label)
        miss = abs(predicted[0] - label)
        self._scores.add(evidence, miss, label, errors)
        self._drift.update(miss)
        if self._drift.drift_detected:
            self._scores.drifts += 1
            self._scores.drifted_at = self._scores.labels

    def metrics(self) -> dict[str, float | None]:
        """Prequential errors on the 0-10 scale by name; None before the first label of their kind."""
        found = self._scores.means(self._regressor.experts)
        by_film = [film.error_sum / film.labelled for film in self._films.values() if film.labelled]
        found["mae_by_film"] = sum(by_film) / len(by_film) if by_film else None
        found["drifts"] = float(self._scores.drifts)
        return found

    def counts(self) -> dict[str, int]:
        """What the state holds."""
        return {
            "lessons": self.lessons,
            "labels": self._scores.labels,
            "ratings": self._count,
            "films": len(self._films),
        }

    def skill(self) -> float | None:
        """Error over that of the running mean, on the same labels; below 1 is better. None before any label."""
        return self._scores.error / self._scores.running_mean if self._scores.running_mean else None

    def curve(self) -> Curve:
        """Errors over time, beside the baselines."""
        return Curve("mean absolute error, 0-10 scale", ("model", *BASELINES), self._scores.totals.means())

    def to_bytes(self) -> bytes:
        """The whole state; equal logs give equal bytes."""
        mixture, linear, trees = self._regressor.mixture, self._regressor.linear, self._regressor.forest
        state = RatingState(
            trees=self._regressor.trees,
            lessons=self.lessons,
            marks=self._marks,
            films=self._films,
            raters=self._raters,
            total=self._total,
            count=self._count,
            mixture=mixture.state(),
            prior=(self._prior.weights, self._prior.intercept),
            linear=(linear.weights, linear.intercept),
            scores=self._scores,
            drift=pickle.dumps(self._drift, 5),
            forest=b"" if trees is None else pickle.dumps(trees, 5),
        )
        return msgspec.msgpack.encode(state)

    @classmethod
    def from_bytes(cls, state: bytes) -> Self:
        """The learner whose `to_bytes` this was; the bytes must be trusted, for parts of them are pickles.

        Raises SnapshotIncompatible where they hold another layout.
        """
        kept: RatingState = decode_state(state, RatingState)
        learner = cls(trees=kept.trees)
        learner.lessons, learner._marks, learner._films = kept.lessons, kept.marks, kept.films
        learner._raters, learner._total, learner._count = kept.raters, kept.total, kept.count
        if kept.count:
            learner._global_mean = kept.total / kept.count
        learner._scores = kept.scores
        learner._drift = pickle.loads(kept.drift)
        learner._prior.weights, learner._prior.intercept = kept.prior
        regressor = learner._regressor
        regressor.mixture.restore(kept.mixture)
        regressor.linear.weights, regressor.linear.intercept = kept.linear
        if kept.forest:
            regressor.forest = pickle.loads(kept.forest)
        return learner

    def fingerprint(self) -> str:
        """SHA-256 of the state, hex: two learners with equal fingerprints will say the same for ever."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

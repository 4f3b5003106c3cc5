"""The review learner: what a text sounds like is said first, and what its own score says is learnt after."""

from __future__ import annotations

import hashlib
from array import array
from typing import Any, Final, Self

import msgspec

from models.features import FEATURE_SCHEMA
from models.prequential import Curve, ReviewScores
from models.sentiment import HashedSentimentClassifier, SentimentClassifier, SentimentState
from models.snapshot import decode_state
from schemas.events import ReviewCleaned, SentimentPredicted
from schemas.ids import derived_id
from schemas.terms import may_train

MODEL: Final = "review-sentiment"
CODE_VERSION: Final = 1
"""Raised whenever the same log would give other predictions."""


class ReviewState(msgspec.Struct, array_like=True, kw_only=True):
    """Everything a learner has to remember, in the order in which it is written."""

    lessons: int
    marks: dict[int, int]
    scores: ReviewScores
    averaged: SentimentState | None = None
    hashed: tuple[int, bytes, bytes] | None = None


class ReviewLearner:
    """Folds cleaned reviews, in the order of their log, into sentiments and a model.

    Deterministic like the rating learner, with a watermark for each source partition. `fast` takes the hashed
    classifier, five to ten times cheaper and somewhat less exact.
    """

    name: Final = MODEL
    feature_schema: Final = FEATURE_SCHEMA

    def __init__(self, fast: bool = False) -> None:
        self._classifier: SentimentClassifier | HashedSentimentClassifier
        self._classifier = HashedSentimentClassifier() if fast else SentimentClassifier()
        self.model_version = f"{'hashed' if fast else 'nb-tfidf'}-{CODE_VERSION}"
        self._marks: dict[int, int] = {}
        self._scores = ReviewScores()
        self.lessons = 0
        """Records applied."""

    @property
    def labels(self) -> int:
        """Predictions whose label was known."""
        return self._scores.labels

    def observe(self, record: ReviewCleaned) -> SentimentPredicted | None:
        """Say how favourable the review is, then learn it; None for what was applied before.

        What its source keeps from training is only read: it is learnt from in no way and in no error figure.
        """
        if record.offset <= self._marks.get(record.partition, -1):
            return None
        self._marks[record.partition] = record.offset
        self.lessons += 1
        model: Any = self._classifier
        terms = model.read({"text": record.text})
        positive = model.positive(terms)
        if record.positive is not None and may_train(record.terms):
            self._scores.add(positive, record.positive)
            model.teach(terms, record.positive)
        return SentimentPredicted(
            event_id=derived_id(record.cause_id, "sentiment"),
            cause_id=record.cause_id,
            film_id=record.film_id,
            source_record_id=record.source_record_id,
            positive=positive,
            model=MODEL,
            model_version=self.model_version,
            predicted_at=record.received_at,
        )

    def metrics(self) -> dict[str, float | None]:
        """Prequential scores by name; None before the first label."""
        return self._scores.means()

    def counts(self) -> dict[str, int]:
        """What the state holds."""
        return {"lessons": self.lessons, "labels": self._scores.labels}

    def skill(self) -> float | None:
        """Share of errors over that of always saying the commoner class; below 1 is better. None before it errs."""
        means = self._scores.means()
        accuracy, majority = means["accuracy"], means["accuracy_majority"]
        if accuracy is None or majority is None or majority >= 1.0:
            return None
        return (1.0 - accuracy) / (1.0 - majority)

    def curve(self) -> Curve:
        """Share of wrong verdicts over time, beside the baseline."""
        return Curve("share of wrong verdicts", ("model", "majority"), self._scores.totals.means())

    def to_bytes(self) -> bytes:
        """The whole state; equal logs give equal bytes."""
        model = self._classifier
        state = ReviewState(lessons=self.lessons, marks=self._marks, scores=self._scores)
        if isinstance(model, HashedSentimentClassifier):
            state.hashed = (model.bits, model.weights.tobytes(), model.squares.tobytes())
        else:
            state.averaged = model.state()
        return msgspec.msgpack.encode(state)

    @classmethod
    def from_bytes(cls, state: bytes) -> Self:
        """The learner whose `to_bytes` this was. Raises SnapshotIncompatible where they hold another layout."""
        kept: ReviewState = decode_state(state, ReviewState)
        learner = cls(fast=kept.hashed is not None)
        learner.lessons, learner._marks, learner._scores = kept.lessons, kept.marks, kept.scores
        if kept.averaged is not None:
            learner._classifier = SentimentClassifier.of(kept.averaged)
        elif kept.hashed is not None:
            bits, weights, squares = kept.hashed
            learner._classifier = model = HashedSentimentClassifier(bits=bits)
            model.weights, model.squares = array("d", weights), array("d", squares)
        return learner

    def fingerprint(self) -> str:
        """SHA-256 of the state, hex."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

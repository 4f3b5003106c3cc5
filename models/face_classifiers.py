"""Whose embedding is it? A running centroid a person, and one-vs-rest logistic regression: rows of one matrix each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import NormalDist
from typing import Any, Final, Self

import msgspec
import numpy as np
from numpy.typing import NDArray
from river import base

Vector = NDArray[np.float64]

STRANGER_MEAN: Final = 0.12
STRANGER_DEVIATION: Final = 0.07
"""Of the cosine between a face and the centroid of somebody else, measured on 349 photos of ten people."""
STRANGERS_TAKEN: Final = 0.1
LEAST_COSINE: Final = 0.25
MOST_COSINE: Final = 0.40


def unknown_below(people: int) -> float:
    """The cosine to the nearest of so many centroids below which a face is nobody's.

    The more people there are, the nearer a stranger comes to one of them by chance: the bound rises, so that about
    a tenth of strangers is taken for somebody whatever the number.
    """
    if people < 1:
        return MOST_COSINE
    chance = NormalDist(STRANGER_MEAN, STRANGER_DEVIATION).inv_cdf(1.0 - STRANGERS_TAKEN / people)
    return min(MOST_COSINE, max(LEAST_COSINE, chance))


class Rows(msgspec.Struct, array_like=True):
    """A matrix with a label a row, as plain data; `scalars` holds one further number a row."""

    labels: list[str]
    matrix: bytes
    scalars: bytes


class _RowClassifier(base.Classifier):
    """A row of numbers a label, in order of first lesson.

    `x` is a vector, or River's mapping of names to numbers, whose names are given places as they are learnt. One
    classifier is fed with one of the two. Products are einsum's: BLAS may add in another order with more threads.
    """

    def __init__(self) -> None:
        self.labels: list[Any] = []
        self._places: dict[Any, int] = {}
        self._row_of: dict[Any, int] = {}
        self._matrix: Vector = np.zeros((0, 0))
        self._scalars: Vector = np.zeros(0)

    @property
    def _multiclass(self) -> bool:
        return True

    def scores(self, vector: Vector) -> Vector:
        """One number a label, the higher the likelier; `vector` is as wide as the matrix."""
        raise NotImplementedError

    def _products(self, vector: Vector) -> Vector:
        products: Vector = np.einsum("ij,j->i", self._matrix, vector)
        return products

    def _row(self, label: Any) -> int:
        row = self._row_of.get(label)
        if row is None:
            row = self._row_of[label] = len(self.labels)
            self.labels.append(label)
            self._matrix = np.pad(self._matrix, ((0, 1), (0, 0)))
            self._scalars = np.pad(self._scalars, (0, 1))
        return row

    def _read(self, x: Mapping[Any, Any] | Vector, learn: bool) -> Vector:
        """`x` as wide as the matrix, which widens where something new is to be learnt; else that is left out."""
        if not isinstance(x, np.ndarray):
            x = self._vector(x, learn)
        width = self._matrix.shape[1]
        if learn and len(x) > width:
            self._matrix = np.pad(self._matrix, ((0, 0), (0, len(x) - width)))
            return x
        return x[:width] if len(x) >= width else np.pad(x, (0, width - len(x)))

    def _vector(self, x: Mapping[Any, Any], learn: bool) -> Vector:
        places = self._places
        if learn:
            for name in x:
                places.setdefault(name, len(places))
        vector = np.zeros(len(places))
        for name, value in x.items():
            place = places.get(name)
            if place is not None:
                vector[place] = value
        return vector

    def rows(self) -> Rows:
        """All that was learnt from vectors; equal lessons give equal rows."""
        return Rows(list(self.labels), self._matrix.tobytes(), self._scalars.tobytes())

    @classmethod
    def of(cls, rows: Rows) -> Self:
        """A classifier that goes on where another was when it gave its `rows`."""
        found = cls()
        found.labels = list(rows.labels)
        found._row_of = {label: row for row, label in enumerate(found.labels)}
        found._scalars = np.frombuffer(rows.scalars).copy()
        matrix = np.frombuffer(rows.matrix)
        found._matrix = matrix.reshape(len(found.labels), -1).copy() if found.labels else np.zeros((0, 0))
        return found


class CosineCentroidClassifier(_RowClassifier):
    """The label whose examples' sum points most nearly in the example's own direction.

    `sharpness` turns cosines into probabilities (softmax of cosine times sharpness); it never changes their order.
    """

    def __init__(self, sharpness: float = 10.0) -> None:
        super().__init__()
        self.sharpness = sharpness

    @classmethod
    def _unit_test_params(cls) -> Iterator[dict[str, Any]]:
        yield {"sharpness": 5.0}

    def scores(self, vector: Vector) -> Vector:
        """The cosine to each label's sum; 0 where either has no length."""
        # Lengths of the sums are kept as the scalars, since they change only when something is learnt.
        length = self._scalars * np.sqrt((vector * vector).sum())
        products = self._products(vector)
        cosines: Vector = np.divide(products, length, out=np.zeros_like(products), where=length > 0.0)
        return cosines

    def predict_proba_one(self, x: Mapping[Any, Any] | Vector, **kwargs: Any) -> dict[Any, float]:
        """A probability a label; none before the first lesson."""
        if not self.labels:
            return {}
        raised = np.exp((self.scores(self._read(x, learn=False)) - 1.0) * self.sharpness)
        return dict(zip(self.labels, (raised / raised.sum()).tolist(), strict=True))

    def learn_one(self, x: Mapping[Any, Any] | Vector, y: Any) -> None:
        """Add the example to its label's sum."""
        vector = self._read(x, learn=True)
        row = self._row(y)
        self._matrix[row] += vector
        self._scalars[row] = np.sqrt((self._matrix[row] * self._matrix[row]).sum())


class OneVsRestLogisticClassifier(_RowClassifier):
    """River's `OneVsRestClassifier(LogisticRegression(SGD(lr)))` on `scale * x`, equal to it up to rounding.

    All labels learn from an example in one step on the matrix (with 24 labels eleven times River's speed), which is
    what makes teaching it again from the start affordable. Embeddings have length 1, too short for SGD to get
    anywhere; hence the scale.
    """

    def __init__(self, lr: float = 0.1, scale: float = 10.0, intercept_lr: float = 0.01) -> None:
        super().__init__()
        self.lr = lr
        self.scale = scale
        self.intercept_lr = intercept_lr

    @classmethod
    def _unit_test_params(cls) -> Iterator[dict[str, Any]]:
        yield {"lr": 0.01, "scale": 1.0}

    def scores(self, vector: Vector) -> Vector:
        """How likely each label is, seen apart from the others; the intercepts are the scalars."""
        odds = self._products(vector * self.scale) + self._scalars
        likely: Vector = 1.0 / (1.0 + np.exp(np.minimum(700.0, -odds)))
        return likely

    def predict_proba_one(self, x: Mapping[Any, Any] | Vector, **kwargs: Any) -> dict[Any, float]:
        """A probability a label; none before the first lesson."""
        if not self.labels:
            return {}
        likely = self.scores(self._read(x, learn=False))
        total = likely.sum()
        shares = likely / total if total > 0.0 else np.full(len(likely), 1.0 / len(likely))
        return dict(zip(self.labels, shares.tolist(), strict=True))

    def learn_one(self, x: Mapping[Any, Any] | Vector, y: Any) -> None:
        """One gradient step for every label: towards the example for its own, away from it for the others."""
        vector = self._read(x, learn=True)
        row = self._row(y)
        miss = self.scores(vector)
        miss[row] -= 1.0
        self._matrix -= (self.lr * self.scale) * (miss[:, None] * vector)
        self._scalars -= self.intercept_lr * miss

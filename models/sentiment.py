"""Is a review favourable? Two River models that err differently, averaged; a hashed one where time is short."""

from __future__ import annotations

import math
import zlib
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, Final, Self

import msgspec
from river import base, feature_extraction, linear_model, naive_bayes, optim
from river.utils import VectorDict

_LONGEST_TEXT: Final = 20_000
_KEPT_SHARE: Final = 0.75


class SentimentState(msgspec.Struct, array_like=True):
    """What a `SentimentClassifier` has learnt, as plain data; order is that of first use, or sorted."""

    classes: tuple[int, int]
    totals: tuple[int, int]
    counts: list[tuple[str, int, int]]
    documents: int
    frequencies: list[tuple[str, int]]
    weights: list[tuple[str, float]]
    intercept: float
    steps: int


class SentimentClassifier(base.Classifier):
    """Mean of naive Bayes on words and word pairs and of logistic regression on TF-IDF.

    `x["text"]` is the review; other features are left aside, a text beyond 20,000 characters is cut. Where
    more than `most_terms` words and pairs are known, the rarest quarter is forgotten, the oldest first.
    """

    def __init__(self, lr: float = 1.0, most_terms: int = 100_000) -> None:
        self.lr = lr
        self.most_terms = most_terms
        self.bag: Any = feature_extraction.BagOfWords(ngram_range=(1, 2))
        self.naive_bayes: Any = naive_bayes.MultinomialNB()  # type: ignore[no-untyped-call]
        self.tfidf: Any = feature_extraction.TFIDF()
        self.logistic: Any = linear_model.LogisticRegression(optim.SGD(lr))

    def read(self, x: Mapping[Any, Any]) -> tuple[str, dict[Any, int]]:
        """The text, and its words and pairs counted: what `positive` and `teach` take, so that it is done once."""
        text = _text(x)
        return text, self.bag.transform_one(text)

    def positive(self, terms: tuple[str, dict[Any, int]]) -> float:
        """How likely a review that was read is a favourable one."""
        regressed: float = self.logistic.predict_proba_one(self.tfidf.transform_one(terms[0]))[True]
        return (self.naive_bayes_probability(terms[1]) + regressed) / 2

    def teach(self, terms: tuple[str, dict[Any, int]], label: bool) -> None:
        """Learn that a review that was read was favourable (True) or not."""
        self.naive_bayes.learn_one(terms[1], label)
        self.tfidf.learn_one(terms[0])
        self.logistic.learn_one(self.tfidf.transform_one(terms[0]), label)
        if len(self.naive_bayes.feature_counts) > self.most_terms:
            self._forget()

    def predict_proba_one(self, x: Mapping[Any, Any], **kwargs: Any) -> dict[Any, float]:
        """Probabilities of False (unfavourable) and True; even before the first lesson."""
        return _both(self.positive(self.read(x)))

    def learn_one(self, x: Mapping[Any, Any], y: Any) -> None:
        """Learn that the review was favourable (True) or not."""
        self.teach(self.read(x), bool(y))

    def naive_bayes_probability(self, terms: Mapping[Any, int]) -> float:
        """What `self.naive_bayes` says of True, from its own tables but without a pass for each class."""
        bayes = self.naive_bayes
        alpha, classes, totals, table = bayes.alpha, bayes.class_counts, bayes.class_totals, bayes.feature_counts
        if not classes[False] or not classes[True]:
            return 0.5 if classes[False] == classes[True] else float(classes[True] > 0)
        smoothing = alpha * max(1, len(table))
        ratio = math.log((totals[False] + smoothing) / (totals[True] + smoothing))
        odds = math.log(classes[True] / classes[False])
        for term, times in terms.items():
            odds += times * ratio
            known = table.get(term)
            if known is not None:
                odds += times * math.log((known.get(True, 0) + alpha) / (known.get(False, 0) + alpha))
        return _sigmoid(odds)

    def _forget(self) -> None:
        counts = self.naive_bayes.feature_counts
        kept = int(self.most_terms * _KEPT_SHARE)
        # The sort is stable and the table is in order of first use: of equally rare terms the oldest go.
        for term in sorted(counts, key=lambda term: counts[term].total())[: len(counts) - kept]:
            for label, count in counts.pop(term).items():
                self.naive_bayes.class_totals[label] -= count
            self.tfidf.dfs.pop(term, None)
            if term in self.logistic._weights:
                del self.logistic._weights[term]

    def state(self) -> SentimentState:
        """All that was learnt; equal lessons give equal states, whatever the process's hash seed."""
        bayes, logistic = self.naive_bayes, self.logistic
        return SentimentState(
            classes=(bayes.class_counts[False], bayes.class_counts[True]),
            totals=(bayes.class_totals[False], bayes.class_totals[True]),
            counts=[(_joined(term), count[False], count[True]) for term, count in bayes.feature_counts.items()],
            documents=self.tfidf.n,
            frequencies=sorted(self.tfidf.dfs.items()),
            weights=sorted(logistic.weights.items()),
            intercept=logistic.intercept,
            steps=logistic.optimizer.n_iterations,
        )

    @classmethod
    def of(cls, state: SentimentState) -> Self:
        """A classifier that goes on where another was when it gave its `state`."""
        found = cls()
        bayes, logistic = found.naive_bayes, found.logistic
        bayes.class_counts.update(_present(state.classes))
        bayes.class_totals.update(_present(state.totals))
        for term, negative, positive in state.counts:
            words = tuple(term.split(" "))
            bayes.feature_counts[words if len(words) > 1 else term].update(_present((negative, positive)))
        found.tfidf.n = state.documents
        found.tfidf.dfs.update(dict(state.frequencies))
        logistic._weights = VectorDict(dict(state.weights))
        logistic.intercept = state.intercept
        logistic.optimizer.n_iterations = state.steps
        return found


class HashedSentimentClassifier(base.Classifier):
    """Logistic regression on hashed words and word pairs, AdaGrad steps, memory fixed at 16 * 2**bits bytes.

    `x["text"]` is the review; numeric features count as terms of their own. Duchi et al., "Adaptive
    Subgradient Methods" (2011); Weinberger et al., "Feature Hashing" (2009).
    """

    def __init__(self, lr: float = 0.7, bits: int = 18) -> None:
        self.lr = lr
        self.bits = bits
        self.weights = array("d", bytes(8 << bits))
        self.squares = array("d", bytes(8 << bits))
        self._words: Any = feature_extraction.BagOfWords()

    @classmethod
    def _unit_test_params(cls) -> Iterator[dict[str, Any]]:
        yield {"bits": 10}

    def positive(self, terms: dict[int, float]) -> float:
        """How likely a review that was read is a favourable one."""
        weights = self.weights
        return _sigmoid(sum(weights[place] * value for place, value in terms.items()))

    def teach(self, terms: dict[int, float], label: bool) -> None:
        """Learn that a review that was read was favourable (True) or not."""
        miss = self.positive(terms) - label
        weights, squares, lr = self.weights, self.squares, self.lr
        for place, value in terms.items():
            gradient = miss * value
            square = squares[place] + gradient * gradient
            if square > 0.0:
                squares[place] = square
                weights[place] -= lr * gradient / math.sqrt(square)

    def predict_proba_one(self, x: Mapping[Any, Any], **kwargs: Any) -> dict[Any, float]:
        """Probabilities of False (unfavourable) and True; even before the first lesson."""
        return _both(self.positive(self.read(x)))

    def learn_one(self, x: Mapping[Any, Any], y: Any) -> None:
        """Learn that the review was favourable (True) or not."""
        self.teach(self.read(x), bool(y))

    def read(self, x: Mapping[Any, Any]) -> dict[int, float]:
        """Places and values, for `positive` and `teach`; the values of a text have length 1, whatever its own."""
        size = 1 << self.bits
        words = [word.encode() for word in self._words.process_text(_text(x))]
        names = words + [first + b" " + second for first, second in pairwise(words)]
        counts = Counter(zlib.crc32(name) % size for name in names)
        scale = 1.0 / math.sqrt(sum(count * count for count in counts.values()) or 1.0)
        terms = {place: count * scale for place, count in counts.items()}
        terms[zlib.crc32(b"\0bias") % size] = 1.0
        for name, value in x.items():
            if isinstance(value, int | float) and math.isfinite(value):
                terms[zlib.crc32(f"\0{name}".encode()) % size] = float(value)
        return terms


def _text(x: Mapping[Any, Any]) -> str:
    return str(x.get("text", ""))[:_LONGEST_TEXT]


def _both(positive: float) -> dict[Any, float]:
    return {False: 1.0 - positive, True: positive}


def _sigmoid(odds: float) -> float:
    return 1.0 / (1.0 + math.exp(-min(700.0, max(-700.0, odds))))


def _joined(term: str | tuple[str, ...]) -> str:
    return term if isinstance(term, str) else " ".join(term)


def _present(counts: tuple[int, int]) -> dict[bool, int]:
    return {label: count for label, count in zip((False, True), counts, strict=True) if count}

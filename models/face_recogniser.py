"""Says whose face an embedding is: two classifiers that learn beside each other, and the better one of late answers."""

from __future__ import annotations

from typing import Final, NamedTuple, Self

import msgspec
import numpy as np

from models.face_classifiers import (
    CosineCentroidClassifier,
    OneVsRestLogisticClassifier,
    Rows,
    Vector,
    unknown_below,
)
from models.face_scores import FaceScores

CANDIDATES: Final = 5


class Candidate(msgspec.Struct, frozen=True):
    """A person, and how sure the champion is that it is them, 0 to 1.

    That is the cosine to the centroid of the person's faces, or what the logistic regression takes for likely.
    """

    celebrity_id: str
    confidence: float


class Identified(msgspec.Struct, frozen=True):
    """Whose face it is (None: nobody's who is known), how sure that is, and who else it may be, the likeliest first.

    Of nobody's the confidence is that of the likeliest, whose faces it is too unlike.
    """

    celebrity_id: str | None
    confidence: float
    candidates: tuple[Candidate, ...] = ()


class Answers(NamedTuple):
    """What each classifier says before it is told, None for "unknown"; `cosine` is that of the champion's choice."""

    centroid: str | None
    logistic: str | None
    majority: str | None
    champion: str | None
    cosine: float


class RecogniserState(msgspec.Struct, array_like=True):
    """What a `FaceRecogniser` has learnt, as plain data."""

    centroid: Rows
    logistic: Rows
    lessons: dict[str, int]
    scores: FaceScores


class FaceRecogniser:
    """Deterministic given the order of its lessons. `vector` is always an embedding of length 1 in float64.

    Both classifiers choose among the people they know; the choice stands where the face is near enough to the
    chosen one's centroid (`unknown_below`), else the answer is "unknown".
    """

    def __init__(self) -> None:
        self.centroid = CosineCentroidClassifier()
        self.logistic = OneVsRestLogisticClassifier()
        self.lessons: dict[str, int] = {}
        """Faces learnt of each person."""
        self.scores = FaceScores()

    def answers(self, vector: Vector) -> Answers:
        """What the face is taken for."""
        people = self.centroid.labels
        if not people:
            return Answers(None, None, None, None, 0.0)
        cosines = self.centroid.scores(vector)
        bound = unknown_below(len(people))
        # Both have met the same people in the same order.
        places = {"centroid": int(cosines.argmax()), "logistic": int(self.logistic.scores(vector).argmax())}
        said = {name: people[place] if cosines[place] >= bound else None for name, place in places.items()}
        champion = self.scores.champion()
        majority = max(self.lessons, key=self.lessons.__getitem__)
        return Answers(said["centroid"], said["logistic"], majority, said[champion], float(cosines[places[champion]]))

    def score(self, answers: Answers, truth: str) -> None:
        """Keep score of answers now that the truth is known, before it is taught."""
        said = (answers.champion, answers.centroid, answers.logistic, answers.majority)
        self.scores.add(said, truth, truth in self.lessons)

    def teach(self, vector: Vector, truth: str) -> None:
        """Learn whose face it is."""
        self.centroid.learn_one(vector, truth)
        self.logistic.learn_one(vector, truth)
        self.lessons[truth] = self.lessons.get(truth, 0) + 1

    def likeness(self, vector: Vector, person: str) -> float | None:
        """The cosine between a face and a person's centroid; None for who is not known."""
        if person not in self.lessons:
            return None
        return float(self.centroid.scores(vector)[self.centroid.labels.index(person)])

    def best_known(self, vectors: list[Vector]) -> int:
        """Which of several faces is most like anybody known; the first while nobody is."""
        if len(vectors) == 1 or not self.lessons:
            return 0
        return int(np.argmax([self.centroid.scores(vector).max() for vector in vectors]))

    def identify(self, vector: Vector) -> Identified:
        """The champion's answer, and the people whom it would name next, by what it decides on."""
        people = self.centroid.labels
        if not people:
            return Identified(None, 0.0)
        # Whoever is named has to lead the list: cosines beside an answer of the other classifier contradict it.
        decides = self.logistic if self.scores.champion() == "logistic" else self.centroid
        scores = decides.scores(vector)
        order = np.argsort(-scores, kind="stable")[:CANDIDATES]
        candidates = tuple(Candidate(people[place], share(float(scores[place]))) for place in order)
        return Identified(self.answers(vector).champion, candidates[0].confidence, candidates)

    def state(self) -> RecogniserState:
        """All that was learnt."""
        return RecogniserState(self.centroid.rows(), self.logistic.rows(), self.lessons, self.scores)

    @classmethod
    def of(cls, state: RecogniserState) -> Self:
        """A recogniser that goes on where another was when it gave its `state`."""
        found = cls()
        found.centroid = CosineCentroidClassifier.of(state.centroid)
        found.logistic = OneVsRestLogisticClassifier.of(state.logistic)
        found.lessons, found.scores = state.lessons, state.scores
        return found


def share(similarity: float) -> float:
    """A cosine or likelihood as a confidence: 0 where a cosine points away, four digits."""
    return round(min(1.0, max(0.0, similarity)), 4)

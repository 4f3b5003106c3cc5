"""The face learner: whose face it is is said first, and what the picture's own label says is learnt after."""

from __future__ import annotations

import hashlib
from itertools import islice
from typing import Final, Self

import msgspec

from models.face_recogniser import FaceRecogniser, Identified, RecogniserState, share
from models.face_scores import WINDOW, Confusion
from models.own_face import vector_of
from models.prequential import Curve
from models.snapshot import decode_state
from schemas.faces import FaceConfirmed, FaceRecognised, FacesForgotten, FaceWithdrawn
from schemas.ids import derived_id

MODEL: Final = "faces"
CODE_VERSION: Final = 1
"""Raised whenever the same log would give other predictions."""
FEATURE_SCHEMA: Final = 1
MOST_FACES: Final = 20_000
"""In force at a time, 512 bytes each and a little; where there are more, the oldest tenth is let go."""
MOST_MARKS: Final = 20_000


class FaceInForce(msgspec.Struct, array_like=True):
    """A face that was confirmed and not taken back."""

    item_id: str
    celebrity_id: str
    order: int
    embedding: bytes


class FaceState(msgspec.Struct, array_like=True, kw_only=True):
    """Everything a learner has to remember, in the order in which it is written."""

    lessons: int
    face_model: str
    faces: list[FaceInForce]
    gone: list[tuple[str, str, int]]
    forgotten: dict[str, int]
    recogniser: RecogniserState


class FaceLearner:
    """Folds faces that are confirmed, taken back and forgotten, in the order of their log, into names and a model.

    What it knows is a function of the faces in force alone, in the order in which they came: it keeps their
    embeddings and is taught again from them where one is taken back or a person forgotten, so that no trace of it
    stays, scores included. Teaching 20,000 faces of 100 people again takes 2 to 9 seconds, by how busy the machine
    is. A record that was applied before changes nothing. Embeddings of another face model start everything anew,
    since the two cannot be compared.
    """

    name: Final = MODEL
    feature_schema: Final = FEATURE_SCHEMA
    model_version: Final = f"centroid-logistic-{CODE_VERSION}"
    labels_needed: Final = min(50, WINDOW)
    """Faces before it may be the champion: people whose pictures are collected have tens, not thousands."""

    def __init__(self, most_faces: int = MOST_FACES) -> None:
        self._most_faces = most_faces
        self._faces: dict[str, FaceInForce] = {}
        self._gone: dict[str, tuple[str, int]] = {}
        self._forgotten: dict[str, int] = {}
        self._recogniser = FaceRecogniser()
        self._stale = False
        self.face_model = ""
        """Which detector and embedder the faces in force are of."""
        self.lessons = 0
        """Records applied."""

    personal: Final = True
    """The state holds people's faces, so that it goes nowhere from where it cannot be erased."""

    @property
    def forgotten_up_to(self) -> int:
        """The order of the last forgetting that is applied; 0 before the first."""
        return max(self._forgotten.values(), default=0)

    def faces_of(self, person: str) -> int:
        """How many faces of a person are in force, or marked as taken back."""
        gone = sum(mark[0] == person for mark in self._gone.values())
        return gone + sum(face.celebrity_id == person for face in self._faces.values())

    @property
    def labels(self) -> int:
        """Predictions whose label was known."""
        return self._taught().scores.labels

    def observe(self, record: FaceConfirmed | FaceWithdrawn | FacesForgotten) -> FaceRecognised | None:
        """Say whose face was confirmed, then learn it; None for what was applied before and for what is taken back.

        A face that its source keeps from training is only named.
        """
        if isinstance(record, FacesForgotten):
            self._forget(record)
            return None
        if record.order <= max(self._order_of(record.item_id), self._forgotten.get(record.celebrity_id, -1)):
            return None
        self.lessons += 1
        if isinstance(record, FaceWithdrawn):
            self._take_back(record.item_id)
            self._mark_gone(record)
            return None
        return self._confirm(record) if record.train else self._name(record)

    def _name(self, record: FaceConfirmed) -> FaceRecognised:
        """Whom a face that may not be learnt is taken for; the mark keeps a repeat from being answered otherwise."""
        self._take_back(record.item_id)
        self._mark_gone(record)
        if record.face_model != self.face_model:
            return self._told(record, None, 0.0)
        answers = self._taught().answers(vector_of(record.embedding))
        return self._told(record, answers.champion, share(answers.cosine))

    def _mark_gone(self, record: FaceConfirmed | FaceWithdrawn) -> None:
        self._gone[record.item_id] = (record.celebrity_id, record.order)
        if len(self._gone) > MOST_MARKS:
            del self._gone[next(iter(self._gone))]

    def _order_of(self, item: str) -> int:
        known = self._faces.get(item)
        if known is not None:
            return known.order
        gone = self._gone.get(item)
        return -1 if gone is None else gone[1]

    def _confirm(self, record: FaceConfirmed) -> FaceRecognised | None:
        if record.face_model != self.face_model:
            self._faces.clear()
            self._stale = True
            self.face_model = record.face_model
        known = self._faces.get(record.item_id)
        if known is not None and (known.celebrity_id, known.embedding) == (record.celebrity_id, record.embedding):
            # It stays where it stands in the order of lessons: what is known does not change.
            known.order = record.order
            return None
        # Of an item whose face is another now, the old one must not help to name the new one.
        self._take_back(record.item_id)
        self._gone.pop(record.item_id, None)
        vector = vector_of(record.embedding)
        recogniser = self._taught()
        answers = recogniser.answers(vector)
        recogniser.score(answers, record.celebrity_id)
        recogniser.teach(vector, record.celebrity_id)
        face = FaceInForce(record.item_id, record.celebrity_id, record.order, record.embedding)
        self._faces[record.item_id] = face
        if len(self._faces) > self._most_faces:
            # Each that goes means teaching the rest again: many at once make that rare.
            for item in list(islice(self._faces, max(1, self._most_faces // 10))):
                self._take_back(item)
        return self._told(record, answers.champion, share(answers.cosine))

    def _told(self, record: FaceConfirmed, recognised: str | None, confidence: float) -> FaceRecognised:
        return FaceRecognised(
            event_id=derived_id(f"{record.item_id}|{record.order}", "face"),
            item_id=record.item_id,
            celebrity_id=record.celebrity_id,
            recognised=recognised,
            confidence=confidence,
            model=MODEL,
            model_version=self.model_version,
            order=record.order,
        )

    def _take_back(self, item: str) -> None:
        if self._faces.pop(item, None) is not None:
            self._stale = True

    def _forget(self, record: FacesForgotten) -> None:
        person = record.celebrity_id
        if record.order <= self._forgotten.get(person, -1):
            return
        self.lessons += 1
        self._forgotten[person] = record.order
        for face in [face for face in self._faces.values() if face.celebrity_id == person]:
            if face.order <= record.order:
                self._take_back(face.item_id)
        self._gone = {item: mark for item, mark in self._gone.items() if mark[0] != person}

    def _taught(self) -> FaceRecogniser:
        """The recogniser, taught again where a face is no longer in force; put off so that many cost one."""
        if self._stale:
            self._stale = False
            self._recogniser = recogniser = FaceRecogniser()
            for face in self._faces.values():
                vector = vector_of(face.embedding)
                recogniser.score(recogniser.answers(vector), face.celebrity_id)
                recogniser.teach(vector, face.celebrity_id)
        return self._recogniser

    def identify(self, embedding: bytes, face_model: str) -> Identified:
        """Whose face it is; nobody's where the embedding is of another face model."""
        if face_model != self.face_model:
            return Identified(None, 0.0)
        return self._taught().identify(vector_of(embedding))

    def metrics(self) -> dict[str, float | None]:
        """Prequential scores by name; None before the first label."""
        return self._taught().scores.means()

    def counts(self) -> dict[str, int]:
        """What the state holds."""
        recogniser = self._taught()
        people, labels = len(recogniser.lessons), recogniser.scores.labels
        return {"lessons": self.lessons, "labels": labels, "faces": len(self._faces), "people": people}

    def skill(self) -> float | None:
        """Errors in the window over those of always naming the commonest person there; below 1 is better.

        None while the baseline makes none.
        """
        champion, majority = self._taught().scores.errors_lately()
        return champion / majority if majority else None

    def curve(self) -> Curve:
        """Share of wrong names over time, of the champion, both classifiers and the baseline."""
        return self._taught().scores.curve()

    def confusion(self) -> Confusion:
        """Who was taken for whom."""
        return self._taught().scores.confusion()

    def to_bytes(self) -> bytes:
        """The whole state; equal logs give equal bytes."""
        recogniser = self._taught().state()
        return msgspec.msgpack.encode(
            FaceState(
                lessons=self.lessons,
                face_model=self.face_model,
                faces=list(self._faces.values()),
                gone=[(item, person, order) for item, (person, order) in self._gone.items()],
                forgotten=self._forgotten,
                recogniser=recogniser,
            )
        )

    @classmethod
    def from_bytes(cls, state: bytes) -> Self:
        """The learner whose `to_bytes` this was. Raises SnapshotIncompatible where they hold another layout."""
        kept: FaceState = decode_state(state, FaceState)
        learner = cls()
        learner.lessons, learner.face_model, learner._forgotten = kept.lessons, kept.face_model, kept.forgotten
        learner._faces = {face.item_id: face for face in kept.faces}
        learner._gone = {item: (person, order) for item, person, order in kept.gone}
        learner._recogniser = FaceRecogniser.of(kept.recogniser)
        return learner

    def fingerprint(self) -> str:
        """SHA-256 of the state, hex."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

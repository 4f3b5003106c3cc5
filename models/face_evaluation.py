"""Prequential report of the face model on any folder of labelled pictures, through the recogniser that serves."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from models.evaluation import Clock, Progress
from models.face_recogniser import FaceRecogniser
from models.face_scores import NAMES
from models.own_face import GATE, Vector, vector_of
from models.rating_files import UnreadableFile

SEED: Final = 20
_EXAMPLES: Final = 5

Look = Callable[[Path], Sequence[bytes]]
"""The embeddings of a picture's faces, the biggest first. Raises UnreadableFile or OSError for what is no picture."""


class FaceAccuracy(msgspec.Struct, frozen=True):
    """Shares of right names; None where there was nothing to name."""

    champion: float | None
    """What was answered: by whichever of the two classifiers was right more often of late."""
    centroid: float | None
    logistic: float | None
    majority: float | None
    """The commonest person, always."""


class BadFile(msgspec.Struct, frozen=True):
    """A file that was left out."""

    path: str
    reason: str


class FacesReport(msgspec.Struct, frozen=True, kw_only=True):
    """How well people are recognised; of a person who has not been seen before, "unknown" is the right answer."""

    task: str = "faces"
    images: int
    people: int
    no_face: int
    accuracy: FaceAccuracy
    ms_per_image: float
    accuracy_with_misses: FaceAccuracy
    """The same where a picture without a face counts as an error."""
    accuracy_met: FaceAccuracy
    """The same among pictures of people who had been seen before."""
    several_faces: int
    seed: int
    bad_files: int = 0
    bad_examples: list[BadFile] = []


def labelled_pictures(folder: Path) -> list[tuple[str, Path]]:
    """Person and file for every file below the folders of a folder, sorted. Raises UnreadableFile where there is none.

    What is hidden, and what macOS puts into archives beside the files, is passed over.
    """
    if not folder.is_dir():
        raise UnreadableFile("no such folder: name one that holds a folder of pictures for each person")
    found = [
        (person.name, path)
        for person in sorted(folder.iterdir())
        if person.is_dir()
        for path in sorted(person.rglob("*"))
        if path.is_file() and not any(is_aside(part) for part in path.relative_to(folder).parts)
    ]
    if not found:
        raise UnreadableFile(
            "no picture in it: put those of each person into a folder of its own, named like the person"
        )
    return found


def is_aside(name: str) -> bool:
    """Whether a file or folder of this name is nobody's: hidden, or where macOS keeps what its archives add."""
    return name.startswith(".") or name == "__MACOSX"


def evaluate_faces(
    folder: Path,
    look: Look,
    progress: Progress | None = None,
    clock: Clock = time.thread_time,
    seed: int = SEED,
) -> FacesReport:
    """Name, score, then learn the pictures of a folder in a seeded random order; time is that of looking included.

    Of several faces the one is named that is most like anybody known, whatever the label says; learnt is the one most
    like the labelled person, as in the pipeline. Raises UnreadableFile where no picture can be read.
    """
    pictures = labelled_pictures(folder)
    total = len(pictures)
    # One person after the other would be too easy: the last name would be the right one.
    random.Random(seed).shuffle(pictures)
    recogniser, tally = FaceRecogniser(), _Tally()
    started = clock()
    for done, (person, path) in enumerate(pictures, 1):
        try:
            vectors = [vector_of(embedding) for embedding in look(path)]
        except (OSError, UnreadableFile) as error:
            tally.bad.append(BadFile(str(path.relative_to(folder)), str(error)))
        else:
            tally.add(person, len(vectors))
            if vectors:
                _name_then_learn(recogniser, vectors, person)
        if progress is not None:
            progress(done, total)
    if not tally.images:
        raise UnreadableFile(
            f"none of the {total} files in it is a picture ({tally.bad[0].path}: {tally.bad[0].reason})"
        )
    return _report(recogniser, tally, clock() - started, seed)


class _Tally:
    """What the pictures were."""

    def __init__(self) -> None:
        self.images = 0
        self.no_face = 0
        self.several = 0
        self.people: set[str] = set()
        self.bad: list[BadFile] = []

    def add(self, person: str, faces: int) -> None:
        self.images += 1
        self.people.add(person)
        self.no_face += faces == 0
        self.several += faces > 1


def _name_then_learn(recogniser: FaceRecogniser, vectors: list[Vector], person: str) -> None:
    recogniser.score(recogniser.answers(vectors[recogniser.best_known(vectors)]), person)
    # Only now may the label say which face it was.
    own = _own(recogniser, vectors, person)
    if own is not None:
        recogniser.teach(own, person)


def _own(recogniser: FaceRecogniser, vectors: list[Vector], person: str) -> Vector | None:
    """The face to learn: of several the one most like the person, the biggest of a person who is new."""
    likeness = [recogniser.likeness(vector, person) for vector in vectors]
    if len(vectors) == 1 or likeness[0] is None:
        return vectors[0]
    best = max(range(len(vectors)), key=lambda place: (likeness[place] or 0.0, -place))
    return vectors[best] if (likeness[best] or 0.0) >= GATE else None


def _report(recogniser: FaceRecogniser, tally: _Tally, seconds: float, seed: int) -> FacesReport:
    scores = recogniser.scores
    whole, met = scores.accuracy(), scores.accuracy_met()
    misses = {name: right / tally.images for name, right in zip(NAMES, scores.right, strict=True)}
    return FacesReport(
        images=tally.images,
        people=len(tally.people),
        no_face=tally.no_face,
        accuracy=FaceAccuracy(**whole),
        ms_per_image=round(seconds * 1000 / tally.images, 2),
        accuracy_with_misses=FaceAccuracy(**misses),
        accuracy_met=FaceAccuracy(**met),
        several_faces=tally.several,
        seed=seed,
        bad_files=len(tally.bad),
        bad_examples=tally.bad[:_EXAMPLES],
    )

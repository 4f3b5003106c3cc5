"""Embeddings of people who do not exist: a direction a person, and some noise a picture."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np

from schemas.faces import FaceConfirmed

MODEL = "fake@0123456789ab"


def face(person: str, picture: int, spread: float = 0.8) -> bytes:
    """A picture's face; the cosine of two of one person is about 1 / (1 + spread**2), of two people about 0."""
    own = np.random.default_rng([*person.encode()]).normal(size=128)
    noise = np.random.default_rng([*person.encode(), picture]).normal(size=128)
    vector = own + spread * noise
    return (vector / np.linalg.norm(vector)).astype("<f4").tobytes()


def confirmed(
    person: str, picture: int, order: int, *, spread: float = 0.8, embedding: bytes | None = None, model: str = MODEL
) -> FaceConfirmed:
    """A face as the judge passes it on."""
    return FaceConfirmed(
        item_id=f"{person}-{picture}",
        celebrity_id=person,
        image_id=f"{order:064x}",
        embedding=face(person, picture, spread) if embedding is None else embedding,
        face_model=model,
        order=order,
    )


def album(people: int, pictures: int, seed: int = 1, spread: float = 0.8) -> list[FaceConfirmed]:
    """Faces of several people, shuffled, in a log's order."""
    pairs = [(f"Q{person}", picture) for person in range(1, people + 1) for picture in range(pictures)]
    random.Random(seed).shuffle(pairs)
    return list(_numbered(pairs, spread))


def _numbered(pairs: list[tuple[str, int]], spread: float) -> Iterator[FaceConfirmed]:
    for order, (person, picture) in enumerate(pairs, 1):
        yield confirmed(person, picture, order, spread=spread)

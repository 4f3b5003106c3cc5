"""Is this the person's own face? Centroid, gate and agreement, on embeddings of length 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

GATE: Final = 0.25
"""Cosine to a person's own centroid below which a face is another's: passed by 1 to 6 of 100 strangers."""
AGREE: Final = 0.363
"""Cosine of two single faces from which they are one person's; of pairs of strangers under 1 in 1,000 reach it."""
LEAST_FACE: Final = 32
"""Pixels of a box's shorter side. On portraits of 118 and 350 photos smaller faces were recognised at random."""
EMBEDDING: Final = 128


def vector_of(embedding: bytes) -> Vector:
    """128 numbers from little-endian float32."""
    return np.frombuffer(embedding, dtype="<f4").astype(np.float64)


def cosine(one: Vector, other: Vector) -> float:
    """Of the angle between two vectors, to four digits so that machines agree on it; 0 where either has no length."""
    length = float(np.sqrt((one * one).sum() * (other * other).sum()))
    return round(float((one * other).sum()) / length, 4) if length else 0.0


def nearest(centroid: Vector, embeddings: Sequence[bytes]) -> tuple[int, float]:
    """Which of the faces (at least one) is most like the person, and its cosine; the first of equals."""
    similarities = [cosine(centroid, vector_of(embedding)) for embedding in embeddings]
    best = max(range(len(similarities)), key=lambda place: (similarities[place], -place))
    return best, similarities[best]


def agreeing(embeddings: Sequence[bytes], weights: Sequence[int]) -> list[int]:
    """The places of the heaviest group of faces of which each two agree.

    Grown from each face in turn, so exact for groups as clear-cut as one person's; the first of equals.
    """
    vectors = [vector_of(embedding) for embedding in embeddings]
    best: list[int] = []
    for start in range(len(vectors)):
        group = [start]
        for place in range(len(vectors)):
            if place != start and all(cosine(vectors[place], vectors[other]) >= AGREE for other in group):
                group.append(place)
        if sum(weights[place] for place in group) > sum(weights[place] for place in best):
            best = sorted(group)
    return best

"""A person's own face: the nearest of several, and who agrees with whom."""

from __future__ import annotations

import numpy as np
import pytest

from models.own_face import AGREE, GATE, agreeing, cosine, nearest, vector_of
from tests.models.faces import face


def test_the_cosine_is_of_the_angle_whatever_the_lengths() -> None:
    one, other = vector_of(face("Q1", 1)), vector_of(face("Q1", 2))
    assert cosine(one, other) == cosine(7 * one, 0.1 * other)
    assert cosine(one, one) == 1.0
    assert cosine(one, np.zeros(128)) == 0.0


def test_people_who_do_not_exist_are_apart_as_real_ones_are() -> None:
    assert cosine(vector_of(face("Q1", 1)), vector_of(face("Q1", 2))) > AGREE
    assert cosine(vector_of(face("Q1", 1)), vector_of(face("Q2", 1))) < GATE


def test_of_several_faces_the_one_most_like_the_person_is_found() -> None:
    centroid = sum((vector_of(face("Q1", picture)) for picture in range(5)), np.zeros(128))
    place, similarity = nearest(centroid, [face("Q2", 1), face("Q1", 9), face("Q3", 1)])
    assert place == 1
    assert similarity > AGREE
    assert nearest(centroid, [face("Q1", 9), face("Q1", 9)])[0] == 0


@pytest.mark.parametrize(
    ("people", "weights", "group"),
    [
        ("111", [1, 1, 1], [0, 1, 2]),
        ("12131", [1, 1, 1, 1, 1], [0, 2, 4]),
        ("1122", [1, 1, 1, 1], [0, 1]),
        ("1122", [1, 1, 1, 3], [2, 3]),
        ("123", [1, 1, 1], [0]),
        ("", [], []),
    ],
)
def test_the_heaviest_group_in_which_all_agree_is_found(people: str, weights: list[int], group: list[int]) -> None:
    faces = [face(f"Q{person}", picture) for picture, person in enumerate(people)]
    assert agreeing(faces, weights) == group

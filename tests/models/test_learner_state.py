"""A learner that was put away and taken up again is the same, bit for bit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from models.rating_learner import RatingLearner
from models.review_learner import ReviewLearner
from models.snapshot import SnapshotIncompatible
from tests.models.ratings import audience
from tests.models.reviews import reviews

ROOT = Path(__file__).parents[2]
PRINT_FINGERPRINTS = """
from models.rating_learner import RatingLearner
from models.review_learner import ReviewLearner
from tests.models.ratings import audience
from tests.models.reviews import reviews
one, other = RatingLearner(), ReviewLearner()
for record in audience(600): one.observe(record)
for record in reviews(150): other.observe(record)
print(one.fingerprint(), other.fingerprint())
"""


@pytest.mark.parametrize(("trees", "count"), [(0, 3000), (2, 700)])
def test_a_rating_learner_goes_on_as_if_nothing_had_happened(trees: int, count: int) -> None:
    records = audience(count)
    straight, broken = RatingLearner(trees=trees), RatingLearner(trees=trees)
    for place, record in enumerate(records):
        if place % (count // 7) == 100:
            broken = RatingLearner.from_bytes(broken.to_bytes())
        assert straight.observe(record) == broken.observe(record)
    assert straight.labels > 100
    assert straight.to_bytes() == broken.to_bytes()
    assert straight.metrics() == broken.metrics()
    assert straight.curve() == broken.curve()


@pytest.mark.parametrize("fast", [False, True])
def test_a_review_learner_goes_on_as_if_nothing_had_happened(fast: bool) -> None:
    straight, broken = ReviewLearner(fast=fast), ReviewLearner(fast=fast)
    for place, record in enumerate(reviews(400)):
        if place % 90 == 50:
            broken = ReviewLearner.from_bytes(broken.to_bytes())
        assert straight.observe(record) == broken.observe(record)
    assert straight.to_bytes() == broken.to_bytes()
    assert straight.metrics() == broken.metrics()


def test_the_state_is_the_same_in_every_process() -> None:
    found = {
        subprocess.run(
            [sys.executable, "-c", PRINT_FINGERPRINTS],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1
    assert len(found.pop().split()) == 2


def test_other_lessons_give_another_fingerprint() -> None:
    one, other = RatingLearner(), RatingLearner()
    records = audience(50)
    for record in records:
        one.observe(record)
    for record in records[:-1]:
        other.observe(record)
    assert one.fingerprint() != other.fingerprint()


def test_a_state_of_another_layout_is_refused_with_advice() -> None:
    with pytest.raises(SnapshotIncompatible, match="delete the snapshot"):
        RatingLearner.from_bytes(ReviewLearner().to_bytes())


def test_the_state_does_not_grow_with_the_ratings() -> None:
    records = audience(6000, films=20)
    learner = RatingLearner()
    for record in records[:2000]:
        learner.observe(record)
    early = len(learner.to_bytes())
    for record in records[2000:]:
        learner.observe(record)
    assert len(learner.to_bytes()) < early * 1.2 + 256 * 60

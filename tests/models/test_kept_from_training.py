"""What its source keeps from training is predicted for, and otherwise leaves a model as it was."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import msgspec
import pytest

from models.face_learner import FaceLearner, FaceState
from models.rating_learner import RatingLearner, RatingState
from models.review_learner import ReviewLearner, ReviewState
from schemas.events import Facts, RatingCleaned
from schemas.terms import SourceTerms
from tests.models.faces import album
from tests.models.ratings import audience, rating
from tests.models.reviews import reviews

FORBIDDEN = SourceTerms(train=False)
T = TypeVar("T")


def learnt(learner: RatingLearner | ReviewLearner) -> bytes:
    """The whole state but for how far each partition was read, and how many records were."""
    kind = RatingState if isinstance(learner, RatingLearner) else ReviewState
    state: Any = msgspec.msgpack.decode(learner.to_bytes(), type=kind)
    return msgspec.msgpack.encode(msgspec.structs.replace(state, marks={}, lessons=0))


def sprinkled(records: Sequence[RatingCleaned], seed: int = 7) -> Iterator[RatingCleaned]:
    """The records at later offsets, among as many that may not be learnt: of the same films and raters, and others."""
    chance, offset = random.Random(seed), 0
    for record in records:
        yield msgspec.structs.replace(record, offset=offset)
        offset += 1
        changes: dict[str, Any] = {
            "score": chance.choice([0.0, 10.0]),
            "ordinal": 0,
            "kind": chance.choice(["single", "mean", "approval"]),
            "replaces": chance.choice([None, 3.0]),
            "film_id": record.film_id if chance.random() < 0.8 else f"tt9{chance.randrange(5):06d}",
            "facts": chance.choice([None, Facts(title="Another", genres=("Western",))]),
            "author": record.author,
            "partition": record.partition,
            "terms": FORBIDDEN,
        }
        for _ in range(chance.randrange(3)):
            made = rating(record.film_id, 0.0, offset, cause_id=f"forbidden-{offset}")
            yield msgspec.structs.replace(made, **changes)
            offset += 1


@pytest.mark.parametrize("trees", [0, 2])
def test_forbidden_ratings_leave_the_model_bit_for_bit_as_it_was(trees: int) -> None:
    records = audience(1500 if not trees else 300)
    mixed = list(sprinkled(records))
    assert sum(record.terms is not None for record in mixed) > len(records) // 2
    straight, learner = RatingLearner(trees), RatingLearner(trees)
    wanted = {record.cause_id: straight.observe(record) for record in records}
    said = {record.cause_id: learner.observe(record) for record in mixed}
    assert learnt(learner) == learnt(straight)
    assert learner.metrics() == straight.metrics()
    assert {cause: said[cause] for cause in wanted} == wanted
    assert all(prediction is not None for prediction in said.values())
    assert learner.lessons == len(mixed)


def test_a_forbidden_rating_is_predicted_for_from_what_else_is_known_of_its_film() -> None:
    learner = RatingLearner()
    for n in range(1, 6):
        before = learner.observe(rating("tt1", 8.0, n, ordinal=n))
    said = learner.observe(rating("tt1", 1.0, 6, ordinal=0, terms=FORBIDDEN))
    assert before is not None
    assert said is not None
    assert (said.n_ratings, said.current_mean, said.predicted) == (5, 8.0, before.predicted)
    stranger = learner.observe(rating("tt2", 1.0, 7, ordinal=0, terms=FORBIDDEN))
    assert stranger is not None
    assert (stranger.n_ratings, stranger.current_mean) == (0, None)


def test_facts_that_come_with_a_forbidden_rating_serve_its_prediction_alone() -> None:
    learner = RatingLearner()
    for n in range(300):
        genre, score = ("Western", 1.0) if n % 2 else ("Drama", 9.0)
        learner.observe(rating(f"tt{n}", score, n, facts=Facts(genres=(genre,))))
    west = learner.observe(rating("new", 5.0, 900, ordinal=0, facts=Facts(genres=("Western",)), terms=FORBIDDEN))
    plain = learner.observe(rating("new", 5.0, 901, ordinal=0, terms=FORBIDDEN))
    assert west is not None
    assert plain is not None
    assert west.predicted < plain.predicted - 0.1


def test_a_repeated_forbidden_rating_is_not_predicted_for_again() -> None:
    learner = RatingLearner()
    once = rating("tt1", 8.0, 0, ordinal=0, terms=FORBIDDEN)
    assert learner.observe(once) is not None
    restored = RatingLearner.from_bytes(learner.to_bytes())
    assert learner.observe(once) is None
    assert restored.observe(once) is None


def test_terms_that_allow_training_change_nothing() -> None:
    plain, limited = RatingLearner(), RatingLearner()
    terms = SourceTerms(expires_at="2026-11-23T12:00:00.000Z", attribution="Shown with it.")
    for record in audience(300):
        assert plain.observe(record) == limited.observe(msgspec.structs.replace(record, terms=terms))
    assert plain.to_bytes() == limited.to_bytes()


def test_a_rating_that_may_be_learnt_at_last_is_counted_and_changes_like_any_other() -> None:
    learner, straight = RatingLearner(), RatingLearner()
    for offset, record in enumerate(
        [
            rating("tt1", 8.0, 0, ordinal=1),
            rating("tt1", 4.0, 1, ordinal=0, terms=FORBIDDEN),
            rating("tt1", 5.0, 2, ordinal=2, replaces=4.0, joins=True),
            rating("tt1", 6.0, 3, ordinal=2, replaces=5.0),
        ]
    ):
        last = learner.observe(record)
        if offset != 1:
            straight.observe(msgspec.structs.replace(record, replaces=None) if record.joins else record)
    assert last is not None
    assert (last.n_ratings, last.current_mean) == (2, 7.0)
    assert learnt(learner) == learnt(straight)


@pytest.mark.parametrize("fast", [False, True])
def test_forbidden_reviews_leave_the_model_bit_for_bit_as_it_was(fast: bool) -> None:
    records = reviews(200)
    straight, learner = ReviewLearner(fast), ReviewLearner(fast)
    wanted = [straight.observe(record) for record in records]
    said = []
    for place, record in enumerate(records):
        said.append(learner.observe(msgspec.structs.replace(record, offset=2 * place)))
        other = msgspec.structs.replace(records[-place], offset=2 * place + 1, positive=True, terms=FORBIDDEN)
        assert learner.observe(msgspec.structs.replace(other, partition=record.partition)) is not None
    assert said == wanted
    assert learnt(learner) == learnt(straight)
    assert learner.labels == straight.labels


def test_forbidden_faces_are_named_and_teach_nothing() -> None:
    records = album(5, 12)
    straight, learner = FaceLearner(), FaceLearner()
    named = []
    for place, record in enumerate(records):
        assert straight.observe(record) == learner.observe(record)
        if place % 2:
            told = msgspec.structs.replace(record, item_id=f"x{place}", celebrity_id="Q99", train=False, order=1000)
            named.append(learner.observe(told))
            assert learner.observe(told) is None
    assert {said.recognised for said in named if said} - {"Q99", None}
    assert "Q99" not in {said.recognised for said in named if said}
    assert (learner.metrics(), learner.counts()["faces"]) == (straight.metrics(), straight.counts()["faces"])
    states = [msgspec.msgpack.decode(each.to_bytes(), type=FaceState) for each in (learner, straight)]
    assert states[0].recogniser == states[1].recogniser
    assert states[0].faces == states[1].faces


def test_a_face_that_may_not_be_learnt_any_more_is_taken_back() -> None:
    records = album(3, 4)
    learner, straight = FaceLearner(), FaceLearner()
    for record in records:
        learner.observe(record)
        if record.item_id != records[5].item_id:
            straight.observe(record)
    assert learner.observe(msgspec.structs.replace(records[5], train=False, order=500)) is not None
    assert learner.counts()["faces"] == straight.counts()["faces"]
    assert learner.metrics() == straight.metrics()
    other_model = msgspec.structs.replace(records[0], item_id="y", face_model="other@1", train=False, order=501)
    said = learner.observe(other_model)
    assert said is not None
    assert (said.recognised, learner.face_model) == (None, records[0].face_model)

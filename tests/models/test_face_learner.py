"""The face learner: names first, learns after, and knows nothing of what was taken back."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.face_learner import FaceLearner
from models.face_scores import UNKNOWN, WINDOW, FaceScores
from models.own_face import vector_of
from models.review_learner import ReviewLearner
from models.snapshot import SnapshotIncompatible
from schemas.faces import FaceConfirmed, FacesForgotten, FaceWithdrawn
from tests.models.faces import album, confirmed, face

ROOT = Path(__file__).parents[2]
PRINT_FINGERPRINT = """
from models.face_learner import FaceLearner
from tests.models.faces import album
learner = FaceLearner()
for record in album(6, 30): learner.observe(record)
print(learner.fingerprint())
"""
Records = list[FaceConfirmed | FaceWithdrawn | FacesForgotten]


def taught(records: Records, **options: int) -> FaceLearner:
    learner = FaceLearner(**options)
    for record in records:
        learner.observe(record)
    return learner


def knowledge(learner: FaceLearner) -> tuple[object, ...]:
    """What a learner knows, without what it remembers of the log."""
    return learner.metrics(), learner.confusion(), learner.curve(), learner._taught().state()


def test_a_face_is_named_before_it_is_learnt() -> None:
    learner = FaceLearner()
    first = learner.observe(confirmed("Q1", 1, order=1))
    assert (first.recognised, first.confidence) == (None, 0.0)
    again = learner.observe(confirmed("Q1", 2, order=2))
    assert again.recognised == "Q1"
    assert again.confidence > 0.363
    assert learner.observe(confirmed("Q2", 1, order=3)).recognised is None
    assert learner.identify(face("Q2", 9), "fake@0123456789ab").celebrity_id == "Q2"


def test_everybody_is_told_apart_after_a_few_pictures() -> None:
    learner = taught(album(8, 25, spread=1.2))
    scores = learner.metrics()
    assert scores["accuracy"] > 0.95
    assert scores["accuracy_majority"] < 0.3
    assert learner.skill() < 0.1
    assert learner.counts() == {"lessons": 200, "labels": 200, "faces": 200, "people": 8}
    assert learner.labels == 200


def test_of_a_person_who_was_never_seen_unknown_is_the_right_name() -> None:
    scores = taught(album(6, 1)).metrics()
    assert scores["accuracy"] == 1.0
    assert scores["accuracy_met"] is None


def test_the_candidates_come_nearest_first_and_five_at_most() -> None:
    found = taught(album(9, 3)).identify(face("Q4", 77), "fake@0123456789ab")
    assert found.celebrity_id == found.candidates[0].celebrity_id == "Q4"
    confidences = [candidate.confidence for candidate in found.candidates]
    assert len(confidences) == 5
    assert confidences == sorted(confidences, reverse=True)
    assert found.confidence == confidences[0]


def test_a_stranger_is_nobodys_but_like_somebody() -> None:
    found = taught(album(9, 10)).identify(face("a stranger", 1), "fake@0123456789ab")
    assert found.celebrity_id is None
    assert found.candidates[0].confidence == found.confidence < 0.3


@pytest.mark.parametrize(("champion", "name"), [("centroid", "Q2"), ("logistic", "Q3")])
def test_whoever_the_champion_names_leads_the_list_with_its_own_confidence(
    champion: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = taught(album(6, 8, spread=1.0))
    recogniser = learner._taught()
    vector = vector_of(face("Q2", 77))
    places = recogniser.centroid.labels
    # A logistic regression that has somebody else in mind than the centroid nearest to the face.
    recogniser.logistic._scalars[places.index("Q3")] += 50.0
    recogniser.centroid._matrix[places.index("Q3")] += 3.0 * vector
    recogniser.centroid._scalars[:] = np.sqrt((recogniser.centroid._matrix**2).sum(axis=1))
    monkeypatch.setattr(FaceScores, "champion", lambda _: champion)
    found = recogniser.identify(vector)
    confidences = [candidate.confidence for candidate in found.candidates]
    assert (found.celebrity_id, found.candidates[0].celebrity_id) == (name, name)
    assert found.confidence == confidences[0]
    assert confidences == sorted(confidences, reverse=True)


def test_an_empty_model_knows_nobody() -> None:
    assert FaceLearner().identify(face("Q1", 1), "").candidates == ()


def test_a_repeated_record_changes_nothing() -> None:
    records = album(4, 10)
    straight, repeated = taught(records), FaceLearner()
    for place in range(len(records)):
        for record in records[max(0, place - 5) : place + 1]:
            said = repeated.observe(record)
            assert (said is None) is (record is not records[place])
    assert repeated.to_bytes() == straight.to_bytes()


def test_the_same_face_makes_the_same_event_after_a_restart() -> None:
    records = album(4, 10)
    learner = taught(records[:20])
    again = FaceLearner.from_bytes(learner.to_bytes())
    assert [learner.observe(r) for r in records[20:]] == [again.observe(r) for r in records[20:]]
    ids = {learner.observe(confirmed("Q7", n, 100 + n)).event_id for n in range(5)}
    assert len(ids) == 5


def test_a_learner_goes_on_as_if_nothing_had_happened() -> None:
    records: Records = [*album(5, 60)]
    for place in (40, 90, 170):
        gone = records[place - 20]
        records.insert(place, FaceWithdrawn(item_id=gone.item_id, celebrity_id=gone.celebrity_id, order=1000 + place))
    records.insert(200, FacesForgotten(celebrity_id="Q3", order=5000))
    straight, broken = FaceLearner(), FaceLearner()
    for place, record in enumerate(records):
        if place % 37 == 11:
            broken = FaceLearner.from_bytes(broken.to_bytes())
        assert straight.observe(record) == broken.observe(record)
    assert straight.to_bytes() == broken.to_bytes()


def test_a_face_that_is_taken_back_might_never_have_been() -> None:
    records: Records = [*album(4, 10)]
    gone = records[13]
    withdrawal = FaceWithdrawn(item_id=gone.item_id, celebrity_id=gone.celebrity_id, order=900)
    learner = taught([*records, withdrawal])
    assert learner.observe(withdrawal) is None
    assert knowledge(learner) == knowledge(taught([*records[:13], *records[14:]]))
    # Its own confirmation, heard again after a crash, does not bring it back; a later one does.
    assert learner.observe(gone) is None
    assert learner.counts()["faces"] == 39
    assert learner.observe(confirmed(gone.celebrity_id, int(gone.item_id.split("-")[1]), 901)) is not None


def test_a_withdrawal_that_comes_first_is_not_undone_by_what_it_withdraws() -> None:
    learner = FaceLearner()
    learner.observe(FaceWithdrawn(item_id="Q1-1", celebrity_id="Q1", order=5))
    assert learner.observe(confirmed("Q1", 1, order=4)) is None
    assert learner.counts()["faces"] == 0


def test_a_face_that_is_confirmed_again_is_learnt_once() -> None:
    learner = taught(album(3, 5))
    before = knowledge(learner)
    assert learner.observe(confirmed("Q1", 0, order=50)) is None
    assert knowledge(learner) == before
    assert learner.observe(confirmed("Q1", 0, order=51, embedding=face("Q1", 70))) is not None
    assert learner.counts()["faces"] == 15


def test_a_person_who_is_forgotten_might_never_have_been_met() -> None:
    records: Records = [*album(5, 12)]
    withdrawn = next(r for r in records if r.celebrity_id == "Q2")
    others = [record for record in records if record.celebrity_id != "Q2"]
    learner = taught(
        [
            *records,
            FaceWithdrawn(item_id=withdrawn.item_id, celebrity_id="Q2", order=500),
            FacesForgotten(celebrity_id="Q2", order=501),
        ]
    )
    assert knowledge(learner) == knowledge(taught(others))
    state = learner.to_bytes()
    assert all(r.embedding not in state for r in records if r.celebrity_id == "Q2")
    assert all(r.item_id.encode() not in state for r in records if r.celebrity_id == "Q2")
    # What is heard of the person's past is dropped; who is pushed again later is met anew.
    assert learner.observe(confirmed("Q2", 50, order=480)) is None
    assert learner.observe(FacesForgotten(celebrity_id="Q2", order=501)) is None
    assert learner.to_bytes() == state
    assert learner.observe(confirmed("Q2", 51, order=502)).recognised is None


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.sampled_from("cccwf")), max_size=40))
def test_what_is_known_depends_on_the_faces_in_force_alone(steps: list[tuple[int, int, str]]) -> None:
    learner, in_force = FaceLearner(), {}
    for order, (person, picture, step) in enumerate(steps, 1):
        name, item = f"Q{person}", f"Q{person}-{picture}"
        if step == "c":
            record = confirmed(name, picture, order)
            learner.observe(record)
            in_force.setdefault(item, record)
        elif step == "w":
            learner.observe(FaceWithdrawn(item_id=item, celebrity_id=name, order=order))
            in_force.pop(item, None)
        else:
            learner.observe(FacesForgotten(celebrity_id=name, order=order))
            in_force = {key: kept for key, kept in in_force.items() if kept.celebrity_id != name}
    assert knowledge(learner) == knowledge(taught(list(in_force.values())))


def test_embeddings_of_another_face_model_start_anew() -> None:
    learner = taught(album(3, 5))
    assert learner.observe(confirmed("Q1", 40, order=99, model="other@ba9876543210")).recognised is None
    assert learner.counts()["faces"] == 1
    assert learner.identify(face("Q1", 41), "other@ba9876543210").celebrity_id == "Q1"
    assert learner.identify(face("Q1", 41), "fake@0123456789ab").celebrity_id is None


def test_memory_is_bounded_by_letting_the_oldest_go() -> None:
    records = album(4, 30)
    learner = taught(records, most_faces=50)
    assert 45 <= learner.counts()["faces"] <= 50
    kept = records[-learner.counts()["faces"] :]
    assert knowledge(learner) == knowledge(taught(kept))


def test_the_champion_is_whoever_was_right_more_often_of_late() -> None:
    scores = FaceScores()
    for _ in range(50):
        scores.add(("Q1", "Q1", None, "Q1"), "Q1", met=True)
    assert scores.champion() == "centroid"
    for _ in range(51):
        scores.add(("Q1", None, "Q1", "Q1"), "Q1", met=True)
    assert scores.champion() == "logistic"
    for _ in range(WINDOW):
        scores.add(("Q1", "Q1", "Q1", None), "Q1", met=True)
    assert scores.champion() == "centroid"
    assert len(scores.window) == WINDOW
    assert scores.means()["window_logistic"] == 1.0
    assert scores.means()["accuracy_logistic"] == pytest.approx(251 / 301)


def test_who_was_taken_for_whom_is_counted() -> None:
    scores = FaceScores()
    for said, truth in (("Q1", "Q1"), ("Q2", "Q1"), (None, "Q1"), ("Q2", "Q2")):
        scores.add((said, said, said, said), truth, met=True)
    confusion = scores.confusion()
    assert confusion.people == ("Q1", "Q2")
    assert confusion.counts == ((1, 1, 1), (0, 1, 0))
    assert scores.taken_for["Q1"][UNKNOWN] == 1


def test_the_state_is_the_same_in_every_process() -> None:
    found = {
        subprocess.run(
            [sys.executable, "-c", PRINT_FINGERPRINT],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed, "OPENBLAS_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed, threads in (("1", "1"), ("2", "2"))
    }
    assert len(found) == 1
    assert len(found.pop().strip()) == 64


def test_a_state_of_another_layout_is_refused_with_advice() -> None:
    with pytest.raises(SnapshotIncompatible, match="delete the snapshot"):
        FaceLearner.from_bytes(ReviewLearner().to_bytes())


def test_another_order_of_the_same_faces_is_another_model() -> None:
    records = album(4, 10)
    shuffled = list(records)
    random.Random(3).shuffle(shuffled)
    renumbered = [confirmed(r.celebrity_id, int(r.item_id.split("-")[1]), n) for n, r in enumerate(shuffled, 1)]
    assert taught(records).fingerprint() != taught(renumbered).fingerprint()

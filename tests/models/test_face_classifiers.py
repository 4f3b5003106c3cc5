"""The face classifiers keep River's conventions, and do what River's own would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from river import base, linear_model, multiclass, optim
from river.checks import yield_checks

from models.face_classifiers import (
    LEAST_COSINE,
    MOST_COSINE,
    CosineCentroidClassifier,
    OneVsRestLogisticClassifier,
    unknown_below,
)
from models.own_face import vector_of
from tests.models.faces import album, face

KINDS = (CosineCentroidClassifier, OneVsRestLogisticClassifier)
ESTIMATORS = (*(kind() for kind in KINDS), OneVsRestLogisticClassifier(lr=0.01, scale=1.0))
each_kind = pytest.mark.parametrize("kind", KINDS)


def _checks() -> Iterator[Any]:
    for place, estimator in enumerate(ESTIMATORS):
        for check in yield_checks(estimator):
            if check.__name__ not in estimator._unit_test_skips():
                yield pytest.param(estimator, check, id=f"{place}-{type(estimator).__name__}-{check.__name__}")


@pytest.mark.parametrize(("estimator", "check"), list(_checks()))
def test_a_face_classifier_passes_rivers_own_check(estimator: base.Base, check: Callable[[Any], None]) -> None:
    check(estimator.clone())


def _taught(kind: type[Any], count: int = 200) -> Any:
    model = kind()
    for record in album(5, count // 5):
        model.learn_one(vector_of(record.embedding), record.celebrity_id)
    return model


def test_one_vs_rest_in_one_matrix_is_rivers_one_vs_rest() -> None:
    own = OneVsRestLogisticClassifier()
    rivers = multiclass.OneVsRestClassifier(linear_model.LogisticRegression(optim.SGD(0.1)))
    for record in album(6, 20):
        vector = vector_of(record.embedding)
        scaled = {place: 10.0 * value for place, value in enumerate(vector.tolist())}
        said, told = own.predict_proba_one(vector), rivers.predict_proba_one(scaled) if rivers.classifiers else {}
        assert said == pytest.approx(told, abs=1e-12)
        own.learn_one(vector, record.celebrity_id)
        rivers.learn_one(scaled, record.celebrity_id)
    assert len(own.labels) == 6


def test_the_centroid_is_the_cosine_to_the_mean_of_a_persons_faces() -> None:
    model = _taught(CosineCentroidClassifier)
    probe = vector_of(face("Q3", 99))
    mean = np.mean([vector_of(r.embedding) for r in album(5, 40) if r.celebrity_id == "Q3"], axis=0)
    expected = probe @ mean / np.linalg.norm(mean) / np.linalg.norm(probe)
    assert model.scores(probe)[model.labels.index("Q3")] == pytest.approx(expected, abs=1e-12)
    assert model.predict_one(probe) == "Q3"


@each_kind
def test_named_features_and_a_vector_teach_the_same(kind: type[Any]) -> None:
    by_vector, by_name = kind(), kind()
    for record in album(4, 10):
        vector = vector_of(record.embedding)
        named = dict(enumerate(vector.tolist()))
        assert by_vector.predict_proba_one(vector) == by_name.predict_proba_one(named)
        by_vector.learn_one(vector, record.celebrity_id)
        by_name.learn_one(named, record.celebrity_id)
    assert len(by_name.labels) == 4


@each_kind
def test_what_was_learnt_survives_as_plain_rows(kind: type[Any]) -> None:
    model = _taught(kind)
    again = kind.of(model.rows())
    for picture in range(50):
        for each in (model, again):
            each.learn_one(vector_of(face("Q9", picture)), "Q9")
    assert again.rows() == model.rows()
    probe = vector_of(face("Q2", 99))
    assert again.predict_proba_one(probe) == model.predict_proba_one(probe)
    assert kind.of(kind().rows()).predict_proba_one(probe) == {}


def test_the_bound_of_the_unknown_rises_with_the_people_among_whom_a_stranger_is_compared() -> None:
    bounds = [unknown_below(people) for people in (1, 2, 5, 24, 100, 1000, 100_000)]
    assert bounds == sorted(bounds)
    assert (bounds[0], bounds[-1]) == (LEAST_COSINE, MOST_COSINE)
    assert 0.25 < unknown_below(5) < 0.30 < unknown_below(24) < 0.363 < unknown_below(1000)


@pytest.mark.parametrize("people", [2, 10, 50])
def test_about_a_tenth_of_strangers_is_taken_for_somebody(people: int) -> None:
    chance = np.random.default_rng(5)
    nearest = chance.normal(0.12, 0.07, size=(20_000, people)).max(axis=1)
    taken = float((nearest >= unknown_below(people)).mean())
    assert taken < 0.11

"""Shrunk means and the mixture that weighs them."""

from __future__ import annotations

import math

import pytest

from models.experts import SHRUNK, STRENGTHS, Evidence, ExpertMixture, shrunk_means, stage
from models.future_rating import FutureRatingRegressor

EVIDENCE = Evidence(n=4, total=30.0, adjusted=28.0, global_mean=6.0, prior=6.6, recent=7.0)


def test_shrunk_means_follow_their_formula_in_the_order_of_their_names() -> None:
    expected = [(30.0 + k * 6.0) / (4 + k) for k in STRENGTHS]
    expected += [(30.0 + k * 6.6) / (4 + k) for k in STRENGTHS]
    expected += [(28.0 + k * 6.6) / (4 + k) for k in STRENGTHS]
    assert shrunk_means(EVIDENCE) == pytest.approx(expected)
    assert SHRUNK[0] == "global_1"
    assert SHRUNK[-1] == "adjusted_20"


def test_a_film_without_ratings_is_worth_its_priors() -> None:
    unrated = Evidence(0, 0.0, 0.0, 6.0, 6.6, 6.6)
    assert shrunk_means(unrated) == pytest.approx([6.0] * 5 + [6.6] * 10)


@pytest.mark.parametrize(("n", "expected"), [(0, 0), (5, 0), (6, 1), (30, 1), (31, 2)])
def test_a_film_warms_up_in_three_stages(n: int, expected: int) -> None:
    assert stage(n) == expected


def test_weights_are_exponential_in_the_squared_errors() -> None:
    mixture = ExpertMixture(rate=0.01, further_experts=1)
    before = mixture.weights[2]
    errors = [0.0, 2.0] + [1.0] * 14
    mixture.learn(40, errors, blended_error=1.0)
    after = mixture.weights[2]
    for place, error in enumerate(errors):
        assert after[place] / after[0] == pytest.approx(before[place] / before[0] * math.exp(-0.01 * error * error))


def test_only_the_stage_of_the_label_learns() -> None:
    mixture = ExpertMixture(rate=0.01, further_experts=1)
    cold = list(mixture.weights[0])
    mixture.learn(40, [3.0] + [0.0] * 15, blended_error=1.0)
    assert mixture.weights[0] == cold


def test_an_expert_who_was_wrong_for_long_can_come_back() -> None:
    mixture = ExpertMixture(rate=0.01, further_experts=1)
    for _ in range(5000):
        mixture.learn(40, [5.0] + [0.0] * 15, blended_error=1.0)
    assert mixture.logs[2][0] == -12.0
    for _ in range(200):
        mixture.learn(40, [0.0] + [5.0] * 15, blended_error=1.0)
    assert mixture.blend(40, [9.0] + [1.0] * 15) > 8.9


def test_predictions_stay_on_the_scale() -> None:
    model = FutureRatingRegressor()
    high = {"n": 50, "total": 500.0, "adjusted": 900.0, "global_mean": 9.9, "prior": 12.0}
    low = {"n": 50, "total": 0.0, "adjusted": -400.0, "global_mean": 0.1, "prior": -2.0}
    assert model.predict_one(high) == 10.0
    assert model.predict_one(low) == 0.0


def test_the_regressor_learns_whom_to_trust_from_labels() -> None:
    model = FutureRatingRegressor()
    x = {"n": 10, "total": 90.0, "adjusted": 40.0, "global_mean": 5.0, "prior": 5.0, "recent": 9.0}
    for _ in range(300):
        model.learn_one(x, 4.3)
    assert model.predict_one(x) == pytest.approx(4.3, abs=0.15)


def test_a_forest_is_one_more_expert() -> None:
    plain, grown = FutureRatingRegressor(), FutureRatingRegressor(trees=2)
    assert grown.experts == (*plain.experts, "forest")
    grown.learn_one({"n": 3, "total": 20.0}, 7.0)
    assert len(grown.mixture.weights[0]) == len(grown.experts)

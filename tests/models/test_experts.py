"""Shrunk means and the mixture that weighs them."""

from __future__ import annotations

import copy
import math
import random
from operator import mul

import pytest

from models.experts import SHRUNK, STRENGTHS, Evidence, ExpertMixture, shrunk_means, stage
from models.future_rating import FutureRatingRegressor

EVIDENCE = Evidence(n=4, total=30.0, adjusted=28.0, global_mean=6.0, prior=6.6, recent=7.0)


def test_shrunk_means_follow_their_formula_in_the_order_of_their_names() -> None:
    expected = [(30.0 + k * 6.0) / (4 + k) for k in STRENGTHS]
    expected += [(30.0 + k * 6.6) / (4 + k) for k in STRENGTHS]
    expected += [(28.0 + k * 6.6) / (4 + k) for k in STRENGTHS]
    assert shrunk_means(EVIDENCE) == pytest.approx([*expected, 7.5, 6.0])
    assert (SHRUNK[0], SHRUNK[14]) == ("global_1", "adjusted_20")
    assert SHRUNK[15:] == ("running_mean", "global_mean")


def test_a_film_without_ratings_is_worth_its_priors() -> None:
    unrated = Evidence(0, 0.0, 0.0, 6.0, 6.6, 6.6)
    assert shrunk_means(unrated) == pytest.approx([6.0] * 5 + [6.6] * 10 + [6.0] * 2)


@pytest.mark.parametrize(("n", "expected"), [(0, 0), (5, 0), (6, 1), (30, 1), (31, 2)])
def test_a_film_warms_up_in_three_stages(n: int, expected: int) -> None:
    assert stage(n) == expected


def _mixture_that_saw(lessons: int, errors: list[float], n: int = 40) -> ExpertMixture:
    mixture = ExpertMixture(further_experts=1)
    for _ in range(lessons):
        mixture.learn(n, errors, mixture.blend(n, errors))
    return mixture


def test_weights_are_polynomial_in_the_standardised_regrets() -> None:
    mixture = ExpertMixture(further_experts=1)
    average, errors = mixture.weights[2], [0.0, 2.0] + [1.0] * 16
    mixture.learn(40, errors, blended_error=1.0)
    # The fixed average is one expert more. A gain is (1 - e) * (1 - (1 - e) / 8), and the doubt 0.3 squared errors.
    errors.append(sum(map(mul, average, errors)))
    gains = [(1.0 - error) * (0.875 + error / 8) for error in errors]
    leads = [1.5 + gain / math.sqrt(gain * gain + 0.09) for gain in gains]
    starts = [0.15, 0.4, 0.4, 0.15, 0.05] * 3 + [0.3, 0.3, 0.4, 16.0]
    raw = [start * lead * lead for start, lead in zip(starts, leads, strict=True)]
    expected = [(own + raw[-1] * share) / sum(raw) for own, share in zip(raw[:-1], average, strict=True)]
    assert mixture.weights[2] == pytest.approx(expected)
    assert sum(mixture.weights[2]) == pytest.approx(1.0)


@pytest.mark.parametrize("size", [0.01, 20.0])
def test_weights_do_not_depend_on_the_size_of_errors(size: float) -> None:
    chance = random.Random(3)
    mixture, other = ExpertMixture(further_experts=1), ExpertMixture(further_experts=1)
    for _ in range(300):
        errors = [chance.gauss(0.1 * place, 1.0) for place in range(18)]
        scaled = [error * size for error in errors]
        mixture.learn(40, errors, mixture.blend(40, errors))
        other.learn(40, scaled, other.blend(40, scaled))
    assert other.weights[2] == pytest.approx(mixture.weights[2], abs=1e-4)


def test_where_chance_decides_who_is_ahead_the_fixed_average_is_kept() -> None:
    chance = random.Random(5)
    mixture = ExpertMixture(further_experts=1)
    average = mixture.weights[2]
    own, fixed = 0.0, 0.0
    for _ in range(1000):
        shared = chance.gauss(0.0, 1.0)
        errors = [shared + chance.gauss(0.0, 0.5) for _ in range(18)]
        blended = mixture.blend(40, errors)
        own, fixed = own + abs(blended), fixed + abs(sum(map(mul, average, errors)))
        mixture.learn(40, errors, blended)
    assert own <= 1.005 * fixed


def test_a_young_stage_borrows_what_the_others_have_seen() -> None:
    errors = [1.0] * 7 + [0.0] + [1.0] * 10
    others = _mixture_that_saw(200, errors)
    before = others.blend(3, errors)
    nothing_new = [0.5] * 18
    others.learn(3, nothing_new, 0.5)
    borrowed = others.blend(3, errors)
    assert borrowed < before - 0.3
    contrary = [0.0] * 7 + [1.0] + [0.0] * 10
    for _ in range(200):
        others.learn(3, contrary, others.blend(3, contrary))
    assert others.blend(3, contrary) < 0.1


def test_only_the_stage_of_the_label_learns() -> None:
    mixture = ExpertMixture(further_experts=1)
    cold = list(mixture.weights[0])
    mixture.learn(40, [3.0] + [0.0] * 17, blended_error=1.0)
    assert mixture.weights[0] == cold
    assert mixture.weights[2] != cold


@pytest.mark.parametrize("size", [0.2, 1.0, 8.0])
def test_the_best_expert_is_found_soon_however_large_the_errors_are(size: float) -> None:
    mixture = _mixture_that_saw(200, [size] * 7 + [0.0] + [size] * 10)
    assert mixture.blend(40, [0.0] * 7 + [1.0] + [0.0] * 10) > 0.9


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_average_loses_little_to_the_best_expert_whatever_comes(seed: int) -> None:
    chance = random.Random(seed)
    mixture = ExpertMixture(further_experts=1)
    spoilt = chance.sample(range(18), 17)
    own, single = 0.0, [0.0] * 18
    for lesson in range(4000):
        # The experts' bias changes sides, so that each of them looks best for a while.
        errors = [chance.gauss(0.0, 0.6)] * 18
        for place in spoilt:
            errors[place] += 0.5 * math.sin(lesson / 300 + place)
        blended = mixture.blend(40, errors)
        own += blended * blended
        single = [total + error * error for total, error in zip(single, errors, strict=True)]
        mixture.learn(40, errors, blended)
    assert own <= 1.05 * min(single)


def test_an_expert_who_was_wrong_for_long_can_come_back() -> None:
    bad, good = [5.0] + [0.0] * 17, [0.0] + [5.0] * 17
    mixture = _mixture_that_saw(5000, bad)
    assert mixture.weights[2][0] == 0.0
    for _ in range(5000):
        mixture.learn(40, good, mixture.blend(40, good))
    assert mixture.blend(40, [9.0] + [1.0] * 17) > 8.9


def test_when_every_expert_has_lost_the_head_starts_decide() -> None:
    mixture = ExpertMixture(further_experts=1)
    mixture.learn(40, [3.0] * 18, blended_error=1.0)
    assert mixture.blend(40, [2.0] * 18) == pytest.approx(2.0)


def test_single_ratings_count_until_a_stage_has_enough_labels() -> None:
    mixture = ExpertMixture(further_experts=1)
    before = mixture.blend(40, [1.0] + [0.0] * 17)
    mixture.preview(40, [0.0] + [1.0] * 17, 0.5)
    assert mixture.blend(40, [1.0] + [0.0] * 17) > before
    for _ in range(1000):
        assert mixture.wants_preview(40)
        mixture.learn(40, [0.0] * 18, 0.0)
    assert not mixture.wants_preview(40)
    assert mixture.wants_preview(30)


def test_what_was_kept_of_a_mixture_goes_on_alike() -> None:
    chance = random.Random(1)
    mixture, other = ExpertMixture(further_experts=1), ExpertMixture(further_experts=1)
    lessons = [([chance.gauss(0.0, 1.0) for _ in range(18)], chance.gauss(0.0, 1.0)) for _ in range(1300)]
    for errors, blended in lessons[:1237]:
        mixture.learn(40, errors, blended)
    other.restore(copy.deepcopy(mixture.state()))
    for errors, blended in lessons[1237:]:
        assert other.blend(40, errors) == mixture.blend(40, errors)
        mixture.learn(40, errors, blended)
        other.learn(40, errors, blended)
    assert other.state() == mixture.state()


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

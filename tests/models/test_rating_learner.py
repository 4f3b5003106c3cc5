"""The future-rating learner against a slow one that keeps everything and recomputes it each time."""

from __future__ import annotations

import random

import msgspec
import pytest

from models import prequential
from models.experts import Evidence
from models.future_rating import FutureRatingRegressor, Prediction
from models.rating_learner import RatingLearner
from schemas.events import Facts, RatingCleaned, RatingPredicted
from schemas.ids import derived_id
from tests.models.ratings import audience, rating


class Recorder(FutureRatingRegressor):
    """Notes which evidence met which label."""

    def __init__(self) -> None:
        super().__init__()
        self.lessons: list[tuple[Evidence, float, float]] = []

    def learn(self, evidence: Evidence, predicted: Prediction, label: float) -> list[float]:
        """Note, then learn."""
        self.lessons.append((evidence, predicted[0], label))
        return super().learn(evidence, predicted, label)


def _labels_by_hand(records: list[RatingCleaned]) -> list[tuple[int, float, float, float]]:
    """(ordinal, film total and global mean at prediction time, label) for each label, in order of arrival."""
    scores: dict[str, list[float]] = {}
    kept: dict[tuple[str, int], tuple[float, float]] = {}
    found = []
    for record in records:
        if record.kind == "approval":
            continue
        film = scores.setdefault(record.film_id, [])
        if record.replaces is not None:
            film[record.ordinal - 1] = record.score
            continue
        film.append(record.score)
        n = len(film)
        if n > 10:
            total, global_mean = kept.pop((record.film_id, n - 10))
            found.append((n - 10, total, global_mean, sum(film[-10:]) / 10))
        everything = [score for scored in scores.values() for score in scored]
        kept[record.film_id, n] = (sum(film), sum(everything) / len(everything))
    return found


def _observe(learner: RatingLearner, records: list[RatingCleaned]) -> list[RatingPredicted]:
    return [said for record in records if (said := learner.observe(record)) is not None]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_labels_meet_the_evidence_of_their_time_also_where_ratings_change(seed: int) -> None:
    records = audience(1200, seed=seed)
    learner = RatingLearner()
    learner._regressor = recorder = Recorder()
    _observe(learner, records)
    expected = _labels_by_hand(records)
    assert len(expected) > 500
    assert learner.labels == len(expected)
    for (evidence, _, label), (n, total, global_mean, by_hand) in zip(recorder.lessons, expected, strict=True):
        assert evidence.n == n
        assert evidence.total == pytest.approx(total)
        assert evidence.global_mean == pytest.approx(global_mean)
        assert label == pytest.approx(by_hand)


def test_the_score_kept_is_the_error_of_the_predictions_that_were_emitted() -> None:
    records = [record for record in audience(900) if record.replaces is None and record.kind == "single"]
    renumbered: dict[str, int] = {}
    for place, record in enumerate(records):
        renumbered[record.film_id] = renumbered.get(record.film_id, 0) + 1
        records[place] = msgspec.structs.replace(record, ordinal=renumbered[record.film_id])
    learner = RatingLearner()
    said = _observe(learner, records)
    by_film: dict[str, list[int]] = {}
    errors, running = [], []
    for place, record in enumerate(records):
        places = by_film.setdefault(record.film_id, [])
        places.append(place)
        if len(places) > 10:
            label = sum(records[other].score for other in places[-10:]) / 10
            errors.append(abs(said[places[-11]].predicted - label))
            running.append(abs((said[places[-11]].current_mean or 0.0) - label))
    found = learner.metrics()
    assert found["mae"] == pytest.approx(sum(errors) / len(errors))
    assert found["running_mean"] == pytest.approx(sum(running) / len(running))


def test_the_tenth_following_rating_brings_the_label_and_not_the_ninth() -> None:
    learner = RatingLearner()
    _observe(learner, [rating("tt1", 5.0, offset, ordinal=offset + 1) for offset in range(10)])
    assert learner.labels == 0
    learner.observe(rating("tt1", 5.0, 10, ordinal=11))
    assert learner.labels == 1


def test_a_prediction_says_what_it_is_made_from() -> None:
    learner = RatingLearner()
    learner.observe(rating("tt1", 4.0, 0))
    said = learner.observe(rating("tt1", 7.0, 1, ordinal=2))
    assert said is not None
    assert said.event_id == derived_id("ratings-0-1", "predict")
    assert (said.cause_id, said.film_id, said.n_ratings, said.horizon) == ("ratings-0-1", "tt1", 2, 10)
    assert said.current_mean == pytest.approx(5.5)
    assert said.predicted_at == "2026-01-01T00:00:00.000001Z"
    assert 4.0 < said.predicted < 7.0


def test_a_redelivered_rating_changes_nothing() -> None:
    records = audience(400)
    learner, straight = RatingLearner(), RatingLearner()
    _observe(straight, records)
    for start in range(0, 400, 50):
        _observe(learner, records[start : start + 50])
        assert _observe(learner, records[max(0, start - 70) : start + 50]) == []
    assert learner.fingerprint() == straight.fingerprint()


def test_each_source_partition_has_its_own_watermark() -> None:
    learner = RatingLearner()
    assert learner.observe(rating("tt1", 5.0, 7, partition=1)) is not None
    assert learner.observe(rating("tt2", 5.0, 3, partition=2)) is not None
    assert learner.observe(rating("tt1", 6.0, 7, partition=1)) is None
    assert learner.observe(rating("tt1", 6.0, 8, partition=1, ordinal=2)) is not None


def test_a_changed_rating_replaces_the_old_one_in_every_mean() -> None:
    learner = RatingLearner()
    _observe(learner, [rating("tt1", 2.0, 0), rating("tt1", 8.0, 1, ordinal=2), rating("tt2", 5.0, 2)])
    said = learner.observe(rating("tt1", 6.0, 3, ordinal=1, replaces=2.0))
    assert said is not None
    assert said.n_ratings == 2
    assert said.current_mean == pytest.approx(7.0)
    assert learner._global_mean == pytest.approx(19.0 / 3)
    assert learner.counts()["ratings"] == 3


def test_an_approval_is_predicted_for_but_counts_in_no_mean() -> None:
    learner = RatingLearner()
    first = learner.observe(rating("tt1", 9.0, 0, kind="approval", ordinal=0))
    assert first is not None
    assert (first.current_mean, first.n_ratings) == (None, 0)
    assert first.predicted == pytest.approx(5.0)
    learner.observe(rating("tt1", 4.0, 1))
    third = learner.observe(rating("tt1", 9.0, 2, kind="approval", ordinal=1))
    assert third is not None
    assert (third.current_mean, third.n_ratings) == (4.0, 1)


def test_a_replacement_of_what_is_not_in_the_log_is_counted_as_it_is() -> None:
    learner = RatingLearner()
    said = learner.observe(rating("tt1", 9.0, 0, replaces=3.0, ordinal=4))
    assert said is not None
    assert (said.current_mean, said.n_ratings) == (9.0, 4)


def test_metadata_moves_the_prediction_of_an_unrated_film() -> None:
    learner = RatingLearner()
    good, bad = Facts(genres=("Documentary",)), Facts(genres=("Horror",))
    offset = 0
    for film in range(300):
        learner.observe(rating(f"good{film}", 8.0, offset, facts=good))
        learner.observe(rating(f"bad{film}", 4.0, offset + 1, facts=bad))
        offset += 2
    liked = learner.observe(rating("new1", 0.0, offset, kind="approval", ordinal=0, facts=good))
    other = learner.observe(rating("new2", 0.0, offset + 1, kind="approval", ordinal=0, facts=bad))
    assert liked is not None
    assert other is not None
    assert liked.predicted > other.predicted + 0.3


def test_it_beats_the_running_mean_and_keeps_up_with_the_best_expert() -> None:
    chance = random.Random(4)
    quality = [chance.gauss(7.0, 1.0) for _ in range(400)]
    habit = [chance.gauss(0.0, 0.6) for _ in range(300)]
    learner, counts = RatingLearner(), [0] * 400
    for offset in range(12_000):
        film, rater = min(chance.randrange(400), chance.randrange(400)), chance.randrange(300)
        counts[film] += 1
        score = min(10.0, max(0.0, round(quality[film] + habit[rater] + chance.gauss(0.0, 1.8))))
        learner.observe(rating(f"tt{film}", score, offset, ordinal=counts[film], author=f"u{rater}"))
    found = learner.metrics()
    mae, best, running = found["mae"], found["best_expert"], found["running_mean"]
    assert mae is not None
    assert best is not None
    assert running is not None
    assert mae <= 1.01 * best
    assert mae <= 0.95 * running
    assert learner.skill() == pytest.approx(mae / running)


@pytest.mark.parametrize(("between", "within"), [(0.0, 2.4), (0.2, 2.2), (2.0, 1.0)])
def test_a_short_stream_is_enough_to_find_that_films_are_alike_or_far_apart(between: float, within: float) -> None:
    chance = random.Random(3)
    quality = [chance.gauss(6.0, between) for _ in range(100)]
    learner, counts = RatingLearner(), [0] * 100
    for offset in range(4000):
        film = chance.randrange(100)
        counts[film] += 1
        score = min(10.0, max(0.0, round(chance.gauss(quality[film], within))))
        learner.observe(rating(f"tt{film}", score, offset, ordinal=counts[film], author=f"u{offset % 50}"))
    found = learner.metrics()
    mae, best = found["mae"], found["best_expert"]
    assert mae is not None
    assert best is not None
    assert mae <= 1.03 * best


def test_the_curve_stays_short_and_its_means_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prequential, "_MOST_POINTS", 16)
    learner = RatingLearner()
    for offset in range(3000):
        learner.observe(rating("tt1", float(offset % 11), offset, ordinal=offset + 1))
    curve = learner.curve()
    assert 6 < len(curve.points) < 16
    assert curve.names == ("model", "global_mean", "running_mean", "damped_mean_3", "damped_mean_10")
    labels = [label for label, _ in curve.points]
    widths = [after - before for before, after in zip([0, *labels], labels, strict=False)]
    total = sum(width * errors[0] for width, (_, errors) in zip(widths, curve.points, strict=True))
    assert total / labels[-1] == pytest.approx(learner.metrics()["mae"], rel=0.1)


def test_a_change_in_the_audience_is_noticed() -> None:
    learner = RatingLearner()
    chance = random.Random(2)
    for offset in range(6000):
        spread = 0.3 if offset < 4000 else 4.0
        score = min(10.0, max(0.0, chance.gauss(5.0, spread)))
        learner.observe(rating(f"tt{offset % 20}", score, offset, ordinal=offset // 20 + 1))
    assert (learner.metrics()["drifts"] or 0) >= 1

"""Evaluation reads what people have, in time order, and says what it left out."""

from __future__ import annotations

import gzip
import itertools
import json
import random
from pathlib import Path

import msgspec
import pytest

from models.evaluation import evaluate_ratings, evaluate_reviews
from models.rating_files import Scale, UnreadableFile, read_ratings
from models.rating_learner import RatingLearner
from tests.models.reviews import reviews

Row = tuple[str, str, float, int]


def _rows(count: int, seed: int = 1) -> list[Row]:
    chance = random.Random(seed)
    quality = [chance.gauss(3.4, 0.6) for _ in range(30)]
    rows = []
    for moment in range(count):
        film = chance.randrange(30)
        value = min(5.0, max(0.5, round(chance.gauss(quality[film], 0.9) * 2) / 2))
        rows.append((f"u{chance.randrange(50)}", f"f{film}", value, moment // 3))
    return rows


def _csv(rows: list[Row]) -> str:
    return "userId,movieId,rating,timestamp\n" + "".join(f"{u},{f},{v},{t}\n" for u, f, v, t in rows)


def _write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return _write(tmp_path / "ratings.csv", _csv(_rows(1500)))


def test_the_report_has_the_keys_of_the_contract_in_their_order(plain: Path) -> None:
    report = json.loads(msgspec.json.encode(evaluate_ratings(plain)))
    assert list(report)[:11] == [
        "task", "scale", "events", "labelled", "mae", "rmse", "mae_by_film", "mae_cold", "mae_warm", "baselines",
        "us_per_event",
    ]  # fmt: skip
    assert list(report["baselines"]) == [
        "global_mean", "running_mean", "damped_mean_3", "damped_mean_10", "best_expert"
    ]  # fmt: skip
    assert (report["task"], report["scale"], report["events"], report["labelled"]) == ("future-rating", 10, 1500, 1200)
    assert 0 < report["mae"] < report["baselines"]["running_mean"] < report["rmse"] * 2
    assert report["mae_by_film"] != report["mae"] != report["mae_cold"] != report["mae_warm"]


def test_a_gzipped_file_with_other_columns_reads_the_same(plain: Path, tmp_path: Path) -> None:
    packed = tmp_path / "ratings.csv.gz"
    with gzip.open(packed, "wt") as file:
        file.write("title,timestamp,rating,movieId,year,userId\r\n")
        for user, film, value, moment in _rows(1500):
            file.write(f'"A, B ""C""",{moment},{value},{film},1999,{user}\r\n')
    assert _scores(evaluate_ratings(packed)) == _scores(evaluate_ratings(plain))


def test_ndjson_of_the_ratings_topic_reads_the_same(plain: Path, tmp_path: Path) -> None:
    lines = [
        json.dumps(
            {"film_id": film, "source": "file", "source_record_id": str(n), "value": value, "best": 5, "author": user}
            | {"observed_at": f"1970-01-01T00:{moment // 60:02d}:{moment % 60:02d}Z"}
        )
        for n, (user, film, value, moment) in enumerate(_rows(1500))
    ]
    path = _write(tmp_path / "ratings.ndjson", "\n".join(lines) + "\n")
    assert _scores(evaluate_ratings(path)) == _scores(evaluate_ratings(plain))


def _scores(report: msgspec.Struct) -> dict[str, object]:
    found = msgspec.to_builtins(report)
    return {key: value for key, value in found.items() if key not in ("us_per_event", "bad_examples")}


def test_rows_are_ordered_by_time_and_stay_in_file_order_within_a_second(tmp_path: Path) -> None:
    rows = [("a", "x", 1.0, 20), ("b", "x", 2.0, 10), ("c", "x", 3.0, 20), ("d", "x", 4.0, 10), ("e", "x", 5.0, 9)]
    ratings = read_ratings(_write(tmp_path / "r.csv", _csv(rows)))
    assert [ratings.raters[rater] for rater in ratings.rater] == ["e", "b", "d", "a", "c"]
    assert list(ratings.score) == [10.0, 4.0, 8.0, 2.0, 6.0]


@pytest.mark.parametrize(
    ("most", "scale", "expected"), [(5, None, 10.0), (8, None, 8.0), (90, None, 9.0), (4, "0:4", 10.0)]
)
def test_the_scale_is_read_from_the_data_or_named(
    tmp_path: Path, most: int, scale: str | None, expected: float
) -> None:
    path = _write(tmp_path / "r.csv", _csv([("a", "x", most, 1), ("b", "x", 1, 2)]))
    assert read_ratings(path, Scale.parse(scale) if scale else None).score.max() == expected


@pytest.mark.parametrize("text", ["5", "5:1", "a:b", "-1:5", "1:inf", "1:1e10", "1:2:3"])
def test_a_scale_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write worst:best"):
        Scale.parse(text)


def test_bad_lines_are_left_out_and_reported_by_number(tmp_path: Path) -> None:
    good = _csv(_rows(20))
    path = _write(tmp_path / "r.csv", good + "u,f,many,5\nu,f\n\nu,f,nan,5\nu,f,9,5\nu,,3,5\nu,f,3,later\n")
    report = evaluate_ratings(path, Scale.parse("0.5:5"))
    assert (report.events, report.bad_lines) == (20, 6)
    assert sorted(bad.line for bad in report.bad_examples) == [22, 23, 25, 26, 27, 28]
    reasons = {bad.line: bad.reason for bad in report.bad_examples}
    assert "'many'" in reasons[22]
    assert "outside 0.5 to 5" in reasons[26]


def test_bad_json_lines_are_left_out_and_reported_by_number(tmp_path: Path) -> None:
    good = {"film_id": "tt1", "source": "s", "source_record_id": "1", "value": 4, "best": 5}
    bad = [{**good, "value": 6}, {**good, "best": "five"}, {**good, "observed_at": "yesterday"}]
    text = "\n".join([json.dumps(good), *map(json.dumps, bad), "{", "[1]", ""])
    report = evaluate_ratings(_write(tmp_path / "r.ndjson", text))
    assert (report.events, report.bad_lines) == (1, 5)
    assert [found.line for found in report.bad_examples] == [2, 3, 4, 5, 6]


def test_ratings_on_scales_that_are_none_are_left_out_as_by_the_pipeline(tmp_path: Path) -> None:
    good = {"film_id": "tt1", "source": "s", "value": 4}
    lines = [{**good, "source_record_id": str(n)} for n in range(30)]
    lines[3] |= {"value": 1e308, "best": 1.7e308}
    lines[7] |= {"value": 5, "best": 1e10}
    report = evaluate_ratings(_write(tmp_path / "r.ndjson", "\n".join(map(json.dumps, lines))))
    assert (report.events, [bad.line for bad in report.bad_examples]) == (28, [4, 8])
    assert report.mae is not None
    assert report.mae < 10


def test_full_marks_of_odd_scales_are_10(tmp_path: Path) -> None:
    record = {"film_id": "tt1", "source": "s", "source_record_id": "1", "value": 0.81, "best": 0.81}
    assert read_ratings(_write(tmp_path / "r.ndjson", json.dumps(record))).score[0] == 10
    rows = _write(tmp_path / "r.csv", _csv([("u", "f", 0.81, 1)]))
    assert read_ratings(rows, Scale.parse("0:0.81")).score[0] == 10


def test_numbers_that_only_python_takes_for_some_are_left_out(tmp_path: Path) -> None:
    path = _write(tmp_path / "r.csv", _csv(_rows(20)) + "u,f,4_5,5\nu,f,4,1_0\n")
    report = evaluate_ratings(path)
    assert (report.events, [bad.line for bad in report.bad_examples]) == (20, [22, 23])
    assert read_ratings(path).score.max() > 5


def test_repeated_json_records_count_once_and_changed_ones_replace(tmp_path: Path) -> None:
    base = {"film_id": "tt1", "source": "s", "source_record_id": "1", "value": 4}
    lines = [base, base, {**base, "source_record_id": "2", "value": 8}, {**base, "value": 6}]
    learner = RatingLearner()
    report = evaluate_ratings(_write(tmp_path / "r.ndjson", "\n".join(map(json.dumps, lines))), learner=learner)
    assert report.events == 3
    assert learner.counts()["ratings"] == 2
    assert learner._global_mean == pytest.approx(7.0)


def test_json_records_may_name_their_times_in_every_form_of_rfc_3339(tmp_path: Path) -> None:
    base = {"film_id": "tt1", "source": "s", "value": 4}
    times = ("2016-12-31T23:59:60Z", "2026-01-01t00:00:00z")
    lines = [json.dumps({**base, "source_record_id": str(n), "observed_at": at}) for n, at in enumerate(times)]
    report = evaluate_ratings(_write(tmp_path / "r.ndjson", "\n".join(lines)))
    assert (report.events, report.bad_lines) == (2, 0)


def test_json_records_of_sources_with_a_bar_in_their_names_are_told_apart(tmp_path: Path) -> None:
    base = {"film_id": "tt1", "value": 4}
    lines = [{**base, "source": "a|b", "source_record_id": "c"}, {**base, "source": "a", "source_record_id": "b|c"}]
    assert evaluate_ratings(_write(tmp_path / "r.ndjson", "\n".join(map(json.dumps, lines)))).events == 2


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "no column userId, movieId, rating, timestamp"),
        ("userId,movieId,stars\n1,2,3\n", "no column rating, timestamp"),
        ("userId,movieId,rating,timestamp\n", "no rating in it"),
        ("userId,movieId,rating,timestamp\na,b,c,d\n", r"no rating in it \(line 2: rating 'c'"),
        ("userId,movieId,rating,timestamp\na,b,400,1\n", "scale is not clear"),
        ("{}\n", r"no rating in it \(line 1"),
        ('"userId,movieId,rating,timestamp\n' + "1,1,4,5\n" * 20_000, "the first line must name userId, .*field limit"),
    ],
)
def test_a_file_without_ratings_is_refused_with_what_it_should_look_like(tmp_path: Path, text: str, match: str) -> None:
    with pytest.raises(UnreadableFile, match=match):
        evaluate_ratings(_write(tmp_path / "r.csv", text))


def test_a_damaged_gzip_file_is_refused(plain: Path, tmp_path: Path) -> None:
    packed = tmp_path / "ratings.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes())[:-200])
    with pytest.raises(UnreadableFile, match="damaged"):
        evaluate_ratings(packed)
    packed.write_bytes(b"userId,movieId")
    with pytest.raises(UnreadableFile, match="damaged"):
        evaluate_ratings(packed)


def test_too_few_ratings_for_a_label_give_a_report_without_errors(tmp_path: Path) -> None:
    report = evaluate_ratings(_write(tmp_path / "r.csv", _csv(_rows(5))))
    assert (report.events, report.labelled, report.mae, report.baselines.best_expert) == (5, 0, None, None)


def test_progress_is_told_and_time_is_taken_around_the_learner_alone(plain: Path) -> None:
    told: list[tuple[int, int | None]] = []
    ticks = itertools.count()
    report = evaluate_ratings(plain, progress=lambda *done: told.append(done), clock=lambda: float(next(ticks)))
    assert told == [(1000, 1500), (1500, 1500)]
    assert report.us_per_event == pytest.approx(2 / 1500 * 1e6, abs=0.01)


def _review_rows(count: int) -> list[tuple[str, int]]:
    return [(review.text, int(bool(review.positive))) for review in reviews(count, unlabelled=0.0)]


def test_reviews_are_taken_in_file_order_from_csv_and_ndjson_alike(tmp_path: Path) -> None:
    rows = _review_rows(600)
    table = "text,id,positive\n" + "".join(f'"{text}",7,{positive}\n' for text, positive in rows)
    lines = "".join(json.dumps({"text": text, "positive": positive}) + "\n" for text, positive in rows)
    one = evaluate_reviews(_write(tmp_path / "r.csv", table))
    other = evaluate_reviews(_write(tmp_path / "r.ndjson", lines))
    assert _scores(one) == _scores(other)
    assert list(json.loads(msgspec.json.encode(one)))[:6] == [
        "task", "events", "auc", "accuracy", "auc_last_fifth", "us_per_event"
    ]  # fmt: skip
    assert one.events == 600
    assert 0.75 < (one.auc or 0) < (one.auc_last_fifth or 0)


def test_reviews_that_make_no_sense_are_left_out(tmp_path: Path) -> None:
    report = evaluate_reviews(
        _write(tmp_path / "r.csv", "text,positive\ngood,1\nbad,0\nso so,0.4\n,1\nfine\nok,True\n")
    )
    assert (report.events, report.bad_lines) == (3, 3)
    assert sorted(bad.line for bad in report.bad_examples) == [4, 5, 6]


def test_a_file_without_reviews_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="text,positive"):
        evaluate_reviews(_write(tmp_path / "r.csv", "text,positive\n"))

"""`marquee evaluate`: the report of the contract, and what is left out of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Marquee

RATING_KEYS = [
    "task", "scale", "events", "labelled", "mae", "rmse", "mae_by_film", "mae_cold", "mae_warm", "baselines",
    "us_per_event",
]  # fmt: skip
BASELINES = ["global_mean", "running_mean", "damped_mean_3", "damped_mean_10", "best_expert"]
REVIEW_KEYS = ["task", "events", "auc", "accuracy", "auc_last_fifth", "us_per_event"]


@pytest.fixture
def ratings(marquee: Marquee) -> Path:
    """400 ratings of 8 films, one of them no number."""
    rows = [f"{n % 31},{n % 8},{1 + (n * 7) % 9 / 2},{n}" for n in range(400)]
    path = marquee.directory / "ratings.csv"
    path.write_text("userId,movieId,rating,timestamp\n" + "\n".join([*rows[:200], "1,1,five,200", *rows[200:]]))
    return path


def test_the_report_on_ratings_has_exactly_the_keys_of_the_contract(marquee: Marquee, ratings: Path) -> None:
    report = marquee.json("evaluate", "--ratings", ratings, "--scale", "0.5:5")
    assert list(report) == RATING_KEYS
    assert list(report["baselines"]) == BASELINES
    assert (report["task"], report["scale"], report["events"], report["labelled"]) == ("future-rating", 10, 400, 320)


def test_lines_that_are_left_out_are_named_beside_the_report(marquee: Marquee, ratings: Path) -> None:
    told = marquee("evaluate", "--ratings", ratings).stderr
    assert "ratings.csv:202: left out" in told


def test_the_scale_decides_how_errors_are_counted(marquee: Marquee, ratings: Path) -> None:
    fives = marquee.json("evaluate", "--ratings", ratings, "--scale", "0.5:5")
    tens = marquee.json("evaluate", "--ratings", ratings, "--scale", "0:10")
    assert fives["baselines"]["running_mean"] == pytest.approx(2 * tens["baselines"]["running_mean"])


def test_the_report_on_reviews_has_exactly_the_keys_of_the_contract(marquee: Marquee) -> None:
    rows = [f"{'a fine film' if n % 2 else 'a dull mess'} {n % 7},{n % 2}" for n in range(60)]
    (marquee.directory / "reviews.csv").write_text("text,positive\n" + "\n".join(rows))
    report = marquee.json("evaluate", "--reviews", "reviews.csv")
    assert list(report) == REVIEW_KEYS
    assert report["events"] == 60
    assert report["auc"] > 0.8
    assert "review-sentiment" in marquee("evaluate", "--reviews", "reviews.csv").stdout


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        ((), 2, "--ratings FILE, --reviews FILE or --faces DIR"),
        (("--ratings", "a", "--reviews", "b"), 2, "--ratings FILE, --reviews FILE or --faces DIR"),
        (("--ratings", "ratings.csv", "--scale", "five"), 2, "write worst:best"),
        (("--reviews", "ratings.csv", "--scale", "1:5"), 2, "--scale is for --ratings"),
        (("--ratings", "none.csv"), 1, "none.csv cannot be read"),
        (("--reviews", "ratings.csv"), 1, "no column text"),
    ],
)
def test_mistakes_are_told_in_one_line(
    marquee: Marquee, ratings: Path, words: tuple[str, ...], code: int, part: str
) -> None:
    assert part in marquee.mistake("evaluate", *words, code=code)


@pytest.mark.parametrize("option", ["--ratings", "--reviews", "--faces"])
def test_an_empty_name_is_not_the_current_directory(marquee: Marquee, option: str) -> None:
    assert f"{option}" in marquee.mistake("evaluate", option, "", code=2)

"""Scores in words and signs are read; dates, shares, counts and comparisons are not taken for one."""

from __future__ import annotations

import pytest

from models.scores_in_text import Score, score_in


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("Loved it. 8/10", Score(8, 10)),
        ("8 / 10 would watch again", Score(8, 10)),
        ("7.5/10", Score(7.5, 10)),
        ("7,5/10 sagt meine Mutter", Score(7.5, 10)),
        ("3½/5", Score(3.5, 5)),
        ("I give it 4 out of 5.", Score(4, 5)),
        ("four out of five", Score(4, 5)),
        ("two and a half out of five, sadly", Score(2.5, 5)),
        ("Solid 85/100!", Score(85, 100)),
        ("0/10", Score(0, 10)),
        ("(9/10)", Score(9, 10)),
        ("4 stars", Score(4, 5)),
        ("a 3.5 star film", Score(3.5, 5)),
        ("four-star entertainment", Score(4, 5)),
        ("Three stars out of four.", Score(3, 4)),
        ("8 stars", Score(8, 10)),
        ("★★★★☆", Score(4, 5)),
        ("★★★½", Score(3.5, 5)),
        ("⭐⭐⭐ nothing more", Score(3, 5)),
        ("Rating: 85%", Score(85, 100)),
        ("Grade: B+", Score(9, 12)),
        ("I'd give it an A-", Score(10, 12)),
        ("B+", Score(9, 12)),
        ("F", Score(0, 12)),
        ("8/10. Really, 8/10.", Score(8, 10)),
    ],
)
def test_a_score_is_read_on_its_own_scale(text, score):
    assert score_in(text) == score


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A film about 9/11",
        "open 24/7",
        "2/3 of the audience left",
        "released 5/10/2010",
        "seen on 3/5",
        "part 1/5 of the series",
        "11/10 would cry again",
        "an all star cast",
        "with two stars of the stage",
        "two stars who met in Rome",
        "85% of the cinema was empty",
        "first film 8/10, second 4/10",
        "★",
        "A film for everyone",
        "Vitamin B+ complex is in the plot",
        "version 1.8/10.2 of the player",
        "-8/10",
        "he is 10/10/10 sure",
        "1984",
    ],
)
def test_what_is_no_score_is_not_taken_for_one(text):
    assert score_in(text) is None

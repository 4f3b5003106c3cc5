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
        ("4 stars from me", Score(4, 5)),
        ("Four stars from me", Score(4, 5)),
        ("4 stars and a great cast", Score(4, 5)),
        ("four stars and nothing to add", Score(4, 5)),
        ("4 stars in my book", Score(4, 5)),
        ("3 stars of 4", Score(3, 4)),
        ("4.5/5.0", Score(4.5, 5)),
        ("7.5/10.0", Score(7.5, 10)),
        ("4,5/5,0 und mehr", Score(4.5, 5)),
        ("4★", Score(4, 5)),
        ("3.5 ★ from me", Score(3.5, 5)),
        ("4★/5", Score(4, 5)),
        ("⭐️⭐️⭐️⭐️", Score(4, 5)),
        ("8/10, people should see it", Score(8, 10)),
        ("8/10\nViewers beware", Score(8, 10)),
        ("9 out of 10 people loved it. I did not: 4/10", Score(4, 10)),
        ("Toy Story 2 ★★★", Score(3, 5)),
        ("7/10 film, and I saw 4/5 episodes", Score(7, 10)),
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
        "9 out of 10 people loved it",
        "nine out of ten viewers stayed",
        "3/4 of viewers liked it",
        "1/5 of the film is boring",
        "Watched 4/5 episodes",
        "saw it on May 5/10",
        "Premiere: Friday, 5/10",
        "4 von 5 Zuschauern gingen",
        "9/10 times it is the butler",
        "3/4 done",
        "2 stars and a director met in Rome",
        "three stars from Hollywood",
        "two stars from the first part are back",
        "4 star actors",
        "2 stars in love",
        "filmed in a 5-star hotel",
    ],
)
def test_what_is_no_score_is_not_taken_for_one(text):
    assert score_in(text) is None

"""The bounded table of rater offsets."""

from __future__ import annotations

import pytest

from models import raters
from models.raters import RaterTable, rater_of


def test_a_strangers_offset_is_zero() -> None:
    assert RaterTable().offset("nobody") == 0.0


def test_authors_of_different_sources_are_different_raters() -> None:
    raters = {
        rater_of("a/b", "c"),
        rater_of("a", "b/c"),
        rater_of("a/b", None),
        rater_of("a", "b"),
        rater_of("a", None),
    }
    assert len(raters) == 5
    assert {"a/b/c", "a/b", "a"} < raters


def test_an_offset_is_the_mean_residual_shrunk_by_five_ratings() -> None:
    table = RaterTable()
    for _ in range(10):
        table.add("kind", 1.5)
    assert table.offset("kind") == pytest.approx(15.0 / 15)


def test_a_changed_rating_changes_the_sum_but_not_the_count() -> None:
    table = RaterTable()
    table.add("kind", 1.0)
    table.amend("kind", 2.0)
    table.amend("stranger", 2.0)
    assert table.offset("kind") == pytest.approx(3.0 / 6)
    assert "stranger" not in table.young


def test_the_table_stops_growing_and_keeps_who_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(raters, "_GENERATION", 10)
    table = RaterTable()
    for n in range(1000):
        table.add(f"passer-by {n}", 1.0)
        table.add("regular", 1.0)
        assert len(table.young) + len(table.old) <= 20
    assert table.offset("regular") == pytest.approx(1000 / 1005)
    assert table.offset("passer-by 0") == 0.0

"""Whole numbers, however a JSON writer writes them."""

from __future__ import annotations

import pytest

from schemas.base import Record, Rejected
from schemas.catalogue import decode
from schemas.commands import PushCelebrity, PushFilm
from schemas.events import FactsObserved, RatingObserved

RATING = b'{"film_id":"tt1375666","source":"s","source_record_id":"1","value":%s,"votes":%s}'


@pytest.mark.parametrize(("written", "votes"), [("5.0", 5), ("5", 5), ("1e3", 1000), ("null", None), ("-0.0", 0)])
def test_a_whole_number_may_be_written_with_a_fraction_of_nothing(written: str, votes: int | None) -> None:
    found = decode(RATING % (b"4.0", written.encode()), (RatingObserved,))
    assert isinstance(found, RatingObserved)
    assert (found.value, found.votes) == (4.0, votes)
    assert type(found.votes) is type(votes)
    assert isinstance(found.value, float)


@pytest.mark.parametrize("written", ["5.5", "-1.0", "1e300", "1e16", '"5"', "true"])
def test_what_is_no_whole_number_in_its_limits_is_refused_with_its_place(written: str) -> None:
    with pytest.raises(Rejected, match=r"invalid value: .* at `\$\.votes`"):
        decode(RATING % (b"4.0", written.encode()), (RatingObserved,))


def test_numbers_of_what_is_pushed_may_be_written_so_too() -> None:
    types: tuple[type[Record], ...] = (PushFilm, PushCelebrity)
    pushed = decode(b'{"type":"film","title":"Inception","year":2010.0,"tmdb":27205.0}', types)
    assert pushed == PushFilm(title="Inception", year=2010, tmdb=27205)


def test_what_tells_of_people_has_its_numbers_as_who_erases_them_reads_them() -> None:
    types: tuple[type[Record], ...] = (PushFilm, PushCelebrity)
    with pytest.raises(Rejected, match=r"invalid value: .*got `float`"):
        decode(b'{"type":"celebrity","name":"Tilda Swinton","tmdb":3063.0}', types)


def test_versions_of_old_are_read_so_too() -> None:
    found = decode(
        b'{"film_id":"tt1375666","source":"s","year":2010.0,"genres":"a|b"}', (FactsObserved,), "/schemas/facts/1"
    )
    assert found == FactsObserved(film_id="tt1375666", source="s", year=2010, genres=("a", "b"))


def test_nesting_without_end_is_refused() -> None:
    with pytest.raises(Rejected):
        decode(RATING % (b"4.0", b'1.0,"more":' + b"[" * 10_000 + b"]" * 10_000), (RatingObserved,))

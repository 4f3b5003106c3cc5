"""Names that others choose, inside of keys and ids."""

from __future__ import annotations

from itertools import product

import pytest

from schemas.ids import fenced, said_by_film_id

NAMES = ["".join(letters) for n in (1, 2, 3, 4) for letters in product("a|%", repeat=n)] + ["%7C", "|%7C", "a%7Ca"]


@pytest.mark.parametrize("bar", ["|", "/"])
def test_different_names_give_different_keys_whatever_stands_in_them(bar: str) -> None:
    names = [name.replace("|", bar) for name in NAMES]
    keys = {f"{fenced(one, bar)}{bar}{two}" for one, two in product(names, names)}
    alone = {fenced(name, bar) for name in names}
    assert len(keys) == len(names) ** 2
    assert len(alone) == len(names)
    middle = {f"f{bar}{fenced(one, bar)}{bar}{two}" for one, two in product(names, names)}
    assert len(middle) == len(names) ** 2


def test_a_name_without_a_bar_stands_in_a_key_as_it_is() -> None:
    assert [fenced(name) for name in ("imdb", "100%", "%7C", "a/b", "é")] == ["imdb", "100%", "%7C", "a/b", "é"]
    assert fenced("a|b%") == "|a%7Cb%25"


@pytest.mark.parametrize(
    ("film", "says"),
    [
        ("tt0944947", {"imdb": "tt0944947"}),
        ("Q23572", {"wikidata": "Q23572"}),
        ("tmdb:tv/1399", {"kind": "tv", "tmdb": 1399}),
        ("tmdb:movie/27205", {"kind": "movie", "tmdb": 27205}),
        ("local:5a1cf7a5-8f4a-5e63-9bd2-0d1b3a6d2a11", {}),
    ],
)
def test_an_id_says_by_which_catalogue_a_film_is_known(film: str, says: dict[str, object]) -> None:
    assert said_by_film_id(film) == says

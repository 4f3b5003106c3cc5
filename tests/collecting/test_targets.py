"""Whom connectors are asked about, made from whom a run names."""

from __future__ import annotations

import msgspec
import pytest

from app.collecting.targets import film_target, person_target
from schemas.scrapes import Target

LOCAL = "local:6d617271-7565-5e00-8000-000000000001"


@pytest.mark.parametrize(
    ("film", "known"),
    [
        ("tt0111161", {"imdb": "tt0111161"}),
        ("Q25188", {"wikidata": "Q25188"}),
        ("tmdb:movie/550", {"tmdb": 550}),
        ("tmdb:tv/1399", {"tmdb": 1399, "kind": "tv"}),
        (LOCAL, {}),
        ("of another time", {}),
    ],
)
def test_a_film_that_was_only_rated_is_asked_about_by_what_its_id_says(film: str, known: dict[str, object]) -> None:
    plain = {
        "film_id": film,
        "title": None,
        "year": None,
        "kind": "movie",
        "imdb": None,
        "wikidata": None,
        "tmdb": None,
    }
    assert msgspec.structs.asdict(film_target(Target(id=film))) == plain | known


@pytest.mark.parametrize(
    ("person", "known"),
    [
        ("Q200534", {"wikidata": "Q200534"}),
        ("nm0842770", {"imdb": "nm0842770"}),
        ("tmdb:person/3063", {"tmdb": 3063}),
        (LOCAL, {}),
        ("of another time", {}),
    ],
)
def test_a_person_of_whom_only_pictures_were_found_is_asked_about_by_what_the_id_says(
    person: str, known: dict[str, object]
) -> None:
    plain = {"celebrity_id": person, "name": "", "imdb": None, "wikidata": None, "tmdb": None}
    assert msgspec.structs.asdict(person_target(Target(id=person, kind="person"))) == plain | known


def test_what_else_is_known_is_told_as_well() -> None:
    told = film_target(Target(id="tt0111161", name="A", year=1994, wikidata="Q172241", tmdb=278))
    assert (told.title, told.year, told.imdb, told.wikidata, told.tmdb) == ("A", 1994, "tt0111161", "Q172241", 278)

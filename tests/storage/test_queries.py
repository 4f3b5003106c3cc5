"""Lists, pages and histories."""

from __future__ import annotations

import base64
import itertools
import json
import random

import pytest

from app.storage.paging import BadQueryError
from app.storage.queries import ORDERS
from app.storage.store import Store
from tests.storage.events import FILM, film, prediction, rating, review

TITLES = {
    "tt0000001": "The Dark Knight",
    "tt0000002": "Amélie",
    "tt0000003": "Dark City",
    "tt0000004": "City of God",
    "tt0000005": "Ça, the City!",
}


async def titled(store: Store) -> None:
    await store.projections.put_films([film(name, title=title) for name, title in TITLES.items()])


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("dark", ["tt0000003", "tt0000001"]),
        ("CITY dark", ["tt0000003"]),
        ("amelie", ["tt0000002"]),
        ("AMÉL", ["tt0000002"]),
        ("ity", ["tt0000005", "tt0000004", "tt0000003"]),
        ("city, the", ["tt0000005"]),
        ("casablanca", []),
        (".*", []),
        ("  ", ["tt0000002", "tt0000005", "tt0000004", "tt0000003", "tt0000001"]),
    ],
)
async def test_search_finds_words_and_parts_of_words_in_titles(store: Store, search: str, found: list[str]) -> None:
    await titled(store)
    page = await store.films.films(search=search)
    assert [row.film_id for row in page.items] == found
    assert page.next is None


async def test_titles_are_found_as_people_type_them(store: Store) -> None:
    await store.projections.put_films([film("tt0000009", title="Rødgrød med Fløde"), film("tt0000008", title="Ægir")])
    for search, found in (("rodgrod flode", "tt0000009"), ("aegir", "tt0000008"), ("ægir", "tt0000008")):
        assert [row.film_id for row in (await store.films.films(search=search)).items] == [found]


SIGNS = {"tt0000011": "!!!", "tt0000012": "$", "tt0000013": "🎬 🎞️", "tt0000014": "$9.99"}


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("!!!", ["tt0000011"]),
        ("$", ["tt0000012"]),
        ("🎞️ 🎬", ["tt0000013"]),
        ("$9", ["tt0000014"]),
        (".", []),
        ("\x00", []),
        ("($", []),
    ],
)
async def test_titles_without_letters_and_digits_are_found_by_their_signs(
    store: Store, search: str, found: list[str]
) -> None:
    await store.projections.put_films([film(name, title=title) for name, title in SIGNS.items()])
    assert [row.film_id for row in (await store.films.films(search=search)).items] == found


async def many(store: Store, seed: int) -> None:
    """Films with ties and gaps in everything that they can be sorted by."""
    rng = random.Random(seed)
    names = [f"tt{number:07d}" for number in range(1, 31)]
    for name in names:
        title = rng.choice([None, "Solaris", "Stalker", f"Film {rng.randrange(20)}"])
        await store.projections.put_films([film(name, title=title, year=rng.choice([None, 1972, 1979, 2002]))])
    said = []
    for name in rng.sample(names, 20):
        predicted = rng.choice([7.1, 6.4, rng.random() * 10])
        mean = rng.choice([None, 5.5, rng.random() * 10])
        offset = rng.randrange(5)
        said.append(prediction(offset, rng.randrange(4), predicted, current_mean=mean, film_id=name))
    await store.projections.put_predictions(said)


@pytest.mark.parametrize("sort", [sign + name for name in ORDERS for sign in ("", "-")])
async def test_pages_put_together_are_the_whole_list_in_order(store: Store, sort: str) -> None:
    await many(store, seed=5)
    whole = (await store.films.films(sort=sort, limit=1000)).items
    for limit in (1, 7, 30):
        paged, cursor = [], None
        for _ in itertools.count():
            page = await store.films.films(sort=sort, limit=limit, cursor=cursor)
            paged += page.items
            cursor = page.next
            if cursor is None:
                break
        assert paged == whole
    field = sort.removeprefix("-")
    values = [getattr(row, field) for row in whole]
    known = [value for value in values if value is not None]
    assert len(whole) == len({row.film_id for row in whole}) == 30
    assert values[len(known) :] == [None] * (30 - len(known))
    if field != "title":
        assert known == sorted(known, reverse=not sort.startswith("-"))


async def test_pages_of_a_search_put_together_are_all_that_match(store: Store) -> None:
    await many(store, seed=6)
    whole = (await store.films.films(search="film", sort="predicted", limit=1000)).items
    assert len(whole) > 3
    assert all(row.title is not None and "Film" in row.title for row in whole)
    paged, cursor = [], None
    for _ in range(100):
        page = await store.films.films(search="film", sort="predicted", limit=2, cursor=cursor)
        paged += page.items
        cursor = page.next
        if cursor is None:
            break
    assert paged == whole


async def test_a_film_that_comes_in_between_pages_moves_no_other(store: Store) -> None:
    await titled(store)
    first = await store.films.films(limit=2)
    await store.projections.put_films([film("tt0000009", title="Aaa")])
    second = await store.films.films(limit=10, cursor=first.next)
    assert [row.title for row in first.items] == ["Amélie", "Ça, the City!"]
    assert [row.title for row in second.items] == ["City of God", "Dark City", "The Dark Knight"]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"sort": "colour"}, "sort: 'colour' is none of title, year"),
        ({"limit": 0}, "limit: must be 1 to 1000"),
        ({"limit": 1001}, "limit: must be 1 to 1000"),
        ({"cursor": "nonsense"}, "cursor: is none of those"),
        ({"cursor": "é"}, "cursor: is none of those"),
        ({"cursor": ""}, "cursor: is none of those"),
    ],
)
async def test_a_question_put_wrongly_is_refused_with_what_is_allowed(
    store: Store, wrong: dict[str, object], says: str
) -> None:
    with pytest.raises(BadQueryError, match=says):
        await store.films.films(**wrong)  # type: ignore[arg-type]


async def test_a_cursor_of_another_sort_is_refused(store: Store) -> None:
    await titled(store)
    page = await store.films.films(sort="title", limit=2)
    with pytest.raises(BadQueryError, match="belongs to sort=title"):
        await store.films.films(sort="year", limit=2, cursor=page.next)


def cursor_of(*parts: object) -> str:
    """What is no cursor of any page, but looks like one."""
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


@pytest.mark.parametrize("parts", [(2**70,), (2**63,), (-1,), (1.5,), ("x",), ()])
async def test_a_cursor_at_no_place_in_a_log_is_refused(store: Store, parts: tuple[object, ...]) -> None:
    for newest_first in (False, True):
        with pytest.raises(BadQueryError, match="cursor: is none of those"):
            await store.films.history(FILM, cursor=cursor_of(*parts), newest_first=newest_first)
    with pytest.raises(BadQueryError, match="cursor: is none of those"):
        await store.runs.runs("guardian", 10, cursor_of(*parts))


@pytest.mark.parametrize(
    ("sort", "value"), [("title", 5), ("-title", 2**70), ("year", "x"), ("year", 10**400), ("updated", 1.5)]
)
async def test_a_cursor_with_a_value_that_no_film_can_have_is_refused(store: Store, sort: str, value: object) -> None:
    await titled(store)
    with pytest.raises(BadQueryError, match="cursor: is none of those"):
        await store.films.films(sort=sort, cursor=cursor_of(sort, value, FILM))


@pytest.mark.parametrize(
    ("sort", "value"), [("title", "a\0b"), ("title", ""), ("year", 2**70), ("year", -1e308), ("year", None)]
)
async def test_a_cursor_behind_any_value_is_answered(store: Store, sort: str, value: object) -> None:
    await titled(store)
    for name in (FILM, "\0", "", "x" * 3000):
        await store.films.films(sort=sort, cursor=cursor_of(sort, value, name))


async def test_a_cursor_of_people_with_a_value_that_no_name_is_is_refused(store: Store) -> None:
    with pytest.raises(BadQueryError, match="cursor: is none of those"):
        await store.people.celebrities(sort="name", cursor=cursor_of("name", 5, "Q1"))


@pytest.mark.parametrize("newest_first", [False, True])
async def test_a_history_in_pages_is_the_whole_history_in_order(store: Store, newest_first: bool) -> None:
    ratings = [rating(n, f"u{n % 3}", float(n), replaces=float(n - 3) if n >= 3 else None) for n in range(11)]
    await store.projections.put_ratings(ratings)
    await store.projections.put_ratings([rating(50, film_id="tt0000002")])
    await store.projections.put_predictions([prediction(n, 3, n / 2) for n in range(10)])
    scores, predicted, cursor = [], [], None
    for _ in range(20):
        page = await store.films.history(FILM, limit=4, cursor=cursor, newest_first=newest_first)
        scores += [point.score for point in page.items]
        predicted += [point.predicted for point in page.items]
        cursor = page.next
        if cursor is None:
            break
    order = -1 if newest_first else 1
    assert scores == [float(n) for n in range(11)][::order]
    assert predicted == [*(n / 2 for n in range(10)), None][::order]


async def test_a_history_that_ends_with_the_page_has_no_next_one(store: Store) -> None:
    await store.projections.put_ratings([rating(n, f"u{n}") for n in range(4)])
    assert (await store.films.history(FILM, limit=4)).next is None
    assert (await store.films.history("tt0000404")).items == []


async def test_a_cursor_of_films_is_no_cursor_of_a_history(store: Store) -> None:
    await titled(store)
    page = await store.films.films(limit=2)
    with pytest.raises(BadQueryError, match="cursor"):
        await store.films.history(FILM, cursor=page.next)


async def test_counts_are_of_what_is_in_force(store: Store) -> None:
    await titled(store)
    await store.projections.put_ratings([rating(0), rating(1, score=3.0, replaces=8.0), rating(2, kind="approval")])
    await store.projections.put_predictions([prediction(0, 1, film_id="tt0000001"), prediction(1, 1), prediction(1, 1)])
    await store.projections.put_reviews([review(0), review(1), review(2, "r2")])
    counts = await store.films.counts()
    assert (counts.films, counts.ratings, counts.predictions, counts.reviews) == (6, 1, 2, 2)


async def test_only_as_many_ratings_as_wanted_come_with_a_film(store: Store) -> None:
    await store.projections.put_films([film(title="A")])
    await store.projections.put_ratings([rating(n, f"u{n}") for n in range(5)])
    found = await store.films.film(FILM, ratings=2)
    assert found is not None
    assert [one.source_record_id for one in found.ratings] == ["u4", "u3"]

"""Lists of people, their pictures by verdict, and which picture a name means."""

from __future__ import annotations

import random
from typing import Any

import pytest

from app.storage.paging import BadQueryError
from app.storage.picture_queries import PEOPLE_ORDERS, VERDICTS
from app.storage.picture_views import PeopleCounts
from app.storage.store import Store
from tests.storage.picture_events import (
    KEANU,
    TILDA,
    accepted,
    conflict,
    discarded,
    forgotten,
    found,
    item,
    kept,
    person,
    rejected,
    sha,
)

NAMES = {"Q1": "Zoë Kravitz", "Q2": "Tilda Swinton", "Q3": None, "nm0000206": "Keanu Reeves", "Q5": "Zoe Saldaña"}


async def named(store: Store) -> None:
    await store.pictures.put_celebrities([person(name, who, n) for n, (who, name) in enumerate(NAMES.items())])


@pytest.mark.parametrize(
    ("search", "ids"),
    [
        ("zoe", ["Q1", "Q5"]),
        ("ZOË kravitz", ["Q1"]),
        ("saldana", ["Q5"]),
        ("q3", ["Q3"]),
        ("nobody", []),
        (".*", []),
        (None, ["nm0000206", "Q3", "Q2", "Q1", "Q5"]),
    ],
)
async def test_people_are_found_by_words_of_their_names(store: Store, search: str | None, ids: list[str]) -> None:
    await named(store)
    assert [row.celebrity_id for row in (await store.people.celebrities(search)).items] == ids


@pytest.mark.parametrize("sort", [sign + name for name in PEOPLE_ORDERS for sign in ("", "-")])
async def test_pages_of_people_put_together_are_the_whole_list(store: Store, sort: str) -> None:
    await named(store)
    await store.pictures.put_celebrities([person("Tilda Swinton", f"Q1{n}", 1) for n in range(4)])
    whole = (await store.people.celebrities(sort=sort)).items
    assert len(whole) == 9
    assert await in_pages(lambda cursor: store.people.celebrities(sort=sort, limit=2, cursor=cursor)) == whole
    turned = (await store.people.celebrities(sort=sort.removeprefix("-") if sort[0] == "-" else f"-{sort}")).items
    assert turned == whole[::-1]


async def in_pages(ask: Any) -> list[Any]:
    items, cursor = [], None
    for _ in range(100):
        page = await ask(cursor)
        items += page.items
        cursor = page.next
        if cursor is None:
            break
    return items


async def gallery(store: Store) -> None:
    """Twenty pictures of one person with all verdicts, and one of another."""
    put = store.pictures
    rng = random.Random(3)
    await put.put_found([found(n, source=rng.choice(["tmdb", "commons"])) for n in range(20)])
    await put.put_accepted([accepted(n, n + 1) for n in range(10)] + [accepted(90, 90, KEANU)])
    await put.put_kept([kept(n, n + 1) for n in range(6)] + [kept(90, 90, KEANU)])
    await put.put_discarded([discarded(6, 7), discarded(7, 8, verdict="quarantined")])
    await put.put_rejected([rejected(10, 11, duplicate_of=sha(0), distance=3), rejected(11, verdict="failed")])
    await put.put_rejected([conflict(12, 13, TILDA, KEANU, of=90)])


async def test_pictures_are_counted_by_verdict_and_source(store: Store) -> None:
    await gallery(store)
    await store.pictures.put_celebrities([person()])
    shown = await store.people.celebrity(TILDA)
    assert shown is not None
    assert shown.images == {
        "pending": 9, "kept": 6, "duplicate": 1, "conflict": 1, "rejected": 1, "quarantined": 1, "failed": 1,
    }  # fmt: skip
    assert list(shown.images) == [verdict for verdict in VERDICTS if verdict in shown.images]
    assert [source.source for source in shown.sources] == ["commons", "tmdb"]
    assert sum(source.found for source in shown.sources) == 20
    assert sum(source.kept for source in shown.sources) == 6
    assert (await store.people.celebrities()).items[0].images == shown.images
    assert await store.people.counts() == PeopleCounts(celebrities=1, images=21, kept=7, conflicts=1, conflict_of=TILDA)


async def test_somebody_known_by_pictures_alone_is_shown_and_an_unknown_one_is_none(store: Store) -> None:
    await gallery(store)
    shown = await store.people.celebrity(KEANU)
    assert shown is not None
    assert (shown.name, shown.images) == (None, {"kept": 1})
    assert await store.people.celebrity("Q404") is None
    assert (await store.people.images("Q404")).items == []


@pytest.mark.parametrize("verdict", [None, *VERDICTS])
async def test_pages_of_pictures_put_together_are_all_with_a_verdict(store: Store, verdict: str | None) -> None:
    await gallery(store)
    whole = (await store.people.images(TILDA, verdict, 1000)).items
    assert len(whole) == 20 if verdict is None else {one.verdict for one in whole} == {verdict}
    assert {one.celebrity_id for one in whole} == {TILDA}
    for limit in (1, 3):
        assert await in_pages(lambda cursor, n=limit: store.people.images(TILDA, verdict, n, cursor)) == whole


async def test_a_question_about_pictures_put_wrongly_is_refused(store: Store) -> None:
    await gallery(store)
    page = await store.people.images(TILDA, "kept", 2)
    with pytest.raises(BadQueryError, match="verdict: 'good' is none of pending, kept"):
        await store.people.images(TILDA, "good")
    for person_id, verdict in ((TILDA, None), (KEANU, "kept")):
        with pytest.raises(BadQueryError, match="another list"):
            await store.people.images(person_id, verdict, 2, page.next)
    with pytest.raises(BadQueryError, match="cursor"):
        await store.people.images(TILDA, cursor="e30")
    with pytest.raises(BadQueryError, match="sort"):
        await store.people.celebrities(sort="n_ratings")


async def test_a_picture_is_meant_by_item_or_by_its_own_id_and_then_it_is_the_claimed_one(store: Store) -> None:
    await gallery(store)
    await store.pictures.put_rejected([rejected(n, 30 + n, image_id=sha(0), duplicate_of=sha(0)) for n in (13, 14, 15)])
    for name in (item(0), sha(0)):
        shown = await store.people.item(TILDA, name)
        assert shown is not None
        assert shown.item_id == item(0)
    assert await store.people.item(KEANU, item(0)) is None
    assert await store.people.item(KEANU, sha(0)) is None


async def test_contenders_of_a_picture_are_the_conflicts_about_it(store: Store) -> None:
    await gallery(store)
    assert [one.item_id for one in await store.people.contenders(sha(90))] == [item(12)]
    assert await store.people.contenders(sha(0)) == []


async def test_a_cleaned_file_is_found_by_both_its_names_for_as_long_as_a_document_names_it(store: Store) -> None:
    await gallery(store)
    clean = sha(0, "cleaned")
    assert await store.people.cleaned(clean) == await store.people.cleaned(sha(0)) == clean
    assert await store.people.cleaned(sha(6)) is None
    assert await store.people.cleaned("f" * 64) is None
    await store.pictures.put_rejected([rejected(0, 40, verdict="rejected", image_id=sha(0))])
    assert await store.people.cleaned(clean) == clean, "what was rejected can be looked at"
    await store.pictures.forget([forgotten(99)])
    assert await store.people.cleaned(clean) is None
    assert await store.people.cleaned(sha(0)) is None


async def test_what_is_left_of_a_person_is_counted_with_its_files(store: Store) -> None:
    await gallery(store)
    counts, files = await store.people.left(KEANU)
    clean = sha(90, "cleaned")
    assert counts == {"celebrities": 0, "images": 1, "images of others that name the person": 1}
    assert files == {("original", sha(90)), ("clean", clean), ("thumbnail", clean)}
    assert await store.people.forgotten(KEANU) is None
    await store.pictures.forget([forgotten(99, KEANU)])
    counts, files = await store.people.left(KEANU)
    assert (set(counts.values()), files) == ({0}, set())
    told = await store.people.forgotten(KEANU)
    assert told is not None
    assert (told.order, told.event_id, told.at) == (99, "cause-10", "2023-11-14T22:13:30.000Z")


async def test_known_people_are_those_registered(store: Store) -> None:
    await gallery(store)
    await named(store)
    assert await store.people.known(["Q1", KEANU, "Q404"]) == {"Q1"}


LETTERS = {
    "Żółć": ["zolc", "ŻÓŁĆ", "żołc"],
    "Bjørn Dæhlie": ["bjorn daehlie", "BJØRN dæh", "björn"],
    "Đoković Þór": ["dokovic", "thor", "þor"],
    "Straße Œuvre": ["strasse", "oeuvre", "œuvre"],
    "Işık Loewe": ["isik", "loewe"],
}


@pytest.mark.parametrize(("name", "search"), [(name, search) for name, found in LETTERS.items() for search in found])
async def test_names_are_found_as_they_are_typed_without_their_letters(store: Store, name: str, search: str) -> None:
    people = [person(each, f"Q{n}", n) for n, each in enumerate(LETTERS, 1)]
    await store.pictures.put_celebrities(people)
    assert [row.name for row in (await store.people.celebrities(search)).items] == [name]


async def test_people_who_share_an_id_are_the_same_whichever_is_asked_for(store: Store) -> None:
    tmdb, imdb = "tmdb:person/2001", "nm0000001"
    known = [
        person("Barack Obama", "Q76", wikidata="Q76", tmdb=2001),
        person("Barack Obama", tmdb, tmdb=2001, wikidata="Q76"),
        person("Obama", imdb, imdb=imdb),
        person("Tilda Swinton", wikidata=TILDA, imdb="nm0842770", tmdb=3063),
    ]
    await store.pictures.put_celebrities(known)
    assert await store.people.same_person("Q76") == {tmdb: "wikidata Q76"}
    assert await store.people.same_person(tmdb) == {"Q76": "wikidata Q76"}
    assert await store.people.same_person(imdb) == await store.people.same_person(TILDA) == {}
    same = {one.celebrity_id: one.same_as for one in (await store.people.celebrities()).items}
    assert same == {"Q76": [tmdb], tmdb: ["Q76"], imdb: [], TILDA: []}
    await store.pictures.forget([forgotten(1, "Q76")])
    assert await store.people.same_person("Q76") == {tmdb: "wikidata Q76"}, "also of who is gone"
    shown = await store.people.celebrity(tmdb)
    assert shown is not None
    assert shown.same_as == []


async def test_an_id_alone_says_who_somebody_is(store: Store) -> None:
    await store.pictures.put_celebrities([person(None, "tmdb:person/7"), person("A", "Q7", tmdb=7, imdb="nm0000007")])
    await store.pictures.put_celebrities([person("A", "nm0000007")])
    assert await store.people.same_person("tmdb:person/7") == {"Q7": "tmdb 7"}
    assert await store.people.same_person("nm0000007") == {"Q7": "imdb nm0000007"}
    assert set(await store.people.same_person("Q7")) == {"tmdb:person/7", "nm0000007"}


async def test_who_names_a_file_and_who_was_forgotten_is_told_of_several_people(store: Store) -> None:
    await store.pictures.put_accepted([accepted(1, 1), accepted(1, 2, KEANU)])
    await store.pictures.put_kept([kept(1, 1)])
    await store.pictures.forget([forgotten(9, "Q3")])
    queries = store.people
    assert await queries.naming(("original", sha(1))) == {TILDA, KEANU}
    assert await queries.naming(("clean", sha(1, "cleaned"))) == {TILDA}
    assert await queries.naming(("original", sha(2))) == set()
    graves = await queries.tombstones([TILDA, "Q3"])
    assert {person: grave.order for person, grave in graves.items()} == {"Q3": 9}

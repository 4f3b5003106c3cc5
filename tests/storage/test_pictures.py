"""What the documents say of people and pictures, whatever order topics bring their events in."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from agents.project_pictures import project_forgotten
from app.storage.documents import CELEBRITIES, FORGOTTEN, IMAGES, Documents
from app.storage.picture_views import ItemView, SourceTally
from app.storage.pictures import DocumentPictures
from app.storage.store import Store
from schemas.pictures import ImageWithdrawn
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
    recognised,
    rejected,
    sha,
    told,
    url,
)


async def only(store: Store, n: int, who: str = TILDA) -> ItemView:
    shown = await store.people.item(who, item(n, who))
    assert shown is not None
    return shown


async def dump(store: Store) -> dict[str, Any]:
    names = (CELEBRITIES, IMAGES, FORGOTTEN)
    return {name: await store.documents[name].find({}, [("_id", 1)]) for name in names}


async def test_a_picture_from_found_to_kept(store: Store) -> None:
    await store.pictures.put_celebrities([person(imdb="nm0842770")])
    await store.pictures.put_found([found(1, width=1600, height=1200, licence="CC BY 4.0")])
    assert ((await only(store, 1)).verdict, (await only(store, 1)).width) == ("pending", 1600)
    await store.pictures.put_accepted([accepted(1, 5)])
    assert ((await only(store, 1)).verdict, (await only(store, 1)).width) == ("pending", 800)
    await store.pictures.put_kept([kept(1, 5)])
    await store.pictures.put_recognised([recognised(1, TILDA)])
    shown = await only(store, 1)
    assert shown == ItemView(
        item_id=item(1),
        celebrity_id=TILDA,
        image_id=sha(1),
        verdict="kept",
        url=url(1),
        source="commons",
        width=400,
        height=300,
        sha256=sha(1, "cleaned"),
        phash64="0123456789abcdef",
        faces=1,
        similarity=0.7333333333333333,
        recognised=TILDA,
        confidence=0.875,
        licence="CC BY 4.0",
        place=11,
    )
    who = await store.people.celebrity(TILDA)
    assert who is not None
    assert (who.name, who.imdb, who.images) == ("Tilda Swinton", "nm0842770", {"kept": 1})
    assert who.sources == [SourceTally("commons", 1, 1)]
    assert who.registered_at == "2023-11-14T22:13:20.000Z"


async def test_a_rejected_picture_keeps_reason_source_hashes_and_what_it_copies(store: Store) -> None:
    await store.pictures.put_found([found(1), found(2), found(3)])
    copy = rejected(1, 5, image_id=sha(1), duplicate_of=sha(9), distance=7, phash64="00ff00ff00ff00ff")
    await store.pictures.put_rejected([copy, rejected(2, verdict="failed", reason="404 Not Found")])
    await store.pictures.put_accepted([accepted(3, 6)])
    await store.pictures.put_discarded([discarded(3, 6, reason="no face")])
    shown = [await only(store, n) for n in (1, 2, 3)]
    assert [one.verdict for one in shown] == ["duplicate", "failed", "rejected"]
    assert (shown[0].duplicate_of, shown[0].distance, shown[0].phash64) == (sha(9), 7, "00ff00ff00ff00ff")
    assert shown[1].reason == "404 Not Found"
    assert (shown[2].reason, shown[2].phash64, shown[2].sha256) == ("no face", "0123456789abcdef", None)
    assert {one.source for one in shown} == {"commons"}


Write = Callable[[], Awaitable[None]]


@pytest.mark.parametrize("order", list(itertools.permutations(range(5))), ids=str)
async def test_whichever_topic_is_read_first_the_document_is_the_same(order: tuple[int, ...]) -> None:
    from app.storage.memory import MemoryStore

    dumps = []
    for turn in (order, range(5)):
        store = MemoryStore()
        writes: list[Write] = [
            lambda put=store.pictures: put.put_found([found(1, source="tmdb"), found(1, source="commons")]),  # type: ignore[misc]
            lambda put=store.pictures: put.put_accepted([accepted(1, 5)]),  # type: ignore[misc]
            lambda put=store.pictures: put.put_kept([kept(1, 5)]),  # type: ignore[misc]
            lambda put=store.pictures: put.put_recognised([recognised(1, KEANU)]),  # type: ignore[misc]
            lambda put=store.pictures: put.put_rejected([rejected(1, 8, verdict="rejected", reason="ruled out")]),  # type: ignore[misc]
        ]
        for number in turn:
            await writes[number]()
        dumps.append(await dump(store))
    assert dumps[0] == dumps[1]
    assert dumps[0][IMAGES][0]["verdict"] == "rejected"


async def test_an_older_decision_does_not_come_back(store: Store) -> None:
    first = [accepted(1, 5)], [kept(1, 5)]
    await store.pictures.put_accepted(first[0])
    await store.pictures.put_kept(first[1])
    await store.pictures.put_rejected([rejected(1, 8, verdict="rejected", reason="ruled out")])
    ruled_out = await dump(store)
    await store.pictures.put_accepted(first[0])
    await store.pictures.put_kept(first[1])
    assert await dump(store) == ruled_out
    shown = await only(store, 1)
    assert (shown.verdict, shown.reason, shown.sha256) == ("rejected", "ruled out", sha(1, "cleaned"))
    await store.pictures.put_accepted([accepted(1, 9, ruled=True)])
    assert (await only(store, 1)).verdict == "pending"
    await store.pictures.put_kept([kept(1, 9, ruled=True)])
    shown = await only(store, 1)
    assert (shown.verdict, shown.reason, shown.ruled) == ("kept", None, True)


async def test_the_later_of_two_decisions_in_a_batch_stands(store: Store) -> None:
    await store.pictures.put_rejected([rejected(1, 9, verdict="rejected"), rejected(1, 5, verdict="duplicate")])
    await store.pictures.put_discarded([discarded(2, 7, verdict="quarantined"), discarded(2, 6, verdict="pending")])
    assert [(await only(store, n)).verdict for n in (1, 2)] == ["rejected", "quarantined"]


async def test_a_picture_that_failed_and_is_found_again_gets_its_decision(store: Store) -> None:
    await store.pictures.put_found([found(1)])
    await store.pictures.put_rejected([rejected(1, verdict="failed")])
    await store.pictures.put_found([found(1, second=5)])
    assert (await only(store, 1)).verdict == "failed"
    await store.pictures.put_accepted([accepted(1, 5)])
    await store.pictures.put_rejected([rejected(1, verdict="failed")])
    shown = await only(store, 1)
    assert (shown.verdict, shown.reason) == ("pending", None)


async def test_finds_for_an_id_that_is_none_leave_nothing(store: Store) -> None:
    await store.pictures.put_found([found(1, "Tilda"), found(1, "tt1375666"), found(2)])
    assert [each["celebrity_id"] for each in await store.documents[IMAGES].find({})] == [TILDA]


async def life(store: Store, who: str = TILDA, number: int = 0, second: int = 0) -> None:
    """A person with a kept, a discarded, a failed and a pending picture."""
    put, order = store.pictures, number + 5
    await put.put_celebrities([person(person=who, second=second)])
    await put.put_found([found(n, who, second + 1) for n in range(4)])
    await put.put_accepted([accepted(0, order, who, second + 2), accepted(1, order + 1, who, second + 2)])
    await put.put_rejected([rejected(2, 0, who, second + 2, "failed")])
    await put.put_kept([kept(0, order, who, second + 3)])
    await put.put_discarded([discarded(1, order + 1, who, second + 3)])
    await put.put_recognised([recognised(0, who, who, second + 4)])


async def test_a_forgotten_person_leaves_nothing_but_a_tombstone(store: Store) -> None:
    await life(store)
    await life(store, KEANU)
    others = {name: [one for one in rows if one["celebrity_id"] == KEANU] for name, rows in (await dump(store)).items()}
    await store.pictures.forget([forgotten(9)])
    assert await store.people.celebrity(TILDA) is None
    left = await dump(store)
    assert left[CELEBRITIES] == others[CELEBRITIES]
    assert left[IMAGES] == others[IMAGES]
    assert left[FORGOTTEN] == [
        {"_id": TILDA, "celebrity_id": TILDA, "order": 9, "at": 1_700_000_010_000, "cause_id": "cause-10", "silent": 0}
    ]


async def test_older_events_of_a_forgotten_person_bring_nothing_back(store: Store) -> None:
    await store.pictures.forget([forgotten(9)])
    gone = await dump(store)
    await life(store)
    await store.pictures.forget([forgotten(9)])
    await store.pictures.forget([forgotten(4, second=5)])
    assert await dump(store) == gone


async def test_a_late_word_on_a_forgotten_face_brings_nothing_back(store: Store) -> None:
    await life(store)
    await store.pictures.forget([forgotten(9)])
    gone = await dump(store)
    await store.pictures.put_recognised([recognised(0, TILDA, second=30)])
    assert await dump(store) == gone


async def test_a_person_who_is_pushed_again_begins_anew(store: Store) -> None:
    fresh = await life_after(store)
    await life(store)
    shown = await store.people.celebrity(TILDA)
    assert shown is not None
    assert shown.images == {"pending": 1, "kept": 1, "rejected": 1, "failed": 1}
    assert await dump(store) == fresh


async def life_after(store: Store) -> dict[str, Any]:
    """Forgotten, then pushed again."""
    await store.pictures.forget([forgotten(9)])
    await life(store, number=20, second=20)
    return await dump(store)


@pytest.mark.parametrize("last", ["celebrities", "found", "accepted", "rejected", "kept", "discarded", "forget"])
async def test_a_projection_that_lags_behind_a_forgetting_ends_the_same(store: Store, last: str) -> None:
    fresh = await life_after(store)
    await store.clear_projections()
    put = store.pictures
    topics: dict[str, Write] = {
        "celebrities": lambda: each(put.put_celebrities, person(tmdb=1), person(second=20)),
        "found": lambda: each(
            put.put_found, *(found(n, second=s) for s in (1, 21) for n in range(5) if n < 4 or s == 1)
        ),
        "accepted": lambda: each(
            put.put_accepted, accepted(0, 5), accepted(2, 8), accepted(0, 25, second=22), accepted(1, 26, second=22)
        ),
        "rejected": lambda: each(put.put_rejected, rejected(1, 6), rejected(2, second=22, verdict="failed")),
        "kept": lambda: each(put.put_kept, kept(0, 5), kept(2, 8), kept(0, 25, second=23)),
        "discarded": lambda: each(put.put_discarded, discarded(3, 7), discarded(1, 26, second=23)),
        "recognised": lambda: each(put.put_recognised, recognised(0, KEANU), recognised(0, TILDA, second=24)),
        "forget": lambda: each(put.forget, forgotten(9)),
    }
    for name in sorted(topics, key=lambda name: name == last):
        await topics[name]()
    assert await dump(store) == fresh


async def each(put: Callable[[list[Any]], Awaitable[None]], *events: Any) -> None:
    for event in events:
        await put([event])


class Interrupted:
    """Documents in which a person is forgotten between a projection's look at the tombstones and its write."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._armed = True

    def __getitem__(self, name: str) -> Any:
        return self if name == FORGOTTEN else self._documents[name]

    async def get(self, ids: list[str]) -> list[dict[str, Any]]:
        seen = await self._documents[FORGOTTEN].get(ids)
        if self._armed:
            self._armed = False
            await DocumentPictures(self._documents).forget([forgotten(9)])
        return seen


@pytest.mark.parametrize("name", ["celebrities", "found", "accepted", "rejected", "kept", "discarded", "recognised"])
async def test_what_is_written_while_its_person_is_being_forgotten_goes_too(store: Store, name: str) -> None:
    events = {
        "celebrities": person(),
        "found": found(1),
        "accepted": accepted(1, 5),
        "rejected": rejected(1, 5),
        "kept": kept(1, 5),
        "discarded": discarded(1, 5),
        "recognised": recognised(1, TILDA),
    }
    put = getattr(DocumentPictures(Interrupted(store.documents)), f"put_{name}")  # type: ignore[arg-type]
    await put([events[name]])
    left = await dump(store)
    assert (left[CELEBRITIES], left[IMAGES]) == ([], [])
    assert len(left[FORGOTTEN]) == 1


@pytest.mark.parametrize("late", [True, False])
async def test_others_pictures_do_not_name_a_forgotten_person(store: Store, late: bool) -> None:
    steps = [
        lambda: store.pictures.put_rejected([conflict(1, 8, KEANU, TILDA, of=0)]),
        lambda: store.pictures.forget([forgotten(9)]),
    ]
    for step in reversed(steps) if late else steps:
        await step()
    shown = await only(store, 1, KEANU)
    assert (shown.verdict, shown.conflict_with, shown.duplicate_of) == ("rejected", None, None)
    assert "forgotten" in (shown.reason or "")
    await store.pictures.put_rejected([conflict(1, 12, KEANU, TILDA, of=0)])
    assert (await only(store, 1, KEANU)).conflict_with == TILDA


@pytest.mark.parametrize("late", [True, False])
async def test_others_faces_are_not_taken_for_a_forgotten_person(store: Store, late: bool) -> None:
    steps = [
        lambda: each(store.pictures.put_recognised, recognised(1, KEANU, KEANU), recognised(1, TILDA, KEANU, 5)),
        lambda: store.pictures.forget([forgotten(9)]),
    ]
    for step in reversed(steps) if late else steps:
        await step()
    assert (await only(store, 1, KEANU)).recognised is None
    await store.pictures.put_recognised([recognised(1, TILDA, KEANU, 20)])
    assert (await only(store, 1, KEANU)).recognised == TILDA


class Erased:
    """Remembers what was to be erased, and how much of the person was there at that moment."""

    def __init__(self, store: Store) -> None:
        self.files: list[list[tuple[str, str]]] = []
        self.documents: list[int] = []
        self._store = store

    async def erase(self, files: Any) -> None:
        self.files.append(list(files))
        self.documents.append(await self._store.documents[IMAGES].count({"celebrity_id": TILDA}))


async def test_files_go_before_the_documents_that_name_them_unless_somebody_else_has_the_picture(store: Store) -> None:
    await life(store)
    await store.pictures.put_kept([kept(1, 6)])
    await store.pictures.put_accepted([accepted(1, 7, KEANU)])
    await store.pictures.put_kept([kept(1, 7, KEANU)])
    eraser = Erased(store)
    withdrawn = ImageWithdrawn(
        item_id=item(0), celebrity_id=TILDA, image_id=sha(0), source="s", url=url(0), order=9, reason="forgotten"
    )
    batch: list[Any] = [told(withdrawn, 10), forgotten(9)]
    await project_forgotten(batch, store.pictures, eraser)
    await project_forgotten(batch, store.pictures, eraser)
    clean = sha(0, "cleaned")
    # The withdrawal may have been decided on a file that no document named yet, so it condemns its own each time.
    again = [("original", sha(0))]
    assert eraser.files == [[("clean", clean), ("original", sha(0)), ("thumbnail", clean)], again, again]
    assert eraser.documents == [4, 0, 0]


async def test_a_picture_that_is_ruled_out_is_rejected_and_keeps_its_hash(store: Store) -> None:
    await life(store)
    withdrawn = ImageWithdrawn(
        item_id=item(0), celebrity_id=TILDA, image_id=sha(0), source="s", url=url(0), order=9, reason="by hand"
    )
    eraser = Erased(store)
    await project_forgotten([told(withdrawn, 10)], store.pictures, eraser)
    shown = await only(store, 0)
    assert (shown.verdict, shown.reason, shown.phash64) == ("rejected", "by hand", "0123456789abcdef")
    assert shown.sha256 == sha(0, "cleaned"), "the file is still there, and somebody has to know"
    await store.pictures.put_discarded([discarded(0, 9, reason="ruled out by hand")])
    await store.pictures.put_kept([kept(0, 5)])
    assert (await only(store, 0)).reason == "ruled out by hand"
    assert eraser.documents == []

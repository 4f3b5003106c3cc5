"""What a source does not let be stored any longer goes, with what was made of it, and nothing else does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from agents.errors import Unavailable
from agents.messages import Message, rfc3339
from app.delivery.producer import Outgoing
from app.expiring import ExpiryService
from app.storage.documents import MENTIONS, PREDICTIONS, RATINGS, REVIEWS, REVISIONS, SENTIMENTS
from app.storage.expiry import AT_ONCE, Expiry
from app.storage.memory import MemoryDocuments
from app.storage.picture_expiry import PictureExpiry
from app.storage.store import Store
from schemas.base import Record
from schemas.catalogue import decode
from schemas.mentions import FilmListed, FilmMentioned, MatchUnresolved, MentionMatched, ResolveMention
from schemas.terms import SourceTerms
from tests.storage.events import FILM, film, message, prediction, rating, review, sentiment

DAY = 86_400_000
START = 1_800_000_000_000
COLLECTIONS = (RATINGS, REVISIONS, PREDICTIONS, REVIEWS, SENTIMENTS, MENTIONS)


def at(day: float) -> str:
    return rfc3339(START + round(day * DAY))


def limited(day: float, attribution: str = "") -> SourceTerms:
    return SourceTerms(expires_at=at(day), attribution=attribution)


def unresolved(name: str, terms: SourceTerms | None = None, offset: int = 0) -> Message[MatchUnresolved]:
    return message(
        MatchUnresolved(mention_id=name, source="blog", reason="two films", excerpt="Fine.", terms=terms), offset
    )


async def sweep(store: Store, day: float) -> tuple[dict[str, int], list[ResolveMention]]:
    told: list[ResolveMention] = []

    async def tell(words: Sequence[ResolveMention]) -> None:
        told.extend(words)

    gone = await store.expiry.sweep(at(day), tell)
    return {name: count for name, count in gone.items() if count}, told


async def left(store: Store) -> dict[str, list[str]]:
    """The ids of what is there, by collection."""
    found = {name: await store.documents[name].find({}) for name in COLLECTIONS}
    return {name: sorted(each["_id"] for each in documents) for name, documents in found.items() if documents}


async def test_a_rating_goes_with_its_prediction_and_others_stay(store: Store) -> None:
    await store.projections.put_films([film(title="Inception")])
    await store.projections.put_ratings([rating(0, "u0", terms=limited(1)), rating(1, "u1"), rating(2, "u2")])
    await store.projections.put_ratings([rating(3, "u3", terms=limited(2))])
    await store.projections.put_predictions([prediction(n, n + 1) for n in range(4)])
    assert await sweep(store, 0.99) == ({}, [])
    assert await store.expiry.due(at(1)) == 1
    assert await sweep(store, 1) == ({RATINGS: 1}, [])
    assert await store.expiry.due(at(1)) == 0
    found = await left(store)
    assert found[RATINGS] == [f"{FILM}|movielens|u{n}" for n in (1, 2, 3)]
    assert found[PREDICTIONS] == [f"{FILM}|ratings-0-{n}" for n in (1, 2, 3)]
    view = await store.films.film(FILM)
    assert view is not None
    assert [(r.source_record_id, r.expires_at) for r in view.ratings] == [("u3", at(2)), ("u2", None), ("u1", None)]


async def test_a_review_goes_with_its_text_and_its_sentiment(store: Store) -> None:
    await store.projections.put_films([film(title="Inception")])
    await store.projections.put_reviews([review(0, "r0", "Gone tomorrow.", terms=limited(1)), review(1, "r1")])
    await store.projections.put_sentiments([sentiment(0, 0.9, "r0"), sentiment(1, 0.2, "r1")])
    assert (await sweep(store, 3))[0] == {REVIEWS: 1}
    found = await left(store)
    assert found == {REVIEWS: [f"{FILM}|guardian|r1"], SENTIMENTS: [f"{FILM}|reviews-0-1"]}


async def test_what_was_renewed_stays_and_its_former_version_goes_in_its_time(store: Store) -> None:
    await store.projections.put_ratings([rating(0, "u", 8.0, terms=limited(1))])
    await store.projections.put_ratings([rating(1, "u", 6.0, replaces=8.0, ordinal=1, terms=limited(3))])
    assert (await sweep(store, 1))[0] == {REVISIONS: 1}
    assert await left(store) == {RATINGS: [f"{FILM}|movielens|u"], REVISIONS: [f"{FILM}|movielens|u|1"]}
    assert (await sweep(store, 3))[0] == {RATINGS: 1, REVISIONS: 1}
    assert await left(store) == {}


async def test_a_former_version_without_a_limit_gets_the_one_that_holds_now(store: Store) -> None:
    await store.projections.put_ratings([rating(0, "u", 8.0)])
    await store.projections.put_ratings([rating(1, "u", 6.0, replaces=8.0, ordinal=1, terms=limited(3))])
    await sweep(store, 3)
    assert await left(store) == {}


async def test_more_than_fit_into_one_request_go(store: Store) -> None:
    count = AT_ONCE + 20
    await store.projections.put_ratings([rating(n, f"u{n}", terms=limited(1)) for n in range(count)])
    await store.projections.put_ratings([rating(n, f"stays{n}") for n in range(count, count + 10)])
    assert (await sweep(store, 2))[0] == {RATINGS: count}
    assert await store.documents[RATINGS].count({}) == 10


async def test_a_mention_goes_and_its_table_is_told_first(store: Store) -> None:
    await store.collecting.put_unresolved([unresolved("m1", limited(1, "Blog")), unresolved("m2", offset=1)])
    assert [match.attribution for match in await store.runs.open_matches(9)] == ["Blog", None]
    assert await sweep(store, 1) == ({MENTIONS: 1}, [ResolveMention(mention_id="m1", expired=at(1))])
    assert (await left(store))[MENTIONS] == ["m2"]


async def test_a_resolved_mention_goes_as_well(store: Store) -> None:
    await store.collecting.put_unresolved([unresolved("m1", limited(1))])
    await store.collecting.put_matched([message(MentionMatched(mention_id="m1", film_id=FILM, how="hand"))])
    assert (await sweep(store, 1))[0] == {MENTIONS: 1}


async def test_a_mention_that_is_renewed_in_the_middle_of_a_sweep_stays(store: Store) -> None:
    await store.collecting.put_unresolved([unresolved("m1", limited(1)), unresolved("m2", limited(1), 1)])

    async def tell(words: Sequence[Record]) -> None:
        await store.collecting.put_unresolved([unresolved("m1", limited(9), 2)])

    await store.expiry.sweep(at(2), tell)
    assert (await left(store))[MENTIONS] == ["m1"]


async def test_a_mention_stays_where_its_table_could_not_be_told(store: Store) -> None:
    await store.collecting.put_unresolved([unresolved("m1", limited(1))])

    async def tell(words: Sequence[ResolveMention]) -> None:
        raise Unavailable("no broker")

    with pytest.raises(Unavailable):
        await store.expiry.sweep(at(2), tell)
    assert (await left(store))[MENTIONS] == ["m1"]


async def test_sentences_that_sources_want_shown_are_told_once_each(store: Store) -> None:
    await store.projections.put_films([film(title="Inception")])
    terms = [SourceTerms(attribution=text) for text in ("From TMDB.", "From TMDB.", "")]
    await store.projections.put_ratings([rating(n, f"u{n}", terms=each) for n, each in enumerate(terms)])
    await store.projections.put_reviews([review(0, terms=SourceTerms(attribution="By the Guardian."))])
    view = await store.films.film(FILM)
    assert view is not None
    assert view.attributions == ["By the Guardian.", "From TMDB."]
    assert [r.attribution for r in view.ratings] == [None, "From TMDB.", "From TMDB."]


async def test_a_document_that_was_renewed_since_it_was_found_is_not_removed(store: Store) -> None:
    things = store.documents["things"]
    await things.add([{"_id": "a", "expires_at": at(1)}, {"_id": "b", "expires_at": at(9)}, {"_id": "c"}])
    await things.remove(["a", "b", "c"], {"expires_at": {"$lte": at(1)}})
    assert sorted(each["_id"] for each in await things.find({})) == ["b", "c"]


async def erase_nothing(files: Sequence[tuple[str, str]]) -> None:
    """No pictures, no files."""
    assert not files


class Broker:
    """Takes what is sent."""

    def __init__(self) -> None:
        self.sent: list[Outgoing] = []

    async def send(self, records: Iterable[Outgoing]) -> None:
        self.sent += records


class Fails:
    """A sweep that fails some times before it works."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.swept: list[str] = []
        self.worked = asyncio.Event()

    async def sweep(self, moment: str, tell: Any) -> dict[str, int]:
        self.swept.append(moment)
        if self.errors:
            raise self.errors.pop(0)
        self.worked.set()
        return {}


async def test_the_service_keeps_to_its_clock_and_tells_the_tables_under_ids_that_a_repeat_makes_again() -> None:
    documents, broker = MemoryDocuments(), Broker()
    now = [START / 1000]
    service = ExpiryService(
        Expiry(documents), PictureExpiry(documents), broker, erase_nothing, 3600.0, lambda: True, now=lambda: now[0]
    )
    await documents[MENTIONS].add([{"_id": "m1", "expires_at": at(1)}])
    assert not any((await service.sweep()).values())
    now[0] += DAY / 1000
    assert (await service.sweep())[MENTIONS] == 1
    await documents[MENTIONS].add([{"_id": "m1", "expires_at": at(1)}])
    await service.sweep()
    first, second = broker.sent
    assert (first.topic, first.key) == ("film-mentions", b"m1")
    assert decode(first.value or b"", (FilmListed, FilmMentioned, ResolveMention)) == ResolveMention(
        mention_id="m1", expired=at(1)
    )
    assert dict(first.headers)["ce_id"] == dict(second.headers)["ce_id"]


async def test_the_service_sweeps_where_it_leads_and_outlives_what_goes_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.expiring.LOOK_SECONDS", 0.001)
    leads = [False]
    expiry: Any = Fails(Unavailable("away"), ValueError("a mistake"))
    pictures = PictureExpiry(MemoryDocuments())
    service = ExpiryService(
        expiry, pictures, Broker(), erase_nothing, 3600.0, lambda: leads[0], now=lambda: START / 1000
    )
    async with service:
        await asyncio.sleep(0.05)
        assert expiry.swept == []
        leads[0] = True
        await asyncio.wait_for(expiry.worked.wait(), 20)
    assert expiry.swept == [at(0)] * 3

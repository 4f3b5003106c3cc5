"""Two sources, one of which forbids training and storing for longer than a day: from their files to what is left."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agents.messages import rfc3339
from app.connectors.fetch import Fetcher
from app.connectors.registry import config_of, make
from app.connectors.runner import CursorStore, run_connector
from app.expiring import ExpiryService
from app.storage.documents import MENTIONS, PREDICTIONS, RATINGS, REVIEWS, SENTIMENTS
from models.face_learner import FaceState
from models.rating_learner import RatingState
from models.review_learner import ReviewState
from schemas.commands import PushFilm
from schemas.ids import item_id
from schemas.mentions import FilmMentioned
from schemas.pictures import ImageFound
from schemas.terms import SourceTerms
from tests.stories.conftest import Story

FILMS = ("tt1375666", "tt0133093", "tt0111161", "tt0120363")
DAY = 86_400_000
SENTENCE = "From the guarded source."
TERMS = {"train_allowed": False, "ttl_days": 1, "attribution": SENTENCE}
COLUMNS = {"imdb": "film", "value": "stars", "author": "who", "id": "id"}
STATES: dict[str, Any] = {"future-rating": RatingState, "review-sentiment": ReviewState}
OPEN, GUARDED = "open", "guarded"


def ratings(name: str, count: int) -> str:
    chance = random.Random(name)
    rows = [f"{chance.choice(FILMS)},{chance.randrange(1, 11)},{name}{n % 9},{name}-{n}\n" for n in range(count)]
    return "film,stars,who,id\n" + "".join(rows)


def reviews(name: str, count: int) -> str:
    chance = random.Random(name)
    rows = []
    for n in range(count):
        stars = chance.choice([1, 2, 9, 10])
        words = chance.choices(["fine", "warm", "bright"] if stars > 5 else ["dull", "flat", "stale"], k=4)
        rows.append(f"{chance.choice(FILMS)},{name} says {' '.join(words)},{stars},{name}{n},{name}-{n}\n")
    return "film,review,stars,who,id\n" + "".join(rows)


class Sources:
    """The files of both, read by `csv` connectors straight into the story's log."""

    def __init__(self, story: Story, folder: Path) -> None:
        self.story = story
        self.folder = folder

    async def collect(self, name: str, target: str, text: str, **keys: Any) -> None:
        path = self.folder / f"{name}-{target}.csv"
        path.write_text(text)
        columns = COLUMNS | ({"text": "review"} if target == "reviews" else {})
        table = {"kind": "csv", "path": str(path), "target": target, "columns": columns, "scale": "1:10", **keys}
        async with Fetcher() as fetcher:
            connector = make(config_of(name, {**table, "source": name}), fetcher)
            store = CursorStore(self.folder / f"{name}-{target}")
            report = await run_connector(name, connector, self.story.log, store, now=lambda: self.story.now / 1000)
        assert (report.status, report.refused) == ("success", 0)
        await self.story.runner.settle()


def values(story: Story, topic: str) -> list[dict[str, Any]]:
    return [json.loads(raw.value or b"null") for raw in story.log.records(topic)]


def learnt(story: Story, model: str) -> bytes:
    """A model's state but for how far each partition was read, and how many records were."""
    state: Any = msgspec.msgpack.decode(story.runner.models[model].learner.to_bytes(), type=STATES[model])
    return msgspec.msgpack.encode(msgspec.structs.replace(state, marks={}, lessons=0))


async def counts(story: Story, *collections: str) -> list[int]:
    return [await story.store.documents[name].count({}) for name in collections]


def _service(story: Story) -> ExpiryService:
    expiry, pictures = story.store.expiry, story.store.picture_expiry
    return ExpiryService(
        expiry, pictures, story.log, story.pictures.erase, 1.0, lambda: True, now=lambda: story.now / 1000
    )


async def sweep(story: Story) -> None:
    await _service(story).sweep()
    await story.runner.settle()


@pytest.fixture
def alone(story: Story, tmp_path: Path) -> Sources:
    """A story to which only the open source contributes."""
    (tmp_path / "alone").mkdir()
    return Sources(Story(), tmp_path / "alone")


async def both(story: Story, folder: Path) -> None:
    sources = Sources(story, folder)
    for name, terms in ((OPEN, {}), (GUARDED, {"terms": TERMS}), ("more", {}), ("guarded-more", {"terms": TERMS})):
        await sources.collect(name, "ratings", ratings(name, 60), **terms)
        await sources.collect(name, "reviews", reviews(name, 20), **terms)


async def test_models_are_as_if_the_guarded_source_were_not_there(story: Story, alone: Sources, tmp_path: Path) -> None:
    await both(story, tmp_path)
    for name in (OPEN, "more"):
        await alone.collect(name, "ratings", ratings(name, 60))
        await alone.collect(name, "reviews", reviews(name, 20))
    for model in STATES:
        assert learnt(story, model) == learnt(alone.story, model)
        own, other = story.runner.models[model].learner, alone.story.runner.models[model].learner
        assert own.labels == other.labels > 0  # type: ignore[attr-defined]
        assert own.metrics() == other.metrics()  # type: ignore[attr-defined]
    predicted = {each["event_id"]: each for each in values(story, "rating-predictions")}
    assert len(predicted) == len(values(story, "rating-predictions")) == 240
    # What is said of the open source's ratings is what would have been said anyway, and so is every film's mean.
    said = [(each["film_id"], each["predicted"], each["n_ratings"]) for each in predicted.values()]
    wanted = [(e["film_id"], e["predicted"], e["n_ratings"]) for e in values(alone.story, "rating-predictions")]
    assert set(wanted) <= set(said)
    assert len(values(story, "review-sentiments")) == 80


async def test_the_guarded_source_is_shown_with_its_sentence_and_is_gone_after_its_day(
    story: Story, tmp_path: Path
) -> None:
    await both(story, tmp_path)
    everything = (RATINGS, PREDICTIONS, REVIEWS, SENTIMENTS)
    assert await counts(story, *everything) == [240, 240, 80, 80]
    film = await story.store.films.film(FILMS[0])
    assert film is not None
    assert film.attributions == [SENTENCE]
    assert {rating.expires_at for rating in film.ratings} <= {None, rfc3339(story.now + DAY)}
    story.now += DAY - 1000
    await sweep(story)
    assert await counts(story, *everything) == [240, 240, 80, 80]
    story.now += 1000
    await sweep(story)
    assert await counts(story, *everything) == [120, 120, 40, 40]
    left = await story.store.documents[RATINGS].find({}) + await story.store.documents[REVIEWS].find({})
    assert {each["source"] for each in left} == {OPEN, "more"}
    film = await story.store.films.film(FILMS[0])
    assert film is not None
    assert (film.attributions, GUARDED in {each.source for each in film.sources}) == ([], False)
    assert film.film.n_ratings == max(e["n_ratings"] for e in values(story, "rating-predictions")
                                      if e["film_id"] == FILMS[0])  # fmt: skip


async def test_a_source_that_is_read_again_renews_what_it_still_states(story: Story, tmp_path: Path) -> None:
    for day in range(4):
        # A cursor of its own for each day: the source is read from its beginning.
        folder = tmp_path / str(day)
        folder.mkdir()
        text = ratings(GUARDED, 10 if day < 2 else 5)
        await Sources(story, folder).collect(GUARDED, "ratings", text, terms={**TERMS, "ttl_days": 2})
        await sweep(story)
        story.now += DAY
    # Stated at first and on the second day alone, five of them may not be stored any longer than the fourth.
    assert await counts(story, RATINGS) == [5]
    assert values(story, "dead-letters") == []


async def test_no_table_and_no_document_keeps_the_text_of_a_mention_that_may_not_be_stored(story: Story) -> None:
    for imdb in ("tt0054215", "tt0155975"):
        story.runner.push(PushFilm(title="Psycho", imdb=imdb))
    await story.runner.settle()
    terms = SourceTerms(train=False, expires_at=rfc3339(story.now + DAY))
    mention = {"source": "blog", "source_record_id": "1", "title": "Psycho", "text": "A frightening evening."}
    story.runner.push(FilmMentioned(mention_id="m1", terms=terms, **mention))  # type: ignore[arg-type]
    await story.runner.settle()
    assert _holding(story, b"frightening") == ["mentions"]
    story.now += DAY
    await sweep(story)
    assert _holding(story, b"frightening") == []
    assert await counts(story, MENTIONS) == [0]


async def test_a_guarded_review_leaves_its_text_in_no_table(story: Story, tmp_path: Path) -> None:
    await Sources(story, tmp_path).collect(GUARDED, "reviews", reviews(GUARDED, 20), terms=TERMS)
    assert _holding(story, b"guarded says") == []


async def test_pictures_of_a_source_that_forbids_training_are_kept_and_named_but_not_learnt(story: Story) -> None:
    await story.find("Q1", *(f"photo:{n}/of:Q1" for n in range(4)))
    before = _faces(story)
    guarded = SourceTerms(train=False, attribution=SENTENCE)
    for n in range(4, 8):
        story.runner.push(ImageFound(celebrity_id="Q1", source="tmdb", url=f"photo:{n}/of:Q1", terms=guarded))
    await story.runner.settle()
    assert set((await story.verdicts("Q1")).values()) == {"kept"}
    assert len(values(story, "face-predictions")) == 8
    after = _faces(story)
    assert (after.recogniser, after.faces) == (before.recogniser, before.faces)
    page = await story.store.people.images("Q1", None, 100, None)
    assert sorted({item.attribution or "" for item in page.items}) == ["", SENTENCE]


async def test_a_picture_goes_with_its_files_when_its_source_stops_showing_it(story: Story) -> None:
    async def find(*numbers: int) -> None:
        ends = SourceTerms(expires_at=rfc3339(story.now + 2 * DAY))
        for n in numbers:
            story.runner.push(ImageFound(celebrity_id="Q1", source="tmdb", url=f"photo:{n}/of:Q1", terms=ends))
        await story.runner.settle()

    await find(0, 1, 2)
    await story.find("Q1", "photo:3/of:Q1", "missing")
    story.now += DAY
    await find(1, 2)
    await sweep(story)
    assert story.pictures.erased == []
    story.now += DAY
    await sweep(story)
    verdicts = await story.verdicts("Q1")
    assert [verdicts[f"photo:{n}/of:Q1"] for n in range(4)] == ["rejected", "kept", "kept", "kept"]
    assert [area for area, _ in story.pictures.erased] == ["clean", "original", "thumbnail"]
    assert {face.item_id for face in _faces(story).faces} == {item_id("Q1", f"photo:{n}/of:Q1") for n in (1, 2, 3)}
    page = await story.store.people.images("Q1", "rejected", 10, None)
    ended = rfc3339(story.now)
    assert page.items[0].reason == f"no longer to be stored: its source lets it be stored until {ended}"
    story.pictures.erased.clear()
    await sweep(story)
    assert story.pictures.erased == []
    assert values(story, "dead-letters") == []


async def test_a_picture_whose_term_ends_while_it_is_fetched_goes_once_it_is_there(story: Story) -> None:
    async def day_passes() -> None:
        story.now += 2 * DAY
        # Documents tell of the find already.
        await story.runner.settle("project-found")
        await _service(story).sweep()

    ends = SourceTerms(expires_at=rfc3339(story.now + DAY))
    story.pictures.meanwhile = day_passes
    story.runner.push(ImageFound(celebrity_id="Q1", source="tmdb", url="photo:1/of:Q1", terms=ends))
    await story.runner.settle()
    assert story.pictures.erased == []
    await sweep(story)
    assert await story.verdicts("Q1") == {"photo:1/of:Q1": "rejected"}
    assert [area for area, _ in story.pictures.erased] == ["clean", "original", "thumbnail"]


async def test_what_may_not_be_stored_any_longer_when_it_is_found_is_not_fetched_until_it_may_be(story: Story) -> None:
    async def find(days: int) -> None:
        ends = SourceTerms(expires_at=rfc3339(story.now + days * DAY))
        story.runner.push(ImageFound(celebrity_id="Q1", source="tmdb", url="photo:1/of:Q1", terms=ends))
        await story.runner.settle()

    await find(0)
    assert (story.pictures.asked, story.pictures.erased) == ([], [])
    page = await story.store.people.images("Q1", "rejected", 10, None)
    assert (page.items[0].reason or "").startswith("not fetched: its source let it be stored until")
    await sweep(story)
    await find(1)
    assert await story.verdicts("Q1") == {"photo:1/of:Q1": "kept"}
    await find(-1)
    assert await story.verdicts("Q1") == {"photo:1/of:Q1": "kept"}
    assert values(story, "dead-letters") == []


async def test_an_address_that_was_never_fetched_is_let_go_without_a_ruling(story: Story) -> None:
    ends = SourceTerms(expires_at=rfc3339(story.now + DAY))
    story.runner.push(ImageFound(celebrity_id="Q1", source="tmdb", url="missing", terms=ends))
    await story.runner.settle()
    story.now += DAY
    await sweep(story)
    assert values(story, "dead-letters") == []
    assert story.pictures.erased == []


def _faces(story: Story) -> FaceState:
    return msgspec.msgpack.decode(story.runner.models["faces"].learner.to_bytes(), type=FaceState)


def _holding(story: Story, text: bytes) -> Sequence[str]:
    """The tables in which a text stands."""
    tables = story.runner.tables
    return [name for name, table in tables.items() for rows in table.stored.values() if text in b"".join(rows.values())]

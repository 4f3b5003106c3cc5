"""People and their pictures over HTTP."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from yarl import URL

from agents.errors import Unavailable
from app.pictures.disarm import THUMBNAIL_SIDE
from app.web.people_shapes import Left
from schemas.ids import item_id
from tests.storage.picture_events import KEANU, TILDA, accepted, forgotten, item, kept, person, sha, url
from tests.web.conftest import Running, Start
from tests.web.gallery import fill_gallery, picture, put_files
from tests.web.stand_ins import make_worker

CONTRACT = {"image_id", "verdict", "reason", "duplicate_of", "distance", "url", "source", "width", "height"}


@pytest.fixture
async def stocked(start: Start, tmp_path: Path) -> Running:
    """A service over two people."""
    worker = make_worker(tmp_path)
    await fill_gallery(worker.store, tmp_path)
    return await start(worker)


async def answer(running: Running, path: str, status: int = 200, **options: Any) -> Any:
    async with running.client.get(URL(running.url + path, encoded=True), **options) as response:
        body = await response.json(content_type=None)
        assert response.status == status, body
        assert response.content_type == ("application/json" if status == 200 else "application/problem+json")
        return body


async def test_people_are_listed_searched_sorted_and_paged(stocked: Running) -> None:
    everybody = await answer(stocked, "/celebrities")
    assert [each["name"] for each in everybody["items"]] == ["Keanu Reeves", "Tilda Swinton"]
    assert everybody["items"][0]["images"] == {"kept": 1}
    found = await answer(stocked, "/celebrities?search=TILDA")
    assert [each["celebrity_id"] for each in found["items"]] == [TILDA]
    first = await answer(stocked, "/celebrities?sort=registered&limit=1")
    second = await answer(stocked, f"/celebrities?sort=registered&limit=1&cursor={first['next']}")
    assert [page["items"][0]["celebrity_id"] for page in (first, second)] == [KEANU, TILDA]
    assert second["next"] is None


async def test_one_person_is_shown_with_counts_by_verdict_and_source(stocked: Running) -> None:
    shown = await answer(stocked, f"/celebrities/{TILDA}")
    assert (shown["name"], shown["imdb"], shown["tmdb"]) == ("Tilda Swinton", "nm0842770", 3063)
    assert shown["images"] == {
        "pending": 2, "kept": 2, "duplicate": 1, "conflict": 1, "rejected": 2, "quarantined": 1, "failed": 1,
    }  # fmt: skip
    assert shown["sources"] == [{"source": "commons", "found": 10, "kept": 2}]


async def test_pictures_have_the_keys_and_verdicts_of_the_contract(stocked: Running) -> None:
    page = await answer(stocked, f"/celebrities/{TILDA}/images")
    items = {each["url"]: each for each in page["items"]}
    assert set(items) == {url(n) for n in range(10)}
    assert all(set(each) >= CONTRACT for each in items.values())
    copy = items[url(5)]
    assert {name: copy[name] for name in CONTRACT} == {
        "image_id": sha(5),
        "verdict": "duplicate",
        "reason": "a copy of a picture",
        "duplicate_of": sha(0),
        "distance": 7,
        "url": url(5),
        "source": "commons",
        "width": None,
        "height": None,
    }
    contested = items[url(4)]
    assert (contested["verdict"], contested["conflict_with"], contested["duplicate_of"]) == ("conflict", KEANU, sha(20))
    stays = items[url(0)]
    assert (stays["sha256"], stays["width"], stays["recognised"]) == (sha(0, "cleaned"), 400, TILDA)


async def test_pictures_are_filtered_and_paged(stocked: Running) -> None:
    for verdict, count in (("kept", 2), ("pending", 2), ("rejected", 2), ("conflict", 1)):
        page = await answer(stocked, f"/celebrities/{TILDA}/images?verdict={verdict}")
        assert [each["verdict"] for each in page["items"]] == [verdict] * count
    seen, cursor = [], ""
    while cursor is not None:
        page = await answer(stocked, f"/celebrities/{TILDA}/images?limit=4&cursor={cursor}")
        seen += [each["item_id"] for each in page["items"]]
        cursor = page["next"]
    assert sorted(seen) == sorted(item(n) for n in range(10))


@pytest.mark.parametrize(
    "query",
    ["verdict=good", "verdict=Kept", "limit=0", "limit=99999", "cursor=e30", "cursor=%00", "limit=x"],
)
async def test_a_senseless_question_about_pictures_gets_400(stocked: Running, query: str) -> None:
    problem = await answer(stocked, f"/celebrities/{TILDA}/images?{query}", 400)
    assert problem["detail"].split(":")[0] in {"verdict", "limit", "cursor"}


@pytest.mark.parametrize("query", ["sort=n_ratings", "limit=201", "cursor=x", "search=" + "x" * 201])
async def test_a_senseless_question_about_people_gets_400(stocked: Running, query: str) -> None:
    problem = await answer(stocked, f"/celebrities?{query}", 400)
    assert problem["detail"].split(":")[0] in {"sort", "limit", "cursor", "search"}


@pytest.mark.parametrize("rest", ["", "/images", "/images?verdict=kept"])
@pytest.mark.parametrize("name", ["Q404", "nonsense", "tt1375666", "..%2F..%2Fetc%2Fpasswd", "%00", "x" * 3000])
async def test_an_unknown_person_gets_404(stocked: Running, name: str, rest: str) -> None:
    await answer(stocked, f"/celebrities/{name}{rest}", 404)


@pytest.mark.parametrize("written", ["tmdb:person/3063", "tmdb:person%2F3063", "tmdb%3Aperson%2F3063"])
async def test_a_persons_id_with_a_slash_may_be_escaped_or_not(start: Start, written: str) -> None:
    worker = make_worker()
    await worker.store.pictures.put_celebrities([person("Tilda", "tmdb:person/3063")])
    running = await start(worker)
    assert (await answer(running, f"/celebrities/{written}"))["name"] == "Tilda"
    assert (await answer(running, f"/celebrities/{written}/images"))["items"] == []
    assert (await answer(running, f"/celebrities/{written}/erasure"))["celebrity_id"] == "tmdb:person/3063"


async def test_a_person_without_pictures_of_a_verdict_has_an_empty_page(stocked: Running) -> None:
    page = await answer(stocked, f"/celebrities/{KEANU}/images?verdict=failed")
    assert page == {"items": [], "next": None}


async def test_a_cleaned_picture_is_served_by_both_its_names_and_never_as_fetched(stocked: Running) -> None:
    clean = sha(0, "cleaned")
    for name, caching in ((clean, "private, max-age=31536000, immutable"), (sha(0), "private, no-cache")):
        async with stocked.get(f"/images/{name}") as response:
            assert (response.status, response.content_type) == (200, "image/jpeg")
            assert await response.read() == picture(0, 400)
            assert response.headers["Cache-Control"] == caching
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.headers["Content-Security-Policy"].startswith("default-src 'none';")
            assert "sandbox" in response.headers["Content-Security-Policy"]
    async with stocked.get(f"/images/{clean}/thumbnail") as response:
        assert await response.read() == picture(0, 40)


async def test_a_thumbnail_is_made_when_it_is_first_asked_for(stocked: Running, tmp_path: Path) -> None:
    clean = sha(0, "cleaned")
    path = tmp_path / "thumbnail" / clean[:2] / f"{clean}.jpg"
    path.unlink()
    async with stocked.get(f"/images/{clean}/thumbnail") as response:
        made = await response.read()
        assert "immutable" in response.headers["Cache-Control"]
    assert made == path.read_bytes()
    with Image.open(io.BytesIO(made)) as small:
        assert max(small.size) == THUMBNAIL_SIDE


async def test_a_thumbnail_that_cannot_be_made_is_stood_in_for_by_the_picture(stocked: Running, tmp_path: Path) -> None:
    clean = sha(0, "cleaned")
    (tmp_path / "thumbnail" / clean[:2] / f"{clean}.jpg").unlink()
    await stocked.worker.pictures.sandbox.close()
    stocked.worker.pictures.sandbox = BrokenSandbox()  # type: ignore[assignment]
    async with stocked.get(f"/images/{clean}/thumbnail") as response:
        assert (response.status, await response.read()) == (200, picture(0, 400))
        assert "immutable" not in response.headers["Cache-Control"]


class BrokenSandbox:
    """One for which no process can be started."""

    async def run(self, *_: object) -> None:
        raise Unavailable("no process can be started")

    async def close(self) -> None:
        """There is none."""


@pytest.mark.parametrize(
    "name",
    [
        "../original/ab",
        "..%2F..%2F..%2Fetc%2Fpasswd",
        "%2e%2e%2f%2e%2e%2fpasswd",
        "..",
        "%00",
        "A" * 64,
        "f" * 63,
        "f" * 65,
        "f" * 64,
        "f" * 64 + ".jpg",
        "f" * 64 + "%0a",
        sha(0, "cleaned").upper(),
    ],
)
@pytest.mark.parametrize("rest", ["", "/thumbnail"])
async def test_nothing_else_is_served_as_a_picture(stocked: Running, name: str, rest: str) -> None:
    await answer(stocked, f"/images/{name}{rest}", 404)


async def test_a_file_that_no_document_names_is_not_served(stocked: Running, tmp_path: Path) -> None:
    put_files(tmp_path, 99)
    await answer(stocked, f"/images/{sha(99, 'cleaned')}", 404)
    await stocked.worker.store.pictures.forget([forgotten(40)])
    assert (tmp_path / "clean" / sha(0, "cleaned")[:2]).is_dir()
    await answer(stocked, f"/images/{sha(0, 'cleaned')}", 404)


async def test_a_picture_without_a_cleaned_copy_is_not_served(stocked: Running) -> None:
    await answer(stocked, f"/images/{sha(8)}", 404)
    await stocked.worker.store.pictures.put_kept([kept(8, 9)])
    problem = await answer(stocked, f"/images/{sha(8)}", 404)
    assert "No cleaned picture" in problem["detail"]


async def test_erasure_is_proved_place_by_place(stocked: Running, tmp_path: Path) -> None:
    async def elsewhere(celebrity_id: str) -> list[Left]:
        return [Left("model: faces", 0)]

    stocked.service.site.traces.append(elsewhere)
    before = await answer(stocked, f"/celebrities/{KEANU}/erasure")
    assert (before["erased"], before["event_id"]) == (False, None)
    assert {each["where"]: each["left"] for each in before["left"]} == {
        "documents: celebrities": 1,
        "documents: images": 1,
        "documents: images of others that name the person": 1,
        "files: original": 1,
        "files: clean": 1,
        "files: thumbnail": 1,
        "model: faces": 0,
    }
    await stocked.worker.store.pictures.forget([forgotten(40, KEANU)])
    after = await answer(stocked, f"/celebrities/{KEANU}/erasure")
    assert (after["erased"], after["event_id"], after["at"]) == (True, "cause-10", "2023-11-14T22:13:30.000Z")
    assert {each["left"] for each in after["left"]} == {0}
    assert len(after["left"]) == len(before["left"])


async def test_who_came_back_is_not_erased(stocked: Running) -> None:
    await stocked.worker.store.pictures.forget([forgotten(40, KEANU)])
    await stocked.worker.store.pictures.put_accepted([accepted(21, 50, KEANU, second=60)])
    assert (await answer(stocked, f"/celebrities/{KEANU}/erasure"))["erased"] is False


async def test_somebody_whom_nobody_forgot_is_not_erased_even_if_unknown(stocked: Running) -> None:
    shown = await answer(stocked, "/celebrities/Q404/erasure")
    assert (shown["erased"], {each["left"] for each in shown["left"]}) == (False, {0})


def test_an_item_is_one_address_of_one_person() -> None:
    assert item_id(TILDA, url(1)) != item_id(KEANU, url(1)) != item_id(KEANU, url(2))

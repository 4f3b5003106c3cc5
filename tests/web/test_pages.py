"""Pages for people: whole without scripts, safe with any title, and honest about what is missing."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from agents.errors import Unavailable
from app.web import charts
from app.web.attention import notices
from app.web.probes import Check, Readiness
from app.web.pulse import StagePulse
from app.web.server import WebService
from tests.storage.picture_events import KEANU, TILDA, found, item, person, sha
from tests.web.conftest import Running, Start
from tests.web.gallery import fill_gallery
from tests.web.stand_ins import fill, make_worker

HTML = {"Accept": "text/html"}
NASTY = "<script>alert(1)</script>\"'&{{ 7*7 }}\u202e"
VOID = {"meta", "link", "input", "br", "img"}


class Outline(HTMLParser):
    """Checks that tags close in order, and keeps what tests look at."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


async def page(running: Running, path: str) -> Outline:
    async with running.get(path, headers=HTML) as response:
        text = await response.text()
        assert response.status == 200, text
        assert response.content_type == "text/html"
    outline = Outline()
    outline.feed(text)
    outline.close()
    assert outline.open == []
    return outline


@pytest.fixture
async def stocked(start: Start, tmp_path: Path) -> Running:
    """A service with films of every sort, people with pictures of every verdict, a model and a pulse."""
    worker = make_worker(tmp_path)
    await fill_gallery(worker.store, tmp_path)
    await worker.store.pictures.put_celebrities([person(NASTY, "tmdb:person/1")])
    await worker.store.pictures.put_found([found(0, "tmdb:person/1", source=NASTY, licence=NASTY)])
    await fill(worker.store, "tt1375666", "Inception", [8.0, 9.0, 7.0] * 10, year=2010)
    await fill(worker.store, "tmdb:tv/1", NASTY, [5.0])
    await fill(worker.store, "Q1", "Never rated", [])
    running = await start(worker)
    worker.own_model({"mae": 0.91, "running_mean": 1.02, "global_mean": 1.5})
    running.service.beat()
    running.service.site.bus.publish("film", {"film_id": "Q1", "title": NASTY, "year": None})
    running.service.site.bus.publish("dead-letter", {"stage": "clean", "error": NASTY})
    running.service.site.bus.publish(
        "prediction", {"film_id": "Q1", "title": NASTY, "predicted": 7.0, "current_mean": None, "n_ratings": 1}
    )
    return running


PAGES = ["/", "/films", "/films?search=star", "/films?sort=-year&limit=1", "/films/tt1375666", "/films/tmdb:tv%2F1",
         "/films/Q1", "/celebrities", "/celebrities?search=nobody", "/celebrities/tmdb:person%2F1",
         f"/celebrities/{TILDA}", f"/celebrities/{TILDA}?verdict=rejected", f"/celebrities/{TILDA}?limit=3&told=ruled",
         f"/celebrities/{KEANU}?verdict=failed", "/models", "/models/future-rating", "/docs"]  # fmt: skip


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_is_whole_and_needs_nothing_from_elsewhere(stocked: Running, path: str) -> None:
    outline = await page(stocked, path)
    assert [tag for tag, _ in outline.tags].count("h1") == 1
    for tag, attributes in outline.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
        if tag == "script":
            assert attributes["src"] in {"/static/live.js", "/static/steer.js"}
        for name in ("src", "href", "action"):
            address = attributes.get(name) or ""
            assert not re.match(r"\w+:|//", address) or address.startswith(stocked.url), address


@pytest.mark.parametrize("path", PAGES)
async def test_every_link_leads_somewhere(stocked: Running, path: str) -> None:
    from yarl import URL

    outline = await page(stocked, path)
    ids = {attributes.get("id") for _, attributes in outline.tags}
    for _, attributes in outline.tags:
        address = attributes.get("href") or attributes.get("src")
        if not address:
            continue
        if address.startswith("#"):
            assert address[1:] in ids, address
            continue
        target = URL(stocked.url).join(URL(address, encoded=True))
        async with stocked.client.get(target) as response:
            assert response.status == 200, address


async def test_a_title_is_text_wherever_it_stands(stocked: Running) -> None:
    for path in ("/", "/films", "/films/tmdb:tv%2F1", "/celebrities", "/celebrities/tmdb:person%2F1"):
        outline = await page(stocked, path)
        assert NASTY in outline.text
        assert "script" not in [tag for tag, attributes in outline.tags if "src" not in attributes]


async def test_the_overview_names_error_and_baselines(stocked: Running) -> None:
    text = " ".join((await page(stocked, "/")).text.split())
    assert "Prediction error 0.910 running mean 1.020 · global mean 1.500" in text
    assert "Films3" in text
    assert "Ratings31 31 predictions" in text
    assert "People3 3 pictures kept of 12 found" in text
    assert "1 picture is claimed for two people" in text
    for stage in stocked.worker.topology.stages:
        assert stage.name in text


async def test_the_film_page_draws_what_was_said_and_what_came(stocked: Running) -> None:
    outline = await page(stocked, "/films/tt1375666")
    lines = {attributes["class"]: attributes["points"] for tag, attributes in outline.tags if tag == "polyline"}
    assert len(lines["said"].split()) == 30
    assert len(lines["came"].split()) == 20
    assert [tag for tag, _ in outline.tags].count("circle") == 30


async def test_the_overview_stands_while_everything_is_away(start: Start) -> None:
    async def away(*_: Any) -> None:
        raise Unavailable("away")

    worker = make_worker()
    worker.store.films.films = worker.store.films.counts = worker.store.pointers.recent = away
    worker.store.people.counts = away
    running = await start(worker, kafka=False, mongo=False, mlflow=False)
    worker.prepared = worker.gate_open = False
    text = (await page(running, "/")).text
    assert "kafka: ConnectionRefusedError" in text
    assert "source gate: shut" in text
    assert "Nothing: events flow" not in text


async def test_paging_and_searching_work_without_scripts(stocked: Running) -> None:
    first = await page(stocked, "/films?sort=title&limit=2")
    (link,) = [attributes["href"] for tag, attributes in first.tags if attributes.get("rel") == "next"]
    assert "Inception" in first.text
    assert NASTY in (await page(stocked, link or "")).text
    assert "Inception" in (await page(stocked, "/films?search=incep")).text
    assert "No film's title holds" in (await page(stocked, "/films?search=nothing")).text


def test_attention_puts_what_stops_events_first_and_is_silent_when_all_is_well() -> None:
    well = Readiness(ready=True, checks={"kafka": Check(ok=True, needed=True, detail="answers")})
    assert notices(well, {}, [], False) == []
    ill = Readiness(
        ready=False,
        checks={
            "mlflow": Check(ok=False, needed=False, detail="away"),
            "kafka": Check(ok=False, needed=True, detail="away"),
        },
    )
    stages = {"clean": StagePulse(rate=0.0, events=0, errors=2, dead_letters=2, lag=5000)}
    found = notices(ill, stages, [], True)
    assert [notice.level for notice in found] == ["bad", "bad", "warn", "warn", "warn"]
    text = " | ".join(notice.text for notice in found)
    for part in ("kafka: away", "gate is stuck", "mlflow: away", "2 records away", "5000 records behind"):
        assert part in text


async def test_a_model_that_errs_more_than_the_running_mean_is_pointed_out(start: Start) -> None:
    worker = make_worker()
    running = await start(worker)
    worker.own_model({"mae": 1.2, "running_mean": 1.0}, labels=500)
    assert "errs more (1.200) than the running mean (1.000)" in (await page(running, "/")).text
    worker.own_model({"mae": 1.2, "running_mean": 1.0}, labels=5)
    assert "errs more" not in (await page(running, "/")).text


def test_long_series_are_thinned_and_keep_their_ends() -> None:
    points = [(float(n), 1.0) for n in range(10_001)]
    thin = charts.thinned(points, 800)
    assert len(thin) <= 801
    assert (thin[0], thin[-1]) == (points[0], points[-1])


def test_labels_of_charts_cannot_break_out_of_their_attribute() -> None:
    drawn = str(charts.sparkline([1.0, 2.0], '"><script>'))
    assert "<script>" not in drawn


async def test_the_first_page_is_small(stocked: Running) -> None:
    import gzip

    total = 0
    for path in ("/", "/static/marquee.css", "/static/live.js", "/static/icon.svg"):
        async with stocked.get(path, headers=HTML) as response:
            total += len(gzip.compress(await response.read()))
    assert total < 120_000
    assert isinstance(stocked.service, WebService)


def test_the_axis_of_errors_ends_at_a_number_that_quarters_well() -> None:
    from app.web.pages import round_top

    assert [round_top(value) for value in (0.03, 0.9, 1.0, 1.57, 3.0, 9.0)] == [0.04, 1.0, 1.0, 2.0, 4.0, 10.0]


async def test_nothing_is_missed_between_the_drawing_and_the_first_event(stocked: Running) -> None:
    outline = await page(stocked, "/")
    (after,) = [attributes["data-feed"] for _, attributes in outline.tags if "data-feed" in attributes]
    stocked.service.site.bus.publish("film", {"film_id": "Q1", "title": "Meanwhile", "year": None})
    async with stocked.get("/events", params={"after": after}) as response:
        told = await response.content.readuntil(b"data: ")
        told += await response.content.readuntil(b"\n\n")
    assert b'"title":"Meanwhile"' in told


async def test_a_persons_page_shows_every_verdict_with_reason_source_and_what_can_be_said(stocked: Running) -> None:
    outline = await page(stocked, f"/celebrities/{TILDA}")
    text = " ".join(outline.text.split())
    for words in (
        "rejected: no face", "failed: HTTP 404", "distance 7", f"copy of {sha(0)[:12]}", f"claimed for {KEANU} too",
        "kept 2", "claimed for two people 1", f"taken for {TILDA}", "commons",
    ):  # fmt: skip
        assert words in text, words
    buttons = [(each["name"], each["value"]) for tag, each in outline.tags if tag == "button" and "name" in each]
    assert sorted({value for name, value in buttons if name == "belongs_to"}) == sorted(
        [TILDA, KEANU, "both", "neither"]
    )
    assert buttons.count(("decision", "reject")) == 4, "what is kept, pending or quarantined"
    assert buttons.count(("decision", "keep")) == 4, "what was fetched and is not kept"


async def test_pictures_that_may_not_be_fit_to_see_are_not_shown_at_once(stocked: Running) -> None:
    outline = await page(stocked, f"/celebrities/{TILDA}")
    shown = {each["src"] for tag, each in outline.tags if tag == "img"}
    assert shown == {f"/images/{sha(n, 'cleaned')}/thumbnail" for n in (0, 1, 2)}
    assert all(each["alt"] for tag, each in outline.tags if tag == "img")


async def test_the_pictures_of_one_verdict_have_a_page_of_their_own(stocked: Running) -> None:
    outline = await page(stocked, f"/celebrities/{TILDA}?verdict=kept&limit=1")
    assert [tag for tag, _ in outline.tags].count("img") == 1
    (link,) = [each["href"] for tag, each in outline.tags if each.get("rel") == "next"]
    following = await page(stocked, link or "")
    assert [tag for tag, _ in following.tags].count("img") == 1
    assert "First page" in following.text
    assert item(0) != item(1)

"""People see and steer connectors over HTTP: the list, the history, run, pause, resume, backfill, matches."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from app.delivery.producer import Outgoing
from app.settings import Settings, Web
from schemas.catalogue import decode
from schemas.ids import derived_id
from schemas.mentions import FilmListed, FilmMentioned, ResolveMention
from schemas.scrapes import ScrapeRequested, SteerConnector
from tests.web.collecting import NASTY, fill_collecting, make_collecting_worker
from tests.web.conftest import Running, Start
from tests.web.stand_ins import FakeWorker
from tests.web.test_pages import HTML, page

NOW = 1_767_700_000.0
"""2026-01-06 11:46:40 UTC."""


@pytest.fixture
async def collecting(start: Start) -> Running:
    """A service over three connectors, of which one has a history and one is broken."""
    worker = make_collecting_worker()
    await fill_collecting(worker.store)
    running = await start(worker)
    running.service.site.now = lambda: NOW
    return running


def read(sent: Outgoing) -> Any:
    if sent.topic == ResolveMention.topic:
        return decode(sent.value, (FilmListed, FilmMentioned, ResolveMention))
    return decode(sent.value, (ScrapeRequested, SteerConnector))


async def get(running: Running, path: str, status: int = 200) -> Any:
    async with running.get(path) as response:
        answer = await response.json(content_type=None)
        assert response.status == status, answer
        return answer


async def post(running: Running, path: str, body: Any = None, status: int = 202) -> Any:
    sent = {} if body is None else {"json": body}
    async with running.post(path, **sent) as response:
        answer = await response.json(content_type=None)
        assert response.status == status, answer
        return answer


async def test_connectors_are_listed_in_their_order_with_schedule_state_and_last_run(collecting: Running) -> None:
    daily, by_hand, broken = (await get(collecting, "/connectors"))["items"]
    assert [each["name"] for each in (daily, by_hand, broken)] == ["daily", "by-hand", "broken"]
    assert (daily["schedule"], daily["timezone"], daily["paused"]) == ("0 6 * * *", "Europe/Berlin", True)
    assert daily["pause_reason"].startswith("too noisy")
    assert daily["next_date"] is None, "nothing is next while it is paused"
    assert (daily["last_run"]["run_id"], daily["last_run"]["status"]) == ("r3", "running")
    assert (by_hand["last_run"], by_hand["next_date"], by_hand["error"]) == (None, None, None)
    assert "whenever" in broken["error"]


async def test_the_next_date_follows_the_connectors_own_time_zone(start: Start) -> None:
    running = await start(make_collecting_worker())
    running.service.site.now = lambda: NOW
    assert (await get(running, "/connectors/daily"))["next_date"] == "2026-01-07T05:00:00Z"


async def test_a_long_list_comes_in_pages(collecting: Running) -> None:
    names, cursor = [], ""
    while cursor is not None:
        found = await get(collecting, f"/connectors?limit=1&cursor={cursor}")
        names += [each["name"] for each in found["items"]]
        cursor = found["next"]
    assert names == ["daily", "by-hand", "broken"]
    assert "first page" in (await get(collecting, "/connectors?cursor=gone", 400))["detail"]


async def test_the_history_tells_of_every_attempt_what_it_did(collecting: Running) -> None:
    found = (await get(collecting, "/connectors/daily/runs"))["items"]
    assert [(run["run_id"], run["attempt"], run["status"]) for run in found] == [
        ("r3", 1, "running"), ("r2", 2, "partial"), ("r2", 1, "failed"), ("r1", 1, "success"),
    ]  # fmt: skip
    running, retried, failed, good = found
    assert (running["done"], running["total"], running["counts"]["records"]) == (50, 200, 600)
    assert [run["sla_missed"] for run in found] == [True, False, False, False]
    assert [len(run["notes"]) for run in found] == [0, 1, 0, 0]
    assert retried["resumed"]
    assert failed["error"].startswith("503")
    assert (good["seconds"], good["counts"]["bytes"], good["cursor_after"]) == (61.5, 123_456, {"line": 1201})
    assert (good["counts"]["records"], good["counts"]["duplicates"]) == (1200, 987)


async def test_the_history_comes_in_pages(collecting: Running) -> None:
    seen, cursor = [], ""
    while cursor is not None:
        found = await get(collecting, f"/connectors/daily/runs?limit=3&cursor={cursor}")
        seen += [(run["run_id"], run["attempt"]) for run in found["items"]]
        cursor = found["next"]
    assert seen == [("r3", 1), ("r2", 2), ("r2", 1), ("r1", 1)]
    assert "cursor" in (await get(collecting, "/connectors/daily/runs?cursor=zzz", 400))["detail"]


@pytest.mark.parametrize(
    "path",
    ["/connectors/nobody", "/connectors/nobody/runs", *(f"/connectors/nobody/{word}" for word in ("run", "pause"))],
)
async def test_an_unknown_connector_is_answered_with_those_there_are(collecting: Running, path: str) -> None:
    ask = post if path.endswith(("run", "pause")) else get
    problem = await ask(collecting, path, status=404)
    assert "there is daily, by-hand, broken" in problem["detail"]
    assert collecting.worker.producer.sent == []


async def test_a_manual_run_is_a_request_of_its_own_each_time(collecting: Running) -> None:
    answers = [await post(collecting, "/connectors/by-hand/run") for _ in range(2)]
    sent = [read(each) for each in collecting.worker.producer.sent]
    assert [(each.connector, each.trigger, each.run_id) for each in sent] == [
        ("by-hand", "manual", answer["run_id"]) for answer in answers
    ]
    assert answers[0]["run_id"] != answers[1]["run_id"]
    assert {each.topic for each in collecting.worker.producer.sent} == {"scrape-requests"}
    assert {each.key for each in collecting.worker.producer.sent} == {b"by-hand"}


async def test_a_run_from_the_start_is_told_to_begin_anew_first(collecting: Running) -> None:
    await post(collecting, "/connectors/by-hand/run", {"from_start": True})
    reset, asked = [read(each) for each in collecting.worker.producer.sent]
    assert reset == SteerConnector(connector="by-hand", action="reset")
    assert isinstance(asked, ScrapeRequested)


@pytest.mark.parametrize("path", ["/connectors/by-hand/run", "/connectors/daily/pause", "/matches/m0"])
async def test_json_that_is_sent_as_a_form_is_not_ignored(collecting: Running, path: str) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    async with collecting.post(path, data=b'{"from_start": true}', headers=form) as response:
        problem = await response.json(content_type=None)
        assert response.status == 415
    assert "Content-Type: application/json" in problem["detail"]
    assert collecting.worker.producer.sent == []


async def test_who_runs_a_paused_connector_is_told_that_it_waits(collecting: Running) -> None:
    answer = await post(collecting, "/connectors/daily/run", {})
    assert answer["paused"] is True
    assert answer["pause_reason"].startswith("too noisy")


async def test_pause_and_resume_are_words_to_the_connector(collecting: Running) -> None:
    await post(collecting, "/connectors/by-hand/pause", {"reason": "the server moves"})
    answer = await post(collecting, "/connectors/by-hand/resume")
    assert [read(each) for each in collecting.worker.producer.sent] == [
        SteerConnector(connector="by-hand", action="pause", reason="the server moves"),
        SteerConnector(connector="by-hand", action="resume"),
    ]
    assert answer["event_id"] == dict(collecting.worker.producer.sent[1].headers)["ce_id"].decode()


async def test_a_backfill_asks_for_each_date_once_however_often_it_is_sent(collecting: Running) -> None:
    span = {"from": "2025-12-30", "to": "2026-01-01"}
    first, again = [await post(collecting, "/connectors/daily/backfill", span) for _ in range(2)]
    assert [run["logical_date"] for run in first["runs"]] == [
        "2025-12-30T05:00:00Z", "2025-12-31T05:00:00Z", "2026-01-01T05:00:00Z",
    ]  # fmt: skip
    assert first == again
    sent = [read(each) for each in collecting.worker.producer.sent]
    assert {each.trigger for each in sent} == {"backfill"}
    assert (sent[0].interval_start, sent[0].interval_end) == ("2025-12-29T05:00:00Z", "2025-12-30T05:00:00Z")
    ids = [dict(each.headers)["ce_id"] for each in collecting.worker.producer.sent]
    assert ids[:3] == ids[3:]


async def test_a_backfill_ends_at_the_present(collecting: Running) -> None:
    found = await post(collecting, "/connectors/daily/backfill", {"from": "2026-01-06", "to": "2027-01-01"})
    assert [run["logical_date"] for run in found["runs"]] == ["2026-01-06T05:00:00Z"]


@pytest.mark.parametrize(
    ("name", "body", "says"),
    [
        ("by-hand", {"from": "2026-01-01", "to": "2026-01-02"}, "has no schedule"),
        ("broken", {"from": "2026-01-01", "to": "2026-01-02"}, "cannot be used as it is configured"),
        ("daily", {"from": "2026-01-02", "to": "2026-01-01"}, "lies behind to"),
        ("daily", {"from": "2027-01-02", "to": "2027-01-03"}, "lies behind now"),
        ("daily", {"from": "yesterday", "to": "2026-01-01"}, "from: 'yesterday' is no time"),
        ("daily", {"from": "2026-01-02T06:00:00Z", "to": "2026-01-02T07:00:00Z"}, "No date of"),
        ("daily", {"from": "1990-01-01", "to": "2026-01-01"}, "More than 1000 dates"),
        ("daily", {"from": "0001-01-01", "to": "2026-01-01"}, "from: '0001-01-01' lies outside of the years 1970 to"),
        ("daily", {"from": "0001-01-01", "to": "9999-12-31"}, "from: '0001-01-01' lies outside"),
        ("daily", {"from": "9999-12-31T23:59:59-12:00", "to": "9999-12-31"}, "lies outside of the years"),
        ("daily", {"from": "1970-01-01", "to": "0001-01-01T00:00:00+14:00"}, "lies behind to"),
        ("daily", {"from": "1970-01-01", "to": "9999-12-31T23:59:59-12:00"}, "More than 1000 dates"),
        ("daily", {"from": "2026-01-01"}, "Needed: from, to."),
        ("daily", {"from": "2026-01-01", "to": "2026-01-02", "by": "day"}, "unknown field"),
    ],
)  # fmt: skip
async def test_a_backfill_that_makes_no_sense_is_refused_with_the_reason(
    collecting: Running, name: str, body: dict[str, str], says: str
) -> None:
    assert says in (await post(collecting, f"/connectors/{name}/backfill", body, 422))["detail"]
    assert collecting.worker.producer.sent == []


async def test_a_body_that_needs_nothing_names_what_it_may_have(collecting: Running) -> None:
    detail = (await post(collecting, "/connectors/by-hand/run", {"x": 1}, 422))["detail"]
    assert detail.endswith(" Possible: from_start.")


async def test_a_connector_is_shown_without_what_its_address_should_not_hold(start: Start) -> None:
    address = "https://u:s3cret@127.0.0.1:9/"
    running = await start(
        FakeWorker(Settings(web=Web(port=0), connectors={"a": {"kind": "tmdb", "base_url": address}}))
    )
    for path in ("/connectors", "/connectors/a"):
        assert "s3cret" not in str(await get(running, path))
    assert "MARQUEE_TMDB_TOKEN" in (await get(running, "/connectors/a"))["error"]


async def test_open_mentions_are_listed_with_their_candidates(collecting: Running) -> None:
    found = await get(collecting, "/matches")
    assert ([each["mention_id"] for each in found["items"]], found["open"]) == (["m0", "m1"], 2)
    assert [film["film_id"] for film in found["items"][0]["candidates"]] == ["tt0000001", "tt0000002"]
    assert [each["mention_id"] for each in (await get(collecting, "/matches?limit=1"))["items"]] == ["m0"]


@pytest.mark.parametrize("film_id", ["tt0000001", None])
async def test_a_mention_is_resolved_by_hand(collecting: Running, film_id: str | None) -> None:
    answers = [await post(collecting, "/matches/m1", {"film_id": film_id}) for _ in range(2)]
    sent = [read(each) for each in collecting.worker.producer.sent]
    assert sent == [ResolveMention(mention_id="m1", film_id=film_id)] * 2
    assert answers[0]["event_id"] == answers[1]["event_id"] == derived_id(f"m1|{film_id}", "resolve")


@pytest.mark.parametrize(
    ("mention", "body", "status", "says"),
    [
        ("nothing", {"film_id": None}, 404, "/matches lists"),
        ("m2", {"film_id": None}, 409, "said already"),
        ("m0", {"film_id": "Solaris"}, 422, "film_id: 'Solaris' is none of"),
        ("m0", {}, 422, "Needed: film_id"),
    ],
)
async def test_a_word_on_a_mention_that_cannot_be_used_is_refused(
    collecting: Running, mention: str, body: dict[str, Any], status: int, says: str
) -> None:
    assert says in (await post(collecting, f"/matches/{mention}", body, status))["detail"]
    assert collecting.worker.producer.sent == []


ACTIONS = [
    ("/connectors/daily/run", {}),
    ("/connectors/daily/pause", {"reason": "x"}),
    ("/connectors/daily/resume", {}),
    ("/connectors/daily/backfill", {"from": "2026-01-01", "to": "2026-01-01"}),
    ("/matches/m0", {"film_id": "tt0000001"}),
]


@pytest.mark.parametrize(("path", "body"), ACTIONS)
async def test_where_a_token_is_set_nothing_is_steered_without_it(start: Start, path: str, body: Any) -> None:
    worker = make_collecting_worker()
    await fill_collecting(worker.store)
    running = await start(worker, "sesame")
    await post(running, path, body, 401)
    assert worker.producer.sent == []
    async with running.post(path, json=body, headers={"Authorization": "Bearer sesame"}) as response:
        assert response.status == 202
    assert worker.producer.sent


@pytest.mark.parametrize(("path", "body"), ACTIONS)
async def test_a_form_goes_back_to_a_page_that_says_what_was_noted(collecting: Running, path: str, body: Any) -> None:
    async with collecting.post(path, data=body or b"", headers=HTML | {"Content-Type": FORM}) as response:
        assert response.status == 200
        assert "Noted." in await response.text()
    assert collecting.worker.producer.sent


FORM = "application/x-www-form-urlencoded"


async def test_a_form_says_that_a_mention_is_of_no_film(collecting: Running) -> None:
    async with collecting.post("/matches/m0", data={"film_id": "none"}) as response:
        assert response.status == 200
    assert read(collecting.worker.producer.sent[0]) == ResolveMention(mention_id="m0", film_id=None)


@pytest.mark.parametrize(
    "path", ["/connectors", "/connectors/daily", "/connectors/by-hand", "/connectors/broken", "/matches"]
)
async def test_pages_are_whole_and_safe_with_what_sources_say(collecting: Running, path: str) -> None:
    outline = await page(collecting, path)
    assert not [tag for tag, attrs in outline.tags if tag == "script" and "src" not in attrs]
    if path in ("/connectors", "/connectors/daily", "/matches"):
        assert NASTY in outline.text


async def test_the_grid_has_a_field_a_run_in_the_colour_of_its_end(collecting: Running) -> None:
    outline = await page(collecting, "/connectors")
    fields = [
        attrs["class"] for tag, attrs in outline.tags if tag == "a" and (attrs.get("class") or "").startswith("run ")
    ]
    assert fields == ["run success", "run failed", "run partial", "run running"]
    assert "2 mentions wait" in outline.text


async def test_the_page_of_a_connector_says_how_each_run_went(collecting: Running) -> None:
    text = (await page(collecting, "/connectors/daily")).text
    assert "Duplicates" in text
    assert "987" in text
    told = ("later than promised", "cut off and gone on with", "attempt 2", "line 4:", "Q901: not there")
    for said in (*told, '{"line":1201}', "25 %"):
        assert said in text


async def test_what_a_source_allows_is_told_with_its_connector_and_on_its_page(start: Start) -> None:
    worker = make_collecting_worker()
    terms = {"ttl_days": 30, "train_allowed": False, "attribution": f"Shown with it {NASTY}"}
    tables = {**worker.settings.connectors, "guarded": {"kind": "csv", "path": "x.csv", "terms": terms}}
    worker.settings = msgspec.structs.replace(worker.settings, connectors=tables)
    running = await start(worker)
    assert (await get(running, "/connectors/guarded"))["terms"] == terms
    assert (await get(running, "/connectors/daily"))["terms"]["train_allowed"] is True
    assert (await get(running, "/connectors/broken"))["terms"] is None
    text = (await page(running, "/connectors/guarded")).text
    assert "kept 30 days" in text
    assert "no model learns from it" in text
    assert f"Shown with it {NASTY}" in text
    assert "kept for ever" in (await page(running, "/connectors/daily")).text
    assert "Its data" not in (await page(running, "/connectors/broken")).text

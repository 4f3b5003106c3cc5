"""Pushing films and celebrities over HTTP, and what is not let in."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from app.delivery.guard import Reader
from app.delivery.producer import partition_of
from app.delivery.raw import Raw
from app.embedded.history import archive_dir
from schemas.catalogue import decode
from schemas.commands import PushCelebrity, PushFilm
from tests.web.conftest import Running, Start
from tests.web.stand_ins import make_worker

INCEPTION = {"title": "Inception", "year": 2010, "imdb": "tt1375666"}
JSON = {"Content-Type": "application/json"}


async def test_a_pushed_film_lands_on_input_under_its_id_with_cloudevents_headers(running: Running) -> None:
    async with running.post("/films", json=INCEPTION) as response:
        assert response.status == 202
        answer = await response.json()
        assert response.headers["Location"] == "/films/tt1375666"
    (sent,) = running.worker.producer.sent
    assert answer == {"id": "tt1375666", "event_id": answer["event_id"]}
    assert (sent.topic, sent.key) == ("input", b"tt1375666")
    headers = dict(sent.headers)
    assert headers["ce_id"].decode() == answer["event_id"] != ""
    assert headers["ce_type"] == b"marquee.PushFilm"
    assert decode(sent.value, (PushFilm, PushCelebrity)) == PushFilm(title="Inception", year=2010, imdb="tt1375666")


async def test_what_is_pushed_can_be_read_by_the_first_stage(running: Running) -> None:
    async with running.post("/films", json={"title": "Hallo, Wörld", "kind": "tv"}) as response:
        assert response.status == 202
    (sent,) = running.worker.producer.sent
    reader = Reader((PushFilm, PushCelebrity), 4, 1_000_000, placed=False)
    raw = Raw(sent.topic, partition_of(sent.key, 4), 0, 0, sent.key, sent.value, sent.headers)
    assert reader.read(raw).data == PushFilm(title="Hallo, Wörld", kind="tv")


async def test_a_whole_number_may_be_written_with_a_fraction_of_nothing(running: Running) -> None:
    async with running.post(
        "/films", data=b'{"title":"Inception","year":2010.0,"tmdb":27205.0}', headers=JSON
    ) as response:
        assert response.status == 202
    (sent,) = running.worker.producer.sent
    assert decode(sent.value, (PushFilm, PushCelebrity)) == PushFilm(title="Inception", year=2010, tmdb=27205)
    async with running.post("/films", data=b'{"title":"Inception","year":2010.5}', headers=JSON) as response:
        assert response.status == 422


async def test_a_film_without_identifiers_gets_the_same_id_every_time(running: Running) -> None:
    ids = set()
    for title in ("Amélie", "AMELIE!"):
        async with running.post("/films", json={"title": title, "year": 2001}) as response:
            ids.add((await response.json())["id"])
    assert len(ids) == 1
    assert ids.pop().startswith("local:")


async def test_a_pushed_celebrity_lands_on_input_too(running: Running) -> None:
    async with running.post("/celebrities", json={"name": "Tilda Swinton", "wikidata": "Q200534"}) as response:
        assert response.status == 202
        assert (await response.json())["id"] == "Q200534"
    (sent,) = running.worker.producer.sent
    assert json.loads(sent.value)["type"] == "celebrity"


HOSTILE = {
    "no JSON": (b"title=Inception", JSON, 400),
    "half of it": (b'{"title": "Inc', JSON, 400),
    "nothing": (b"", JSON, 400),
    "only blanks": (b"   ", JSON, 400),
    "not a number": (b'{"title": "x", "year": NaN}', JSON, 400),
    "infinity": (b'{"title": "x", "year": Infinity}', JSON, 400),
    "half a surrogate pair": (b'{"title": "\\ud800"}', JSON, 400),
    "Latin-1": ('{"title": "Amélie"}'.encode("latin-1"), JSON, 400),
    "UTF-16": ('{"title": "x"}'.encode("utf-16"), JSON, 400),
    "another encoding by name": (b'{"title": "x"}', {"Content-Type": "application/json; charset=utf-16"}, 415),
    "a form": (b"title=x", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
    "plain text": (b'{"title": "x"}', {"Content-Type": "text/plain"}, 415),
    "a list": (b'[{"title": "x"}]', JSON, 422),
    "null": (b"null", JSON, 422),
    "a number as title": (b'{"title": 5}', JSON, 422),
    "no title": (b'{"year": 2010}', JSON, 422),
    "an empty title": (b'{"title": ""}', JSON, 422),
    "a title of blanks": (b'{"title": "  !? "}', JSON, 422),
    "a long title": (json.dumps({"title": "x" * 501}).encode(), JSON, 422),
    "a year as text": (b'{"title": "x", "year": "2010"}', JSON, 422),
    "a year of the future": (b'{"title": "x", "year": 9999}', JSON, 422),
    "an enormous year": (b'{"title": "x", "year": 1e400}', JSON, 422),
    "an enormous number": (b'{"title": "x", "tmdb": 99999999999999999999999}', JSON, 422),
    "a negative number": (b'{"title": "x", "tmdb": -1}', JSON, 422),
    "an unknown kind": (b'{"title": "x", "kind": "opera"}', JSON, 422),
    "a person's id": (b'{"title": "x", "imdb": "nm0000001"}', JSON, 422),
    "a path as id": (b'{"title": "x", "wikidata": "../../etc"}', JSON, 422),
    "a celebrity": (b'{"type": "celebrity", "title": "x"}', JSON, 422),
    "very deep": (b'{"title": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", JSON, 422),
    "not zipped": (b"not gzip", {**JSON, "Content-Encoding": "gzip"}, 400),
    "a bomb": (gzip.compress(b" " * 50_000_000), {**JSON, "Content-Encoding": "gzip"}, 413),
    "5 MB": (b'{"title": "' + b"x" * 5_000_000 + b'"}', JSON, 413),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_useless_body_is_refused_with_a_sentence(running: Running, name: str) -> None:
    body, headers, status = HOSTILE[name]
    async with running.post("/films", data=body, headers=headers) as response:
        problem = await response.json(content_type="application/problem+json")
        assert response.status == status, problem
    assert problem["status"] == status
    assert {"type", "title", "status", "detail"} <= set(problem)
    assert len(problem["detail"]) > 15
    assert "Traceback" not in problem["detail"]
    assert running.worker.producer.sent == []


async def test_a_wrong_field_is_named_and_the_right_ones_are_listed(running: Running) -> None:
    async with running.post("/films", json={"title": "x", "year": "2010"}) as response:
        detail = (await response.json(content_type=None))["detail"]
    assert "$.year" in detail
    assert "Needed: title" in detail


async def test_a_stalled_broker_gives_503_and_when_to_come_back(running: Running) -> None:
    running.worker.producer.stalls = True
    running.service.site.ack_seconds = 0.05
    async with running.post("/films", json=INCEPTION) as response:
        assert response.status == 503
        assert int(response.headers["Retry-After"]) > 0
        assert "again" in (await response.json(content_type=None))["detail"]


async def test_before_kafka_is_there_a_push_gives_503(running: Running) -> None:
    running.worker.prepared = False
    async with running.post("/films", json=INCEPTION) as response:
        assert response.status == 503
        assert "Retry-After" in response.headers


async def test_with_a_token_only_its_bearer_may_push(start: Start) -> None:
    running = await start(token="sésame")
    for headers in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic c2VzYW1l"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer sésame2"},
    ):
        async with running.post("/films", json=INCEPTION, headers=headers) as response:
            assert response.status == 401, headers
            assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert running.worker.producer.sent == []
    async with running.post("/films", json=INCEPTION, headers={"Authorization": "Bearer sésame"}) as response:
        assert response.status == 202
    async with running.get("/films") as response:
        assert response.status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_a_page_of_another_site_may_not_push(running: Running, headers: dict[str, str]) -> None:
    async with running.post("/films", json=INCEPTION, headers=headers) as response:
        assert response.status == 403
    assert running.worker.producer.sent == []


async def test_a_page_of_this_worker_may_push(running: Running) -> None:
    headers = {"Origin": running.url, "Sec-Fetch-Site": "same-origin"}
    async with running.post("/films", json=INCEPTION, headers=headers) as response:
        assert response.status == 202


@pytest.mark.parametrize("host", ["evil.example", "evil.example:6066", "127.0.0.1.evil.example", "a@b", "", "[::"])
async def test_a_name_that_was_rebound_to_loopback_is_refused(running: Running, host: str) -> None:
    for method in ("GET", "POST"):
        async with running.client.request(method, running.url + "/films", headers={"Host": host}) as response:
            assert response.status in {400, 403}


async def test_an_embedded_marquee_takes_nothing_in_while_its_archive_has_no_room(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = make_worker()
    storage = msgspec.structs.replace(worker.settings.storage, data=str(tmp_path))
    worker.settings = msgspec.structs.replace(worker.settings, storage=storage)
    archive_dir(tmp_path).mkdir()
    running = await start(worker)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=5 << 20))
    async with running.post("/films", json=INCEPTION) as response:
        assert response.status == 202, "where the archive is no concern of this worker"
    worker.producer.sent.clear()
    broker = msgspec.structs.replace(worker.settings.broker, embedded=True)
    worker.settings = msgspec.structs.replace(worker.settings, broker=broker)
    async with running.post("/films", json=INCEPTION) as response:
        problem = await response.json()
        assert (response.status, response.headers["Retry-After"]) == (503, "60")
    assert "nearly full (5 MiB left, 64 are needed): make room there first" in problem["detail"]
    assert worker.producer.sent == []
    async with running.get("/readyz") as response:
        assert response.status == 503
        assert (await response.json())["checks"]["disk"]["ok"] is False

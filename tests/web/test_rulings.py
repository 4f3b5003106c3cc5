"""People steer: keep, reject, resolve and forget, over HTTP and from forms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.delivery.guard import Reader
from app.delivery.producer import Outgoing
from app.delivery.raw import Raw
from schemas.base import Record
from schemas.pictures import ForgetCelebrity, ImageFetched, ImageWithdrawn, RuleImage
from tests.storage.picture_events import KEANU, TILDA, accepted, conflict, forgotten, item, person, rejected, sha, told
from tests.web.conftest import Running, Start
from tests.web.gallery import fill_gallery
from tests.web.stand_ins import make_worker

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
ELSA = "Q483118"


@pytest.fixture
async def stocked(start: Start, tmp_path: Path) -> Running:
    """A service over two people who both claim a picture."""
    worker = make_worker(tmp_path)
    await fill_gallery(worker.store, tmp_path)
    return await start(worker)


def read(sent: Outgoing) -> Record:
    """A command as the claiming stage reads it."""
    reader = Reader((ImageFetched, RuleImage, ForgetCelebrity), 1, 1_000_000, placed=False)
    return reader.read(Raw(sent.topic, 0, 0, 0, sent.key, sent.value, sent.headers)).data


async def post(running: Running, path: str, body: Any = None, status: int = 202) -> Any:
    async with running.post(f"/celebrities/{path}", json=body) as response:
        answer = await response.json(content_type=None)
        assert response.status == status, answer
        return answer


@pytest.mark.parametrize("name", [item(2), sha(2)])
async def test_a_ruling_lands_on_images_fetched_with_its_note(stocked: Running, name: str) -> None:
    answer = await post(stocked, f"{TILDA}/images/{name}/ruling", {"decision": "keep", "note": "side face"})
    (sent,) = stocked.worker.producer.sent
    assert (sent.topic, sent.key) == ("images-fetched", item(2).encode())
    assert read(sent) == RuleImage(item_id=item(2), celebrity_id=TILDA, decision="keep", note="side face")
    assert answer == {"id": item(2), "event_id": dict(sent.headers)["ce_id"].decode()}


async def test_the_same_ruling_on_the_same_state_is_one_event_and_a_later_one_another(stocked: Running) -> None:
    ruling = f"{TILDA}/images/{item(2)}/ruling"
    ids = [(await post(stocked, ruling, {"decision": word}))["event_id"] for word in ("keep", "keep", "reject")]
    await stocked.worker.store.pictures.put_rejected([rejected(2, 50, verdict="rejected")])
    ids.append((await post(stocked, ruling, {"decision": "keep"}))["event_id"])
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


@pytest.mark.parametrize("number", [6, 7, 9])
async def test_what_was_never_fetched_cannot_be_ruled_on(stocked: Running, number: int) -> None:
    problem = await post(stocked, f"{TILDA}/images/{item(number)}/ruling", {"decision": "keep"}, 409)
    assert "nothing to rule on" in problem["detail"]
    assert stocked.worker.producer.sent == []


@pytest.mark.parametrize("decision", ["keep", "reject"])
@pytest.mark.parametrize("name", [item(10), sha(10)])
async def test_what_was_refused_before_it_was_hashed_says_so(stocked: Running, name: str, decision: str) -> None:
    flat = rejected(10, verdict="rejected", image_id=sha(10), reason="one flat colour")
    await stocked.worker.store.pictures.put_rejected([flat])
    problem = await post(stocked, f"{TILDA}/images/{name}/ruling", {"decision": decision}, 409)
    assert "refused before it was hashed (one flat colour)" in problem["detail"]
    assert "nothing has been fetched" not in problem["detail"]
    assert stocked.worker.producer.sent == []


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{TILDA}/images/{'f' * 64}/ruling", 404),
        (f"{TILDA}/images/nonsense/ruling", 404),
        (f"{KEANU}/images/{item(2)}/ruling", 404),
        (f"nobody/images/{item(2)}/ruling", 404),
    ],
)
async def test_a_ruling_on_somebody_elses_or_no_picture_is_refused(stocked: Running, path: str, status: int) -> None:
    await post(stocked, path, {"decision": "keep"}, status)
    assert stocked.worker.producer.sent == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"decision": "maybe"},
        {"decision": "keep", "note": "x" * 2001},
        {"decision": "keep", "order": 3},
        [],
        "keep",
    ],
)
async def test_a_ruling_in_other_words_is_refused(stocked: Running, body: Any) -> None:
    await post(stocked, f"{TILDA}/images/{item(2)}/ruling", body, 422)
    assert stocked.worker.producer.sent == []


KEEP_TILDA, KEEP_KEANU = (item(4), TILDA, "keep"), (item(20, KEANU), KEANU, "keep")
LOSE_TILDA, LOSE_KEANU = (item(4), TILDA, "reject"), (item(20, KEANU), KEANU, "reject")


@pytest.mark.parametrize("side", [f"{TILDA}/images/{item(4)}", f"{TILDA}/images/{sha(4)}", f"{KEANU}/images/{sha(20)}"])
@pytest.mark.parametrize(
    ("belongs_to", "words"),
    [
        (TILDA, [KEEP_TILDA, LOSE_KEANU]),
        (KEANU, [KEEP_KEANU, LOSE_TILDA]),
        ("both", [KEEP_KEANU, KEEP_TILDA]),
        ("neither", [LOSE_KEANU, LOSE_TILDA]),
    ],
)
async def test_a_conflict_is_resolved_from_either_side_by_words_on_both(
    stocked: Running, side: str, belongs_to: str, words: list[tuple[str, str, str]]
) -> None:
    answer = await post(stocked, f"{side}/resolve", {"belongs_to": belongs_to})
    sent = [read(each) for each in stocked.worker.producer.sent]
    said = [(each.item_id, each.celebrity_id, each.decision) for each in sent if isinstance(each, RuleImage)]
    assert sorted(said) == sorted(words)
    assert [decision for _, _, decision in said] == sorted(decision for _, _, decision in said), "owners come first"
    assert [(each["item_id"], each["celebrity_id"], each["decision"]) for each in answer["items"]] == said


@pytest.mark.parametrize(
    ("belongs_to", "notes"),
    [
        (TILDA, {TILDA: "it shows this person", KEANU: "it shows somebody else"}),
        (KEANU, {TILDA: "it shows somebody else", KEANU: "it shows this person"}),
        ("both", dict.fromkeys((TILDA, KEANU), "it shows both people")),
        ("neither", dict.fromkeys((TILDA, KEANU), "it shows neither of the two people")),
    ],
)
async def test_the_notes_of_a_resolution_name_nobody(stocked: Running, belongs_to: str, notes: dict[str, str]) -> None:
    await post(stocked, f"{TILDA}/images/{item(4)}/resolve", {"belongs_to": belongs_to})
    sent = [read(each) for each in stocked.worker.producer.sent]
    assert {each.celebrity_id: each.note for each in sent if isinstance(each, RuleImage)} == notes


async def test_whose_a_picture_is_must_be_one_of_the_two(stocked: Running) -> None:
    problem = await post(stocked, f"{TILDA}/images/{item(4)}/resolve", {"belongs_to": ELSA}, 422)
    assert f"{TILDA}, {KEANU}, both, neither" in problem["detail"]


async def test_who_lost_a_picture_by_hand_is_no_side_any_more_and_it_is_said_what_to_do(stocked: Running) -> None:
    put = stocked.worker.store.pictures
    await put.put_celebrities([person("Elsa", ELSA)])
    await put.put_rejected([conflict(30, 33, ELSA, KEANU, of=20)])
    gone = {name: getattr(accepted(20, 40, KEANU).data, name) for name in ("item_id", "url", "image_id", "source")}
    lost = ImageWithdrawn(**gone, celebrity_id=KEANU, order=40, reason="ruled out by hand: it shows somebody else")
    await put.put_withdrawn([told(lost, 5)])
    await put.put_accepted([accepted(20, 41)])
    problem = await post(stocked, f"{ELSA}/images/{item(30, ELSA)}/resolve", {"belongs_to": KEANU}, 409)
    assert f"marquee celebrity {KEANU} --keep {item(20, KEANU)}" in problem["detail"]
    assert "it shows somebody else" in problem["detail"]
    assert stocked.worker.producer.sent == []
    answer = await post(stocked, f"{ELSA}/images/{item(30, ELSA)}/resolve", {"belongs_to": TILDA})
    assert {each["celebrity_id"]: each["decision"] for each in answer["items"]} == {TILDA: "keep", ELSA: "reject"}


@pytest.mark.parametrize("number", [0, 2, 5, 6])
async def test_only_a_conflict_can_be_resolved(stocked: Running, number: int) -> None:
    problem = await post(stocked, f"{TILDA}/images/{item(number)}/resolve", {"belongs_to": "both"}, 409)
    assert "no label conflict" in problem["detail"]


async def test_a_conflict_with_somebody_forgotten_is_over_and_can_be_ruled_on(stocked: Running) -> None:
    await stocked.worker.store.pictures.forget([forgotten(40, KEANU)])
    problem = await post(stocked, f"{TILDA}/images/{item(4)}/resolve", {"belongs_to": TILDA}, 409)
    assert "no label conflict" in problem["detail"]
    await post(stocked, f"{TILDA}/images/{item(4)}/ruling", {"decision": "keep"})


async def test_the_holder_of_a_picture_that_several_claim_is_told_who_they_are(stocked: Running) -> None:
    await stocked.worker.store.pictures.put_celebrities([person("Elsa", ELSA)])
    await stocked.worker.store.pictures.put_rejected([conflict(30, 33, ELSA, KEANU, of=20)])
    problem = await post(stocked, f"{KEANU}/images/{sha(20)}/resolve", {"belongs_to": "both"}, 409)
    assert TILDA in problem["detail"]
    assert ELSA in problem["detail"]


async def test_a_person_is_forgotten_by_one_command_whose_proof_is_named(stocked: Running) -> None:
    ids = []
    for _ in range(2):
        async with stocked.client.delete(f"{stocked.url}/celebrities/{TILDA}") as response:
            assert response.status == 202
            assert response.headers["Location"] == f"/celebrities/{TILDA}/erasure"
            ids.append((await response.json())["event_id"])
    assert [read(each) for each in stocked.worker.producer.sent] == [ForgetCelebrity(celebrity_id=TILDA)] * 2
    assert stocked.worker.producer.sent[0].topic == "images-fetched"
    assert ids[0] == ids[1]
    await stocked.worker.store.pictures.forget([forgotten(40)])
    async with stocked.client.delete(f"{stocked.url}/celebrities/{TILDA}") as response:
        assert (await response.json())["event_id"] != ids[0]


async def test_whoever_is_forgotten_is_named_under_their_other_ids(stocked: Running) -> None:
    other = "tmdb:person/3063"
    await stocked.worker.store.pictures.put_celebrities([person("Tilda Swinton", other, tmdb=3063)])
    async with stocked.client.delete(f"{stocked.url}/celebrities/{TILDA}") as response:
        answer = await response.json()
    assert (response.status, answer["same_as"]) == (202, [other])
    assert answer["notes"] == [f"{other} is the same person by tmdb 3063: forget it too"]
    async with stocked.client.get(f"{stocked.url}/celebrities/{TILDA}", headers={"Accept": "text/html"}) as response:
        assert "The same person as" in await response.text()


async def test_somebody_unknown_may_be_forgotten_but_not_a_word_that_is_no_id(stocked: Running) -> None:
    for name, status in (("Q404", 202), ("nobody", 404), ("tt1375666", 404)):
        async with stocked.client.delete(f"{stocked.url}/celebrities/{name}") as response:
            assert response.status == status


ACTIONS = [
    ("POST", f"/celebrities/{TILDA}/images/{item(2)}/ruling", {"decision": "keep"}),
    ("POST", f"/celebrities/{TILDA}/images/{item(4)}/resolve", {"belongs_to": "both"}),
    ("POST", f"/celebrities/{TILDA}/forget", {"sure": "yes"}),
    ("DELETE", f"/celebrities/{TILDA}", None),
]


@pytest.mark.parametrize(("method", "path", "body"), ACTIONS)
async def test_where_a_token_is_set_nothing_is_steered_without_it(
    start: Start, tmp_path: Path, method: str, path: str, body: Any
) -> None:
    worker = make_worker(tmp_path)
    await fill_gallery(worker.store, tmp_path)
    running = await start(worker, "sésame")
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        async with running.client.request(method, running.url + path, json=body, headers=headers) as response:
            assert response.status == 401
    assert worker.producer.sent == []
    headers = {"Authorization": "Bearer sésame"}
    async with running.client.request(method, running.url + path, json=body, headers=headers) as response:
        assert response.status == 202
    assert worker.producer.sent


@pytest.mark.parametrize(("method", "path", "body"), ACTIONS)
@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
@pytest.mark.parametrize("form", [True, False])
async def test_a_page_of_another_site_steers_nothing(
    stocked: Running, method: str, path: str, body: Any, headers: dict[str, str], form: bool
) -> None:
    sent = {"data": body} if form else {"json": body}
    async with stocked.client.request(method, stocked.url + path, headers=headers, **sent) as response:
        assert response.status == 403
    assert stocked.worker.producer.sent == []


@pytest.mark.parametrize(
    ("path", "fields", "told"),
    [
        (f"{TILDA}/images/{item(2)}/ruling", {"decision": "keep", "note": ""}, f"{TILDA}?told=ruled"),
        (f"{TILDA}/images/{item(4)}/resolve", {"belongs_to": TILDA}, f"{TILDA}?told=resolved"),
        (f"{TILDA}/forget", {"sure": "yes"}, "?told=forgotten"),
    ],
)
async def test_a_form_goes_back_to_a_page_that_says_what_was_noted(
    stocked: Running, path: str, fields: dict[str, str], told: str
) -> None:
    address = f"{stocked.url}/celebrities/{path}"
    async with stocked.client.post(address, data=fields, allow_redirects=False) as response:
        assert response.status == 303
        assert response.headers["Location"].removeprefix("/celebrities").removeprefix("/") == told
    assert stocked.worker.producer.sent
    async with stocked.client.post(address, data=fields, headers={"Accept": "text/html"}) as response:
        assert response.status == 200
        assert "Noted" in await response.text()


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"decision=maybe", 422), (b"", 422), (b"decision=%ff%fe", 422), (b"x=" + b"y" * 2_000_000, 413)],
)
async def test_a_useless_form_is_refused_with_a_sentence(stocked: Running, body: bytes, status: int) -> None:
    address = f"{stocked.url}/celebrities/{TILDA}/images/{item(2)}/ruling"
    async with stocked.client.post(address, data=body, headers=FORM) as response:
        problem = await response.json(content_type="application/problem+json")
        assert response.status == status, problem
    assert stocked.worker.producer.sent == []


async def test_while_kafka_is_away_nothing_is_pretended(stocked: Running) -> None:
    stocked.worker.prepared = False
    await post(stocked, f"{TILDA}/images/{item(2)}/ruling", {"decision": "keep"}, 503)
    stocked.worker.prepared = True
    stocked.worker.producer.stalls = True
    stocked.service.site.ack_seconds = 0.05
    await post(stocked, f"{TILDA}/images/{item(4)}/resolve", {"belongs_to": "both"}, 503)

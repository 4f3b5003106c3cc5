"""`celebrities` and `celebrity` ask a worker and tell it what people decided."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.cli import celebrities
from app.web.server import WebService
from schemas.catalogue import decode
from schemas.pictures import ForgetCelebrity, ImageFetched, RuleImage
from tests.cli.conftest import Marquee
from tests.storage.picture_events import KEANU, START, TILDA, item, person, sha
from tests.web.gallery import fill_gallery
from tests.web.stand_ins import FakeWorker, make_worker, service_of


class Serving:
    """The real web of a worker without Kafka, in a thread of its own."""

    def __init__(self, images: Path) -> None:
        self.worker: FakeWorker = make_worker(images)
        self.service: WebService = service_of(self.worker)
        self.loop = asyncio.new_event_loop()
        self._images = images
        self._thread = threading.Thread(target=self.loop.run_forever)

    def __enter__(self) -> Serving:
        self._thread.start()
        self.run(fill_gallery(self.worker.store, self._images))
        self.run(self.service.start())
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self.service.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    @property
    def sent(self) -> list[Any]:
        return [decode(each.value, (ImageFetched, RuleImage, ForgetCelebrity)) for each in self.worker.producer.sent]


@pytest.fixture
def served(marquee: Marquee, tmp_path: Path) -> Iterator[Serving]:
    """A worker with two people, which the command line talks to."""
    with Serving(tmp_path / "images") as found:
        marquee.environment["MARQUEE_WEB__PORT"] = str(found.service.port)
        yield found


def test_people_are_listed_with_their_pictures_by_verdict(marquee: Marquee, served: Serving) -> None:
    found = marquee.json("celebrities")
    assert [each["celebrity_id"] for each in found["items"]] == [KEANU, TILDA]
    lines = marquee("celebrities", "--search", "tilda", "--sort", "-registered", "--limit", "5").stdout.splitlines()
    assert lines[0].split()[:5] == ["celebrity", "id", "name", "pending", "kept"]
    assert lines[1].split() == [TILDA, "Tilda", "Swinton", "2", "2", "1", "1", "2", "1", "1"]


def test_one_person_is_shown_as_the_worker_shows_them(marquee: Marquee, served: Serving) -> None:
    assert marquee.json("celebrity", TILDA)["images"]["kept"] == 2
    text = marquee("celebrity", TILDA).stdout
    assert "Tilda Swinton" in text
    assert "source commons, found 10, kept 2" in text


def test_every_picture_that_is_not_kept_is_listed_with_its_reason(marquee: Marquee, served: Serving) -> None:
    found = marquee.json("celebrity", TILDA, "--rejected")["items"]
    assert sorted(each["verdict"] for each in found) == [
        "conflict", "duplicate", "failed", "quarantined", "rejected", "rejected",
    ]  # fmt: skip
    text = marquee("celebrity", TILDA, "--rejected").stdout
    for words in ("no face", "HTTP 404", sha(0)[:12], KEANU, item(5), "https://pictures.example/5.jpg"):
        assert words in text


def test_the_pictures_of_one_verdict_are_listed_over_all_pages(
    marquee: Marquee, served: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(celebrities, "ALL", 1)
    found = marquee.json("celebrity", TILDA, "--verdict", "kept")
    assert {each["item_id"] for each in found["items"]} == {item(0), item(1)}
    assert found["next"] is None
    assert "no picture of Q43416 has this verdict" in marquee("celebrity", KEANU, "--verdict", "failed").stdout


def test_a_picture_is_kept_or_rejected_by_hand(marquee: Marquee, served: Serving) -> None:
    answer = marquee.json("celebrity", TILDA, "--keep", item(2), "--note", "side face")
    assert answer["id"] == item(2)
    assert item(0) in marquee("celebrity", TILDA, "--reject", sha(0)).stdout
    assert served.sent == [
        RuleImage(item_id=item(2), celebrity_id=TILDA, decision="keep", note="side face"),
        RuleImage(item_id=item(0), celebrity_id=TILDA, decision="reject"),
    ]


@pytest.mark.parametrize(
    ("words", "decisions"),
    [
        (["--as", TILDA], {TILDA: "keep", KEANU: "reject"}),
        (["--as", KEANU], {TILDA: "reject", KEANU: "keep"}),
        (["--both"], {TILDA: "keep", KEANU: "keep"}),
        (["--neither"], {TILDA: "reject", KEANU: "reject"}),
    ],
)
def test_a_label_conflict_is_resolved(
    marquee: Marquee, served: Serving, words: list[str], decisions: dict[str, str]
) -> None:
    text = marquee("celebrity", TILDA, "--resolve", item(4), *words).stdout
    assert {each.celebrity_id: each.decision for each in served.sent} == decisions
    for who, decision in decisions.items():
        assert f"{decision} {item(4) if who == TILDA else item(20, KEANU)} of {who}" in text


def test_a_person_is_forgotten_and_it_is_proved(
    marquee: Marquee, served: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(celebrities, "POLL_SECONDS", 0.01)
    answer = threading.Thread(target=erase_when_told, args=(served,))
    answer.start()
    proof = marquee.json("celebrity", TILDA, "--forget")
    answer.join()
    assert proof["same_as"] == proof["notes"] == []
    assert served.sent[0] == ForgetCelebrity(celebrity_id=TILDA)
    assert proof["erased"] is True
    assert {each["left"] for each in proof["left"]} == {0}
    assert "No person Q200534" in marquee.mistake("celebrity", TILDA)


def test_who_is_known_under_two_ids_is_shown_and_forgetting_names_the_other(
    marquee: Marquee, served: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = "tmdb:person/3063"
    served.run(served.worker.store.pictures.put_celebrities([person("Tilda Swinton", other, tmdb=3063)]))
    headings, *lines = marquee("celebrities").stdout.splitlines()
    assert headings.endswith("same as")
    assert {line.split()[0]: line.split()[-1] for line in lines} == {TILDA: other, other: TILDA, KEANU: "-"}
    assert marquee.json("celebrity", other)["same_as"] == [TILDA]
    assert TILDA in marquee("celebrity", other).stdout
    monkeypatch.setattr(celebrities, "ERASED_SECONDS", 0.05)
    text = marquee("celebrity", TILDA, "--forget", code=1).stdout
    assert f"{other} is the same person by tmdb 3063: forget it too" in text


def erase_when_told(served: Serving) -> None:
    """What the claims and the projections do once the command is in the log."""
    from agents.messages import Message
    from schemas.envelope import Envelope
    from schemas.pictures import PersonForgotten

    while not served.worker.producer.sent:
        time.sleep(0.01)
    command = dict(served.worker.producer.sent[0].headers)["ce_id"].decode()
    data = PersonForgotten(celebrity_id=TILDA, order=40)
    message = Message(data, Envelope("e", "c", command), data.topic, 0, 0, START + 60_000)
    store = served.worker.store
    names = served.run(store.pictures.condemned([message]))
    assert ("clean", sha(0, "cleaned")) in names
    assert all(served.service.site.files.remove(area, name) for area, name in names if area != "original")
    served.run(store.pictures.forget([message]))


def test_what_cannot_be_erased_in_time_fails_with_what_is_left(
    marquee: Marquee, served: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(celebrities, "ERASED_SECONDS", 0.05)
    result = marquee("celebrity", TILDA, "--forget", code=1)
    assert "documents: images" in result.stdout
    assert "not all of Q200534 is erased" in result.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--keep", item(2), "--reject", item(3)], "Give one of --keep and --reject"),
        (["--rejected", "--verdict", "kept"], "Give one of --rejected and --verdict"),
        (["--resolve", item(4)], "Give one of --as ID, --both and --neither"),
        (["--resolve", item(4), "--both", "--as", KEANU], "Give one of --as ID, --both and --neither"),
        (["--as", KEANU], "--as goes with --resolve"),
        (["--note", "why"], "--note goes with --keep or --reject"),
        (["--yes"], "--yes goes with --forget"),
        (["--verdict", "good"], "'good' is not one of"),
    ],
)
def test_options_that_do_not_go_together_are_called_wrongly(
    marquee: Marquee, served: Serving, words: list[str], says: str
) -> None:
    assert says in marquee.mistake("celebrity", TILDA, *words, code=2)
    assert served.sent == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["celebrity", "Q404"], "No person Q404 is known here"),
        (["celebrity", "nobody"], "an id is one of Q…"),
        (["celebrity", TILDA, "--keep", "f" * 64], "No such picture of Q200534"),
        (["celebrity", TILDA, "--keep", item(6)], "nothing to rule on"),
        (["celebrity", TILDA, "--resolve", item(0), "--both"], "no label conflict"),
        (["celebrity", TILDA, "--resolve", item(4), "--as", "Q1"], "belongs_to: one of"),
    ],
)
def test_the_workers_own_words_are_told(marquee: Marquee, served: Serving, words: list[str], says: str) -> None:
    assert says in marquee.mistake(*words)
    assert served.sent == []


WORDS = [("celebrities",), ("celebrity", TILDA), ("celebrity", TILDA, "--forget")]


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_without_a_worker_it_is_said_how_to_start_one(words: tuple[str, ...], marquee: Marquee) -> None:
    assert "marquee up --embedded" in marquee.mistake(*words)

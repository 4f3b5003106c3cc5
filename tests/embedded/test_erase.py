"""Erasing people from an archive: their records go, all else stays at its place, and a kill costs nothing."""

from __future__ import annotations

import base64
import json
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from app.embedded import forgettable, rewrite
from app.embedded.erase import MOST_SECONDS, QUIET_SECONDS, Eraser, erase_segment, left, read_book
from app.embedded.fillers import is_filler
from app.embedded.forgettable import Gone
from app.embedded.partition_log import PartitionLog, read_records, segment_files, write_partition_count
from app.embedded.segment import ArchivedRecord, Prologue, frame_bytes, prologue_bytes
from app.embedded.survey import verify
from schemas.ids import celebrity_id

PERSON, OTHER = "Q200534", "Q43416"
AT = 1_700_000_000_000
GONE = Gone(order=6, at=AT + 5)


def record(offset: int, timestamp: int = AT, key: str | None = None, **said: Any) -> ArchivedRecord:
    return ArchivedRecord(offset, timestamp, (key or PERSON).encode(), json.dumps(said).encode())


def erased(topic: str, one: ArchivedRecord) -> bool:
    return is_filler(forgettable.erased(topic, one, {PERSON: GONE}).headers)


def leave(directory: Path, topic: str, *records: ArchivedRecord) -> None:
    """Write records, a frame each, in segments of a few."""
    write_partition_count(directory, topic, 1)
    log = PartitionLog(directory, topic, 0, segment_bytes=300)
    for one in records:
        log.append([one])
    log.close()


def offsets(directory: Path, topic: str) -> list[tuple[int, bool]]:
    """Each record's place, and whether it is a filler."""
    found = chain.from_iterable(read_records(directory, topic, 0))
    return [(one.offset, is_filler(one.headers)) for one in found]


@pytest.mark.parametrize(
    ("topic", "said"),
    [
        ("input", {"type": "celebrity", "name": "Tilda", "wikidata": PERSON}),
        ("celebrity-submissions", {"type": "submit", "celebrity_id": PERSON, "name": "Tilda"}),
        ("images-found", {"celebrity_id": PERSON, "url": "http://x"}),
        ("images-fetched", {"type": "fetched", "celebrity_id": PERSON}),
        ("images-examined", {"type": "examined", "celebrity_id": PERSON, "order": 6}),
        ("images-rejected", {"celebrity_id": PERSON, "order": 4}),
        ("images-rejected", {"celebrity_id": OTHER, "conflict_with": PERSON, "order": 4}),
        (
            "dead-letters",
            {
                "origin_topic": "images-found",
                "origin_offset": 1,
                "value_base64": base64.b64encode(json.dumps({"celebrity_id": PERSON}).encode()).decode(),
            },
        ),
    ],
)
def test_what_tells_of_the_persons_life_goes(topic: str, said: dict[str, Any]) -> None:
    assert erased(topic, record(3, **said))
    strangers = json.loads(json.dumps(said).replace(PERSON, "Q5"))
    if "value_base64" not in said:
        assert not erased(topic, record(3, key="Q5", **strangers))


@pytest.mark.parametrize(
    ("topic", "said"),
    [
        ("images-fetched", {"type": "forget", "celebrity_id": PERSON}),
        ("celebrity-submissions", {"type": "erase", "celebrity_id": PERSON, "order": 6}),
        ("images-examined", {"type": "forgotten", "celebrity_id": PERSON, "order": 6}),
    ],
)
def test_the_words_that_make_a_restore_forget_too_stay(topic: str, said: dict[str, Any]) -> None:
    assert not erased(topic, record(5, **said))


def test_a_later_life_stays() -> None:
    later = AT + 60_000
    assert not erased("images-found", record(9, later, celebrity_id=PERSON, url="http://x"))
    assert not erased("images-fetched", record(9, later, type="fetched", celebrity_id=PERSON))
    assert not erased("images-examined", record(9, AT, type="examined", celebrity_id=PERSON, order=7))
    assert not erased("input", record(9, later, type="celebrity", name="Tilda", wikidata=PERSON))


def test_what_was_under_way_goes_by_when_it_was_caused() -> None:
    header = ("ce_time", b"2023-11-14T22:13:20.000Z")
    late = record(9, AT + 60_000, type="fetched", celebrity_id=PERSON)
    assert erased("images-fetched", ArchivedRecord(late.offset, late.timestamp, late.key, late.value, (header,)))


def test_finds_that_were_dropped_go_and_those_of_a_new_life_stay() -> None:
    gone = {PERSON: Gone(order=6, at=AT + 5, silent=AT + 60_000)}

    def goes(topic: str, timestamp: int, **said: Any) -> bool:
        one = record(9, timestamp, celebrity_id=PERSON, url="http://x", **said)
        return is_filler(forgettable.erased(topic, one, gone).headers)

    assert goes("images-found", AT + 60_000)
    assert not goes("images-found", AT + 60_001)
    # What is pushed or said between the finds is no find.
    assert not goes("celebrity-submissions", AT + 30_000, type="submit")
    # A picture that was asked for before the fetching stage knew of it says so by the life that it was fetched in.
    assert goes("images-fetched", AT + 90_000, type="fetched", life=0)
    assert not goes("images-fetched", AT + 90_000, type="fetched", life=6)


def test_a_push_that_cannot_be_read_goes_by_any_id_in_it() -> None:
    assert erased("dead-letters", letter(b'{"name": "Tilda", "wikidata": "' + PERSON.encode() + b'", '))
    assert not erased("dead-letters", letter(b'{"name": "Tilda", "wikidata": "' + PERSON.encode() + b'1", '))


LOCAL = celebrity_id("Tilda Swinton", None, None)


def letter(value: bytes) -> ArchivedRecord:
    text = base64.b64encode(value).decode()
    return record(3, key="whatever", origin_topic="input", origin_offset=1, value_base64=text)


@pytest.mark.parametrize(
    "said",
    [
        {"type": "celebrity", "name": "Tilda", "wikidata": PERSON.lower()},
        {"type": "celebrity", "name": "Tilda", "wikidata": f"http://www.wikidata.org/entity/{PERSON}"},
        {"type": "celebrity", "name": "Tilda", "wikidata": PERSON, "tmdb": -4},
        {"type": "celebrity", "name": ["Tilda"], "id": PERSON},
        {"type": "person", "name": "Tilda", "wikidata": PERSON},
        {"name": "Tilda", "wikidata": PERSON},
        {"name": "Tilda", "same": {"as": [PERSON]}},
        {"type": "celebrity", "name": "Tilda", "wikidata": "Tilda", "tmdb": 3063},
        {"name": "Tilda", "tmdb": "3063"},
        {"name": "Tilda", "imdb": "NM0842770"},
        {"name": "Tilda Swinton"},
    ],
)
def test_a_push_that_was_none_goes_by_any_id_of_the_person_that_it_names(said: dict[str, Any]) -> None:
    gone = dict.fromkeys((PERSON, "tmdb:person/3063", "nm0842770", LOCAL), GONE)
    value = json.dumps(said).encode()
    for topic, one in (("input", record(3, key="whatever", **said)), ("dead-letters", letter(value))):
        assert is_filler(forgettable.erased(topic, one, gone).headers)
    assert forgettable.erased("dead-letters", letter(value), {OTHER: GONE, "nm1": GONE}).headers == ()


def test_a_push_that_was_one_is_about_one_id_and_a_film_about_nobody() -> None:
    for said in (
        {"type": "celebrity", "name": "Tilda Swinton", "wikidata": OTHER, "tmdb": 3063},
        {"type": "celebrity", "name": f"the twin of {PERSON}", "wikidata": OTHER},
        {"type": "film", "title": "Tilda", "wikidata": PERSON},
        {"name": "Tilda Swinton", "wikidata": OTHER},
    ):
        one = record(3, key="whatever", **said)
        assert forgettable.erased("input", one, dict.fromkeys((PERSON, "tmdb:person/3063", LOCAL), GONE)) is one


def test_what_cannot_be_read_goes_by_its_key() -> None:
    assert erased("images-found", ArchivedRecord(1, AT, PERSON.encode(), b"{"))
    assert not erased("images-found", ArchivedRecord(1, AT, OTHER.encode(), b"{"))


def test_a_connectors_run_knows_the_person_by_the_id_alone() -> None:
    targets = [{"id": PERSON, "kind": "person", "name": "Tilda"}, {"id": OTHER, "kind": "person", "name": "Keanu"}]
    one = record(1, key="tmdb", connector="tmdb", targets=targets)
    after = forgettable.erased("scrape-runs", one, {PERSON: GONE})
    assert json.loads(after.value or b"")["targets"] == [{"id": PERSON, "kind": "person"}, targets[1]]
    assert forgettable.erased("scrape-runs", after, {PERSON: GONE}) is after


@pytest.mark.parametrize(("life", "known"), [(0, {"id": PERSON, "kind": "person", "life": 0}), (GONE.order, None)])
def test_a_run_that_says_of_which_life_it_is_goes_by_that_and_not_by_its_time(life: int, known: Any) -> None:
    target = {"id": PERSON, "kind": "person", "name": "Tilda", "life": life}
    one = record(1, key="tmdb", connector="tmdb", targets=[target])
    for at in (AT - 1, AT + 90_000):
        moved = ArchivedRecord(one.offset, at, one.key, one.value, one.headers)
        after = forgettable.erased("scrape-runs", moved, {PERSON: GONE})
        assert json.loads(after.value or b"")["targets"] == [known or target]


def archive(directory: Path) -> None:
    """Finds and fetches of two people, and the command to forget one of them."""
    found = [record(n, celebrity_id=(PERSON, OTHER)[n % 2], url=f"http://x/{n}" * 9) for n in range(12)]
    leave(directory, "images-found", *found)
    fetched = [record(n, type="fetched", celebrity_id=PERSON) for n in range(3)]
    leave(directory, "images-fetched", *fetched, record(3, AT + 9, type="forget", celebrity_id=PERSON))


def test_every_offset_stays_and_the_archive_is_sound(tmp_path: Path) -> None:
    archive(tmp_path)
    assert len(segment_files(tmp_path, "images-found", 0)) > 2
    eraser = Eraser(tmp_path)
    eraser.catch_up()
    assert eraser.pending
    assert left(tmp_path, PERSON, Gone(4, AT + 9)) == 9
    assert eraser.erase() == 9
    assert not eraser.pending
    assert left(tmp_path, PERSON, Gone(4, AT + 9)) == 0
    assert offsets(tmp_path, "images-found") == [(n, n % 2 == 0) for n in range(12)]
    assert offsets(tmp_path, "images-fetched") == [(0, True), (1, True), (2, True), (3, False)]
    assert verify(tmp_path).damage == []
    again = Eraser(tmp_path)
    again.catch_up()
    assert not again.pending
    assert PartitionLog(tmp_path, "images-found", 0).end == 12


def drop(offset: int, found_at: str) -> ArchivedRecord:
    return record(offset, AT + 3_600_000, type="dropped", celebrity_id=PERSON, order=4, found_at=found_at)


def test_finds_that_come_late_are_erased_once_no_more_come(tmp_path: Path) -> None:
    archive(tmp_path)
    clock = [1000.0]
    eraser = Eraser(tmp_path, lambda: clock[0])
    eraser.catch_up()
    eraser.erase()
    late = [record(12, AT + 50_000, celebrity_id=PERSON), record(13, AT + 60_000, celebrity_id=PERSON)]
    leave(tmp_path, "images-found", *eraser.without("images-found", late))
    assert left(tmp_path, PERSON, Gone(4, AT + 9, AT + 50_000)) == 1
    eraser.expect("images-examined", [drop(0, "2023-11-14T22:14:10.000Z")])
    assert read_book(tmp_path).people[PERSON].silent == AT + 50_000
    assert not eraser.pending
    clock[0] += QUIET_SECONDS
    assert eraser.pending
    assert eraser.erase() == 1
    assert not eraser.pending
    # The other one was found later than what is known to be dropped: it may be of a new life.
    assert offsets(tmp_path, "images-found")[12:] == [(12, True), (13, False)]


def test_finds_that_come_late_for_ever_are_erased_from_time_to_time_and_after_a_kill(tmp_path: Path) -> None:
    archive(tmp_path)
    clock = [0.0]
    eraser = Eraser(tmp_path, lambda: clock[0])
    eraser.catch_up()
    eraser.erase()
    while not eraser.pending:
        assert clock[0] < 2 * MOST_SECONDS
        clock[0] += QUIET_SECONDS / 2
        minutes, seconds = divmod(int(clock[0]), 60)
        eraser.expect("images-examined", [drop(0, f"2023-11-14T22:{20 + minutes}:{seconds:02}.000Z")])
    assert clock[0] >= MOST_SECONDS
    assert Eraser(tmp_path).pending


def test_what_comes_late_is_not_even_written(tmp_path: Path) -> None:
    archive(tmp_path)
    eraser = Eraser(tmp_path)
    eraser.catch_up()
    late = [record(12, celebrity_id=PERSON, url="http://late"), record(13, celebrity_id=OTHER)]
    assert [is_filler(one.headers) for one in eraser.without("images-found", late)] == [True, False]
    assert eraser.without("ratings", late) == late


def test_a_kill_while_a_segment_is_rewritten_leaves_it_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.segment")}

    def killed(_: Any) -> bytes:
        raise KeyboardInterrupt

    eraser = Eraser(tmp_path)
    eraser.catch_up()
    with monkeypatch.context() as patch:
        patch.setattr(rewrite, "frame_bytes", killed)
        with pytest.raises(KeyboardInterrupt):
            eraser.erase()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.segment")} == before
    assert read_book(tmp_path).erased == {}
    again = Eraser(tmp_path)
    assert again.pending
    assert again.erase() == 9
    assert list(tmp_path.rglob("*.erased")) == []
    assert verify(tmp_path).damage == []


def test_a_frame_is_written_as_the_archive_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "s"
    one = record(0, celebrity_id=PERSON)
    path.write_bytes(prologue_bytes("images-found", 0, Prologue(0, -1)) + frame_bytes([one]))
    assert erase_segment(path, "images-found", 0, {PERSON: GONE}) == 1
    assert erase_segment(path, "images-found", 0, {PERSON: GONE}) == 0

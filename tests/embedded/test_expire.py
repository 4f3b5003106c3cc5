"""What may not be stored any longer leaves the archive; all else stays at its place, and a kill hides nothing."""

from __future__ import annotations

import asyncio
import base64
import json
import sqlite3
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from agents.messages import rfc3339
from app.embedded import expire, rewrite
from app.embedded.archive import Archiver
from app.embedded.broker import Broker
from app.embedded.expire import Limits, ends_at
from app.embedded.fillers import is_filler
from app.embedded.history import archive_dir
from app.embedded.partition_log import PartitionLog, read_records, segment_files, write_partition_count
from app.embedded.ports import PortBook
from app.embedded.putting_back import Documents
from app.embedded.remake import Remake
from app.embedded.restore import create_empty
from app.embedded.scrub import scrub
from app.embedded.segment import ArchivedRecord
from app.embedded.servers import start_server
from app.embedded.survey import verify
from app.settings import Settings, Storage
from schemas.catalogue import encode
from schemas.events import ReviewObserved
from schemas.terms import SourceTerms

START = 1_800_000_000_000
DAY = 86_400_000


def at(day: float) -> str:
    return rfc3339(START + round(day * DAY))


def review(offset: int, day: float | None, text: str = "Fine.") -> ArchivedRecord:
    terms = None if day is None else SourceTerms(expires_at=at(day), train=False)
    said = ReviewObserved(film_id="tt1", source="s", source_record_id=str(offset), text=text, terms=terms)
    return ArchivedRecord(offset, START + offset, b"tt1", encode(said))


def letter(offset: int, inner: ArchivedRecord) -> ArchivedRecord:
    value = {"id": "x", "origin_topic": "reviews", "value_base64": base64.b64encode(inner.value or b"").decode()}
    return ArchivedRecord(offset, START, b"x", json.dumps(value).encode())


def archive(directory: Path, limits: Limits, topic: str, *records: ArchivedRecord) -> None:
    """Archive records as the archiver does, a frame each, in segments of a few."""
    write_partition_count(directory, topic, 1)
    log = PartitionLog(directory, topic, 0, segment_bytes=400)
    for one in records:
        limits.note(topic, [one])
        log.append([one])
    log.close()


def fillers(directory: Path, topic: str) -> list[bool]:
    return [is_filler(one.headers) for one in chain.from_iterable(read_records(directory, topic, 0))]


def bytes_of(directory: Path) -> bytes:
    return b"".join(one.value or b"" for each in sorted(directory.iterdir()) if each.is_dir()
                    for one in chain.from_iterable(read_records(directory, each.name, 0)))  # fmt: skip


def pass_over(limits: Limits, day: float) -> int:
    return limits.expire(limits.places(at(day)), at(day))


def test_what_is_over_becomes_a_filler_and_the_rest_stays_at_its_place(tmp_path: Path) -> None:
    limits = Limits(tmp_path)
    days = [1, None, 2, 1, 3, None, 0.5, 2]
    archive(tmp_path, limits, "reviews", *(review(n, day, f"Text {n}.") for n, day in enumerate(days)))
    assert len(segment_files(tmp_path, "reviews", 0)) > 2
    assert pass_over(limits, 0.4) == 0
    assert pass_over(limits, 1) == 3
    assert fillers(tmp_path, "reviews") == [True, False, False, True, False, False, True, False]
    assert b"Text 0." not in bytes_of(tmp_path)
    assert b"Text 1." in bytes_of(tmp_path)
    assert verify(tmp_path).damage == []
    assert pass_over(Limits(tmp_path), 2) == 2
    assert pass_over(Limits(tmp_path), 9) == 1
    assert Limits(tmp_path).due(at(99)) == []
    assert fillers(tmp_path, "reviews") == [day is not None for day in days]


def test_a_dead_letter_may_be_stored_for_as_long_as_what_it_holds(tmp_path: Path) -> None:
    limits = Limits(tmp_path)
    archive(tmp_path, limits, "dead-letters", letter(0, review(7, 1)), letter(1, review(8, None)))
    assert pass_over(limits, 1) == 1
    assert fillers(tmp_path, "dead-letters") == [True, False]


@pytest.mark.parametrize(
    "value",
    [None, b"", b"{", b'"expires_at":"', b'{"text":"\\"expires_at\\":\\"2000"}', b'{"value_base64":"?"}', b"[]"],
)
def test_what_states_no_limit_has_none(value: bytes | None) -> None:
    assert ends_at(ArchivedRecord(0, 0, b"k", value)) is None


@pytest.mark.parametrize(
    "terms",
    [
        b'"terms": {"train": true, "expires_at": "2000-01-01T00:00:00Z"}',
        b'"terms":{"expires_at"\n:\n"2000-01-01T00:00:00Z"}',
        b'"\\u0074erms":{"\\u0065xpires_at":"2000-01-01T00:00:00Z"}',
    ],
)
def test_a_limit_is_found_however_whoever_sent_it_writes_json(tmp_path: Path, terms: bytes) -> None:
    sent = ArchivedRecord(0, START, b"tt1", b'{"film_id": "tt1", ' + terms + b"}")
    assert ends_at(sent) == "2000-01-01T00:00:00Z"
    assert ends_at(letter(1, sent)) == "2000-01-01T00:00:00Z"
    limits = Limits(tmp_path)
    archive(tmp_path, limits, "ratings", sent, review(1, None))
    assert pass_over(limits, 0) == 1
    assert fillers(tmp_path, "ratings") == [True, False]


def test_a_text_that_speaks_of_limits_is_not_taken_for_one() -> None:
    assert ends_at(review(0, None, '"terms":{"expires_at":"2000-01-01T00:00:00Z"}')) is None


def test_the_database_is_scrubbed_once_after_something_expired(tmp_path: Path) -> None:
    directory = archive_dir(tmp_path)
    directory.mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "mongo").mkdir()
    path = tmp_path / "mongo" / "documents.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA secure_delete = OFF")
        database.execute("CREATE TABLE texts (text TEXT)")
        database.executemany("INSERT INTO texts VALUES (?)", [(f"Gone text {n}. " * 50,) for n in range(50)])
        database.commit()
        database.execute("DELETE FROM texts")
        database.commit()
    limits = Limits(directory)
    archive(directory, limits, "reviews", review(0, 1))
    assert not scrub(tmp_path)
    assert b"Gone text" in path.read_bytes()
    pass_over(limits, 1)
    assert scrub(tmp_path)
    assert b"Gone text" not in path.read_bytes()
    assert not scrub(tmp_path)


def test_nothing_is_read_before_something_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(tmp_path)
    archive(tmp_path, limits, "reviews", review(0, 5))
    archive(tmp_path, limits, "ratings", review(0, None))
    archive(tmp_path, limits, "images-found", review(0, 1))
    assert limits.places(at(4)) == []
    assert {place.topic for place in limits.places(at(5))} == {"reviews"}


def test_a_limit_that_is_noted_while_others_expire_is_kept(tmp_path: Path) -> None:
    limits = Limits(tmp_path)
    archive(tmp_path, limits, "reviews", review(0, 1))
    places = limits.places(at(1))
    archive(tmp_path, limits, "reviews", review(1, 2))
    # The book says so whatever comes of the pass.
    assert Limits(tmp_path).due(at(1)) == ["reviews"]
    assert limits.expire(places, at(1)) == 1
    assert Limits(tmp_path).due(at(1.5)) == []
    assert pass_over(Limits(tmp_path), 2) == 1


def test_a_kill_at_any_write_leaves_a_sound_archive_that_the_next_start_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(Exception):
        pass

    for kill in range(20):
        directory = tmp_path / str(kill)
        directory.mkdir()
        limits = Limits(directory)
        archive(directory, limits, "reviews", *(review(n, 1 if n % 2 else None) for n in range(6)))
        left = [kill]

        def dies(*args: Any, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise KilledError

        with monkeypatch.context() as patched:
            patched.setattr(rewrite.os, "fsync", dies)
            patched.setattr(expire, "write_atomically", dies)
            try:
                pass_over(limits, 1)
                survived = True
            except KilledError:
                survived = False
        assert verify(directory).damage == []
        pass_over(Limits(directory), 1)
        assert fillers(directory, "reviews") == [False, True] * 3
        if survived:
            break
    assert kill > 1
    assert survived


@pytest.mark.embedded
async def test_the_archiver_lets_go_of_what_is_over_while_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.embedded.archive._EXPIRE_SECONDS", 0.05)
    broker = await start_server(Broker, tmp_path / "broker", PortBook(tmp_path / "ports.json"), Broker.name)
    try:
        await create_empty(broker.bootstrap, {"reviews": 1})
        now, directory = [START / 1000], tmp_path / "archive"
        archiver = Archiver(broker.bootstrap, directory, ["reviews"], now=lambda: now[0])
        running = asyncio.create_task(archiver.run())
        await archiver.following()
        async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap) as producer:
            for n, day in enumerate((1, None, 9)):
                await producer.send_and_wait("reviews", review(n, day).value, b"tt1", partition=0)
            await reached(directory, [False, False, False])
            now[0] += 2 * DAY / 1000
            await reached(directory, [True, False, False])
            # It goes on with what comes after.
            await producer.send_and_wait("reviews", review(3, None).value, b"tt1", partition=0)
        await archiver.stop()
        await running
        assert fillers(directory, "reviews") == [True, False, False, False]
        assert verify(directory).damage == []
    finally:
        await broker.child.stop()


async def reached(directory: Path, wanted: list[bool]) -> None:
    """Return once the archive holds these records, fillers among them."""
    async with asyncio.timeout(60):
        while not (directory / "reviews").exists() or fillers(directory, "reviews") != wanted:  # noqa: ASYNC110  files
            await asyncio.sleep(0.05)


def test_a_start_expires_what_is_over_before_anything_is_made_from_it(tmp_path: Path) -> None:
    directory = archive_dir(tmp_path)
    directory.mkdir()
    archive(directory, Limits(directory), "training-reviews", review(0, -30_000), review(1, 300_000))
    Remake(Settings(storage=Storage(data=str(tmp_path))), Documents.UNSURE, lambda done, total: None).prepare()
    assert fillers(directory, "training-reviews") == [True, False]

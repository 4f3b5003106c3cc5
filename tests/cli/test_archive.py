"""`marquee archive` and `rebuild`: the history on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.cli import kafka
from app.embedded.partition_log import PartitionLog, segment_files, write_partition_count
from app.embedded.segment import ArchivedRecord
from app.embedded.up import CLEAN
from app.settings import Settings
from app.storage import mongo
from app.storage.memory import MemoryStore
from tests.cli.conftest import Marquee


@pytest.fixture
def archive(marquee: Marquee) -> Path:
    """An archive of 30 ratings in the data directory."""
    directory = marquee.directory / "data" / "archive"
    write_partition_count(directory, "ratings", 1)
    log = PartitionLog(directory, "ratings", 0)
    for start in (0, 10, 20):
        log.append([ArchivedRecord(n, 1000 + n, b"tt1", b"{}") for n in range(start, start + 10)])
    log.close()
    return directory


def test_the_archive_says_what_it_holds(marquee: Marquee, archive: Path) -> None:
    (part,) = marquee.json("archive", "status")["partitions"]
    assert (part["topic"], part["records"], part["first"], part["end"]) == ("ratings", 30, 0, 30)
    assert "ratings" in marquee("archive", "status").stdout


def test_a_sound_archive_is_said_to_be(marquee: Marquee, archive: Path) -> None:
    assert marquee.json("archive", "verify")["damage"] == []
    assert "30 records" in marquee("archive", "verify").stdout


def test_damage_is_named_and_fails(marquee: Marquee, archive: Path) -> None:
    (segment,) = segment_files(archive, "ratings", 0)
    content = bytearray(segment.read_bytes())
    content[80] ^= 0xFF
    segment.write_bytes(content)
    assert "damaged" in marquee("archive", "verify", code=1).stderr
    assert len(marquee.json("archive", "verify", code=1)["damage"]) == 1


def test_without_an_archive_it_is_said_what_keeps_one(marquee: Marquee) -> None:
    assert "marquee up --embedded" in marquee.mistake("archive", "status")
    assert "marquee up --embedded" in marquee.mistake("rebuild")


def test_everything_is_made_anew_at_the_next_start(marquee: Marquee, archive: Path) -> None:
    clean = archive.parent / "run" / CLEAN
    clean.parent.mkdir()
    clean.touch()
    assert "next `marquee up --embedded`" in marquee("rebuild").stdout
    assert not clean.exists()


def test_a_model_stays_while_workers_have_it(marquee: Marquee, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = [2, 0]

    async def members(settings: Settings) -> int:
        return counts.pop(0)

    monkeypatch.setattr(kafka, "members", members)
    monkeypatch.setattr(mongo, "MongoStore", lambda settings: MemoryStore())
    snapshot = marquee.directory / "data" / "snapshots" / "faces" / "1.snapshot"
    snapshot.parent.mkdir(parents=True)
    snapshot.touch()
    assert "2 worker(s) of marquee run" in marquee.mistake("rebuild", "--model", "faces")
    assert snapshot.exists()
    assert "learnt anew" in marquee("rebuild", "--model", "faces").stdout
    assert not snapshot.exists()


def test_what_cannot_be_rebuilt_is_named_with_what_can(marquee: Marquee) -> None:
    assert "there are project-films" in marquee.mistake("rebuild", "--projection", "moods", code=2)
    assert "there are future-rating" in marquee.mistake("rebuild", "--model", "moods", code=2)
    assert "not both" in marquee.mistake("rebuild", "--model", "a", "--projection", "b", code=2)

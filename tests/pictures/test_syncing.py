"""Files that last: synced together, in flights, and nothing called synced that is not."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from pathlib import Path

import pytest

from agents.errors import Unavailable
from app.pictures import syncing
from app.pictures.syncing import Syncer, sync_files


class Disk:
    """Says which flights there were; each waits until the test lets it land."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.flights: list[list[Path]] = []
        self.error: OSError | None = None
        self.landing = threading.Semaphore(0)
        monkeypatch.setattr(syncing, "sync_files", self.sync)

    def sync(self, paths: list[Path]) -> None:
        self.flights.append(paths)
        assert self.landing.acquire(timeout=30)
        if self.error is not None:
            raise self.error


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


async def until_flights(disk: Disk, count: int) -> None:
    async with asyncio.timeout(30):
        while len(disk.flights) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def test_whoever_asks_during_a_flight_goes_with_the_next(disk: Disk) -> None:
    syncer = Syncer()
    first = asyncio.create_task(syncer.sync(Path("a")))
    await until_flights(disk, 1)
    others = [asyncio.create_task(syncer.sync(Path(name))) for name in ("b", "c", "b")]
    await asyncio.sleep(0.01)
    assert disk.flights == [[Path("a")]]
    disk.landing.release()
    await first
    await until_flights(disk, 2)
    assert disk.flights[1] == [Path("b"), Path("c")]
    assert not any(task.done() for task in others)
    disk.landing.release()
    await asyncio.gather(*others)


async def test_a_disk_that_fails_fails_those_on_board_and_nobody_after_them(disk: Disk) -> None:
    syncer = Syncer()
    disk.error = OSError("no space left")
    disk.landing.release()
    with pytest.raises(Unavailable, match="no space left"):
        await syncer.sync(Path("a"))
    disk.error = None
    disk.landing.release()
    await syncer.sync(Path("a"))


def test_files_and_the_folders_that_name_them_are_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    path = tmp_path / "clean" / "ab" / "abc.jpg"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    sync_files([path, path.with_name("gone.jpg")])
    assert synced[0] == path.stat().st_ino, "the file first"
    assert set(synced[1:]) == {path.parent.stat().st_ino, path.parent.parent.stat().st_ino}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a file cannot be begun without waiting for it")
def test_all_files_are_being_written_before_any_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, int]] = []

    def note(name: str, descriptor: int) -> None:
        calls.append((name, os.fstat(descriptor).st_ino))

    monkeypatch.setattr(os, "posix_fadvise", lambda descriptor, *_: note("begun", descriptor))
    monkeypatch.setattr(os, "fsync", lambda descriptor: note("synced", descriptor))
    monkeypatch.setattr(syncing, "_OPEN", 2)
    paths = [tmp_path / "clean" / "ab" / name for name in "12345"]
    paths[0].parent.mkdir(parents=True)
    for path in paths:
        path.write_bytes(b"x")
    sync_files(paths)
    one, two, three, four, five = (path.stat().st_ino for path in paths)
    folders = [(name, n) for name, n in calls if n not in (one, two, three, four, five)]
    assert calls[:4] == [("begun", one), ("begun", two), ("synced", one), ("synced", two)]
    assert calls[4:8] == [("begun", three), ("begun", four), ("synced", three), ("synced", four)]
    assert calls[8:10] == [("begun", five), ("synced", five)]
    assert calls[10:] == folders, "folders last"


def test_a_disk_that_fails_keeps_no_file_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[int] = []

    def fail(descriptor: int) -> None:
        opened.append(descriptor)
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", fail)
    path = tmp_path / "clean" / "ab" / "abc.jpg"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    with pytest.raises(OSError, match="no space left"):
        sync_files([path])
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened[0])

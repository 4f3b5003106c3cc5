"""Files that nothing names go once they are old; no file goes that anything names, or will."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path

import pytest

from app.observe import metrics
from app.pictures import sweep
from app.pictures.files import PictureFiles, Stored
from app.pictures.sweep import Sweeper
from app.storage.parts import FileName

AFTER, NOW = 100.0, 1_700_000_000.0


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Folder:
    """A folder whose files have an age, with documents and a path that say what a test lets them say."""

    def __init__(self, root: Path) -> None:
        self.files = PictureFiles(root)
        self.files.start()
        self.named: set[FileName] = set()
        self.passes = True
        self.waited = 0
        self.gone: str | None = None
        self.now = NOW
        self.sweeper = self.sweeping(self.passed)

    def put(self, data: bytes, age: float, area: str = "original") -> Path:
        """A file that was put away so many seconds ago."""
        path = self.files.path(self.files.put_bytes(area, data, "jpg"))  # type: ignore[arg-type]
        os.utime(path, (NOW - age, NOW - age))
        return path

    async def identity(self) -> str:
        return "mine"

    def sweeping(self, passed: Callable[[], Awaitable[bool]], after: float = AFTER) -> Sweeper:
        return Sweeper(self.files, self.names, passed, after, self.identity, self.forgotten, clock=lambda: self.now)

    async def forgotten(self) -> str | None:
        return self.gone

    async def names(self, names: Collection[FileName]) -> set[FileName]:
        return self.named.intersection(names)

    async def passed(self) -> bool:
        self.waited += 1
        return self.passes


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "images")


async def test_an_old_file_that_nothing_names_goes_and_all_others_stay(folder: Folder) -> None:
    named, orphan, young = folder.put(b"named", 500), folder.put(b"orphan", 500), folder.put(b"young", 50)
    clean = folder.put(b"clean orphan", 500, "clean")
    folder.named = {("original", sha(b"named"))}
    before = metrics.ORPHANS.labels("original")._value.get()
    await folder.sweeper.sweep()
    assert [path.exists() for path in (named, orphan, young, clean)] == [True, False, True, False]
    assert metrics.ORPHANS.labels("original")._value.get() == before + 1


async def test_nothing_goes_while_something_is_under_way_and_it_is_looked_at_again(folder: Folder) -> None:
    orphan = folder.put(b"orphan", 500)
    folder.passes = False
    await folder.sweeper.sweep()
    assert orphan.exists()
    folder.passes = True
    await folder.sweeper.sweep()
    assert not orphan.exists()


async def test_what_is_named_by_the_time_that_all_is_through_stays(folder: Folder) -> None:
    late = folder.put(b"late", 500)

    async def passed() -> bool:
        folder.named = {("original", sha(b"late"))}
        return True

    await folder.sweeping(passed).sweep()
    assert late.exists()


async def test_what_is_put_away_again_while_it_is_looked_at_stays(folder: Folder) -> None:
    again = folder.put(b"again", 500)

    async def passed() -> bool:
        folder.files.put_bytes("original", b"again", "jpg")
        return True

    await folder.sweeping(passed).sweep()
    assert again.exists()


async def test_nobody_waits_where_everything_has_a_name(folder: Folder) -> None:
    folder.put(b"named", 500)
    folder.named = {("original", sha(b"named"))}
    await folder.sweeper.sweep()
    assert folder.waited == 0


async def test_the_files_of_other_documents_stay(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "SURELY", 2)
    paths = [folder.put(bytes([n]), 500) for n in range(3)]
    await folder.sweeper.sweep()
    assert all(path.exists() for path in paths)


async def test_nothing_goes_from_a_folder_that_another_marquee_uses_until_its_mark_is_gone(
    folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    theirs = folder.put(b"of the other", 500)
    other = PictureFiles(folder.files.root)
    other.mark("theirs")
    for _ in range(2):
        assert not await folder.sweeper.sweep()
    assert theirs.exists()
    (record,) = caplog.records
    assert "remove owners/theirs" in record.getMessage()
    (folder.files.root / "owners" / "theirs").unlink()
    await folder.sweeper.sweep()
    assert not theirs.exists()


async def test_whoever_never_sweeps_is_noted_in_the_folder_for_those_who_do(folder: Folder) -> None:
    async def theirs() -> str:
        return "theirs"

    async with Sweeper(PictureFiles(folder.files.root), folder.names, folder.passed, 0.0, theirs, folder.forgotten):
        for _ in range(1000):
            if (folder.files.root / "owners" / "theirs").exists():
                break
            await asyncio.sleep(0.01)
    orphan = folder.put(b"orphan", 500)
    assert not await folder.sweeper.sweep()
    assert orphan.exists()


async def test_a_large_folder_is_looked_at_in_portions(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "MOST", 4)
    paths = [folder.put(bytes([n]), 500) for n in range(10)]
    turns = 1
    while await folder.sweeper.sweep():
        turns += 1
    assert turns == 3
    assert not any(path.exists() for path in paths)


async def test_what_is_left_in_the_folder_by_others_is_not_touched(folder: Folder) -> None:
    shard = folder.put(b"named", 500).parent
    folder.named = {("original", sha(b"named"))}
    notes = [shard / "notes.txt", folder.files.root / "original" / "README"]
    for note in notes:
        note.write_text("mine")
        os.utime(note, (NOW - 500, NOW - 500))
    await folder.sweeper.sweep()
    assert all(note.exists() for note in notes)


async def test_a_file_that_goes_and_comes_at_the_same_time_is_there_in_the_end(folder: Folder) -> None:
    """Many threads put one file away while others remove it: whoever put it away last finds it."""
    data = b"contested"

    def put() -> None:
        for _ in range(200):
            path = folder.files.path(folder.files.put_bytes("clean", data, "jpg"))
            old = path.stat().st_mtime_ns
            folder.files.remove_old(Stored(old - 1, "clean", path.name))
            assert path.exists()

    await asyncio.gather(*(asyncio.to_thread(put) for _ in range(4)))


async def test_once_somebody_is_forgotten_no_file_from_before_the_start_needs_to_be_old(folder: Folder) -> None:
    named, orphan, later = (
        folder.put(b"named", 5),
        folder.put(b"orphan", 5),
        folder.put(b"later", -sweep.LINGER_SECONDS),
    )
    clean = folder.put(b"clean", 5, "clean")
    folder.named = {("original", sha(b"named"))}
    sweeper = folder.sweeping(folder.passed, after=0.0)
    await sweeper.sweep_earlier()
    assert (sweeper.through, orphan.exists()) == (False, True)
    folder.gone = "Q1"
    await sweeper.sweep_earlier()
    assert (sweeper.through, orphan.exists()) == (False, True)
    folder.now += sweep.LINGER_SECONDS
    folder.passes = False
    await sweeper.sweep_earlier()
    assert (sweeper.through, orphan.exists()) == (False, True)
    folder.passes = True
    await sweeper.sweep_earlier()
    assert sweeper.through
    assert [path.exists() for path in (named, orphan, clean, later)] == [True, False, False, True]


async def test_nobody_is_said_to_be_erased_while_too_many_files_have_no_name(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "SURELY", 2)
    paths = [folder.put(bytes([n]), 5) for n in range(3)]
    folder.gone = "Q1"
    folder.now += sweep.LINGER_SECONDS
    await folder.sweeper.sweep_earlier()
    assert (folder.sweeper.through, [path.exists() for path in paths]) == (False, [True] * 3)
    # The right documents are there by now.
    folder.named = {("original", sha(bytes([n]))) for n in range(3)}
    await folder.sweeper.sweep_earlier()
    assert (folder.sweeper.through, [path.exists() for path in paths]) == (True, [True] * 3)


async def test_all_portions_are_looked_through_at_once(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "MOST", 4)
    paths = [folder.put(bytes([n]), 5) for n in range(10)]
    folder.gone = "Q1"
    folder.now += sweep.LINGER_SECONDS
    await folder.sweeper.sweep_earlier()
    assert folder.sweeper.through
    assert not any(path.exists() for path in paths)

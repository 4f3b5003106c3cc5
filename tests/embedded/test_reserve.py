"""The room that is kept for the archive: given back as it is needed, and told of before."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiokafka import ConsumerRecord

from app.embedded.history import archive_dir
from app.embedded.reserve import LOW_BYTES, SPARE_BYTES, DiskFullError, Reserve, no_room

SIZE = 8 << 20
Left = Callable[[int], None]


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> Left:
    """Says how many bytes are left on every disk."""

    def say(free: int) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))

    return say


def record(size: int) -> ConsumerRecord[bytes, bytes]:
    return ConsumerRecord("input", 0, 0, 0, 0, b"", b"x" * size, None, 0, size, ())


def allocated(data_dir: Path) -> int:
    return (data_dir / "run" / "reserve").stat().st_blocks * 512


def test_the_reserve_is_really_allocated_and_grows_back(tmp_path: Path) -> None:
    Reserve(tmp_path, SIZE).allocate()
    assert allocated(tmp_path) >= SIZE
    with (tmp_path / "run" / "reserve").open("r+b") as file:
        file.truncate(SIZE // 4)
    Reserve(tmp_path, SIZE).allocate()
    assert allocated(tmp_path) >= SIZE


async def test_only_what_is_missing_is_given_back_and_marquee_is_told_to_stop(tmp_path: Path, left: Left) -> None:
    reserve = Reserve(tmp_path, SIZE)
    reserve.allocate()
    left(SPARE_BYTES + (4 << 20))
    reserve.make_room([[record(1 << 20)]])
    assert (reserve.used, allocated(tmp_path) >= SIZE) == (False, True)
    left(0)
    reserve.make_room([])
    assert not reserve.used
    reserve.make_room([[record(1 << 20), record(1 << 20)]])
    assert SIZE - SPARE_BYTES - (3 << 20) < allocated(tmp_path) <= SIZE - SPARE_BYTES - (2 << 20)
    with pytest.raises(DiskFullError, match="make room"):
        await reserve.watch()
    reserve.release()
    reserve.make_room([[record(1)]])


def test_room_that_another_process_took_first_is_given_back_again_until_nothing_is_left(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path, SIZE)
    reserve.allocate()
    tries = 0

    def full_but_for_the_third() -> None:
        nonlocal tries
        tries += 1
        if tries != 3:
            raise OSError(errno.ENOSPC, "No space left on device")

    reserve.write(full_but_for_the_third)
    assert (tries, reserve.used) == (3, True)
    assert allocated(tmp_path) == SIZE - 2 * SPARE_BYTES
    with pytest.raises(OSError, match="No space left"):
        reserve.write(full_but_for_the_third)
    assert tries == 3 + 1 + (SIZE // SPARE_BYTES - 2)


def test_what_is_no_lack_of_room_is_raised_at_once(tmp_path: Path, left: Left) -> None:
    reserve = Reserve(tmp_path, SIZE)
    reserve.allocate()

    def broken() -> None:
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(OSError, match="Input/output error"):
        reserve.write(broken)
    left(SPARE_BYTES)
    assert (reserve.used, reserve.full()) == (False, None)
    left(SPARE_BYTES - 1)
    assert "make room" in str(reserve.full())


def test_a_disk_without_room_for_it_is_said_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full, raising=False)
    with pytest.raises(DiskFullError, match=r"No space left on device.*make room"):
        Reserve(tmp_path, SIZE).allocate()
    assert not (tmp_path / "run" / "reserve").exists()


def test_nothing_new_is_taken_in_while_the_archives_disk_is_nearly_full(tmp_path: Path, left: Left) -> None:
    assert no_room(tmp_path) is None, "there is no archive"
    archive_dir(tmp_path).mkdir()
    left(LOW_BYTES - 1)
    assert "63 MiB left, 64 are needed" in (no_room(tmp_path) or "")
    left(LOW_BYTES)
    assert no_room(tmp_path) is None

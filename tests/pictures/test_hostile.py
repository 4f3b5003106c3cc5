"""The hostile set against the sandbox: each refused for the right reason or disarmed, and the good ones pass."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from PIL import Image

from app.pictures.decode import Limits, Reason
from app.pictures.files import PictureFiles
from app.pictures.jobs import Cleaned, Measured, Refused, Shrunk, clean, measure, shrink
from app.pictures.sandbox import MEMORY, Failed, Sandbox
from tests.pictures.hostile import PAYLOAD, Hostile, cases, encoded, good, photo

LIMITS = Limits()


@pytest.fixture
async def pool() -> AsyncIterator[Sandbox]:
    async with Sandbox(2) as pool:
        yield pool


def written(folder: Path, name: str, data: bytes) -> str:
    path = folder / name
    path.write_bytes(data)
    return str(path)


def peak(pid: int) -> int:
    """The most address space that a process ever had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmPeak"))


def expected(case: Hostile, answer: Measured | Refused | Failed) -> bool:
    if case.reason is None:
        return isinstance(answer, Measured)
    return isinstance(answer, Refused) and answer.reason == case.reason


async def test_each_is_refused_for_the_right_reason_and_the_good_ones_between_them_pass(
    pool: Sandbox, tmp_path: Path
) -> None:
    jobs = []
    for n, case in enumerate(cases()):
        jobs.append(pool.run(measure, written(tmp_path, case.name, case.data), LIMITS))
        jobs.append(pool.run(measure, written(tmp_path, f"good-{n}.jpg", good(n)), LIMITS))
    answers = await asyncio.gather(*jobs)
    wrong = [
        (case.name, answer) for case, answer in zip(cases(), answers[::2], strict=True) if not expected(case, answer)
    ]
    assert wrong == []
    assert all(isinstance(answer, Measured) for answer in answers[1::2])


async def test_nothing_of_a_payload_is_in_what_is_kept(pool: Sandbox, tmp_path: Path) -> None:
    root = tmp_path / "images"
    answers = await asyncio.gather(
        *(pool.run(clean, written(tmp_path, case.name, case.data), str(root), LIMITS) for case in cases())
    )
    kept = [answer for answer in answers if isinstance(answer, Cleaned)]
    assert len(kept) >= len([case for case in cases() if case.reason is None])
    files = PictureFiles(root)
    for answer in kept:
        shrunk = await pool.run(shrink, str(files.path(answer.path)), str(root), answer.sha256, LIMITS)
        assert isinstance(shrunk, Shrunk)
        for path in (files.path(answer.path), files.path(shrunk.path)):
            data = path.read_bytes()
            assert data.startswith(b"\xff\xd8\xff")
            assert PAYLOAD not in data
    assert sorted({answer.sha256 for answer in kept}) == [sha256 for sha256, _ in files.list("clean")]


async def test_cleaning_again_gives_the_same_file(pool: Sandbox, tmp_path: Path) -> None:
    path, root = written(tmp_path, "a.jpg", good(1)), str(tmp_path / "images")
    first, second = [await pool.run(clean, path, root, LIMITS) for _ in range(2)]
    assert isinstance(first, Cleaned)
    assert first == second


async def test_a_file_that_was_erased_meanwhile_is_a_refusal(pool: Sandbox, tmp_path: Path) -> None:
    assert await pool.run(measure, str(tmp_path / "gone.jpg"), LIMITS) == Refused(reason=Reason.GONE)


async def test_the_largest_picture_that_is_allowed_fits_into_the_memory_that_is_allowed(
    pool: Sandbox, tmp_path: Path
) -> None:
    image = photo(1, 500, 500).resize((6_300, 6_300), Image.Resampling.NEAREST)
    image.putalpha(200)
    path = written(tmp_path, "large.png", encoded(image, "PNG", compress_level=1))
    limits = Limits(max_bytes=1 << 30)
    assert isinstance(await pool.run(measure, path, limits), Measured)
    cleaned = await pool.run(clean, path, str(tmp_path / "images"), limits)
    assert isinstance(cleaned, Cleaned)
    assert (cleaned.width, cleaned.height) == (6_300, 6_300)


async def test_too_little_memory_is_a_verdict_on_the_picture_alone(tmp_path: Path) -> None:
    large = written(
        tmp_path,
        "large.png",
        encoded(photo(1, 500, 500).resize((6_000, 6_000), Image.Resampling.NEAREST), "PNG", compress_level=1),
    )
    small = written(tmp_path, "small.jpg", good(1))
    async with Sandbox(1, 256 << 20) as pool:
        answers = await asyncio.gather(
            *(pool.run(measure, path, Limits(max_bytes=1 << 30)) for path in (small, large, small))
        )
    assert answers[1] == Failed(Reason.TOO_MUCH_MEMORY)
    assert isinstance(answers[0], Measured)
    assert answers[0] == answers[2]


async def test_the_parent_never_holds_what_a_bomb_unpacks_to(pool: Sandbox, tmp_path: Path) -> None:
    paths = [
        written(tmp_path, case.name, case.data) for case in cases() if "bomb" in case.name or case.name == "zeros.jpg"
    ]
    await pool.run(measure, paths[0], LIMITS)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(5):
        await asyncio.gather(*(pool.run(measure, path, LIMITS) for path in paths))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 32 << 10, "KiB"
    assert all(peak(pid) <= MEMORY for pid in pool.pids)

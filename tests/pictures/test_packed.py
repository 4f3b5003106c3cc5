"""What a server packed unasked comes out the same, however its bytes arrive."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Sequence

import pytest

from app.pictures.packed import DamagedError, unpacked

PICTURE = bytes(range(256)) * 3
TWO = gzip.compress(PICTURE[:500], mtime=0) + gzip.compress(PICTURE[500:], mtime=0)


async def out(parts: Sequence[bytes]) -> bytes:
    async def arriving() -> AsyncIterator[bytes | bytearray]:
        for part in parts:
            yield bytearray(part)

    return b"".join([bytes(part) async for part in unpacked(arriving(), 100)])


@pytest.mark.parametrize("behind", [b"", b"\0\0\0", b"\x1f", b"\0\x1f\x8b"], ids=["nothing", "zeros", "half", "junk"])
async def test_it_does_not_matter_where_the_parts_of_it_end(behind: bytes) -> None:
    whole = TWO + behind
    for cut in range(len(whole) + 1):
        assert await out([whole[:cut], whole[cut:]]) == PICTURE, cut
    assert await out([bytes([each]) for each in whole]) == PICTURE


@pytest.mark.parametrize("plain", [b"", b"\x1f", b"\x1f\xd8\xff", b"\x89PNG\x1f\x8b", PICTURE])
async def test_what_is_only_called_packed_comes_as_it_is(plain: bytes) -> None:
    assert await out([plain]) == await out([bytes([each]) for each in plain]) == plain


@pytest.mark.parametrize("lacking", [1, 8, 30, len(TWO) - 2])
async def test_what_ends_in_the_middle_is_damaged(lacking: int) -> None:
    with pytest.raises(DamagedError, match="ends in the middle"):
        await out([TWO[:-lacking]])

"""Resuming in contents that can only be read from their beginning: what is passed over is counted and proved."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec

from app.connectors.base import Checkpoint, Cursor, Note, Observed, Refused, Said

RECORDS_A_CHECKPOINT: Final = 1000


class Piece(NamedTuple):
    """One record as the source has it: the bytes that prove it is the same one, and what it gives."""

    proof: bytes
    said: Callable[[int], Observed | Refused | None]
    """Given its number, from 1; None where it is not wanted."""


class Standing(msgspec.Struct, frozen=True, omit_defaults=True):
    """The cursor: how many records are out, their digest, and what they were read with.

    `version` and `size` (bytes as they came) are those of a content that was read to its end.
    """

    records: int = 0
    digest: str = ""
    basis: str = ""
    version: str | None = None
    size: int = 0


class UnchangedError(Exception):
    """The content is the one that was read to its end."""


class _ChangedError(Exception):
    """What was passed over is not what it was."""


def basis_of(*parts: object) -> str:
    """What records are read with, as a short text: with another one, the same rows give other records."""
    return blake2b(repr(parts).encode(), digest_size=8).hexdigest()


def standing(cursor: Cursor, basis: str) -> tuple[Standing, list[Note]]:
    """Where to begin, given what is kept and what records are read with now."""
    try:
        kept = msgspec.convert(cursor, Standing)
    except msgspec.ValidationError:
        kept = Standing(basis="?")
    if kept.basis == basis or not cursor:
        return msgspec.structs.replace(kept, basis=basis), []
    return Standing(basis=basis), [Note("the configuration is another than last time: reading from the beginning")]


async def each_new(
    kept: Standing,
    read: Callable[[Standing], AsyncGenerator[Piece]],
    ended: Callable[[], tuple[str | None, int]] = lambda: (None, 0),
    every: int = RECORDS_A_CHECKPOINT,
) -> AsyncGenerator[Said]:
    """What is new behind `kept`, with checkpoints; everything where what lies before it is not what it was.

    `read` reads from the beginning, or raises UnchangedError where version and size say that nothing is new; `ended`
    gives version and size of what was read to its end. Raises SourceError.
    """
    for begun in (kept, Standing(basis=kept.basis)):
        passed = _Passed(begun)
        try:
            async with aclosing(read(begun)) as pieces:
                async for piece in pieces:
                    if not passed.is_new(piece.proof):
                        continue
                    said = piece.said(passed.number)
                    if said is not None:
                        yield said
                    if passed.number % every == 0:
                        yield passed.checkpoint()
            passed.end()
        except UnchangedError:
            return
        except _ChangedError:
            yield Note("the content is not the one that was begun: reading from the beginning")
            continue
        yield passed.checkpoint(*ended())
        return


class _Passed:
    """Counts and hashes records."""

    def __init__(self, begun: Standing) -> None:
        self._begun = begun
        self._hash = blake2b(digest_size=16)
        self.number = 0

    def is_new(self, proof: bytes) -> bool:
        # The length keeps two records from proving the same as other two with the border elsewhere.
        self._hash.update(len(proof).to_bytes(8, "big") + proof)
        self.number += 1
        if self.number == self._begun.records and self._hash.hexdigest() != self._begun.digest:
            raise _ChangedError
        return self.number > self._begun.records

    def end(self) -> None:
        if self.number < self._begun.records:
            raise _ChangedError

    def checkpoint(self, version: str | None = None, size: int = 0) -> Checkpoint:
        now = Standing(self.number, self._hash.hexdigest(), self._begun.basis, version, size)
        return Checkpoint(msgspec.to_builtins(now), self.number)

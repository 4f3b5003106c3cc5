"""The lines of a content from a mark on, with the proof that what lies before the mark is what was read before."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

import msgspec

from app.connectors.content import Content, Start, Unzipped

MAX_LINE: Final = 1 << 16


class Mark(msgspec.Struct, frozen=True):
    """How far lines are read; bytes are counted decompressed.

    `digest` is that of all bytes before `byte`, empty where only the `version` vouches for them. `packed` is the size
    of a compressed content that was read to its end: what is asked for is what follows it, not the whole again.
    `ended`: all of the `version` was read, also what may stand behind the last line break.
    """

    byte: int = 0
    line: int = 0
    digest: str = ""
    version: str | None = None
    zipped: bool = False
    packed: int = 0
    ended: bool = False


class Lines:
    """Reads a content from a mark on; from its beginning where the content is another one by now.

    While it reads, `number` is the number of the last line, from 1, and `mark` stands behind it. A last line
    without a line break is read but not marked: whoever writes the file may not be done with it.
    """

    def __init__(self, content: Content, mark: Mark) -> None:
        self._content = content
        self._from = self._at = mark
        self._seen = _Seen(mark)
        self.number = mark.line
        self.restarted = False
        self.total: int | None = None

    @property
    def mark(self) -> Mark:
        """Behind the last whole line."""
        at, seen = self._at, self._seen
        return Mark(seen.byte, at.line, seen.digest, at.version, at.zipped, at.packed, at.ended)

    async def read(self) -> AsyncGenerator[bytes]:
        """Lines without their ends; one of MAX_LINE bytes or more is cut to that length. Raises SourceError."""
        head = b""
        async with aclosing(self._new_bytes()) as parts:
            async for part in parts:
                *whole, rest = part.split(b"\n")
                for piece in whole:
                    self._seen.line(piece)
                    line, head = head + piece[:MAX_LINE], b""
                    self.number = self._at.line + 1
                    self._at = msgspec.structs.replace(self._at, line=self.number)
                    yield line[:MAX_LINE].rstrip(b"\r")
                self._seen.begun(rest)
                head += rest[: MAX_LINE - len(head)]
        if self._at.zipped and self._at.version:
            self._at = msgspec.structs.replace(self._at, packed=self.total or 0)
        self._at = msgspec.structs.replace(self._at, ended=self._at.version is not None)
        if head:
            self.number = self._at.line + 1
            yield head

    async def _new_bytes(self) -> AsyncGenerator[bytes]:
        """What follows the mark, or everything where what lies before it is not what it was."""
        for _ in range(2):
            mark = self._from
            known = mark.packed if mark.zipped else mark.byte
            start = known if mark.version else 0
            unzipped = Unzipped(self._content.stream(start, mark.version, whole=mark.ended))
            async with aclosing(self._after(mark, unzipped)) as parts:
                async for part in parts:
                    self._at = msgspec.structs.replace(self._at, zipped=unzipped.zipped)
                    yield part
            if self._from is mark:
                return

    async def _after(self, mark: Mark, unzipped: Unzipped) -> AsyncGenerator[bytes]:
        proof = hashlib.blake2b(digest_size=16)
        skip = 0
        async with aclosing(unzipped.parts()) as parts:
            async for part in parts:
                if isinstance(part, Start):
                    skip = self._begin(part, mark)
                    if skip < 0:
                        return
                    continue
                before, part = part[:skip], part[skip:]
                if before:
                    proof.update(before)
                    skip -= len(before)
                    if not skip and not self._proved(proof, mark):
                        return
                if part:
                    yield part
        if skip:
            self._restart()

    def _begin(self, start: Start, mark: Mark) -> int:
        """How many bytes to pass over; -1 where nothing new follows, or nothing can show that they are the same."""
        self.total = start.size
        if mark.zipped and start.at and start.at == mark.packed:
            return -1
        if start.at == mark.byte:
            self._seen = _Seen(mark)
        elif not mark.digest and (mark.version is None or start.version != mark.version):
            self._restart()
            return -1
        self._at = msgspec.structs.replace(self._at, version=start.version, packed=0, ended=False)
        return mark.byte - start.at

    def _proved(self, proof: hashlib.blake2b, mark: Mark) -> bool:
        if mark.digest and proof.hexdigest() != mark.digest:
            self._restart()
            return False
        self._seen.proved(proof)
        return True

    def _restart(self) -> None:
        self.restarted = True
        self._from = self._at = Mark()
        self._seen = _Seen(self._from)
        self.number = 0


class _Seen:
    """Bytes of whole lines, counted and hashed; the beginning of the next line is hashed ahead."""

    def __init__(self, mark: Mark) -> None:
        self.byte = mark.byte
        self._from = mark
        # In the middle of a content whose beginning was not read there is nothing to go on hashing.
        self._hash = hashlib.blake2b(digest_size=16) if not mark.byte else None
        self._ahead: hashlib.blake2b | None = None
        self._begun = 0

    @property
    def digest(self) -> str:
        """Of everything up to `byte`; empty where that is not known."""
        if self.byte == self._from.byte:
            return self._from.digest
        return self._hash.hexdigest() if self._hash is not None else ""

    def proved(self, hashed: hashlib.blake2b) -> None:
        """Go on from the hash of what was passed over."""
        self._hash = hashed

    def line(self, piece: bytes) -> None:
        """The rest of a line, which ends here."""
        if self._begun:
            self._hash, self._ahead = self._ahead, None
        if self._hash is not None:
            self._hash.update(piece + b"\n")
        self.byte += self._begun + len(piece) + 1
        self._begun = 0

    def begun(self, rest: bytes) -> None:
        """A piece of a line that goes on later."""
        if rest and self._hash is not None:
            self._ahead = self._ahead or self._hash.copy()
            self._ahead.update(rest)
        self._begun += len(rest)

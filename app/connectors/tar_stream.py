"""The small files of a tar archive as they pass by: nothing is unpacked to the disk, nothing large is kept."""

from __future__ import annotations

import tarfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from typing import Final, NamedTuple

from app.connectors.errors import IncompleteError, MalformedError

BLOCK: Final = tarfile.BLOCKSIZE
MOST_MEMBER: Final = 256 << 20
MOST_TOTAL: Final = 4 << 30
MOST_NAME: Final = 4096
PAX_PATH: Final = "path"


class Entry(NamedTuple):
    """A file whose content was asked for."""

    name: str
    body: bytes


class BadEntry(NamedTuple):
    """A member that no data set has, or one larger than was asked for."""

    name: str
    reason: str


Wanted = Callable[[str], int]
"""How many bytes a file of this name may have; 0: it is passed over."""


async def entries(parts: AsyncIterator[bytes], wanted: Wanted, place: str) -> AsyncGenerator[Entry | BadEntry]:
    """The wanted files of an archive. Raises MalformedError for what is none, IncompleteError where it ends early."""
    reader = _Tar(wanted, place)
    async for part in parts:
        for entry in reader.feed(part):
            yield entry
        if reader.ended:
            return
    reader.close()


class _Tar:
    """Takes bytes as they come: a header, then the content it announces, and so on."""

    def __init__(self, wanted: Wanted, place: str) -> None:
        self._wanted, self._place = wanted, place
        self._buffer = bytearray()
        self._need, self._skip = BLOCK, 0
        self._member: tarfile.TarInfo | None = None
        self._renamed: str | None = None
        self._total = 0
        self.ended = False

    def feed(self, data: bytes) -> Iterator[Entry | BadEntry]:
        self._total += len(data)
        if self._total > MOST_TOTAL:
            raise MalformedError(f"{self._place}: unpacks to more than {MOST_TOTAL >> 30} GiB: refused")
        view = memoryview(data)
        while view and not self.ended:
            passed = min(self._skip, len(view))
            self._skip -= passed
            view = view[passed:]
            taken = min(self._need - len(self._buffer), len(view))
            self._buffer += view[:taken]
            view = view[taken:]
            if not self._skip and len(self._buffer) == self._need:
                block, self._buffer = bytes(self._buffer), bytearray()
                found = self._content(block) if self._member is not None else self._header(block)
                if found is not None:
                    yield found

    def close(self) -> None:
        if not self._total:
            raise MalformedError(f"{self._place}: is empty")
        raise IncompleteError(f"{self._place}: the archive ends in the middle")

    def _header(self, block: bytes) -> BadEntry | None:
        if not any(block):
            self.ended = True
            return None
        try:
            member = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise MalformedError(f"{self._place}: not a tar archive: {error}", block) from error
        if not 0 <= member.size <= MOST_MEMBER:
            raise MalformedError(f"{self._place}: a member of {member.size} bytes: refused", block)
        if member.type in (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
            self._take(member, MOST_NAME)
            return None
        name, self._renamed = self._renamed or member.name, None
        member.name = name
        padded = _padded(member.size)
        reason = _harm(member)
        if reason is not None:
            self._skip = padded
            return BadEntry(name, reason)
        most = self._wanted(name) if member.isreg() else 0
        if most and member.size <= most:
            self._take(member, most)
            return None
        self._skip = padded
        return BadEntry(name, f"{member.size} bytes, which no review has") if most else None

    def _take(self, member: tarfile.TarInfo, most: int) -> None:
        if member.size > most:
            raise MalformedError(f"{self._place}: a name of {member.size} bytes: refused")
        if member.size:
            self._member, self._need = member, _padded(member.size)

    def _content(self, block: bytes) -> Entry | None:
        member, self._member, self._need = self._member, None, BLOCK
        assert member is not None
        body = block[: member.size]
        if member.type == tarfile.GNUTYPE_LONGNAME:
            self._renamed = body.rstrip(b"\0").decode("utf-8", "surrogateescape")
        elif member.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
            self._renamed = _pax_path(body) or self._renamed
        else:
            return Entry(member.name, body)
        return None


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _harm(member: tarfile.TarInfo) -> str | None:
    """Why a member would be dangerous to whoever unpacks it."""
    name = member.name.replace("\\", "/")
    if name.startswith("/") or ".." in name.split("/") or "\0" in name:
        return "its name leads out of the archive"
    if member.issym() or member.islnk():
        return f"is a link to {member.linkname[:100]!r}"
    if member.isdev():
        return "is a device"
    return None


def _pax_path(body: bytes) -> str | None:
    """The name in an extended header, whose records are `length key=value`."""
    while body:
        length, _, _ = body.partition(b" ")
        size = int(length) if length.isdigit() else 0
        record, body = body[len(length) + 1 : size - 1], body[size:] if size else b""
        key, _, value = record.partition(b"=")
        if key == PAX_PATH.encode():
            return value.decode("utf-8", "surrogateescape")
    return None

"""One file of a zip archive as a content: its directory stands at its end, so an archive from afar lies here first."""

from __future__ import annotations

import asyncio
import zipfile
import zlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Final
from urllib.parse import urlsplit

from app.connectors.content import CHUNK, Content, Start, content_at
from app.connectors.errors import IncompleteError, MalformedError, NotFoundError, SourceError
from app.connectors.session import Session

MAX_ARCHIVE: Final = 8 << 30
MAX_DIRECTORY: Final = 16 << 20
MAX_FILES: Final = 0xFFFF
END: Final = b"PK\x05\x06"
END_SIZE: Final = 22


def content_of(place: str, member: str | None, session: Session, retries: int) -> Content:
    """What lies at a path or address; where that is a zip archive, the file in it that `member` names or matches."""
    content = content_at(place, session, retries)
    path = urlsplit(place).path if "://" in place else place
    if member is None and not path.lower().endswith(".zip"):
        return content
    return ZipMember(place, content, member, None if "://" in place or session.home else Path(place))


class ZipMember:
    """A file in an archive. It is always read from its beginning, but not again where the archive is what it was."""

    def __init__(self, place: str, archive: Content, member: str | None, local: Path | None) -> None:
        self._place, self._archive, self._member, self._local = place, archive, member, local

    async def stream(
        self, start: int = 0, version: str | None = None, whole: bool = False
    ) -> AsyncGenerator[Start | bytes]:
        """A Start at 0, then the unpacked bytes; one at `start` and nothing else where that is where it still ends.

        Raises SourceError.
        """
        with self._opened() as file:
            began = Start(0, None, None, packed=True)
            if self._local is None:
                began = await self._fetch(file, start, version, whole)
            if began.at:
                yield began
                return
            try:
                with await asyncio.to_thread(_open, file, self._place, self._member) as unpacked:
                    yield began
                    while chunk := await asyncio.to_thread(unpacked.read, CHUNK):
                        yield chunk
            except EOFError as error:
                raise IncompleteError(f"{self._place}: the archive ends in the middle") from error
            except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
                raise MalformedError(f"{self._place}: not an archive that can be read: {error}") from error

    def _opened(self) -> IO[bytes]:
        if self._local is None:
            return TemporaryFile()
        try:
            return self._local.open("rb")
        except FileNotFoundError as error:
            raise NotFoundError(f"{self._place}: not there; check `path`") from error
        except OSError as error:
            raise SourceError(f"{self._place}: {error.strerror or error}") from error

    async def _fetch(self, file: IO[bytes], start: int, version: str | None, whole: bool) -> Start:
        began = Start(0, None, None)
        async with aclosing(self._archive.stream(start, version, whole)) as parts:
            async for part in parts:
                if isinstance(part, Start):
                    began = part
                    if began.at:
                        break
                    continue
                if file.tell() + len(part) > MAX_ARCHIVE:
                    raise SourceError(f"{self._place}: larger than {MAX_ARCHIVE >> 30} GiB")
                await asyncio.to_thread(file.write, part)
        return Start(began.at, began.version, began.size or file.tell(), packed=True)


def _open(file: IO[bytes], place: str, member: str | None) -> IO[bytes]:
    _check_directory(file, place)
    archive = zipfile.ZipFile(file)
    found = [entry for entry in archive.infolist() if not entry.is_dir()]
    if member is not None:
        found = [entry for entry in found if fnmatchcase(entry.filename, member)]
    if len(found) != 1:
        names = ", ".join(sorted(entry.filename for entry in archive.infolist() if not entry.is_dir())[:10])
        wanted = "holds no file" if member is None and not found else "name one of its files in `member`"
        raise NotFoundError(f"{place}: {wanted}; there is {names or 'nothing'}")
    return archive.open(found[0])


def _check_directory(file: IO[bytes], place: str) -> None:
    """An archive of a few kilobytes may list millions of files: refuse it before they are all in memory."""
    size = file.seek(0, 2)
    file.seek(max(0, size - END_SIZE - (1 << 16)))
    tail = file.read()
    at = tail.rfind(END)
    if at < 0 or len(tail) - at < END_SIZE:
        began = "" if size else ": it is empty"
        raise MalformedError(f"{place}: no zip archive, or not a whole one{began}")
    files, directory = (
        int.from_bytes(tail[at + 10 : at + 12], "little"),
        int.from_bytes(tail[at + 12 : at + 16], "little"),
    )
    if files >= MAX_FILES or directory > MAX_DIRECTORY:
        raise MalformedError(f"{place}: lists too many files to be a data set")

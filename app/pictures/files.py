"""Pictures as files that are named by what is in them: written whole or not at all, found again, listed, removed.

Below the root: `AREA/ab/abcd….jpg`, `incoming/` for what is being written, and in `owners/` the names of the databases
whose documents are about these files. `original` holds bytes as strangers sent
them, which no browser should ever be given; `clean` and `thumbnail` hold what was made of them, both named by the
SHA-256 of the clean file.
"""

from __future__ import annotations

import fcntl
import hashlib
import heapq
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final, Literal, NamedTuple

from app.embedded.files import sync_folder

Area = Literal["original", "clean", "thumbnail"]

AREAS: Final[tuple[Area, ...]] = ("original", "clean", "thumbnail")
EXTENSIONS: Final = {"jpeg": "jpg", "png": "png", "webp": "webp", "gif": "gif"}
"""The ending of a file's name by the format of the picture."""

_INCOMING: Final = "incoming"
_LOCK: Final = ".lock"
_OWNERS: Final = "owners"
_SHARD: Final = 2
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_NAME: Final = re.compile(r"[0-9a-f]{64}\.[a-z]+")
_RELATIVE: Final = re.compile(
    rf"(?:{'|'.join(AREAS)})/([0-9a-f]{{2}})/\1[0-9a-f]{{62}}\.(?:{'|'.join(EXTENSIONS.values())})"
)


class Stored(NamedTuple):
    """A file by when it was put away last, in ns since 1970; in this order they are looked at."""

    put_at: int
    area: Area
    name: str
    """The SHA-256 with the ending."""

    @property
    def sha256(self) -> str:
        """What it is named by."""
        return self.name.partition(".")[0]

    @property
    def relative(self) -> str:
        """Where it lies below the root."""
        return f"{self.area}/{self.name[:_SHARD]}/{self.name}"


class PictureFiles:
    """The files under one root, which several processes may share. All calls block; a failing disk raises OSError."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.incoming = root / _INCOMING / secrets.token_hex(8)
        """For what this object is writing; on the same file system, so that a rename puts it away."""
        self._lock: IO[bytes] | None = None

    def start(self) -> None:
        """Make the folders, and remove what processes that are dead left half written."""
        if self._lock is not None:
            return
        for area in AREAS:
            (self.root / area).mkdir(parents=True, exist_ok=True)
        (self.root / _INCOMING).mkdir(exist_ok=True)
        for lock in (self.root / _INCOMING).glob(f"*{_LOCK}"):
            _sweep(lock)
        self._lock = _hold(self.incoming.with_suffix(_LOCK))
        self.incoming.mkdir()

    def mark(self, owner: str) -> None:
        """Note that the documents of the database `owner` are about files of this folder."""
        folder = self.root / _OWNERS
        if not (folder / owner).exists():
            folder.mkdir(parents=True, exist_ok=True)
            (folder / owner).touch()
            sync_folder(folder)

    def owners(self) -> set[str]:
        """The databases that were noted."""
        return {path.name for path in (self.root / _OWNERS).iterdir()}

    def close(self) -> None:
        """Remove this object's temporary files; `start` may be called again."""
        if self._lock is not None:
            shutil.rmtree(self.incoming, ignore_errors=True)
            self.incoming.with_suffix(_LOCK).unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    def put_bytes(self, area: Area, data: bytes, extension: str, name: str | None = None) -> str:
        """Write a file, named by its SHA-256 or by `name`; its path below the root.

        What is there already is left as it is. It lasts through a power cut once it is synced (`app.pictures.syncing`).
        """
        relative = self.relative(area, name or hashlib.sha256(data).hexdigest(), extension)
        target = self.root / relative
        if self._holds(target, len(data)):
            return relative
        temporary = self.incoming / secrets.token_hex(8)
        try:
            with temporary.open("xb") as file:
                file.write(data)
            self._put_away(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        return relative

    def adopt(self, temporary: Path, area: Area, sha256: str, extension: str) -> str:
        """Put a file from `incoming` away under the SHA-256 of its bytes, which the caller knows; as `put_bytes`."""
        relative = self.relative(area, sha256, extension)
        target = self.root / relative
        if self._holds(target, temporary.stat().st_size):
            temporary.unlink()
        else:
            self._put_away(temporary, target)
        return relative

    def relative(self, area: Area, sha256: str, extension: str) -> str:
        """Where a picture lies below the root if it is there. Raises ValueError for what cannot be a name."""
        relative = f"{area}/{sha256[:2]}/{sha256}.{extension}"
        if not _RELATIVE.fullmatch(relative):
            raise ValueError(f"not the name of a picture: {relative!r}")
        return relative

    def path(self, relative: str) -> Path:
        """The file at a path below the root. Raises ValueError for anything that `relative` would not have made."""
        if not _RELATIVE.fullmatch(relative):
            raise ValueError(f"not the path of a picture: {relative!r}")
        return self.root / relative

    def find(self, area: Area, sha256: str) -> str | None:
        """The path below the root of a picture whose format is not known; None where it is not there."""
        if not _SHA256.fullmatch(sha256):
            return None
        possible = (self.relative(area, sha256, extension) for extension in EXTENSIONS.values())
        return next((relative for relative in possible if (self.root / relative).exists()), None)

    def remove(self, area: Area, sha256: str) -> bool:
        """Remove a picture for good; whether it was there."""
        found = self.find(area, sha256)
        if found is None:
            return False
        path = self.root / found
        with suppress(FileNotFoundError):
            path.unlink()
        sync_folder(path.parent)
        return True

    def remove_old(self, stored: Stored) -> bool:
        """Remove a file for good unless it was put away again since it was listed; whether it was removed."""
        path = self.root / stored.relative
        # Nobody may find the file there and take it for put away between the look and the removal.
        with _held(self.root / stored.area, fcntl.LOCK_EX), suppress(FileNotFoundError):
            if path.stat().st_mtime_ns == stored.put_at:
                path.unlink()
                return True
        return False

    def put_between(self, after: Stored | None, before: int, most: int) -> list[Stored]:
        """The first `most` files behind `after` in order that were put away before `before`, in ns since 1970."""
        found = (each for area in AREAS for each in self._stored(area) if each.put_at < before)
        return heapq.nsmallest(most, (each for each in found if after is None or each > after))

    def _stored(self, area: Area) -> Iterator[Stored]:
        with os.scandir(self.root / area) as shards:
            folders = sorted(shard.path for shard in shards if len(shard.name) == _SHARD)
        for folder in folders:
            with os.scandir(folder) as entries:
                for entry in entries:
                    with suppress(FileNotFoundError):
                        if _NAME.fullmatch(entry.name):
                            yield Stored(entry.stat(follow_symlinks=False).st_mtime_ns, area, entry.name)

    def list(self, area: Area) -> Iterator[tuple[str, str]]:
        """The SHA-256 in the name, and the path below the root, of everything in an area, in order."""
        for shard in sorted((self.root / area).glob("[0-9a-f][0-9a-f]")):
            for path in sorted(shard.iterdir()):
                yield path.stem, path.relative_to(self.root).as_posix()

    def _put_away(self, temporary: Path, target: Path) -> None:
        with _held(target.parent.parent, fcntl.LOCK_SH):
            try:
                temporary.replace(target)
            except FileNotFoundError:
                target.parent.mkdir(exist_ok=True)
                temporary.replace(target)

    def _holds(self, path: Path, size: int) -> bool:
        """Whether a file is there and whole, which is noted: after a power cut one may be there without its bytes."""
        # Most are not, and to see that takes no lock: a file that comes now is written once more, with the same bytes.
        if not os.path.exists(path):
            return False
        with _held(path.parent.parent, fcntl.LOCK_SH):
            try:
                if path.stat().st_size != size:
                    return False
                os.utime(path)
            except FileNotFoundError:
                return False
            return True


@contextmanager
def _held(folder: Path, how: int) -> Iterator[None]:
    """A lock on a folder, between all processes that share it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


def _hold(path: Path) -> IO[bytes]:
    """A lock that lasts until the file is closed or this process is dead."""
    while True:
        file = path.open("wb")
        fcntl.flock(file, fcntl.LOCK_EX)
        # Somebody who sweeps may have seen the file before it was held, and have removed it.
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()


def _sweep(lock: Path) -> None:
    """Remove a folder of temporary files if nobody holds it."""
    with suppress(OSError), lock.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
        lock.unlink()

"""Reviews in the layout of the Large Movie Review Dataset, as a folder and as an archive."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

FILMS = ("tt1375666", "tt0133093", "tt0064354")
EACH = 250
REVIEWS = 5 * EACH
SETS = ("test/neg", "test/pos", "train/neg", "train/pos", "train/unsup")


def files(each: int = EACH) -> dict[str, bytes]:
    """Paths and contents."""
    found: dict[str, bytes] = {"README": b"Large Movie Review Dataset", "imdb.vocab": b"the\nand\n" * 5000}
    for group in SETS:
        part, label = group.split("/")
        lines = [f"http://www.imdb.com/title/{FILMS[n % 3]}/usercomments\n" for n in range(each)]
        found[f"{part}/urls_{label}.txt"] = "".join(lines).encode()
        for n in range(each):
            score = {"neg": n % 4 + 1, "pos": n % 4 + 7, "unsup": 0}[label]
            text = f"Review {n} of {group}.<br /><br />It says &quot;enough&quot;, at length: {'so ' * 20}it ends."
            found[f"{group}/{n}_{score}.txt"] = text.encode()
    return found


def folder(path: Path, found: dict[str, bytes]) -> Path:
    """The files below a folder."""
    for name, body in found.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(body)
    return path


def member(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    """A member of an archive, as published or as an attacker would make it."""
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = size, kind, target
    return info


def archive(
    found: dict[str, bytes], *odd: tarfile.TarInfo, last: bool = False, form: int = tarfile.GNU_FORMAT
) -> bytes:
    """A tar of the files below aclImdb; the lists of addresses stand last, or wherever they come."""
    out = io.BytesIO()
    order = (
        sorted(found, key=lambda name: "urls_" in name) if last else sorted(found, key=lambda name: "urls_" not in name)
    )
    with tarfile.open(fileobj=out, mode="w", format=form) as packed:
        packed.addfile(member("aclImdb", kind=tarfile.DIRTYPE))
        for info in odd:
            packed.addfile(info, io.BytesIO(b"x" * info.size))
        for name in order:
            body = found[name]
            packed.addfile(member(f"aclImdb/{name}", len(body)), io.BytesIO(body))
    return out.getvalue()


def packed(found: dict[str, bytes], *odd: tarfile.TarInfo, last: bool = False) -> bytes:
    """The same, compressed."""
    return gzip.compress(archive(found, *odd, last=last), compresslevel=1, mtime=0)

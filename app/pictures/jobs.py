"""What is done to pictures inside the sandbox: bytes from strangers go in by path, plain facts come out."""

from __future__ import annotations

import atexit
import importlib
from functools import cache
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
import numpy as np

from app.pictures import disarm
from app.pictures.decode import BadPicture, Limits, Reason, read_bytes
from app.pictures.faces import find_faces
from app.pictures.files import EXTENSIONS, PictureFiles
from app.pictures.hashing import Measured, measure_bytes
from app.pictures.sandbox_child import Unusable
from schemas.pictures import Face

__all__ = ["Cleaned", "Looked", "Measured", "Refused", "Shrunk", "clean", "look", "measure", "shrink", "take"]


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag="refused"):
    """The picture will never do; why, in words."""

    reason: str


class Cleaned(msgspec.Struct, frozen=True, kw_only=True, tag="cleaned"):
    """A disarmed copy is put away; `path` is below the root, width and height are the copy's in pixels."""

    sha256: str
    path: str
    width: int
    height: int
    faces: tuple[Face, ...] = ()
    face_model: str | None = None
    unsafe: float | None = None


class Shrunk(msgspec.Struct, frozen=True, kw_only=True, tag="shrunk"):
    """A thumbnail is put away; `path` is below the root."""

    path: str


class Looked(msgspec.Struct, frozen=True, kw_only=True, tag="looked"):
    """The faces on a picture of which nothing is put away; boxes in pixels of the upright picture."""

    width: int
    height: int
    faces: tuple[Face, ...]
    face_model: str


class Safety(Protocol):
    """A model that says how likely a picture is not safe for work."""

    def score(self, rgb: disarm.Rgb) -> float:
        """0 to 1."""


def measure(path: str, limits: Limits) -> Measured | Refused:
    """Size, format and hashes of a file."""
    try:
        return measure_bytes(read_bytes(Path(path), limits), limits)
    except BadPicture as bad:
        return Refused(reason=bad.reason)


def take(path: str, root: str, sha256: str, limits: Limits) -> Measured | Refused:
    """As `measure`, and put the file away below `root` as an original if it will do; `sha256` is that of its bytes."""
    files, source = _files(root), Path(path)
    # A process may have died just after it had put the file away.
    kept = None if source.exists() else files.find("original", sha256)
    measured = measure(path if kept is None else str(files.path(kept)), limits)
    if kept is None and isinstance(measured, Measured):
        files.adopt(source, "original", sha256, EXTENSIONS[measured.format])
    return measured


def clean(path: str, root: str, limits: Limits, faces: str | None = None, nsfw: str | None = None) -> Cleaned | Refused:
    """Put a disarmed copy of a file away below `root`, and say who may be on it.

    `faces` and `nsfw` name what makes a FaceEngine and a Safety, as "module:function".
    """
    try:
        picture = disarm.pixels(read_bytes(Path(path), limits), limits)
    except BadPicture as bad:
        return Refused(reason=bad.reason)
    files = _files(root)
    kept = files.put_bytes("clean", disarm.jpeg(picture), _EXTENSION)
    sha256 = Path(kept).stem
    found, model = _faces(faces, picture)
    width, height = picture.size
    return Cleaned(
        sha256=sha256,
        path=kept,
        width=width,
        height=height,
        faces=found,
        face_model=model,
        unsafe=None if nsfw is None else float(_made(nsfw).score(np.asarray(picture))),
    )


def shrink(path: str, root: str, sha256: str, limits: Limits) -> Shrunk | Refused:
    """Put a thumbnail of a disarmed copy away below `root`, named as the copy is."""
    try:
        picture = disarm.pixels(read_bytes(Path(path), limits), limits)
    except BadPicture as bad:
        return Refused(reason=bad.reason)
    files = _files(root)
    kept = files.put_bytes("thumbnail", disarm.thumbnail(picture), _EXTENSION, name=sha256)
    if not Path(path).exists():
        # Erased meanwhile, and perhaps just before this was written.
        files.remove("thumbnail", sha256)
        return Refused(reason=Reason.GONE)
    return Shrunk(path=kept)


def look(data: bytes, limits: Limits, faces: str) -> Looked | Refused:
    """Who may be on a picture; `faces` as for `clean`."""
    if not data:
        return Refused(reason=Reason.EMPTY)
    if len(data) > limits.max_bytes:
        return Refused(reason=Reason.TOO_MANY_BYTES)
    try:
        picture = disarm.pixels(data, limits)
    except BadPicture as bad:
        return Refused(reason=bad.reason)
    found, model = _faces(faces, picture)
    width, height = picture.size
    return Looked(width=width, height=height, faces=found, face_model=model or "")


_EXTENSION: Final = "jpg"


@cache
def _files(root: str) -> PictureFiles:
    files = PictureFiles(Path(root))
    files.start()
    atexit.register(files.close)
    return files


def _faces(maker: str | None, picture: Any) -> tuple[tuple[Face, ...], str | None]:
    if maker is None:
        return (), None
    engine = _made(maker)
    return find_faces(engine, np.asarray(picture)), engine.model


@cache
def _made(maker: str) -> Any:
    """What a factory made, once a process. Raises Unusable where it cannot."""
    module, _, name = maker.partition(":")
    try:
        return getattr(importlib.import_module(module), name)()
    except Exception as error:
        raise Unusable(f"{maker}: {error}") from error

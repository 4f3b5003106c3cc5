"""Ways to tell copies of photos, Marquee's and others', as a hash and a rule each."""

from __future__ import annotations

import importlib
import io
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import imagehash
import numpy as np
from PIL import Image

from app.pictures.decode import Limits
from app.pictures.hashing import measure_bytes
from models.hash_index import Hashes, is_copy

LIMITS: Final = Limits()
Hash = Any
"""What a hasher makes of a picture's bytes."""
Hasher = Callable[[bytes], Hash]


@dataclass(frozen=True)
class Method:
    """A way to tell copies."""

    name: str
    hasher: Hasher
    same: Callable[[Hash, Hash], bool]
    module: str = __name__
    """What has to be importable."""


def marquee(data: bytes) -> Hashes:
    """The hash stage."""
    found = measure_bytes(data, LIMITS)
    return Hashes(found.phash64, found.dhash64, found.phash256, found.pipeline)


def plain(data: bytes) -> int:
    """imagehash.phash on a full decode."""
    return int(str(imagehash.phash(Image.open(io.BytesIO(data)))), 16)


def _imagededup(data: bytes) -> int:
    return int(_phasher().encode_image(image_array=np.asarray(Image.open(io.BytesIO(data)))), 16)


@cache
def _phasher() -> Any:
    return importlib.import_module(PEERS["imagededup"].module).PHash()


def _czkawka(data: bytes) -> str:
    with tempfile.NamedTemporaryFile(suffix=".jpg") as file:
        file.write(data)
        file.flush()
        return str(_finder().hash_image(file.name))


@cache
def _finder() -> Any:
    return importlib.import_module(PEERS["czkawka"].module).ImageSimilarity()


def _within(bits: int) -> Callable[[int, int], bool]:
    return lambda one, other: (one ^ other).bit_count() <= bits


PEERS: Final = {
    "imagededup": Method("imagededup <= 10", _imagededup, _within(10), "imagededup.methods"),
    "czkawka": Method(
        "czkawka <= 15", _czkawka, lambda one, other: _finder().compare_hashes(one, other) <= 15, "czkawka"
    ),
}
"""By package, with the distance that each one's documentation uses."""


def methods() -> list[Method]:
    """Marquee's first, then imagehash's, then those of PEERS that are there."""
    ours = [
        Method("Marquee", marquee, is_copy),
        Method("phash <= 8", plain, _within(8)),
        Method("phash <= 10", plain, _within(10)),
    ]
    return ours + [method for package, method in PEERS.items() if _is_there(package)]


def missing() -> list[str]:
    """Which of PEERS are not installed, or not with what they need."""
    return [package for package in PEERS if not _is_there(package)]


@cache
def _is_there(package: str) -> bool:
    try:
        importlib.import_module(PEERS[package].module)
    except ImportError:
        return False
    return True

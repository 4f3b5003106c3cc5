"""Pictures without a network: an address says what lies there, such as `photo:3/of:Q1/q50`."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence

import numpy as np

from agents.errors import Unavailable
from agents.ports import Examination, Fetched, NotFetched
from schemas.pictures import Face

MODEL = "fake-faces@1"


def embedding(person: str, seed: int = 0) -> bytes:
    """128 float32 of length 1, near the person's own direction."""
    own = np.random.default_rng(int(hashlib.sha256(person.encode()).hexdigest()[:8], 16)).normal(size=128)
    other = np.random.default_rng(seed).normal(size=128)
    vector = own / np.linalg.norm(own) + 0.3 * other / np.linalg.norm(other)
    return (vector / np.linalg.norm(vector)).astype("<f4").tobytes()


class FakePictures:
    """`photo:N` decides the hashes, `of:WHO` whose faces are on it (`+` between several); the rest other bytes."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.away = 0
        self.erased: list[tuple[str, str]] = []
        self.meanwhile: Callable[[], Awaitable[None]] | None = None
        """Happens once, while the next picture is fetched."""
        self._bytes: dict[str, str] = {}

    async def fetch(self, url: str) -> Fetched | NotFetched:
        self.asked.append(url)
        if self.meanwhile is not None:
            happens, self.meanwhile = self.meanwhile, None
            await happens()
        if self.away:
            self.away -= 1
            raise Unavailable("the disk is full")
        parts = dict(part.partition(":")[::2] for part in url.split("/"))
        if "missing" in parts:
            return NotFetched(verdict="failed", reason=f"{url}: the server answered 404")
        if "hostile" in parts:
            return NotFetched(verdict="rejected", reason="looks like HTML", image_id=_digest(url))
        self._bytes[_digest(url.partition("?")[0])] = url
        wide = hashlib.sha256(parts["photo"].encode()).hexdigest()
        return Fetched(
            image_id=_digest(url.partition("?")[0]),
            width=500,
            height=750,
            format="jpeg",
            bytes=70_000,
            phash64=wide[:16],
            dhash64=wide[16:32],
            phash256=wide,
            pipeline=1,
        )

    async def examine(self, image_id: str, again: str | None = None) -> Examination:
        url = self._bytes[image_id]
        parts = dict(part.partition(":")[::2] for part in url.split("/"))
        who = [name for name in parts.get("of", "").split("+") if name]
        seed = int(parts["photo"])
        faces = tuple(Face(box=(9, 9, 200, 200), score=0.9, embedding=embedding(name, seed)) for name in who)
        clean = _digest(f"clean {image_id}")
        return Examination(
            sha256=clean, path=f"clean/{clean[:2]}/{clean}.jpg", width=500, height=750, faces=faces, face_model=MODEL
        )

    async def erase(self, files: Sequence[tuple[str, str]]) -> None:
        self.erased += files


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

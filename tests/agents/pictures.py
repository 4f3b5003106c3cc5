"""Fetched pictures by number: those of one number show the same, those of different numbers do not."""

from __future__ import annotations

import hashlib
import random
from typing import Any

from schemas.ids import item_id
from schemas.pictures import ForgetCelebrity, ImageFetched, RuleImage

HANKS, MEG, NEIL = "Q2263", "Q167498", "Q1615"


def fetched(person: str, motif: int, copy: int = 0, at: str = "", **fields: Any) -> ImageFetched:
    """The motif's `copy`-th version, which differs from the first in twice as many bits of each hash."""
    rng = random.Random(motif)
    hashes = {
        name: f"{rng.getrandbits(bits) ^ ((1 << (2 * copy)) - 1):0{bits // 4}x}"
        for name, bits in (("phash64", 64), ("dhash64", 64), ("phash256", 256))
    }
    url = f"https://pictures.example/{at or f'{motif}-{copy}'}.jpg"
    base: dict[str, Any] = {
        "item_id": item_id(person, url),
        "celebrity_id": person,
        "image_id": image_id(motif, copy),
        "source": "tmdb",
        "url": url,
        "width": 500,
        "height": 750,
        "format": "JPEG",
        "bytes": 71_000,
        "pipeline": 1,
        "fetched_at": "2026-11-22T00:00:00Z",
    }
    return ImageFetched(**(base | hashes | fields))


def image_id(motif: int, copy: int = 0) -> str:
    return hashlib.sha256(f"{motif}-{copy}".encode()).hexdigest()


def keep(picture: ImageFetched, note: str = "") -> RuleImage:
    return RuleImage(item_id=picture.item_id, celebrity_id=picture.celebrity_id, decision="keep", note=note)


def reject(picture: ImageFetched, note: str = "") -> RuleImage:
    return RuleImage(item_id=picture.item_id, celebrity_id=picture.celebrity_id, decision="reject", note=note)


def forget(person: str) -> ForgetCelebrity:
    return ForgetCelebrity(celebrity_id=person)

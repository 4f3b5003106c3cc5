"""What stages say of people and pictures, short to write."""

from __future__ import annotations

import hashlib
from typing import Any, TypeVar

from agents.messages import Message, rfc3339
from schemas.base import Record
from schemas.envelope import Envelope
from schemas.faces import FaceRecognised
from schemas.ids import item_id
from schemas.pictures import (
    CelebrityRegistered,
    ImageAccepted,
    ImageDiscarded,
    ImageFound,
    ImageKept,
    ImageRejected,
    PersonForgotten,
)

R = TypeVar("R", bound=Record)

TILDA, KEANU = "Q200534", "Q43416"
START = 1_700_000_000_000
PHASH = "0123456789abcdef"


def url(n: int) -> str:
    return f"https://pictures.example/{n}.jpg"


def item(n: int, person: str = TILDA) -> str:
    return item_id(person, url(n))


def sha(n: int, what: str = "fetched") -> str:
    """The digest of picture `n`, as fetched or as cleaned."""
    return hashlib.sha256(f"{what} {n}".encode()).hexdigest()


def told(data: R, second: int, place: int = 0) -> Message[R]:
    """An event whose cause came at a second after the start, and which may stand on its topic again and later."""
    envelope = Envelope(f"{data.key}-{second}", "c", f"cause-{second}", rfc3339(START + second * 1000))
    return Message(data, envelope, data.topic, 0, place, START + second * 1000 + 5 + place)


def person(name: str | None = "Tilda Swinton", person: str = TILDA, second: int = 0, **known: Any) -> Message[Any]:
    return told(CelebrityRegistered(celebrity_id=person, name=name, **known), second)


def found(n: int, person: str = TILDA, second: int = 1, source: str = "commons", **fields: Any) -> Message[Any]:
    return told(ImageFound(celebrity_id=person, source=source, url=url(n), **fields), second)


def _item(n: int, person: str, order: int, source: str) -> dict[str, Any]:
    return {"item_id": item(n, person), "celebrity_id": person, "url": url(n), "source": source, "order": order}


def accepted(
    n: int, order: int, person: str = TILDA, second: int = 2, source: str = "commons", **fields: Any
) -> Message[Any]:
    base = {"image_id": sha(n), "width": 800, "height": 600, "format": "jpeg", "phash64": PHASH} | fields
    return told(ImageAccepted(**_item(n, person, order, source), **base), second)


def rejected(
    n: int,
    order: int = 0,
    person: str = TILDA,
    second: int = 2,
    verdict: str = "duplicate",
    source: str = "commons",
    **fields: Any,
) -> Message[Any]:
    """Refused at the claim, or by fetching where there is no order."""
    stage = "claim" if order else "fetch"
    base = {"stage": stage, "verdict": verdict, "reason": f"{stage} says {verdict}"} | fields
    return told(ImageRejected(**_item(n, person, order, source), **base), second)


def conflict(n: int, order: int, person: str, other: str, of: int, second: int = 2) -> Message[Any]:
    """`person` wants the picture `of` that `other` has."""
    fields = {"duplicate_of": sha(of), "conflict_with": other, "distance": 4, "image_id": sha(n)}
    return rejected(n, order, person, second, "conflict", **fields)


def kept(
    n: int, order: int, person: str = TILDA, second: int = 3, source: str = "commons", **fields: Any
) -> Message[Any]:
    clean = sha(n, "cleaned")
    base = {
        "image_id": sha(n),
        "sha256": clean,
        "phash": PHASH,
        "width": 400,
        "height": 300,
        "path": f"clean/{clean[:2]}/{clean}.jpg",
        "faces": 1,
        "box": (1, 2, 3, 4),
        "similarity": 0.7333333333333333,
    } | fields
    return told(ImageKept(**_item(n, person, order, source), **base), second)


def discarded(
    n: int, order: int, person: str = TILDA, second: int = 3, verdict: str = "rejected", **fields: Any
) -> Message[Any]:
    base = {"image_id": sha(n), "verdict": verdict, "reason": "no face", "faces": 0} | fields
    return told(ImageDiscarded(**_item(n, person, order, "commons"), **base), second)


def recognised(
    n: int, who: str | None, person: str = TILDA, second: int = 4, confidence: float = 0.875
) -> Message[Any]:
    said = FaceRecognised(
        event_id=f"r{n}-{second}",
        item_id=item(n, person),
        celebrity_id=person,
        recognised=who,
        confidence=confidence,
        model="faces",
        model_version="v1",
    )
    return told(said, second)


def forgotten(order: int, person: str = TILDA, second: int = 10) -> Message[Any]:
    return told(PersonForgotten(celebrity_id=person, order=order), second)

"""What the documents of people and pictures are made of: one function an event."""

from __future__ import annotations

from collections.abc import Container
from typing import Any, Final

from agents.claim import RULED_OUT, TERM_OVER
from agents.messages import rfc3339
from app.storage.documents import Document
from app.storage.expiry import limits
from schemas.faces import FaceRecognised
from schemas.ids import normalised_title
from schemas.pictures import (
    CelebrityRegistered,
    ImageAccepted,
    ImageDiscarded,
    ImageFound,
    ImageKept,
    ImageRejected,
    ImageWithdrawn,
)

FileName = tuple[str, str]
"""Where a file lies: its area (original, clean or thumbnail) and its SHA-256; a thumbnail has its picture's."""

UNDECIDED: Final = -1
_PARTS: Final = ("found", "fetch", "claim", "clean", "judged", "face")
_GUARDS: Final = ("place", "claimed", "cleaned")
_NEW: Final[Document] = {"verdict": "pending", **dict.fromkeys(_GUARDS, UNDECIDED), **dict.fromkeys(_PARTS)}


def decided_place(order: int) -> int:
    """Where a claim's verdict stands among all of an item's decisions."""
    return 2 * order


def judged_place(order: int) -> int:
    """Where the judgement of the same order stands: after the claim that it is about."""
    return 2 * order + 1


def initial(fields: Container[str]) -> Document:
    """What a new item's document holds beside `fields`; every guard is in it, since none lets an absent field pass."""
    return {name: value for name, value in _NEW.items() if name not in fields}


def identity_of(person: CelebrityRegistered, at: int) -> Document:
    """A person. `name_key` is what people are searched and sorted by: the name, or the id where none is known."""
    name = person.name or person.celebrity_id
    return {
        "celebrity_id": person.celebrity_id,
        "name": person.name,
        "name_key": normalised_title(name) or name.casefold(),
        "wikidata": person.wikidata,
        "imdb": person.imdb,
        "tmdb": person.tmdb,
        "registered_at": rfc3339(at),
    }


def found_of(found: ImageFound, item: str, at: int) -> Document:
    """What a source says of an address."""
    told = _with({"at": at, "source": found.source}, found, "width", "height", "context_url", "licence")
    told |= limits(found.terms)
    ends = {} if found.terms is None else {"expires_at": found.terms.expires_at}
    return {"item_id": item, "celebrity_id": found.celebrity_id, "url": found.url, "found": told, **ends}


def fetch_of(refused: ImageRejected, at: int) -> Document:
    """Why nothing was fetched."""
    told = {"at": at, "verdict": refused.verdict, "stage": refused.stage, "reason": refused.reason}
    return _with(told, refused, "source", "image_id", "width", "height", "phash64")


def claim_of_accepted(accepted: ImageAccepted) -> Document:
    """A picture that is claimed."""
    told: Document = {"stage": "claim", "image_id": accepted.image_id, "format": accepted.format}
    known = _with(told, accepted, "source", "width", "height", "phash64", "context_url", "licence")
    return known | ({"ruled": True} if accepted.ruled else {})


def claim_of_rejected(rejected: ImageRejected) -> Document:
    """A picture whose claim was refused."""
    told: Document = {"stage": "claim", "reason": rejected.reason}
    copied = ("source", "image_id", "duplicate_of", "conflict_with", "distance")
    return _with(told, rejected, *copied, "width", "height", "phash64")


def judged_of_kept(kept: ImageKept) -> Document:
    """A picture that stays."""
    told: Document = {"stage": "judge", "image_id": kept.image_id, "faces": kept.faces, "phash64": kept.phash}
    known = _with(told, kept, "source", "width", "height", "similarity")
    return known | ({"box": list(kept.box)} if kept.box else {}) | ({"ruled": True} if kept.ruled else {})


def judged_of_discarded(discarded: ImageDiscarded) -> Document:
    """A picture that does not stay, or not yet."""
    told: Document = {"stage": "judge", "image_id": discarded.image_id, "reason": discarded.reason}
    return _with(told | {"faces": discarded.faces}, discarded, "source", "similarity")


def judged_of_withdrawn(withdrawn: ImageWithdrawn) -> Document:
    """A picture that somebody ruled out, or whose term is over."""
    told: Document = {"stage": "claim", "reason": withdrawn.reason}
    return _with(told, withdrawn, "source", "image_id")


def face_of(said: FaceRecognised, at: int, named: bool = True) -> Document:
    """Whom the model took the face for, before it was told; nothing where that person is not to be `named`."""
    told = {"at": at, "recognised": said.recognised, "confidence": said.confidence, "model_version": said.model_version}
    return {"item_id": said.item_id, "celebrity_id": said.celebrity_id, "face": told if named else None}


def without_stale_parts(item: Document, order: int, at: int, silent: int = 0) -> Document | None:
    """What to write over an item of a person who was forgotten by the decision `order`, asked for at `at` (ms).

    Finds were dropped until `silent` (ms).
    None where nothing of it is later, so that all of it goes; nothing where all of it is later.
    """
    parts = {name: item[name] for name in ("found", "fetch", "face")}
    until = {"found": max(at, silent)}
    left: Document = {name: None for name, part in parts.items() if part and part["at"] <= until.get(name, at)}
    if UNDECIDED < item["claimed"] <= order:
        left |= {"claim": None, "claimed": UNDECIDED}
    if UNDECIDED < item["cleaned"] <= order:
        left |= {"clean": None, "cleaned": UNDECIDED}
    if item["place"] > judged_place(order):
        return left
    found, fetch = (None if name in left else parts[name] for name in ("found", "fetch"))
    if not found and not fetch:
        return None
    verdict, place = (fetch["verdict"], decided_place(0)) if fetch else ("pending", UNDECIDED)
    return left | {"judged": None, "verdict": verdict, "place": place}


def without_rival(claim: Document) -> Document:
    """The claim of a label conflict whose other person was forgotten."""
    told = {name: value for name, value in claim.items() if name not in ("conflict_with", "duplicate_of")}
    return told | {"reason": "the other person whose picture this was is forgotten"}


def stale_files(item: Document, order: int, at: int) -> set[FileName]:
    """The files that only those parts of an item name which `without_stale_parts` drops."""
    left = without_stale_parts(item, order, at)
    return files_of(item) - (files_of(item | left) if left is not None else set())


def files_of(item: Document) -> set[FileName]:
    """The files that an item names."""
    fetched = {("original", part["image_id"]) for part in (item["fetch"], item["claim"]) if part and "image_id" in part}
    return fetched | ({(area, item["clean"]) for area in ("clean", "thumbnail")} if item["clean"] else set())


def field_naming(file: FileName) -> str:
    """The field of an item's document that names a file of this area by its SHA-256; a thumbnail goes with its copy."""
    return "claim.image_id" if file[0] == "original" else "clean"


def holds_claim(item: Document) -> bool:
    """Whether an item's claim was accepted and stands; what its face says of the picture is another matter."""
    claim, judged = item["claim"], item["judged"]
    # Only a claim that was refused has a reason; one that was given up is known by why it was.
    refused = claim is None or "reason" in claim
    return not refused and not (judged and judged.get("reason", "").startswith((RULED_OUT, TERM_OVER)))


def _with(document: Document, said: Any, *names: str) -> Document:
    """The document with those of an event's fields that it knows."""
    known = {name: getattr(said, name) for name in names}
    return document | {name: value for name, value in known.items() if value is not None}

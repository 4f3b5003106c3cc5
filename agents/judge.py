"""Judge pictures by their faces: whom they show, whether they stay, and what the face model may learn from."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, MutableMapping
from typing import Any

from agents.claims import Rows
from agents.messages import Message
from agents.person_case import PersonCase
from schemas.base import Record
from schemas.entities import JudgedItem, PersonFaces
from schemas.faces import FaceConfirmed, FacesForgotten, FaceWithdrawn
from schemas.pictures import FindDropped, ImageDiscarded, ImageExamined, ImageKept, ImageWithdrawn, PersonForgotten
from schemas.terms import may_train


async def judge(
    message: Message[ImageExamined | ImageWithdrawn | PersonForgotten | FindDropped],
    people: MutableMapping[str, PersonFaces],
    items: Rows[JudgedItem],
) -> AsyncIterator[Record]:
    """ImageKept or ImageDiscarded of the picture and of all whose verdict it changes, FaceConfirmed and FaceWithdrawn.

    A picture that its source keeps from training counts for the person's own face here, by which pictures are judged
    and which goes nowhere else; the face model is told not to learn it.
    Safe to repeat: a decision that is not later than the item's last makes nothing. What changes because of another
    picture is told under that one's `order`.
    """
    record = message.data
    person = people.get(record.celebrity_id) or PersonFaces()
    # Finds that were dropped are for whoever keeps documents.
    if record.order <= person.forgotten or isinstance(record, FindDropped):
        return
    if isinstance(record, PersonForgotten):
        for item in [item for item, _ in items.under(f"{record.celebrity_id}|")]:
            del items[item]
        people[record.celebrity_id] = PersonFaces(forgotten=record.order)
        yield FacesForgotten(celebrity_id=record.celebrity_id, order=record.order)
        return
    own_items = _OwnItems(items, record.celebrity_id)
    before = own_items.get(record.item_id)
    # Withdrawals do not wait for the sandbox: they overtake examinations of decisions that were made before them.
    if before is not None and record.order <= before.order:
        return
    case = PersonCase(person, own_items, record.order)
    if isinstance(record, ImageWithdrawn):
        case.withdraw(record.item_id, record.reason)
    else:
        case.examine(record)
    people[record.celebrity_id] = person
    for item, earlier, row in case.changes():
        own = item == record.item_id
        for event in _events(record if own else row.examined, earlier, row, own):
            yield event


class _OwnItems:
    """The items of one person, whose rows lie together."""

    def __init__(self, rows: Rows[JudgedItem], celebrity_id: str) -> None:
        self._rows = rows
        self._prefix = f"{celebrity_id}|"

    def __getitem__(self, item: str) -> JudgedItem:
        found: JudgedItem | None = self.get(item)
        if found is None:
            raise KeyError(item)
        return found

    def get(self, item: str, default: Any = None) -> Any:
        """What was said of an item, or `default`."""
        return self._rows.get(self._prefix + item, default)

    def __setitem__(self, item: str, row: JudgedItem) -> None:
        self._rows[self._prefix + item] = row


def _events(
    picture: ImageExamined | ImageWithdrawn | None, before: JudgedItem | None, row: JudgedItem, own: bool
) -> Iterator[Record]:
    """What is to be told of an item: its own verdict always, another's where it is not what it was."""
    assert picture is not None
    had_face = before is not None and _face_of(before) is not None
    if not own and before is not None and (before.verdict, before.reason) == (row.verdict, row.reason):
        return
    if isinstance(picture, ImageExamined) and row.verdict == "kept":
        yield _kept(picture, row)
        confirmed = _confirmed(picture, row)
        # A new face of the item takes the old one's place by itself.
        if confirmed is not None:
            yield confirmed
            return
    else:
        yield _discarded(picture, row)
    if had_face:
        yield FaceWithdrawn(item_id=picture.item_id, celebrity_id=picture.celebrity_id, order=row.said)


def _face_of(row: JudgedItem) -> bytes | None:
    """The embedding that stands for a kept picture."""
    if row.verdict != "kept" or row.examined is None or not row.examined.faces:
        return None
    return row.examined.faces[0].embedding


def _kept(picture: ImageExamined, row: JudgedItem) -> ImageKept:
    assert row.examined is not None
    faces = row.examined.faces
    return ImageKept(
        image_id=picture.image_id,
        celebrity_id=picture.celebrity_id,
        sha256=picture.clean_sha256 or "",
        phash=picture.phash64,
        width=picture.width,
        height=picture.height,
        path=picture.path or "",
        source=picture.source,
        item_id=picture.item_id,
        url=picture.url,
        order=row.said,
        faces=row.faces,
        box=faces[0].box if faces else None,
        similarity=row.similarity,
        ruled=picture.ruled,
    )


def _confirmed(picture: ImageExamined, row: JudgedItem) -> FaceConfirmed | None:
    embedding = _face_of(row)
    if embedding is None or picture.face_model is None:
        return None
    return FaceConfirmed(
        item_id=picture.item_id,
        celebrity_id=picture.celebrity_id,
        image_id=picture.image_id,
        embedding=embedding,
        face_model=picture.face_model,
        order=row.said,
        train=may_train(picture.terms),
    )


def _discarded(picture: ImageExamined | ImageWithdrawn, row: JudgedItem) -> ImageDiscarded:
    examined = picture if isinstance(picture, ImageExamined) else None
    return ImageDiscarded(
        item_id=picture.item_id,
        celebrity_id=picture.celebrity_id,
        image_id=picture.image_id,
        source=picture.source,
        url=picture.url,
        verdict=row.verdict if row.verdict in ("quarantined", "pending") else "rejected",
        reason=row.reason,
        order=row.said,
        faces=row.faces,
        similarity=row.similarity,
        sha256=examined.clean_sha256 if examined is not None else None,
        path=examined.path if examined is not None else None,
    )

"""Have an accepted picture disarmed and its faces looked at; what that means is for the judge to say."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from agents.messages import Message
from agents.ports import Examination, Pictures
from agents.terms import is_over
from schemas.base import Record
from schemas.entities import Celebrity
from schemas.pictures import ImageAccepted, ImageExamined


async def ask_for_examination(
    message: Message[ImageAccepted], people: Mapping[str, Celebrity], pictures: Pictures
) -> Examination:
    """The disarmed picture and its faces, or why there is none. Raises Unavailable.

    Its bytes may have gone with those of somebody else who was forgotten: then they are fetched again. Not so those of
    whoever was forgotten since it was accepted, and what might not be stored any longer by then.
    """
    accepted = message.data
    person = people.get(accepted.celebrity_id)
    gone = person is not None and person.gone_order >= accepted.order
    over = is_over(accepted.terms, message.received_at)
    return await pictures.examine(accepted.image_id, again=None if gone or over else accepted.url)


async def examine_picture(
    message: Message[ImageAccepted], answer: Examination | Exception | None, people: Mapping[str, Celebrity]
) -> AsyncIterator[Record]:
    """ImageExamined, whatever came of it. Raises what the port raised for good."""
    if not isinstance(answer, Examination):
        raise answer or TypeError("an examination was not asked for")
    accepted = message.data
    yield ImageExamined(
        item_id=accepted.item_id,
        celebrity_id=accepted.celebrity_id,
        image_id=accepted.image_id,
        source=accepted.source,
        url=accepted.url,
        phash64=accepted.phash64,
        order=accepted.order,
        ruled=accepted.ruled,
        refused=answer.refused,
        clean_sha256=answer.sha256,
        path=answer.path,
        width=answer.width,
        height=answer.height,
        faces=answer.faces,
        face_model=answer.face_model,
        unsafe=answer.unsafe,
        terms=accepted.terms,
    )


def outcome_of_examination(answer: Record) -> str | None:
    """That a picture was examined, whatever came of it; None for an event that does not say."""
    return "examined" if isinstance(answer, ImageExamined) else None


def recall_examination(message: Message[ImageAccepted], outcome: str | None, people: Mapping[str, Celebrity]) -> bool:
    """Whether the picture is yet to be examined; there is nothing else to remember."""
    return outcome is None

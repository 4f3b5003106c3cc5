"""Fetch a picture that was found, once: its bytes are put away, its hashes go on to the claims."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, MutableMapping

from agents.messages import Message
from agents.ports import Fetched, NotFetched, Pictures
from schemas.base import Record, Rejected
from schemas.commands import SubmitCelebrity
from schemas.entities import FoundItem, MetPerson
from schemas.ids import PERSON_ID_FORMS, is_celebrity_id, item_id
from schemas.pictures import ImageFetched, ImageFound, ImageRejected


async def ask_for_picture(
    message: Message[ImageFound], items: Mapping[str, FoundItem], people: Mapping[str, MetPerson], pictures: Pictures
) -> Fetched | NotFetched | None:
    """The picture at the address; None where it was answered before. Raises Unavailable."""
    found = message.data
    known = items.get(item_id(found.celebrity_id, found.url))
    # Only what failed on its way is worth asking for again.
    if (known is not None and known.outcome != "failed") or not is_celebrity_id(found.celebrity_id):
        return None
    return await pictures.fetch(found.url)


async def fetch_picture(
    message: Message[ImageFound],
    answer: Fetched | NotFetched | Exception | None,
    items: MutableMapping[str, FoundItem],
    people: MutableMapping[str, MetPerson],
) -> AsyncIterator[Record]:
    """ImageFetched or ImageRejected. Raises Rejected for an id that is none, and what the port raised for good."""
    found = message.data
    if not is_celebrity_id(found.celebrity_id):
        raise Rejected(f"celebrity_id: {found.celebrity_id!r} is none of {PERSON_ID_FORMS}")
    if isinstance(answer, Exception):
        raise answer
    item = item_id(found.celebrity_id, found.url)
    # Two finds of one address may have been asked for in the same batch.
    if answer is None or ((known := items.get(item)) is not None and known.outcome != "failed"):
        return
    if found.celebrity_id not in people:
        people[found.celebrity_id] = MetPerson(since=message.received_at)
        yield SubmitCelebrity(celebrity_id=found.celebrity_id)
    if isinstance(answer, Fetched):
        items[item] = FoundItem(cause_id=message.envelope.id, outcome="fetched")
        yield _fetched(found, item, answer, message.received_at)
    else:
        items[item] = FoundItem(cause_id=message.envelope.id, outcome=answer.verdict)
        yield ImageRejected(
            item_id=item,
            celebrity_id=found.celebrity_id,
            source=found.source,
            url=found.url,
            stage="fetch",
            verdict=answer.verdict,
            reason=answer.reason,
            image_id=answer.image_id,
            order=0,
        )


def _fetched(found: ImageFound, item: str, answer: Fetched, received_at: str) -> ImageFetched:
    return ImageFetched(
        item_id=item,
        celebrity_id=found.celebrity_id,
        image_id=answer.image_id,
        source=found.source,
        url=found.url,
        width=answer.width,
        height=answer.height,
        format=answer.format,
        bytes=answer.bytes,
        phash64=answer.phash64,
        dhash64=answer.dhash64,
        phash256=answer.phash256,
        pipeline=answer.pipeline,
        fetched_at=received_at,
        context_url=found.context_url,
        licence=found.licence,
    )

"""Fetch a picture that was found, once: its bytes are put away, its hashes go on to the claims."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, MutableMapping
from typing import Final, Literal

from agents.messages import Message
from agents.ports import Fetched, NotFetched, Pictures
from agents.register import is_gone
from agents.terms import is_over, until
from schemas.base import Record, Rejected
from schemas.commands import SubmitCelebrity
from schemas.entities import Celebrity, FoundItem
from schemas.ids import PERSON_ID_FORMS, is_celebrity_id, item_id
from schemas.pictures import FindDropped, ImageFetched, ImageFound, ImageRejected, ImageWithdrawn

TOO_LATE: Final = "its person was forgotten while it was fetched"
FOUND_TOO_LATE: Final = "not fetched: its source let it be stored until"
"""How the reason begins by which a find was refused whose term was over when it came; a later one is asked for."""


async def ask_for_picture(
    message: Message[ImageFound], items: Mapping[str, FoundItem], people: Mapping[str, Celebrity], pictures: Pictures
) -> Fetched | NotFetched | None:
    """The picture at the address. Raises Unavailable.

    None where it was answered before, its person is forgotten, or it might not be stored any longer when it was found.
    """
    found = message.data
    if not is_celebrity_id(found.celebrity_id) or not _is_wanted(found, items, people):
        return None
    if is_over(found.terms, message.received_at):
        return None
    return await pictures.fetch(found.url)


async def fetch_picture(
    message: Message[ImageFound],
    answer: Fetched | NotFetched | Exception | None,
    items: MutableMapping[str, FoundItem],
    people: Mapping[str, Celebrity],
) -> AsyncIterator[Record]:
    """ImageFetched or ImageRejected; FindDropped for a person who was forgotten and not pushed since.

    What was put away for such a person is let go of: ImageWithdrawn.

    Raises Rejected for an id that is none, and what the port raised for good.
    """
    found = message.data
    if not is_celebrity_id(found.celebrity_id):
        raise Rejected(f"celebrity_id: {found.celebrity_id!r} is none of {PERSON_ID_FORMS}")
    if isinstance(answer, Exception):
        raise answer
    item = item_id(found.celebrity_id, found.url)
    person = people.get(found.celebrity_id)
    if person is not None and is_gone(person):
        yield FindDropped(celebrity_id=found.celebrity_id, order=person.gone_order, found_at=message.received_at)
        if isinstance(answer, Fetched):
            yield _let_go(found, item, answer, person.gone_order)
        return
    # Two finds of one address may have been asked for in the same batch.
    if not _is_wanted(found, items, people):
        return
    if is_over(found.terms, message.received_at):
        # Not remembered: a source that shows it again, and lets it be stored for longer, is asked for it.
        yield _refused(found, item, _over(found))
        return
    if answer is None:
        return
    era = person.era if person is not None else 0
    if person is None or person.name is None:
        # Registered by the id alone until somebody names them; to say so again is harmless.
        yield SubmitCelebrity(celebrity_id=found.celebrity_id)
    if isinstance(answer, Fetched):
        items[item] = FoundItem(cause_id=message.envelope.id, outcome="fetched", era=era)
        life = person.gone_order if person is not None else 0
        yield _fetched(found, item, answer, message.received_at, life)
    else:
        items[item] = FoundItem(cause_id=message.envelope.id, outcome=answer.verdict, era=era)
        yield _refused(found, item, answer)


def outcome_of_fetch(answer: Record) -> str | None:
    """How fetching went by an event that came of it; None for an event that does not say."""
    if isinstance(answer, ImageFetched):
        return "fetched"
    if isinstance(answer, FindDropped):
        return "dropped"
    return answer.verdict if isinstance(answer, ImageRejected) and answer.stage == "fetch" else None


def recall_fetch(
    message: Message[ImageFound],
    outcome: Literal["fetched", "rejected", "failed", "dropped"] | None,
    items: MutableMapping[str, FoundItem],
    people: Mapping[str, Celebrity],
) -> bool:
    """Remember how fetching went before this table was made again; whether the address is yet to be asked for."""
    found = message.data
    if not is_celebrity_id(found.celebrity_id):
        return outcome is None
    if outcome is None:
        return _is_wanted(found, items, people)
    if outcome == "dropped" or (outcome == "rejected" and is_over(found.terms, message.received_at)):
        return False
    person = people.get(found.celebrity_id)
    era = person.era if person is not None else 0
    # The table of people is further than the finds: what was asked for before they were forgotten is of another life.
    before = person is not None and message.received_at <= person.gone_at
    known = FoundItem(cause_id=message.envelope.id, outcome=outcome, era=era - 1 if before else era)
    items[item_id(found.celebrity_id, found.url)] = known
    return False


def _is_wanted(found: ImageFound, items: Mapping[str, FoundItem], people: Mapping[str, Celebrity]) -> bool:
    """Whether the address was not asked for in the person's present life; what failed is worth asking for again."""
    known = items.get(item_id(found.celebrity_id, found.url))
    person = people.get(found.celebrity_id)
    if person is not None and is_gone(person):
        return False
    return known is None or known.outcome == "failed" or known.era != (person.era if person is not None else 0)


def _over(found: ImageFound) -> NotFetched:
    return NotFetched(
        verdict="rejected", reason=f"{FOUND_TOO_LATE} {until(found.terms)}, which was over when it was found"
    )


def _refused(found: ImageFound, item: str, answer: NotFetched) -> ImageRejected:
    return ImageRejected(
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


def _let_go(found: ImageFound, item: str, answer: Fetched, order: int) -> ImageWithdrawn:
    return ImageWithdrawn(
        item_id=item,
        celebrity_id=found.celebrity_id,
        image_id=answer.image_id,
        source=found.source,
        url=found.url,
        order=order,
        reason=TOO_LATE,
    )


def _fetched(found: ImageFound, item: str, answer: Fetched, received_at: str, life: int) -> ImageFetched:
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
        terms=found.terms,
        life=life,
    )

"""Decide in one total order whether a fetched picture is new, a copy of one that is there, or claimed for two."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from agents.claims import ClaimIndex, Claims, ClaimsRevision, Copy, Rows
from agents.fetch import TOO_LATE
from agents.messages import Message
from schemas.base import Record, Rejected
from schemas.commands import EraseCelebrity
from schemas.entities import Claim, ClaimedItem, ForgottenPerson
from schemas.ids import PERSON_ID_FORMS, is_celebrity_id
from schemas.pictures import (
    Decision,
    FindDropped,
    ForgetCelebrity,
    ImageAccepted,
    ImageFetched,
    ImageRejected,
    ImageWithdrawn,
    PersonForgotten,
    RuleImage,
)

REASON_LENGTH: Final = 2000
RULED_OUT: Final = "ruled out by hand"
"""How the reason begins by which somebody took a picture from a person; whoever judges faces repeats it."""
TERM_OVER: Final = "no longer to be stored"
"""The same where nobody did, but the terms of its source."""
_FORGOTTEN: Final = (
    "the picture was claimed for a person who has been forgotten since; rule that it be kept if it is good"
)


async def claim(
    message: Message[ImageFetched | RuleImage | ForgetCelebrity],
    items: Rows[ClaimedItem],
    images: Rows[Claim],
    revisions: Rows[ClaimsRevision],
    forgotten: Rows[ForgottenPerson],
    index: ClaimIndex,
) -> AsyncIterator[Record]:
    """ImageAccepted for a new picture, ImageRejected for a copy or a conflict; rulings and erasures in the same order.

    Safe to repeat: an item that was decided on answers what was decided, with the `order` that it had. `index` is a
    cache that follows the rows. A picture that is given up leaves its claim to whoever comes next: what was refused as
    its copy before stays refused, until a ruling or the same picture at another address. Where a ruling moves a claim,
    the label conflicts about it are decided again, so that they name whoever holds the picture now.
    Raises Rejected for a malformed person's id, and for a ruling on an item that was never fetched.
    """
    data = message.data
    if not is_celebrity_id(data.celebrity_id):
        raise Rejected(f"celebrity_id: {data.celebrity_id!r} is none of the known forms: {PERSON_ID_FORMS}")
    claims = await Claims(items, images, revisions, index, message.offset + 1).opened()
    match data:
        case ImageFetched():
            gone: ForgottenPerson | None = forgotten.get(data.celebrity_id)
            if gone is not None and _is_of_life_before(data, gone):
                # It was under way when its person was forgotten: whoever keeps files lets this one go, once it is known
                # that nobody waits for it.
                yield FindDropped(celebrity_id=data.celebrity_id, order=gone.order, found_at=data.fetched_at)
                yield _too_late(data, gone.order)
                return
            yield _fetched(data, claims)
        case RuleImage():
            for event in _ruled(data, claims):
                yield event
        case ForgetCelebrity():
            # What others' rows say of the person goes with them.
            forgotten[data.celebrity_id] = ForgottenPerson(order=claims.order, at=message.received_at)
            # These come first, so that their ids do not depend on what was known of others: it may be erased by the
            # time that the command is repeated.
            yield PersonForgotten(celebrity_id=data.celebrity_id, order=claims.order)
            yield EraseCelebrity(celebrity_id=data.celebrity_id, order=claims.order)
            for event in _forgotten(data.celebrity_id, claims):
                yield event


class Held(NamedTuple):
    """An item and whose it is said to be."""

    celebrity_id: str
    item_id: str


def settled(
    owners: Sequence[Held], others: Sequence[Held], kept_note: str = "", lost_note: str = ""
) -> list[RuleImage]:
    """The rulings that end a conflict: `owners` keep the picture, `others` lose it.

    Both sides among the owners is "it shows both"; the owners come first, so that the picture is never nobody's.
    """
    decided: list[tuple[Held, Decision, str]] = [
        *((held, "keep", kept_note) for held in owners),
        *((held, "reject", lost_note) for held in others),
    ]
    return [RuleImage(item_id=h.item_id, celebrity_id=h.celebrity_id, decision=d, note=n) for h, d, n in decided]


def _fetched(fetched: ImageFetched, claims: Claims) -> Record:
    item = claims.item(fetched.celebrity_id, fetched.item_id)
    if item is None:
        item = _judged(fetched, claims.copy_of(fetched), claims.order)
        claims.put(item)
        if item.verdict == "accepted":
            claims.take(fetched)
    return _answer(item)


def _judged(fetched: ImageFetched, copy: Copy | None, order: int) -> ClaimedItem:
    if copy is None:
        return ClaimedItem(fetched=fetched, verdict="accepted", order=order)
    is_own = copy.celebrity_id == fetched.celebrity_id
    return ClaimedItem(
        fetched=fetched,
        verdict="duplicate" if is_own else "conflict",
        order=order,
        duplicate_of=copy.image_id,
        conflict_with=None if is_own else copy.celebrity_id,
        distance=copy.distance,
        reason=_reason(fetched, copy, is_own),
    )


def _reason(fetched: ImageFetched, copy: Copy, is_own: bool) -> str:
    if copy.image_id == fetched.image_id:
        likeness = "the same bytes as a picture"
    else:
        likeness = f"a copy of picture {copy.image_id[:12]} ({copy.distance} of 256 bits differ)"
    # `conflict_with` says for whom, and is where forgetting looks for the other person's id.
    return f"{likeness} that is claimed " + ("already" if is_own else "for somebody else")


def _ruled(ruling: RuleImage, claims: Claims) -> Iterator[Record]:
    item = claims.item(ruling.celebrity_id, ruling.item_id)
    if item is None or item.fetched.celebrity_id != ruling.celebrity_id:
        raise Rejected(
            f"item_id: no fetched picture {ruling.item_id!r} of {ruling.celebrity_id} is known, so there is nothing to "
            f"rule on; `marquee celebrity {ruling.celebrity_id} --rejected` lists what was refused, and why"
        )
    concerned = [ruling.celebrity_id, *([item.conflict_with] if item.conflict_with else [])]
    if ruling.decision == "keep":
        reason = _by_hand("kept by hand", ruling.note)
        item = ClaimedItem(fetched=item.fetched, verdict="accepted", order=claims.order, reason=reason)
        claims.put(item)
        claims.take(item.fetched)
    else:
        if item.verdict == "accepted":
            claims.free(item.fetched)
        reason = _by_hand(TERM_OVER if ruling.over else RULED_OUT, ruling.note)
        item = msgspec.structs.replace(item, verdict="withdrawn", order=claims.order, reason=reason)
        claims.put(item)
    yield _answer(item)
    for person in concerned:
        for again in _decided_again(person, claims):
            claims.put(again)
            yield _answer(again)


def _decided_again(celebrity_id: str, claims: Claims) -> list[ClaimedItem]:
    """The label conflicts of or with a person that are not what they were, now that a claim has moved.

    One whose own person has a copy by now is a duplicate; one whose rival let go of the picture is with its present
    holder. Where nobody holds it, it stays: a ruling that is taken back finds everything as it was.
    """
    found = []
    for item in claims.items_naming(celebrity_id):
        # What was ruled out keeps the name of its rival, and the word of whoever ruled. Of a rival without a name, who
        # was erased from an archive, only that archive knows what became of the conflict.
        named = item.verdict == "conflict" and item.conflict_with is not None
        copy = claims.copy_of(item.fetched) if named else None
        if copy is None:
            continue
        is_own = copy.celebrity_id == item.fetched.celebrity_id
        if is_own or not claims.holds(item.conflict_with, item.duplicate_of):
            found.append(_judged(item.fetched, copy, claims.order))
    return found


def _by_hand(decision: str, note: str) -> str:
    return f"{decision}{': ' if note else ''}{note}"[:REASON_LENGTH]


def _forgotten(celebrity_id: str, claims: Claims) -> Iterator[Record]:
    for item in claims.items_naming(celebrity_id):
        if item.fetched.celebrity_id == celebrity_id:
            if item.verdict == "accepted":
                claims.free(item.fetched)
            claims.erase(item)
            continue
        reason = item.reason if item.verdict == "withdrawn" else _FORGOTTEN
        # A conflict with somebody who is gone is over: the picture stays refused until somebody rules otherwise.
        nameless = msgspec.structs.replace(
            item, verdict="withdrawn", order=claims.order, duplicate_of=None, conflict_with=None, reason=reason
        )
        claims.put(nameless)
        yield _answer(nameless)


def _is_of_life_before(fetched: ImageFetched, gone: ForgottenPerson) -> bool:
    """Whether it was found before the forgetting was asked for, or fetched before the fetching stage knew of it."""
    return fetched.fetched_at <= gone.at or (fetched.life is not None and fetched.life < gone.order)


def _too_late(fetched: ImageFetched, order: int) -> ImageWithdrawn:
    return ImageWithdrawn(
        item_id=fetched.item_id,
        celebrity_id=fetched.celebrity_id,
        image_id=fetched.image_id,
        source=fetched.source,
        url=fetched.url,
        order=order,
        reason=TOO_LATE,
    )


def _answer(item: ClaimedItem) -> Record:
    """The event that says what was decided on an item."""
    fetched = item.fetched
    if item.verdict == "accepted":
        return ImageAccepted(
            **_common(item),
            image_id=fetched.image_id,
            width=fetched.width,
            height=fetched.height,
            format=fetched.format,
            phash64=fetched.phash64,
            # Only a ruling gives a reason for keeping a picture.
            ruled=bool(item.reason),
            context_url=fetched.context_url,
            licence=fetched.licence,
            terms=fetched.terms,
        )
    if item.verdict == "withdrawn" and item.distance is None:
        return ImageWithdrawn(**_common(item), image_id=fetched.image_id, reason=item.reason)
    return ImageRejected(
        **_common(item),
        stage="claim",
        # What was never accepted was refused once, and now by hand.
        verdict="rejected" if item.verdict == "withdrawn" else item.verdict,
        reason=item.reason,
        image_id=fetched.image_id,
        duplicate_of=item.duplicate_of,
        conflict_with=item.conflict_with,
        distance=item.distance,
        width=fetched.width,
        height=fetched.height,
        phash64=fetched.phash64,
    )


def _common(item: ClaimedItem) -> dict[str, Any]:
    fetched = item.fetched
    return {
        "item_id": fetched.item_id,
        "celebrity_id": fetched.celebrity_id,
        "source": fetched.source,
        "url": fetched.url,
        "order": item.order,
    }

"""What people say of pictures and persons, as commands to the claims: the same word on the same state has one id."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agents.claim import Held, settled
from app.delivery.producer import Outgoing
from app.pushes import command
from app.storage.picture_queries import PictureQueries
from app.storage.picture_views import ItemView
from schemas.ids import derived_id
from schemas.pictures import Decision, ForgetCelebrity, RuleImage

BOTH = "both"
NEITHER = "neither"
_FETCHED_FROM = 2
"""An item's `place` from its first claim on; what did not come so far has no hashes, and cannot be ruled on."""


class CannotRuleError(Exception):
    """There is nothing to decide; the text says what to do instead."""


class NoSideError(CannotRuleError):
    """A picture cannot belong to whom it was said to; the text says to whom it can."""


def can_be_ruled_on(item: ItemView) -> bool:
    """Whether the item's picture was fetched and hashed, so that there is something to keep or reject."""
    return item.place >= _FETCHED_FROM


def ruling(item: ItemView, decision: Decision, note: str = "") -> tuple[str, Outgoing]:
    """A word on one item, with the event's id. Raises CannotRuleError."""
    if not can_be_ruled_on(item) and item.image_id is not None:
        raise CannotRuleError(
            f"{item.url} was refused before it was hashed ({item.reason or item.verdict}), and no ruling can change "
            "that: if there is a better file of the picture, send its address to images-found"
        )
    if not can_be_ruled_on(item):
        raise CannotRuleError(
            f"nothing has been fetched from {item.url} ({item.reason or item.verdict}), so there is nothing to rule on"
        )
    return _ruling(RuleImage(item_id=item.item_id, celebrity_id=item.celebrity_id, decision=decision, note=note), item)


def _ruling(word: RuleImage, item: ItemView) -> tuple[str, Outgoing]:
    # The state that was ruled on is in the id: a click that is sent twice is one event, a change of mind another.
    event_id = derived_id(f"{word.item_id}|{item.place}|{word.decision}|{word.note}", "ruling")
    return command(word, word.key, event_id)


async def sides(people: PictureQueries, item: ItemView) -> list[ItemView]:
    """The items that a label conflict is about, those of the given one's person first.

    They are one contender's and those of whoever holds the picture now, which need not be whom the conflict was with
    when it arose; all of them that have the picture's bytes, at whichever address. Raises CannotRuleError.
    """
    if item.image_id is None:
        raise CannotRuleError("no label conflict is about this picture")
    if item.verdict == "conflict":
        if item.conflict_with is None or item.duplicate_of is None:
            raise CannotRuleError("the other person was forgotten: keep the picture or reject it")
        own, held = await _claimed_by(people, item), item.duplicate_of
    else:
        own, held = await _contender(people, item), item.image_id
    holders = [
        other
        for other in await people.claimed(held)
        if other.verdict != "conflict" and other.celebrity_id != own[0].celebrity_id
    ]
    if not holders:
        raise CannotRuleError(f"{item.conflict_with} does not have the picture (any more): keep it or reject it")
    return sorted([*own, *holders], key=lambda one: one.celebrity_id != item.celebrity_id)


async def _contender(people: PictureQueries, item: ItemView) -> list[ItemView]:
    """The items of the one person whom a conflict keeps from a picture that another holds. Raises CannotRuleError."""
    claimed = await people.claimed(item.image_id or "")
    if not any(one.celebrity_id == item.celebrity_id and one.verdict != "conflict" for one in claimed):
        raise CannotRuleError("no label conflict is about this picture")
    rivals = [one for one in await people.contenders(item.image_id or "") if one.celebrity_id != item.celebrity_id]
    names = sorted({rival.celebrity_id for rival in rivals})
    if len(names) > 1:
        everybody = ", ".join(names)
        raise CannotRuleError(f"several people claim the picture: resolve it on the page of each of them ({everybody})")
    if not names:
        raise CannotRuleError("no label conflict is about this picture")
    return await _claimed_by(people, rivals[0])


async def _claimed_by(people: PictureQueries, item: ItemView) -> list[ItemView]:
    """All items of a contender that have the same bytes; the given one first, which a ruling is to give the picture."""
    same = [one for one in await people.claimed(item.image_id or "") if one.celebrity_id == item.celebrity_id]
    return [item, *(one for one in same if one.item_id != item.item_id)]


async def settlement(
    people: PictureQueries, items: Sequence[ItemView], belongs_to: str
) -> list[tuple[str, RuleImage, Outgoing]]:
    """The rulings on all these items of a conflict, with their ids, in the order in which to send them.

    Whoever the picture belongs to keeps it at one address; the claims make copies of what they have at others.
    Raises NoSideError where `belongs_to` is no side, "both" or "neither", CannotRuleError for one who was a side.
    """
    names = list(dict.fromkeys(item.celebrity_id for item in items))
    if belongs_to not in (*names, BOTH, NEITHER):
        await _no_side(people, items, belongs_to, names)
    owners = names if belongs_to == BOTH else [] if belongs_to == NEITHER else [belongs_to]
    first = {item.celebrity_id: item for item in reversed(items)}
    lost = [item for item in items if item.celebrity_id not in owners]
    by_id = {item.item_id: item for item in items}
    words = settled(_held(first[name] for name in owners), _held(lost), *_notes(belongs_to))
    return [(event_id, word, record) for word in words for event_id, record in [_ruling(word, by_id[word.item_id])]]


async def _no_side(people: PictureQueries, items: Sequence[ItemView], belongs_to: str, names: Sequence[str]) -> None:
    """Raises CannotRuleError with what to do for somebody who claimed the picture, NoSideError for everybody else."""
    asked = {name for item in items for name in (item.image_id, item.duplicate_of) if name}
    for item in [await people.item(belongs_to, name) for name in sorted(asked)]:
        if item is not None and item.verdict == "conflict":
            raise CannotRuleError(
                f"{belongs_to} is in a conflict of their own about the picture: resolve that first, on their page"
            )
        if item is not None:
            raise CannotRuleError(
                f"{belongs_to} does not hold the picture ({item.reason or item.verdict}); "
                f"it is claimed for {', '.join(names)} now. To give it to {belongs_to} all the same, keep it for them "
                f"(`marquee celebrity {belongs_to} --keep {item.item_id}`), then resolve this conflict"
            )
    raise NoSideError(f"belongs_to: one of {', '.join(names)}, {BOTH}, {NEITHER}")


def _held(items: Iterable[ItemView]) -> list[Held]:
    return [Held(item.celebrity_id, item.item_id) for item in items]


def _notes(belongs_to: str) -> tuple[str, str]:
    """What is noted where the picture is kept, and where it is lost.

    Nobody is named: a note goes into the other person's items, where no forgetting would look for an id.
    """
    both = {BOTH: "it shows both people", NEITHER: "it shows neither of the two people"}.get(belongs_to)
    return both or "it shows this person", both or "it shows somebody else"


async def forgetting(people: PictureQueries, celebrity_id: str) -> tuple[str, Outgoing]:
    """The command to erase a person, with the event's id: a new one once they were forgotten and came back."""
    before = await people.forgotten(celebrity_id)
    event_id = derived_id(f"{celebrity_id}|{before.order if before else 0}", "forget")
    return command(ForgetCelebrity(celebrity_id=celebrity_id), celebrity_id, event_id)

"""What people say of pictures and persons, as commands to the claims: the same word on the same state has one id."""

from __future__ import annotations

from collections.abc import Collection, Iterable

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


async def sides(people: PictureQueries, item: ItemView) -> tuple[ItemView, ItemView]:
    """The two items of a label conflict, the given one first, whichever of the two it is. Raises CannotRuleError."""
    if item.verdict == "conflict":
        if item.conflict_with is None or item.duplicate_of is None:
            raise CannotRuleError("the other person was forgotten: keep the picture or reject it")
        other = await people.item(item.conflict_with, item.duplicate_of)
        if other is None:
            raise CannotRuleError(f"{item.conflict_with} does not have the picture (any more): keep it or reject it")
        return item, other
    rivals = await people.contenders(item.image_id) if item.image_id else []
    rivals = [rival for rival in rivals if rival.conflict_with == item.celebrity_id]
    if len(rivals) == 1:
        return item, rivals[0]
    if rivals:
        names = ", ".join(sorted({rival.celebrity_id for rival in rivals}))
        raise CannotRuleError(f"several people claim the picture: resolve it on the page of each of them ({names})")
    raise CannotRuleError("no label conflict is about this picture")


def settlement(own: ItemView, other: ItemView, belongs_to: str) -> list[tuple[str, RuleImage, Outgoing]]:
    """The rulings on both people's items, with their ids, in the order in which to send them.

    Raises CannotRuleError where `belongs_to` is neither of the two, "both" or "neither".
    """
    people = [own.celebrity_id, other.celebrity_id]
    if belongs_to not in (*people, BOTH, NEITHER):
        raise CannotRuleError(f"belongs_to: one of {', '.join(people)}, {BOTH}, {NEITHER}")
    owners = people if belongs_to == BOTH else [] if belongs_to == NEITHER else [belongs_to]
    items = {item.item_id: item for item in (own, other)}
    others = set(people) - set(owners)
    words = settled(_held(items.values(), owners), _held(items.values(), others), *_notes(belongs_to))
    return [(event_id, word, record) for word in words for event_id, record in [_ruling(word, items[word.item_id])]]


def _held(items: Iterable[ItemView], people: Collection[str]) -> list[Held]:
    return [Held(item.celebrity_id, item.item_id) for item in items if item.celebrity_id in people]


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

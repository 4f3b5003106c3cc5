"""What is decided on a picture: new, a copy, a conflict; and how a person's word changes it."""

from __future__ import annotations

from typing import Any

import pytest

from agents.claim import Held, claim, settled
from agents.claims import ClaimIndex, ClaimsRevision
from agents.messages import Message
from app.delivery.table import PartitionRows, Section
from schemas.base import Record, Rejected
from schemas.catalogue import decode, encode
from schemas.commands import EraseCelebrity
from schemas.entities import Claim, ClaimedItem, ForgottenPerson
from schemas.envelope import Envelope
from schemas.pictures import (
    FindDropped,
    ImageAccepted,
    ImageFetched,
    ImageRejected,
    ImageWithdrawn,
    PersonForgotten,
    RuleImage,
)
from tests.agents.pictures import HANKS, MEG, NEIL, fetched, forget, image_id, keep, reject


class Desk:
    """The stage over one table; each record told is the next on the topic."""

    def __init__(self) -> None:
        self.stored: dict[bytes, bytes] = {}
        self.rows = PartitionRows(self.stored)
        self.items = Section(self.rows, "item|", ClaimedItem)
        self.images = Section(self.rows, "image|", Claim)
        self.revisions = Section(self.rows, "revision|", ClaimsRevision)
        self.gone = Section(self.rows, "gone|", ForgottenPerson)
        self.index = ClaimIndex()
        self.offset = -1

    async def told(self, data: Any) -> list[Any]:
        self.offset += 1
        message = Message(data, Envelope("id", "id"), "images-fetched", 0, self.offset, 0)
        made = [event async for event in claim(message, self.items, self.images, self.revisions, self.gone, self.index)]
        self.rows.save()
        assert all(decode(encode(event), (type(event),)) == event for event in made)
        return made

    async def after(self, *records: Record) -> list[Any]:
        """What comes of the last of these."""
        made: list[Any] = []
        for record in records:
            made = await self.told(record)
        return made

    def claimed(self) -> dict[str, str]:
        return {key: claim.celebrity_id for key, claim in self.images.under("")}

    def kept_of(self, word: str) -> list[bytes]:
        return [key for key, value in self.rows.batch.items() if value and word.encode() in key + value]


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_a_picture_that_nobody_has_is_accepted_with_all_that_is_known_of_it(desk: Desk) -> None:
    picture = fetched(HANKS, 1, licence="CC0", context_url="https://pictures.example/")
    (event,) = await desk.told(picture)
    assert isinstance(event, ImageAccepted)
    for field in ImageAccepted.__struct_fields__:
        if field not in {"order", "ruled"}:
            assert getattr(event, field) == getattr(picture, field)
    assert (event.order, event.ruled) == (1, False)


async def test_the_same_bytes_at_another_address_are_a_duplicate_at_distance_0(desk: Desk) -> None:
    (event,) = await desk.after(fetched(HANKS, 1), fetched(HANKS, 1, at="elsewhere"))
    assert isinstance(event, ImageRejected)
    assert (event.stage, event.verdict, event.duplicate_of, event.distance) == ("claim", "duplicate", image_id(1), 0)
    assert event.conflict_with is None
    assert "same bytes" in event.reason


async def test_a_near_copy_is_a_duplicate_that_names_the_picture_and_the_distance(desk: Desk) -> None:
    (event,) = await desk.after(fetched(HANKS, 1), fetched(HANKS, 1, copy=3))
    assert (event.verdict, event.duplicate_of, event.distance) == ("duplicate", image_id(1), 6)
    assert image_id(1)[:12] in event.reason


async def test_hashes_of_another_pipeline_version_are_not_compared_but_bytes_are(desk: Desk) -> None:
    await desk.told(fetched(HANKS, 1))
    assert isinstance((await desk.told(fetched(HANKS, 1, copy=1, pipeline=2)))[0], ImageAccepted)
    (event,) = await desk.told(fetched(HANKS, 1, at="elsewhere", pipeline=2))
    assert (event.verdict, event.distance) == ("duplicate", 0)
    (event,) = await desk.told(fetched(MEG, 1, pipeline=3))
    assert (event.verdict, event.distance) == ("conflict", 0)


@pytest.mark.parametrize("copy", [0, 2])
async def test_one_picture_under_two_people_is_a_conflict_that_names_the_other(desk: Desk, copy: int) -> None:
    (event,) = await desk.after(fetched(HANKS, 1), fetched(MEG, 1, copy=copy))
    assert isinstance(event, ImageRejected)
    assert (event.verdict, event.conflict_with, event.duplicate_of) == ("conflict", HANKS, image_id(1))
    assert (event.celebrity_id, event.distance) == (MEG, 2 * copy)
    assert "somebody else" in event.reason
    assert HANKS not in event.reason, "whoever forgets him need not read texts"


async def test_of_several_copies_the_nearest_counts_and_then_the_oldest(desk: Desk) -> None:
    await desk.after(fetched(HANKS, 1, copy=6), fetched(HANKS, 1), keep(fetched(HANKS, 1)))
    assert (await desk.told(fetched(HANKS, 1, copy=2)))[0].duplicate_of == image_id(1)
    assert (await desk.told(fetched(HANKS, 1, copy=3)))[0].duplicate_of == image_id(1, 6)


async def test_what_is_decided_on_an_item_is_said_again_word_for_word(desk: Desk) -> None:
    pictures = [fetched(HANKS, 1), fetched(HANKS, 1, copy=1), fetched(MEG, 1), fetched(HANKS, 2)]
    first = [await desk.told(picture) for picture in pictures]
    assert [await desk.told(picture) for picture in pictures] == first
    assert len(desk.index) == 2


async def test_a_ruling_overrules_a_duplicate_and_the_copy_is_claimed_too(desk: Desk) -> None:
    copy = fetched(HANKS, 1, copy=1)
    (event,) = await desk.after(fetched(HANKS, 1), copy, keep(copy, "the better scan"))
    assert isinstance(event, ImageAccepted)
    assert (event.item_id, event.ruled, event.order) == (copy.item_id, True, 3)
    assert set(desk.claimed()) == {image_id(1), image_id(1, 1)}
    assert await desk.told(copy) == [event]


async def test_a_ruling_accepts_once_more_what_was_discarded_further_down(desk: Desk) -> None:
    picture = fetched(HANKS, 1)
    (event,) = await desk.after(picture, keep(picture))
    assert (event.ruled, event.order) == (True, 2)
    assert len(desk.index) == 1


async def test_a_conflict_is_resolved_for_both_by_one_ruling(desk: Desk) -> None:
    theirs, hers = fetched(HANKS, 1), fetched(MEG, 1)
    (event,) = await desk.after(theirs, hers, keep(hers, "they are both on it"))
    assert (event.celebrity_id, event.ruled) == (MEG, True)
    assert desk.claimed() == {image_id(1): HANKS, f"{image_id(1)}|{hers.item_id}": MEG}
    for person in (HANKS, MEG):
        (again,) = await desk.told(fetched(person, 1, at="again"))
        assert (again.verdict, again.duplicate_of) == ("duplicate", image_id(1))
    assert (await desk.told(fetched(NEIL, 1)))[0].conflict_with == HANKS


async def test_a_near_copy_that_a_ruling_gave_to_one_person_does_not_raise_the_conflict_again(desk: Desk) -> None:
    hers = fetched(MEG, 1, copy=4)
    (event,) = await desk.after(fetched(HANKS, 1), hers, keep(hers), fetched(MEG, 1, copy=1))
    assert (event.verdict, event.duplicate_of) == ("duplicate", image_id(1, 4))


@pytest.mark.parametrize("first", [0, 1])
async def test_a_conflict_is_resolved_for_one_side_in_either_order(desk: Desk, first: int) -> None:
    theirs, hers = fetched(HANKS, 1), fetched(MEG, 1)
    await desk.after(theirs, hers)
    rulings = settled([Held(MEG, hers.item_id)], [Held(HANKS, theirs.item_id)], "it is her", "it is another")
    assert [(r.celebrity_id, r.decision, r.note) for r in rulings] == [
        (MEG, "keep", "it is her"),
        (HANKS, "reject", "it is another"),
    ]
    made = [event for ruling in (rulings if first == 0 else rulings[::-1]) for event in await desk.told(ruling)]
    withdrawn = next(event for event in made if isinstance(event, ImageWithdrawn))
    assert (withdrawn.item_id, withdrawn.image_id) == (theirs.item_id, image_id(1))
    assert withdrawn.reason == "ruled out by hand: it is another"
    assert desk.claimed() == {image_id(1): MEG}
    assert (await desk.told(fetched(NEIL, 1)))[0].conflict_with == MEG


async def test_a_withdrawn_picture_frees_its_claim_for_the_next(desk: Desk) -> None:
    picture, copy = fetched(HANKS, 1), fetched(HANKS, 1, copy=1)
    (event,) = await desk.after(picture, copy, reject(picture))
    assert isinstance(event, ImageWithdrawn)
    assert (event.order, desk.claimed(), len(desk.index)) == (3, {}, 0)
    assert await desk.told(picture) == [event], "its own verdict stands"
    assert (await desk.told(copy))[0].verdict == "duplicate", "and so does that of its copy"
    assert isinstance((await desk.told(fetched(MEG, 1, copy=2)))[0], ImageAccepted)


async def test_a_duplicate_that_is_ruled_out_is_rejected_with_the_word_of_the_ruling(desk: Desk) -> None:
    copy = fetched(HANKS, 1, copy=1)
    (event,) = await desk.after(fetched(HANKS, 1), copy, reject(copy, "x" * 2000))
    assert isinstance(event, ImageRejected)
    assert (event.verdict, event.order, event.duplicate_of) == ("rejected", 3, image_id(1))
    assert event.reason.startswith("ruled out by hand: x")
    assert desk.claimed() == {image_id(1): HANKS}


async def test_the_latest_ruling_counts(desk: Desk) -> None:
    picture = fetched(HANKS, 1)
    await desk.after(picture, reject(picture), keep(picture))
    assert desk.claimed() == {image_id(1): HANKS}
    assert isinstance((await desk.after(keep(picture), reject(picture)))[0], ImageWithdrawn)
    assert desk.claimed() == {}


async def test_of_those_that_share_a_picture_the_first_to_be_decided_inherits_the_claim(desk: Desk) -> None:
    theirs, hers, his = (fetched(person, 1) for person in (HANKS, MEG, NEIL))
    await desk.after(theirs, hers, his, keep(his), keep(hers), reject(theirs))
    assert desk.claimed() == {image_id(1): NEIL, f"{image_id(1)}|{hers.item_id}": MEG}
    await desk.after(reject(hers))
    assert desk.claimed() == {image_id(1): NEIL}
    await desk.after(reject(his))
    assert (desk.claimed(), len(desk.index)) == ({}, 0)


async def test_conflicts_that_are_left_name_the_present_holder_and_own_copies_are_duplicates(desk: Desk) -> None:
    theirs, hers, again, his = fetched(HANKS, 1), fetched(MEG, 1), fetched(MEG, 1, at="again"), fetched(NEIL, 1)
    kept, copy = await desk.after(theirs, hers, again, his, keep(hers))
    assert isinstance(kept, ImageAccepted)
    assert (copy.item_id, copy.verdict, copy.conflict_with, copy.order) == (again.item_id, "duplicate", None, 5)
    withdrawn, left = await desk.told(reject(theirs))
    assert isinstance(withdrawn, ImageWithdrawn)
    assert (left.item_id, left.verdict, left.conflict_with, left.order) == (his.item_id, "conflict", MEG, 6)
    assert await desk.told(his) == [left]


async def test_a_conflict_with_a_copy_that_nobody_holds_stays_until_the_picture_is_somebodys(desk: Desk) -> None:
    theirs, hers, his = fetched(HANKS, 1), fetched(MEG, 1, copy=1), fetched(NEIL, 1, copy=2)
    assert len(await desk.after(theirs, hers, his, reject(theirs))) == 1
    assert len(await desk.told(keep(theirs))) == 1, "a ruling that is taken back finds the conflicts as they were"
    _, left = await desk.after(reject(theirs), keep(hers))
    assert (left.item_id, left.conflict_with, left.duplicate_of) == (his.item_id, MEG, image_id(1, 1))


@pytest.mark.parametrize(
    "ruling",
    [
        keep(fetched(HANKS, 7)),
        RuleImage(item_id=fetched(HANKS, 1).item_id, celebrity_id=MEG, decision="reject"),
    ],
)
async def test_a_ruling_on_an_item_that_was_never_fetched_says_what_can_be_ruled_on(
    desk: Desk, ruling: RuleImage
) -> None:
    await desk.told(fetched(HANKS, 1))
    with pytest.raises(Rejected, match=f"marquee celebrity {ruling.celebrity_id} --rejected"):
        await desk.told(ruling)


async def test_a_ruling_in_the_name_of_the_other_side_of_a_conflict_changes_nothing(desk: Desk) -> None:
    hers = fetched(MEG, 1)
    await desk.after(fetched(HANKS, 1), hers)
    with pytest.raises(Rejected):
        await desk.told(RuleImage(item_id=hers.item_id, celebrity_id=HANKS, decision="keep"))


@pytest.mark.parametrize("data", [fetched("Tom", 1), keep(fetched("Tom", 1)), forget("Q1|Q2")])
async def test_a_malformed_id_of_a_person_is_refused(desk: Desk, data: Any) -> None:
    with pytest.raises(Rejected, match="celebrity_id"):
        await desk.told(data)


async def test_of_a_forgotten_person_nothing_is_left(desk: Desk) -> None:
    alone, shared, hers = fetched(HANKS, 1), fetched(HANKS, 2), fetched(MEG, 2)
    conflict = fetched(MEG, 1, copy=1)
    await desk.after(alone, fetched(HANKS, 1, copy=2), shared, hers, keep(hers), fetched(MEG, 3), conflict)
    await desk.told(fetched(HANKS, 3))
    forgotten, erase, *scrubbed = await desk.told(forget(HANKS))
    assert forgotten == PersonForgotten(celebrity_id=HANKS, order=desk.offset + 1)
    assert erase == EraseCelebrity(celebrity_id=HANKS, order=desk.offset + 1)
    # That, and when, they were forgotten has to be known as long as something of theirs may be under way.
    assert desk.kept_of(HANKS) == [f"gone|{HANKS}".encode()]
    assert desk.claimed() == {image_id(2): MEG, image_id(3): MEG}
    assert len(desk.index) == 2
    (event,) = scrubbed
    assert isinstance(event, ImageRejected)
    assert (event.item_id, event.verdict, event.conflict_with) == (conflict.item_id, "rejected", None)
    assert event.duplicate_of is None
    assert event.order == desk.offset + 1


async def test_what_was_in_conflict_with_a_forgotten_person_can_still_be_ruled_on(desk: Desk) -> None:
    kept, out = fetched(MEG, 1), fetched(MEG, 2)
    await desk.after(fetched(HANKS, 1), fetched(HANKS, 2), kept, out, reject(out), forget(HANKS))
    assert isinstance((await desk.told(keep(kept)))[0], ImageAccepted)
    (event,) = await desk.told(out)
    assert (event.verdict, event.reason) == ("rejected", "ruled out by hand")
    assert desk.claimed() == {image_id(1): MEG}


async def test_forgetting_twice_or_a_stranger_says_so_and_changes_nothing_else(desk: Desk) -> None:
    await desk.told(fetched(MEG, 1))
    for _ in range(2):
        assert [type(event) for event in await desk.told(forget(HANKS))] == [PersonForgotten, EraseCelebrity]
    assert desk.claimed() == {image_id(1): MEG}


async def test_a_person_whose_id_begins_like_anothers_keeps_their_pictures(desk: Desk) -> None:
    await desk.after(fetched("Q22", 1), fetched("Q2", 2), forget("Q2"))
    assert desk.claimed() == {image_id(1): "Q22"}


async def test_a_picture_that_was_under_way_when_its_person_was_forgotten_is_let_go(desk: Desk) -> None:
    await desk.told(forget(HANKS))
    # The find came before the word to forget, which was received at the beginning of 1970.
    dropped, event = await desk.told(fetched(HANKS, 1, fetched_at="1969-12-31T23:59:59.000Z"))
    assert dropped == FindDropped(celebrity_id=HANKS, order=1, found_at="1969-12-31T23:59:59.000Z")
    assert isinstance(event, ImageWithdrawn)
    assert (event.order, event.image_id) == (1, image_id(1))
    assert desk.claimed() == {}


async def test_an_item_can_be_claimed_anew_after_its_person_was_forgotten(desk: Desk) -> None:
    picture: ImageFetched = fetched(HANKS, 1)
    (event,) = await desk.after(picture, forget(HANKS), picture)
    assert isinstance(event, ImageAccepted)
    assert event.order == 3

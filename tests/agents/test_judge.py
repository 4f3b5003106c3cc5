"""The judge: whose face it is, which picture stays, and what a later picture changes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.judge import judge
from agents.messages import Message
from agents.person_case import EARLY, MOST_OTHERS, MOST_WAITING
from models.own_face import vector_of
from schemas.base import Record
from schemas.entities import JudgedItem, PersonFaces
from schemas.envelope import Envelope
from schemas.faces import FaceConfirmed, FacesForgotten, FaceWithdrawn
from schemas.pictures import Face, ImageDiscarded, ImageExamined, ImageKept, ImageWithdrawn, PersonForgotten
from tests.models.faces import MODEL, face

BOX = (10, 20, 90, 110)


class Rows(dict[str, Any]):
    """A table's section: what is read is a copy, as from RocksDB."""

    def __init__(self, kind: type[Any]) -> None:
        super().__init__()
        self._kind = kind

    def __getitem__(self, key: str) -> Any:
        return msgspec.json.decode(super().__getitem__(key), type=self._kind)

    def get(self, key: str, default: Any = None) -> Any:
        return self[key] if super().__contains__(key) else default

    def pop(self, key: str, default: Any = None) -> Any:
        return super().pop(key, default)

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, msgspec.json.encode(value))

    def under(self, prefix: str) -> Iterator[tuple[str, Any]]:
        return ((key, self[key]) for key in sorted(self) if key.startswith(prefix))


class Court:
    """A judge with tables, and what is in force by what was said, as a projection would see it."""

    def __init__(self) -> None:
        self.people, self.items = Rows(PersonFaces), Rows(JudgedItem)
        self.order = 0
        self.told: dict[str, ImageKept | ImageDiscarded] = {}
        self.faces: dict[str, bytes] = {}

    async def hear(self, record: Record) -> list[Record]:
        message: Any = Message(record, Envelope("cause", "cause"), "images-examined", 0, self.order, 0)
        said = [event async for event in judge(message, self.people, self.items)]
        for event in said:
            if isinstance(event, ImageKept | ImageDiscarded):
                before = self.told.get(event.item_id)
                assert before is None or before.order < event.order
                self.told[event.item_id] = event
            elif isinstance(event, FaceConfirmed):
                self.faces[event.item_id] = event.embedding
            elif isinstance(event, FaceWithdrawn):
                del self.faces[event.item_id]
        return said

    async def see(self, item: str, *people: str, **fields: Any) -> list[Record]:
        """A picture of Q1 with these people's faces on it, the biggest first."""
        return await self.hear(self.picture(item, *people, **fields))

    def picture(self, item: str, *people: str, **fields: Any) -> ImageExamined:
        self.order += 1
        number = int("".join(filter(str.isdigit, item)) or "0")
        faces = tuple(Face(box=BOX, score=0.9, embedding=face(person, number)) for person in people)
        given: dict[str, Any] = {
            "item_id": item,
            "celebrity_id": "Q1",
            "image_id": "a" * 64,
            "source": "google",
            "url": f"http://example.org/{item}",
            "phash64": "0" * 16,
            "order": self.order,
            "clean_sha256": "b" * 64,
            "path": f"clean/{item}.jpg",
            "width": 500,
            "height": 750,
            "faces": faces,
            "face_model": MODEL,
        }
        return ImageExamined(**given | fields)

    def withdrawal(self, item: str) -> ImageWithdrawn:
        self.order += 1
        return ImageWithdrawn(
            item_id=item, celebrity_id="Q1", image_id="a" * 64, source="google", url="u", order=self.order, reason="no"
        )

    def verdict(self, item: str) -> str:
        told = self.told[item]
        return "kept" if isinstance(told, ImageKept) else told.verdict

    @property
    def verdicts(self) -> dict[str, str]:
        return {item: self.verdict(item) for item in self.told}

    def check(self) -> None:
        """What is kept with a face is what the models hear of, and what the centroid is the sum of."""
        kept = {item for item, told in self.told.items() if isinstance(told, ImageKept) and told.box is not None}
        assert set(self.faces) == kept
        person = self.people.get("Q1") or PersonFaces()
        assert person.count == len(kept)
        total = np.frombuffer(person.total, dtype="<f8") if person.total else np.zeros(128)
        expected = sum((vector_of(embedding) for embedding in self.faces.values()), np.zeros(128))
        assert total == pytest.approx(expected, abs=1e-9)


@pytest.fixture
def court() -> Court:
    return Court()


async def test_the_first_picture_of_one_face_is_kept_and_its_face_confirmed(court: Court) -> None:
    kept, confirmed = await court.see("p1", "own")
    assert isinstance(kept, ImageKept)
    assert (kept.image_id, kept.sha256, kept.phash, kept.path) == ("a" * 64, "b" * 64, "0" * 16, "clean/p1.jpg")
    assert (kept.width, kept.height, kept.faces, kept.box, kept.similarity) == (500, 750, 1, BOX, None)
    assert isinstance(confirmed, FaceConfirmed)
    assert (confirmed.embedding, confirmed.face_model, confirmed.order) == (face("own", 1), MODEL, 1)
    second, _ = await court.see("p2", "own")
    assert second.similarity > 0.363
    court.check()


@pytest.mark.parametrize(
    ("fields", "verdict", "reason"),
    [
        ({"refused": "truncated or damaged", "clean_sha256": None}, "rejected", "truncated or damaged"),
        ({"unsafe": 0.93}, "quarantined", r"may not be safe to show \(score 0.93\)"),
        ({"faces": ()}, "rejected", "no face was found"),
        (
            {"faces": (Face(box=(0, 0, 24, 31), score=0.9, embedding=face("own", 1)),)},
            "rejected",
            "too small: 24 pixels",
        ),
    ],
)
async def test_a_picture_that_will_not_do_is_discarded_with_its_reason(
    court: Court, fields: dict[str, Any], verdict: str, reason: str
) -> None:
    (said,) = await court.see("p1", "own", **fields)
    assert isinstance(said, ImageDiscarded)
    assert said.verdict == verdict
    assert re.search(reason, said.reason)
    assert court.people["Q1"].count == 0


async def test_a_picture_that_is_hardly_unsafe_is_kept(court: Court) -> None:
    await court.see("p1", "own", unsafe=0.2)
    assert court.verdict("p1") == "kept"


async def test_where_nobody_looks_for_faces_pictures_are_kept_unchecked(court: Court) -> None:
    (said,) = await court.see("p1", faces=(), face_model=None)
    assert isinstance(said, ImageKept)
    assert said.box is None
    court.check()


async def test_another_face_is_rejected_with_its_similarity(court: Court) -> None:
    await court.see("p1", "own")
    (said,) = await court.see("p2", "other")
    assert said.verdict == "rejected"
    assert said.similarity < 0.25
    assert "another face than the others of this person" in said.reason
    court.check()


async def test_of_several_faces_the_persons_own_is_taken(court: Court) -> None:
    await court.see("p1", "own")
    boxes = [(0, 0, 200, 200), (300, 10, 50, 60)]
    faces = tuple(
        Face(box=box, score=0.9, embedding=face(p, 2)) for box, p in zip(boxes, ("other", "own"), strict=True)
    )
    kept, confirmed = await court.see("p2", faces=faces)
    assert (kept.faces, kept.box) == (2, boxes[1])
    assert confirmed.embedding == face("own", 2)
    await court.see("p3", "other", "third")
    assert "none of the 2 faces" in court.told["p3"].reason
    court.check()


async def test_several_faces_wait_until_the_person_is_known(court: Court) -> None:
    (waits,) = await court.see("p1", "other", "own")
    assert (waits.verdict, waits.faces) == ("pending", 2)
    await court.see("p2", "other", "third")
    said = await court.see("p3", "own")
    assert court.verdicts == {"p1": "kept", "p2": "rejected", "p3": "kept"}
    # What a later picture decides is told under its order, so that readers know it is later.
    assert {event.order for event in said} == {3}
    assert court.faces["p1"] == face("own", 1)
    court.check()


async def test_those_who_wait_are_bounded(court: Court) -> None:
    for picture in range(MOST_WAITING + 2):
        await court.see(f"p{picture}", "other", "third")
    assert court.verdict("p0") == court.verdict("p1") == "rejected"
    assert "shows this person alone" in court.told["p0"].reason
    assert court.verdict("p2") == "pending"
    assert len(court.people["Q1"].waiting) == MOST_WAITING


async def test_a_wrong_first_picture_is_outvoted_by_three_that_agree(court: Court) -> None:
    await court.see("p1", "wrong")
    await court.see("p2", "own")
    await court.see("p3", "own")
    assert court.verdicts == {"p1": "kept", "p2": "rejected", "p3": "rejected"}
    said = await court.see("p4", "own")
    assert court.verdicts == {"p1": "rejected", "p2": "kept", "p3": "kept", "p4": "kept"}
    assert Counter(type(event).__name__ for event in said) == {
        "ImageKept": 3, "FaceConfirmed": 3, "ImageDiscarded": 1, "FaceWithdrawn": 1
    }  # fmt: skip
    court.check()


async def test_a_source_that_people_curate_outvotes_a_stray_picture_at_once(court: Court) -> None:
    await court.see("p1", "wrong")
    await court.see("p2", "own", source="wikidata")
    assert court.verdicts == {"p1": "rejected", "p2": "kept"}
    court.check()


async def test_a_curated_first_picture_stands_against_three_strays(court: Court) -> None:
    await court.see("p1", "own", source="tmdb")
    for picture in (2, 3, 4):
        await court.see(f"p{picture}", "impostor")
    assert court.verdict("p1") == "kept"
    assert court.verdict("p4") == "rejected"
    await court.see("p5", "own")
    assert court.verdict("p5") == "kept"


async def test_faces_that_do_not_agree_outvote_nobody(court: Court) -> None:
    await court.see("p1", "own")
    for picture in range(2, 2 + 2 * MOST_OTHERS):
        await court.see(f"p{picture}", f"stranger{picture}")
    assert court.verdict("p1") == "kept"
    assert set(court.verdicts.values()) == {"kept", "rejected"}
    assert len(court.people["Q1"].others) == MOST_OTHERS
    court.check()


async def test_what_was_rejected_too_early_comes_back_when_the_face_is_better_known(court: Court) -> None:
    base = vector_of(face("own", 1))
    unlike = vector_of(face("third", 1))
    odd = 0.24 * base + np.sqrt(1 - 0.24**2) * unlike
    odd_bytes = (odd / np.linalg.norm(odd)).astype("<f4").tobytes()
    await court.see("p1", "own")
    await court.see("p2", faces=(Face(box=BOX, score=0.9, embedding=odd_bytes),))
    assert court.verdict("p2") == "rejected"
    halfway = base + 0.5 * odd
    half_bytes = (halfway / np.linalg.norm(halfway)).astype("<f4").tobytes()
    await court.see("p3", faces=(Face(box=BOX, score=0.9, embedding=half_bytes),))
    assert court.verdicts == {"p1": "kept", "p2": "kept", "p3": "kept"}
    court.check()


async def test_who_is_well_known_is_not_outvoted_any_more(court: Court) -> None:
    for picture in range(EARLY + 1):
        await court.see(f"p{picture}", "own")
    for picture in range(20, 40):
        await court.see(f"p{picture}", "impostor")
    assert court.verdict("p0") == "kept"
    assert court.verdict("p39") == "rejected"
    assert court.people["Q1"].kept == court.people["Q1"].others == []
    court.check()


async def test_a_ruling_keeps_what_every_gate_rejects(court: Court) -> None:
    await court.see("p1", "own")
    await court.see("p2", "own")
    await court.see("p3", "other")
    for item, fields in (("p3", {}), ("p4", {"faces": ()}), ("p5", {"unsafe": 0.99, "faces": ()})):
        await court.see(item, "other", ruled=True, **fields)
        assert court.verdict(item) == "kept"
        assert court.told[item].ruled
    (refused,) = await court.see("p6", ruled=True, refused="truncated or damaged")
    assert refused.verdict == "rejected"
    court.check()


async def test_a_ruling_makes_way_for_the_right_face(court: Court) -> None:
    await court.see("p1", "wrong")
    await court.see("p2", "wrong")
    await court.see("p3", "own")
    await court.see("p3", "own", ruled=True)
    assert court.verdicts == {"p1": "rejected", "p2": "rejected", "p3": "kept"}
    await court.see("p4", "own")
    assert court.verdict("p4") == "kept"
    court.check()


async def test_a_ruled_crowd_teaches_nothing_while_nobody_knows_whose_face_is_whose(court: Court) -> None:
    (kept,) = await court.see("p1", "other", "own", ruled=True)
    assert (kept.faces, kept.box) == (2, None)
    await court.see("p2", "own")
    kept, confirmed = await court.see("p3", "other", "own", ruled=True)
    assert confirmed.embedding == face("own", 3)
    court.check()


async def test_a_picture_that_is_withdrawn_takes_its_face_with_it(court: Court) -> None:
    await court.see("p1", "own")
    await court.see("p2", "own")
    discarded, withdrawn = await court.hear(court.withdrawal("p1"))
    assert (discarded.verdict, discarded.reason) == ("rejected", "no")
    assert isinstance(withdrawn, FaceWithdrawn)
    court.check()
    # What was examined before it was withdrawn, and comes late, is dropped.
    late = court.picture("p1", "own", order=2)
    assert await court.hear(late) == []
    # A later ruling brings it back.
    await court.see("p1", "own", ruled=True)
    assert court.verdict("p1") == "kept"
    court.check()


async def test_a_wrong_first_picture_that_is_withdrawn_makes_way(court: Court) -> None:
    await court.see("p1", "wrong")
    await court.see("p2", "own")
    await court.see("p3", "own")
    await court.hear(court.withdrawal("p1"))
    assert court.verdicts == {"p1": "rejected", "p2": "kept", "p3": "kept"}
    court.check()


async def test_withdrawing_what_was_never_examined_is_said_once(court: Court) -> None:
    withdrawal = court.withdrawal("p9")
    assert [type(event) for event in await court.hear(withdrawal)] == [ImageDiscarded]
    assert await court.hear(withdrawal) == []


async def test_a_repeated_record_says_nothing(court: Court) -> None:
    records: list[Record] = [court.picture(f"p{n}", *who) for n, who in enumerate((["own"], ["other"], ["own", "x"]))]
    records.append(court.withdrawal("p0"))
    for place, record in enumerate(records):
        for earlier in records[:place]:
            assert await court.hear(earlier) == []
        assert await court.hear(record)
    court.check()


async def test_a_person_who_is_forgotten_leaves_a_number_behind(court: Court) -> None:
    await court.see("p1", "own")
    await court.see("p2", "other", "third")
    await court.see("p3", "impostor")
    late = court.picture("p4", "own")
    for item in ("p1", "p2", "p3"):
        await court.hear(court.withdrawal(item))
    court.order += 1
    (forgotten,) = await court.hear(PersonForgotten(celebrity_id="Q1", order=court.order))
    assert forgotten == FacesForgotten(celebrity_id="Q1", order=court.order)
    assert court.people["Q1"] == PersonFaces(forgotten=court.order)
    assert not court.items
    assert await court.hear(late) == []
    assert await court.hear(PersonForgotten(celebrity_id="Q1", order=court.order)) == []
    await court.see("p5", "own")
    assert court.verdict("p5") == "kept"


async def test_nothing_is_left_of_who_is_forgotten_even_where_faces_are_many(court: Court) -> None:
    for number in range(2 * EARLY):
        await court.see(f"p{number}", "own")
    await court.see("r1", "other", celebrity_id="Q12")
    assert not court.people["Q1"].kept, "beyond the early ones nobody lists what was kept"
    await court.hear(PersonForgotten(celebrity_id="Q1", order=court.order))
    assert list(court.items) == ["Q12|r1"]


async def test_embeddings_of_two_face_models_are_never_compared(court: Court) -> None:
    await court.see("p1", "own")
    await court.see("p2", "other", face_model="newer@ba9876543210")
    assert court.verdict("p2") == "kept"
    await court.see("p3", "own", face_model="newer@ba9876543210")
    assert court.verdict("p3") == "rejected"
    # Of the face that no longer counts nothing is subtracted.
    await court.hear(court.withdrawal("p1"))
    assert court.people["Q1"].count == 1


async def test_people_are_judged_apart(court: Court) -> None:
    await court.see("p1", "own")
    await court.see("r1", "other", celebrity_id="Q2")
    assert court.verdict("r1") == "kept"
    assert court.people["Q1"].count == court.people["Q2"].count == 1


PEOPLE = ("own", "own", "own", "other", "third")
STEPS = st.lists(
    st.tuples(
        st.integers(0, 9),
        st.lists(st.sampled_from(PEOPLE), max_size=3),
        st.sampled_from(("see", "see", "see", "wikidata", "rule", "withdraw", "small")),
    ),
    max_size=30,
)


@settings(max_examples=150, deadline=None)
@given(STEPS)
async def test_faces_verdicts_and_centroid_agree_whatever_comes(
    steps: Sequence[tuple[int, list[str], str]],
) -> None:
    court, twin = Court(), Court()
    for number, people, step in steps:
        record: Record
        if step == "withdraw":
            record = court.withdrawal(f"p{number}")
        else:
            source = "wikidata" if step == "wikidata" else "google"
            record = court.picture(f"p{number}", *people, source=source, ruled=step == "rule")
        said = await court.hear(record)
        assert said == await twin.hear(record)
        court.check()
        person = court.people["Q1"]
        assert not set(person.kept) & {*person.waiting, *person.others}
    assert dict(court.people) == dict(twin.people)
    assert dict(court.items) == dict(twin.items)

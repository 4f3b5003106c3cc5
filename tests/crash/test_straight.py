"""What the straight run takes for the same record, and what it refuses to."""

from __future__ import annotations

import pytest

from app.delivery.raw import Raw
from schemas.catalogue import encode
from schemas.faces import FaceConfirmed, FacesForgotten, FaceWithdrawn
from tests.crash.straight import by_key, by_origin
from tests.stories.conftest import Story
from tests.stories.pictures import MODEL, embedding

WHO = "Q200534"


def confirmed(item: str, order: int, seed: int = 0) -> FaceConfirmed:
    return FaceConfirmed(
        item_id=item,
        celebrity_id=WHO,
        image_id="0" * 64,
        embedding=embedding(WHO, seed),
        face_model=MODEL,
        order=order,
    )


def training(*records: FaceConfirmed | FaceWithdrawn | FacesForgotten) -> list[Raw]:
    return [Raw(r.topic, 0, n, 0, r.key.encode(), encode(r), []) for n, r in enumerate(records)]


@pytest.fixture
def story() -> Story:
    return Story()


async def test_faces_are_told_apart_by_item_and_order_and_repeats_count_once(story: Story) -> None:
    await story.celebrity("Tilda Swinton", WHO)
    await story.find(WHO, *(f"https://w/photo:{n}/of:{WHO}" for n in range(4)))
    (kept, *_) = [url for url, verdict in (await story.verdicts(WHO)).items() if verdict == "kept"]
    shown = await story.store.people.images(WHO, None, 10, None)
    await story.rule(next(one.item_id for one in shown.items if one.url == kept), WHO, "reject")
    await story.forget(WHO)
    told = story.log.records("images-clean")
    assert {b'"confirmed"', b'"withdrawn"', b'"forgotten"'} == {
        tag for raw in told for tag in (b'"confirmed"', b'"withdrawn"', b'"forgotten"') if tag in (raw.value or b"")
    }
    found = by_origin(told)
    assert list(found.values()) == [raw.value for raw in told]
    assert by_origin([*told[:3], *told]) == found


def test_another_face_of_the_same_decision_is_refused() -> None:
    with pytest.raises(AssertionError, match="another record of the same origin"):
        by_origin(training(confirmed("i", 3), confirmed("i", 3, seed=1)))


@pytest.mark.parametrize(
    "later", [FaceWithdrawn(item_id="i", celebrity_id=WHO, order=4), FacesForgotten(celebrity_id=WHO, order=4)]
)
def test_a_face_that_comes_after_a_later_decision_is_refused(later: FaceWithdrawn | FacesForgotten) -> None:
    by_origin(training(confirmed("i", 3), later, confirmed("i", 5)))
    with pytest.raises(AssertionError, match="too late"):
        by_origin(training(later, confirmed("i", 3)))


def test_what_is_told_under_a_key_keeps_its_order_and_repeats_count_once() -> None:
    def told(*events: tuple[bytes, bytes, bytes]) -> dict[bytes, list[tuple[bytes, bytes]]]:
        return by_key(
            [Raw("x", 0, n, 0, key, value, [("ce_id", event)]) for n, (key, event, value) in enumerate(events)]
        )

    a, b, c = (b"k", b"1", b"a"), (b"k", b"2", b"b"), (b"l", b"3", b"c")
    assert told(a, c, b, a, b) == told(c, a, b) == {b"k": [(b"1", b"a"), (b"2", b"b")], b"l": [(b"3", b"c")]}
    assert told(b, a, c) != told(a, b, c)
    with pytest.raises(AssertionError, match="another event"):
        told(a, (b"k", b"1", b"other"))

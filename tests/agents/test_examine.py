"""Bytes that are gone are fetched again for whoever may still have them."""

from __future__ import annotations

from typing import Any

import pytest

from agents.examine import ask_for_examination
from agents.messages import Message, rfc3339
from agents.ports import Examination
from schemas.entities import Celebrity
from schemas.envelope import Envelope
from schemas.pictures import ImageAccepted
from schemas.terms import SourceTerms

NOW, URL = 1_700_000_000_000, "http://host/1.jpg"


class Gone:
    """A folder without the picture."""

    def __init__(self) -> None:
        self.again: list[str | None] = []

    async def fetch(self, url: str) -> Any:
        raise AssertionError

    async def examine(self, image_id: str, again: str | None = None) -> Examination:
        self.again.append(again)
        return Examination(refused="gone")


def accepted(order: int, ends: int) -> Message[ImageAccepted]:
    said = ImageAccepted(
        item_id="i", celebrity_id="Q1", image_id="ab" * 32, source="tmdb", url=URL, width=9, height=9, format="jpeg",
        phash64="0" * 16, order=order, terms=SourceTerms(expires_at=rfc3339(NOW + ends)),
    )  # fmt: skip
    return Message(said, Envelope("e", "e"), said.topic, 0, 0, NOW)


@pytest.mark.parametrize(
    ("order", "ends", "gone_order", "again"),
    [(5, 1, None, URL), (5, 1, 0, URL), (5, 1, 4, URL), (5, 1, 6, None), (5, 0, None, None)],
)
async def test_who_was_forgotten_since_and_what_is_over_is_not_fetched_again(
    order: int, ends: int, gone_order: int | None, again: str | None
) -> None:
    pictures = Gone()
    people = {} if gone_order is None else {"Q1": Celebrity(celebrity_id="Q1", gone_order=gone_order)}
    await ask_for_examination(accepted(order, ends), people, pictures)
    assert pictures.again == [again]

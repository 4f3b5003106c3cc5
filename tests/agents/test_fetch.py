"""What is fetched of what was found, and that it is remembered the same when it is recalled from a log."""

from __future__ import annotations

from typing import Any

import pytest

from agents.fetch import ask_for_picture, fetch_picture, outcome_of_fetch, recall_fetch
from agents.messages import Message, rfc3339
from agents.ports import NotFetched
from schemas.base import Record
from schemas.entities import FoundItem
from schemas.envelope import Envelope
from schemas.pictures import ImageFound, ImageRejected
from schemas.terms import SourceTerms

NOW = 1_700_000_000_000
FAILED = NotFetched(verdict="failed", reason="the server answered 404")


class Web:
    """An address that is not there."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def fetch(self, url: str) -> NotFetched:
        self.asked.append(url)
        return FAILED

    async def examine(self, image_id: str, again: str | None = None) -> Any:
        raise AssertionError


def find(ends: int | None) -> Message[ImageFound]:
    terms = None if ends is None else SourceTerms(expires_at=rfc3339(NOW + ends))
    said = ImageFound(celebrity_id="Q1", source="tmdb", url="http://host/1.jpg", terms=terms)
    return Message(said, Envelope("e", "e"), said.topic, 0, 0, NOW)


async def fetched(message: Message[ImageFound], items: dict[str, FoundItem], web: Web) -> list[Record]:
    answer = await ask_for_picture(message, items, {}, web)
    return [record async for record in fetch_picture(message, answer, items, {})]


@pytest.mark.parametrize(("ends", "asked", "verdict"), [(0, 0, "rejected"), (1, 1, "failed"), (None, 1, "failed")])
async def test_what_is_over_when_it_comes_is_not_asked_for_and_a_log_tells_the_same(
    ends: int | None, asked: int, verdict: str
) -> None:
    web, items, recalled = Web(), {}, {}  # type: ignore[var-annotated]
    message = find(ends)
    (*_, said) = await fetched(message, items, web)
    assert isinstance(said, ImageRejected)
    assert (len(web.asked), said.verdict) == (asked, verdict)
    assert recall_fetch(message, outcome_of_fetch(said), recalled, {}) is False  # type: ignore[arg-type]
    assert recalled == items


async def test_what_was_answered_before_is_not_refused_because_an_old_find_of_it_comes_again() -> None:
    web, items = Web(), {}  # type: ignore[var-annotated]
    await fetched(find(1), items, web)
    (row,) = items
    items[row] = FoundItem(cause_id="e", outcome="fetched")
    assert await fetched(find(0), items, web) == []

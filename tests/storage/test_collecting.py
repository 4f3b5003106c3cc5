"""Runs and open mentions as documents: the same at the end, however often and in whatever overlap they are told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from agents.messages import Message
from app.storage.memory import MemoryStore
from app.storage.paging import BadQueryError
from app.storage.store import Store
from schemas.base import Record
from schemas.envelope import Envelope
from schemas.mentions import Candidate, MatchUnresolved, MentionMatched
from schemas.scrapes import (
    ConnectorSteered,
    ScrapeAdmitted,
    ScrapeCheckpointed,
    ScrapeCounts,
    ScrapeFinished,
    ScrapeStarted,
    SlaMissed,
    Target,
    TargetsDropped,
)


def told(offset: int, record: Record) -> Message[Any]:
    return Message(record, Envelope(f"e{offset}", "c"), record.topic, 0, offset, 1_700_000_000_000 + offset)


def admitted(run: str, **fields: Any) -> ScrapeAdmitted:
    return ScrapeAdmitted(run_id=run, connector="guardian", **({"trigger": "manual", "attempt": 1} | fields))


def started(run: str, **fields: Any) -> ScrapeStarted:
    base = {"trigger": "manual", "attempt": 1, "started_at": "2026-05-01T00:00:00Z"}
    return ScrapeStarted(run_id=run, connector="guardian", **(base | fields))


def finished(run: str, **fields: Any) -> ScrapeFinished:
    base = {"status": "success", "attempt": 1, "finished_at": "2026-05-01T00:01:00Z", "seconds": 60.0}
    return ScrapeFinished(run_id=run, connector="guardian", counts=ScrapeCounts(records=7), **(base | fields))


HISTORY: Sequence[Message[Any]] = [
    told(n, record)
    for n, record in enumerate(
        (
            admitted("a"),
            admitted("b", logical_date="2026-05-01T00:00:00Z", trigger="schedule"),
            started("a"),
            SlaMissed(run_id="b", connector="guardian", logical_date="2026-05-01T00:00:00Z", missed_at="t"),
            finished("a", cursor_after={"page": 3}),
            ConnectorSteered(connector="guardian", action="pause", reason="the site moves"),
            started("b"),
            finished("b", status="failed", error="the key was refused", paused=True),
        )
    )
]


@pytest.mark.parametrize("cuts", [(8,), (1, 2, 3, 4, 5, 6, 7, 8), (5, 3, 8, 6, 8), (8, 1, 8)])
async def test_the_history_is_the_same_in_whatever_overlap_it_is_told(store: Store, cuts: tuple[int, ...]) -> None:
    begin = 0
    for cut in cuts:
        # A smaller end than the last is a worker that goes on from an older mark.
        await store.collecting.put_runs(HISTORY[min(begin, cut) : cut] if cut > begin else HISTORY[:cut])
        begin = cut
    runs = (await store.runs.runs("guardian", 10)).items
    assert [(run.run_id, run.status, run.sla_missed) for run in runs] == [
        ("b", "failed", True),
        ("a", "success", False),
    ]
    assert (runs[1].counts.records, runs[1].cursor_after, runs[1].seconds) == (7, {"page": 3}, 60.0)
    (state,) = await store.runs.states(["guardian"])
    assert (state.paused, state.pause_reason) == (True, "the key was refused")
    assert state.last_run == runs[0]


async def test_the_notes_of_a_run_stand_in_its_history(store: Store) -> None:
    notes = ("Q901: TMDB knows none of its ids", "Q902: not there")
    events = (admitted("a"), started("a"), finished("a", notes=notes), admitted("b"), started("b"), finished("b"))
    await store.collecting.put_runs([told(n, event) for n, event in enumerate(events)])
    runs = (await store.runs.runs("guardian", 10)).items
    assert [run.notes for run in runs] == [[], list(notes)]


async def test_a_run_that_is_over_is_as_far_as_its_end_says():
    store = MemoryStore()
    way = ScrapeCheckpointed(run_id="a", connector="guardian", cursor={}, counts=ScrapeCounts(), done=1, total=9)
    ends = [finished("a"), finished("a", done=9, total=9)]
    for offset, (end, done) in enumerate(zip(ends, (1, 9), strict=True)):
        events = (admitted("a"), started("a"), way, end)
        await store.collecting.put_runs([told(offset * 9 + n, event) for n, event in enumerate(events)])
        (run,) = (await store.runs.runs("guardian", 10)).items
        assert (run.status, run.done, run.total) == ("success", done, 9)


async def test_runs_that_another_one_carries_out_have_no_history_of_their_own():
    store = MemoryStore()
    events = (admitted("a"), admitted("b"), started("a", also=("b",)), finished("a"))
    await store.collecting.put_runs([told(n, event) for n, event in enumerate(events)])
    assert [run.run_id for run in (await store.runs.runs("guardian", 10)).items] == ["a"]


async def test_a_long_history_is_read_page_by_page_newest_first():
    store = MemoryStore()
    await store.collecting.put_runs([told(n, admitted(f"r{n}")) for n in range(25)])
    seen, cursor = [], None
    while True:
        page = await store.runs.runs("guardian", 10, cursor)
        seen += [run.run_id for run in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert seen == [f"r{n}" for n in reversed(range(25))]
    with pytest.raises(BadQueryError):
        await store.runs.runs("guardian", 10, "nonsense")


async def test_a_mention_is_open_until_its_film_is_known_and_not_again_after():
    store = MemoryStore()
    open_one = MatchUnresolved(
        mention_id="m", source="blog", reason="two", candidates=(Candidate("tt0054215", "Psycho", 1960, 100.0),)
    )
    await store.collecting.put_unresolved([told(1, open_one)])
    (shown,) = await store.runs.open_matches(10)
    assert (shown.mention_id, shown.candidates[0].title) == ("m", "Psycho")
    await store.collecting.put_matched([told(2, MentionMatched(mention_id="m", film_id="tt0054215", how="hand"))])
    assert await store.runs.open_matches(10) == []
    await store.collecting.put_unresolved([told(1, open_one)])
    assert await store.runs.open_matches(10) == []


async def test_a_run_about_who_was_forgotten_is_skipped_in_words_and_another_is_about_fewer(store: Store) -> None:
    people = tuple(Target(id=name, kind="person") for name in ("Q1", "Q2"))
    base = {"connector": "guardian", "attempt": 1, "people": ("Q1",), "dropped_at": "2026-05-01T00:02:00Z"}
    history = [
        told(n, record)
        for n, record in enumerate(
            (
                admitted("alone", targets=people[:1]),
                admitted("both", targets=people),
                started("both", also=("alone",)),
                TargetsDropped(run_id="alone", left=0, **base),  # type: ignore[arg-type]
                TargetsDropped(run_id="both", left=1, **base),  # type: ignore[arg-type]
            )
        )
    ]
    for part in (history, history[3:]):
        await store.collecting.put_runs(part)
    both, alone = (await store.runs.runs("guardian", 10)).items
    assert (both.run_id, both.status, both.targets, both.error) == ("both", "running", 1, None)
    assert (alone.run_id, alone.status, alone.finished_at) == ("alone", "skipped", "2026-05-01T00:02:00Z")
    assert alone.error == "whom it was about was forgotten before it was over"

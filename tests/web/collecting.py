"""Two connectors with a history, and mentions that wait, as the projections leave them."""

from __future__ import annotations

from typing import Any

from agents.messages import Message
from app.settings import Settings, Web
from app.storage.memory import MemoryStore
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
)
from tests.web.stand_ins import FakeWorker

DAILY = {"kind": "csv", "path": "ratings.csv", "schedule": "0 6 * * *", "timezone": "Europe/Berlin"}
BY_HAND = {"kind": "csv", "path": "more.csv"}
BROKEN = {"kind": "csv", "path": "x.csv", "schedule": "whenever"}
NASTY = "<script>alert(1)</script>"


def make_collecting_worker(**web: Any) -> FakeWorker:
    """A worker with connectors `daily`, `by-hand` and `broken`, and nothing that was told of them."""
    tables = {"daily": DAILY, "by-hand": BY_HAND, "broken": BROKEN}
    return FakeWorker(Settings(web=Web(**{"port": 0, **web}), connectors=tables))


def told(offset: int, event: Record) -> Message[Any]:
    """An event as the projections get it; the offset gives its time, a minute each."""
    return Message(event, Envelope(f"e{offset}", "c"), event.topic, 0, offset, 1_767_225_600_000 + offset * 60_000)


def finished(run_id: str, status: str = "success", attempt: int = 1, **known: Any) -> ScrapeFinished:
    """The end of a run of `daily`."""
    counts = ScrapeCounts(records=1200, duplicates=987, rejected=3, requests=7, retries=2, bytes=123_456)
    said = {"counts": counts, "cursor_before": {"line": 1}, "cursor_after": {"line": 1201}, **known}
    return ScrapeFinished(
        run_id=run_id, connector="daily", status=status, attempt=attempt,  # type: ignore[arg-type]
        finished_at="2026-01-01T06:01:00Z", seconds=61.5, **said,
    )  # fmt: skip


def _begun(run_id: str, date: str, attempt: int = 1, resumed: bool = False) -> list[Record]:
    asked = {"run_id": run_id, "connector": "daily", "trigger": "schedule", "attempt": attempt, "logical_date": date}
    return [ScrapeAdmitted(**asked), ScrapeStarted(**asked, started_at=date, resumed=resumed)]  # type: ignore[arg-type]


async def fill_collecting(store: MemoryStore) -> None:
    """`daily`: r1 went well, r2 failed and was tried again, r3 runs and is late; it is paused. Two open mentions."""
    events: list[Record] = [
        *_begun("r1", "2026-01-01T05:00:00Z"),
        finished("r1"),
        *_begun("r2", "2026-01-02T05:00:00Z"),
        finished("r2", "failed", error=f"503 {NASTY}", faults=((4, NASTY),)),
        *_begun("r2", "2026-01-02T05:00:00Z", attempt=2, resumed=True),
        finished("r2", "partial", attempt=2, notes=(f"Q901: not there {NASTY}",)),
        *_begun("r3", "2026-01-03T05:00:00Z"),
        ScrapeCheckpointed(
            run_id="r3", connector="daily", cursor={"line": 7}, counts=ScrapeCounts(records=600), done=50, total=200
        ),
        SlaMissed(run_id="r3", connector="daily", logical_date=None, missed_at="2026-01-03T06:00:00Z"),
        ConnectorSteered(connector="daily", action="pause", reason=f"too noisy {NASTY}"),
    ]
    await store.collecting.put_runs([told(n, event) for n, event in enumerate(events)])
    await store.collecting.put_unresolved([told(n, mention(n)) for n in range(3)])
    await store.collecting.put_matched([told(9, MentionMatched(mention_id="m2", film_id=None, how="hand"))])


def mention(n: int) -> MatchUnresolved:
    """A mention that may be of one of two films."""
    films = (Candidate("tt0000001", "Solaris", 1972, 100.0), Candidate("tt0000002", NASTY, 2002, 100.0))
    return MatchUnresolved(
        mention_id=f"m{n}", source="rss", reason="several films have this title", title=f"Solaris {NASTY}", year=None,
        url="https://example.org/1", excerpt=f"Slow. {NASTY}", candidates=films,
    )  # fmt: skip

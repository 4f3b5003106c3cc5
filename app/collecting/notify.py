"""Tells the outside what went wrong with a run: a webhook for people, figures for Prometheus, a run for MLflow."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final, Literal, Protocol

import msgspec

from app.collecting.outbox import Outbox
from app.collecting.runs import Carried
from app.connectors.errors import SourceError
from app.connectors.fetch import Fetcher
from app.observe import metrics
from schemas.scrapes import SlaMissed

log = logging.getLogger(__name__)

MOST_WAITING: Final = 1000
"""Notices that wait for a webhook; more are dropped, with a line in the log."""
What = Literal["failed", "paused", "sla-missed"]
News = Carried | SlaMissed


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What a webhook is sent, as JSON."""

    what: What
    connector: str
    run_id: str
    attempt: int
    logical_date: str | None
    text: str
    """One sentence for people; chat services show a field of this name."""
    error: str | None = None


class Logged(Protocol):
    """Where a finished run is logged."""

    def log(self, carried: Carried) -> None:
        """Take the run without waiting for anything."""


def notice_of(news: News) -> Notice | None:
    """What people should hear of; None where a run went well or is tried again."""
    if isinstance(news, SlaMissed):
        return Notice(
            what="sla-missed",
            connector=news.connector,
            run_id=news.run_id,
            attempt=news.attempt,
            logical_date=news.logical_date,
            text=f"{news.connector}: the run for {news.logical_date} is later than promised",
        )
    report = news.report
    if report.status != "failed" or news.retried:
        return None
    paused = report.reaction == "pause"
    then = " and is paused until somebody resumes it" if paused else ""
    return Notice(
        what="paused" if paused else "failed",
        connector=news.connector,
        run_id=news.run.run_id,
        attempt=news.run.attempt,
        logical_date=news.run.logical_date,
        text=f"{news.connector} failed{then}: {report.error}",
        error=report.error,
    )


class Webhook:
    """Sends notices to one address, one after another: what does not arrive is a line in the log."""

    def __init__(self, url: str, seconds: float, fetcher: Fetcher, outbox: Outbox[Notice]) -> None:
        self._url = url
        self._seconds = seconds
        self._fetcher = fetcher
        self._outbox = outbox
        self._waiting: asyncio.Queue[tuple[str, Notice]] = asyncio.Queue(MOST_WAITING)
        for name, notice in outbox.left():
            self._put(name, notice)

    def put(self, notice: Notice) -> None:
        """Send it soon, if need be in another life."""
        self._put(self._outbox.keep(notice), notice)

    def _put(self, name: str, notice: Notice) -> None:
        try:
            self._waiting.put_nowait((name, notice))
        except asyncio.QueueFull:
            self._outbox.done(name)
            log.warning("the webhook is too slow, it does not hear: %s", notice.text)

    async def run(self) -> None:
        """Send what an earlier life left behind, then what is put, until cancelled."""
        while True:
            name, notice = await self._waiting.get()
            try:
                await self._try(notice)
                # Not where a stop cut it off: then the next life sends it.
                self._outbox.done(name)
            finally:
                self._waiting.task_done()

    async def _try(self, notice: Notice) -> None:
        try:
            await self.send(notice)
        except Exception as error:
            log.warning("the webhook did not hear of %r: %s", notice.text, str(error) or type(error).__name__)

    async def drained(self, seconds: float) -> None:
        """Return once everything was sent, or given up, or so many seconds have passed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._waiting.join()

    async def send(self, notice: Notice) -> None:
        """Send one. Raises SourceError or TimeoutError; private addresses need to be named in [fetch] allow."""
        body, headers = msgspec.json.encode(notice), {"Content-Type": "application/json"}
        async with asyncio.timeout(self._seconds), self._fetcher.request(self._url, headers, "POST", body) as answer:
            if answer.status >= 300:
                raise SourceError(f"it answered {answer.status}")


class Notifier:
    """What the scheduler calls when a run is over or late; never waits, never raises."""

    def __init__(self, webhook: Webhook | None = None, tracking: Logged | None = None) -> None:
        self._webhook = webhook
        self._tracking = tracking

    async def __call__(self, news: News) -> None:
        """Count it, log it, and tell of it where somebody should know."""
        steps: list[Callable[[News], None]] = [count, self._track, self._tell]
        for step in steps:
            try:
                step(news)
            except Exception:
                log.exception("a notice of %s went wrong", news.connector)

    def _track(self, news: News) -> None:
        if self._tracking is not None and isinstance(news, Carried):
            self._tracking.log(news)

    def _tell(self, news: News) -> None:
        notice = notice_of(news)
        if notice is not None and self._webhook is not None:
            self._webhook.put(notice)


def count(news: News) -> None:
    """Put a run into the figures of its connector."""
    if isinstance(news, SlaMissed):
        metrics.SCRAPES_LATE.labels(news.connector).inc()
        return
    name, report = news.connector, news.report
    metrics.SCRAPES.labels(name, report.status).inc()
    metrics.SCRAPE_SECONDS.labels(name).observe(report.seconds)
    counted: Mapping[str, Any] = {
        "records": report.records,
        "duplicates": report.duplicates,
        "rejected": report.refused,
        "requests": report.requests,
        "retries": report.retries,
        "throttled": report.throttled,
        "not_modified": report.not_modified,
        "bytes": report.bytes,
    }
    for what, amount in counted.items():
        metrics.SCRAPED.labels(name, what).inc(amount)


Notify = Callable[[News], Awaitable[None]]

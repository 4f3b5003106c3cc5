"""Who is told when collecting goes wrong: a webhook, Prometheus, MLflow; and that none of them is waited for."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from app.collecting.notify import Notice, Notifier, Webhook, notice_of
from app.collecting.outbox import Outbox
from app.collecting.rejects import Rejects
from app.collecting.runs import Carried
from app.collecting.tracking import RunTracking, ScrapeLog
from app.connectors.errors import Reaction
from app.connectors.fetch import Fetcher
from app.connectors.store import Report
from app.embedded.mlflow import Mlflow as MlflowServer
from app.embedded.ports import free_port
from app.observe import metrics
from app.settings import Mlflow
from schemas.entities import WaitingRun
from schemas.scrapes import ScrapeCounts, SlaMissed
from tests.collecting.test_collector import HOUR, HOURLY, World

DATE = "2026-05-01T06:00:00Z"


def carried(
    status: Any = "failed", reaction: Reaction | None = "stop", *, retried: bool = False, **known: Any
) -> Carried:
    error = "503 from the source" if status == "failed" else None
    report = Report("daily", status, error=error, reaction=reaction, records=12, seconds=2.5, **known)
    return Carried("daily", WaitingRun(run_id="r", trigger="schedule", attempt=2, logical_date=DATE), report, retried)


LATE = SlaMissed(run_id="r", connector="daily", logical_date=DATE, missed_at=DATE)


@pytest.mark.parametrize(
    ("news", "what"),
    [
        (carried(), "failed"),
        (carried(reaction="retry"), "failed"),
        (carried(reaction="pause"), "paused"),
        (LATE, "sla-missed"),
        (carried(reaction="retry", retried=True), None),
        (carried("partial", None), None),
        (carried("success", None), None),
    ],
)
def test_people_hear_of_what_nobody_tries_again(news: Any, what: str | None) -> None:
    notice = notice_of(news)
    assert (notice.what if notice else None) == what


def rejected(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


class Hook:
    """A server that hears webhooks; `statuses` are its next answers."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.statuses: list[int] = []
        self.asked, self.goes_on = asyncio.Event(), asyncio.Event()
        self.goes_on.set()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def answer(self, request: web.Request) -> web.Response:
        assert request.content_type == "application/json"
        self.heard.append(await request.json())
        self.asked.set()
        await self.goes_on.wait()
        return web.Response(status=self.statuses.pop(0) if self.statuses else 204)


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    found, application = Hook(), web.Application()
    application.router.add_post("/hook", found.answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.port = runner.addresses[0][1]
    yield found
    found.goes_on.set()
    await runner.cleanup()


@asynccontextmanager
async def sending(hook: Hook, folder: Path, seconds: float = 30.0, allow: bool = True) -> AsyncIterator[Webhook]:
    async with Fetcher((f"127.0.0.1:{hook.port}",) if allow else ()) as fetcher:
        webhook = Webhook(hook.url, seconds, fetcher, Outbox(folder, Notice))
        task = asyncio.create_task(webhook.run())
        yield webhook
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_the_webhook_hears_what_happened_as_json(hook: Hook, tmp_path: Path) -> None:
    async with sending(hook, tmp_path) as webhook:
        notify = Notifier(webhook)
        for news in (carried(), carried("success", None), LATE):
            await notify(news)
        await webhook.drained(30)
    failed, late = hook.heard
    assert failed == {
        "what": "failed", "connector": "daily", "run_id": "r", "attempt": 2, "logical_date": DATE,
        "text": "daily failed: 503 from the source", "error": "503 from the source",
    }  # fmt: skip
    assert (late["what"], late["logical_date"], late["error"]) == ("sla-missed", DATE, None)


async def test_a_webhook_that_fails_costs_a_line_in_the_log_and_nothing_else(
    hook: Hook, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    hook.statuses = [500]
    async with sending(hook, tmp_path) as webhook:
        for _ in range(2):
            await Notifier(webhook)(carried())
        await webhook.drained(30)
    assert len(hook.heard) == 2, "it is not tried again, and the next notice goes out"
    assert [record.levelno for record in caplog.records if "it answered 500" in record.message] == [logging.WARNING]


async def test_a_webhook_that_hangs_is_given_up_and_holds_no_run(
    hook: Hook, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    hook.goes_on.clear()
    async with sending(hook, tmp_path, seconds=0.2) as webhook:
        await Notifier(webhook)(carried())
        await webhook.drained(30)
    assert "did not hear" in caplog.text


async def test_a_private_address_has_to_be_allowed(
    hook: Hook, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    async with sending(hook, tmp_path, allow=False) as webhook:
        await Notifier(webhook)(carried())
        await webhook.drained(30)
    assert hook.heard == []
    assert "add its host:port to [fetch] allow" in caplog.text


async def test_the_scheduler_tells_of_runs_and_of_promises_that_are_missed() -> None:
    world, told = World(hourly=HOURLY | {"sla": 600.0}), []

    async def notify(news: Any) -> None:
        told.append(type(news).__name__)

    worker = world.worker("a", 0, 1, 2, 3)
    worker._notify = notify
    await world.pass_time(60, worker)
    world.hold.clear()
    await world.pass_time(HOUR + HOUR / 2, worker)
    assert told == ["SlaMissed"]
    world.hold.set()
    await world.pass_time(1, worker)
    assert told == ["SlaMissed", "Carried"]


def sample(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


async def test_runs_are_counted_by_connector() -> None:
    before = sample("marquee_scrapes_total", connector="daily", status="failed")
    records = sample("marquee_scraped_total", connector="daily", what="records")
    again = sample("marquee_scraped_total", connector="daily", what="duplicates")
    late = sample("marquee_scrapes_late_total", connector="daily")
    await Notifier()(carried(duplicates=7))
    await Notifier()(LATE)
    assert sample("marquee_scrapes_total", connector="daily", status="failed") == before + 1
    assert sample("marquee_scraped_total", connector="daily", what="records") == records + 12
    assert sample("marquee_scraped_total", connector="daily", what="duplicates") == again + 7
    assert sample("marquee_scrapes_late_total", connector="daily") == late + 1


@asynccontextmanager
async def tracking(settings: Mlflow, folder: Path) -> AsyncIterator[RunTracking]:
    found = RunTracking(settings, Outbox(folder, Carried), Rejects(folder), {"daily": "csv"}, pause=0.01)
    task = asyncio.create_task(found.run())
    yield found
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    found.close()


@pytest.mark.embedded
async def test_each_run_is_one_in_mlflow_with_figures_and_rejected_records(
    tmp_path: Path, mlflow: MlflowServer
) -> None:
    from mlflow.tracking import MlflowClient

    settings = Mlflow(tracking_uri=mlflow.url, experiment=uuid.uuid4().hex)
    async with tracking(settings, tmp_path / "outbox") as logged:
        resumed = carried("partial", None, refused=1, duplicates=5, faults=[(3, 'no "number"')], requests=4)
        resumed.run.counts = ScrapeCounts(records=30, requests=2)
        await Notifier(None, logged)(resumed)
        await Notifier(None, logged)(carried())
        await logged.drained(120)
        assert logged.available is True
    client = MlflowClient(tracking_uri=mlflow.url)
    experiment = client.get_experiment_by_name(f"{settings.experiment}-scrapes")
    failed, partial = client.search_runs([experiment.experiment_id])
    assert (partial.info.status, failed.info.status) == ("FINISHED", "FAILED")
    assert partial.data.params == {
        "connector": "daily", "kind": "csv", "trigger": "schedule", "logical_date": DATE, "attempt": "2",
    }  # fmt: skip
    assert (partial.data.metrics["records"], partial.data.metrics["requests"]) == (42, 6)
    assert (partial.data.metrics["duplicates"], failed.data.metrics["duplicates"]) == (5, 0)
    assert partial.data.metrics["seconds"] == 2.5
    path = client.download_artifacts(partial.info.run_id, "rejected.csv", str(tmp_path))
    assert rejected(path) == ["line,reason,record", '3,"no ""number""",']
    assert failed.data.tags["status"] == "failed"


async def test_while_mlflow_is_away_runs_are_dropped_after_a_few_tries(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    caplog.set_level(logging.INFO)
    async with tracking(Mlflow(tracking_uri=f"http://127.0.0.1:{free_port()}"), tmp_path) as logged:
        tries = []
        send = logged._send
        monkeypatch.setattr(logged, "_send", lambda *run: (tries.append(1), send(*run)))
        await Notifier(None, logged)(carried())
        await logged.drained(300)
        assert logged.available is False
        assert len(tries) == 3
    assert "is not in MLflow" in caplog.text
    assert len([record for record in caplog.records if "is away" in record.message]) == 1


async def test_without_a_tracking_address_nothing_is_kept_for_it(tmp_path: Path) -> None:
    async with tracking(Mlflow(tracking_uri=""), tmp_path) as logged:
        await Notifier(None, logged)(carried())
        await logged.drained(30)
        assert logged.available is None


async def test_a_notice_that_a_kill_kept_from_the_webhook_is_sent_by_the_next_life(hook: Hook, tmp_path: Path) -> None:
    async with Fetcher((f"127.0.0.1:{hook.port}",)) as fetcher:
        # Nobody sends: a process that was killed has got no further.
        dead = Notifier(Webhook(hook.url, 30.0, fetcher, Outbox(tmp_path, Notice)))
        for news in (carried(), LATE, carried("success", None)):
            await dead(news)
    assert len(Outbox(tmp_path, Notice).left()) == 2
    async with sending(hook, tmp_path) as webhook:
        await webhook.drained(30)
    assert [heard["what"] for heard in hook.heard] == ["failed", "sla-missed"]
    async with sending(hook, tmp_path) as webhook:
        await Notifier(webhook)(carried(reaction="pause"))
        await webhook.drained(30)
    assert [heard["what"] for heard in hook.heard[2:]] == ["paused"]
    assert Outbox(tmp_path, Notice).left() == []


async def test_a_notice_that_a_stop_cut_off_is_sent_again(hook: Hook, tmp_path: Path) -> None:
    hook.goes_on.clear()
    async with sending(hook, tmp_path) as webhook:
        await Notifier(webhook)(carried())
        await hook.asked.wait()
    hook.goes_on.set()
    async with sending(hook, tmp_path) as webhook:
        await webhook.drained(30)
    assert hook.heard[0] == hook.heard[1]


@pytest.mark.embedded
async def test_a_run_that_a_kill_kept_from_mlflow_is_logged_once_by_the_next_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mlflow: MlflowServer
) -> None:
    from mlflow.tracking import MlflowClient

    settings, outbox = Mlflow(tracking_uri=mlflow.url, experiment=uuid.uuid4().hex), tmp_path / "outbox"
    cut, unsent = carried(refused=1, faults=[(3, "no number")]), carried("success", None)
    unsent.run.run_id = "it's another"
    rejects = Rejects(outbox)
    dead, log = RunTracking(settings, Outbox(outbox, Carried), rejects), ScrapeLog(settings, rejects)
    for each in (cut, unsent):
        await Notifier(None, dead)(each)
    with monkeypatch.context() as patch:
        # The process dies when the run is made and nothing of it is told yet.
        patch.setattr(MlflowClient, "log_batch", killed)
        with pytest.raises(KeyboardInterrupt):
            log.log(cut, "csv")
    async with tracking(settings, outbox) as logged:
        await logged.drained(120)
    assert Outbox(outbox, Carried).left() == []
    client = MlflowClient(tracking_uri=mlflow.url)
    experiment = client.get_experiment_by_name(f"{settings.experiment}-scrapes")
    found = client.search_runs([experiment.experiment_id])
    assert {run.data.tags["run_id"]: run.info.status for run in found} == {
        "r": "FAILED",
        "it's another": "FINISHED",
    }
    assert len(found) == 2
    assert {run.data.metrics["records"] for run in found} == {12}


def killed(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def test_what_is_no_notice_is_put_away_and_a_full_disk_costs_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    outbox = Outbox(tmp_path, Notice)
    (tmp_path / "torn.json").write_text('{"what": "fai')
    assert (outbox.left(), list(tmp_path.iterdir())) == ([], [])

    def full(*_: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("app.collecting.outbox.write_atomically", full)
    notice = notice_of(LATE)
    assert notice is not None
    outbox.done(outbox.keep(notice))
    assert "no space left" in caplog.text


def test_a_notice_is_plain_json() -> None:
    import msgspec

    assert json.loads(msgspec.json.encode(notice_of(LATE)))["what"] == "sla-missed"

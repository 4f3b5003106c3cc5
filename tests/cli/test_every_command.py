"""What all commands share: help with an example, exit statuses, one line for a mistake, a quick start."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import click
import pytest

from app.cli import main
from app.embedded.addresses import Addresses, publish
from app.embedded.lock import DirectoryLock
from tests.cli.conftest import Marquee


def commands(group: click.Group, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command below a group, by the words that call it."""
    for name, found in group.commands.items():
        if isinstance(found, click.Group):
            yield from commands(found, (*words, name))
        else:
            yield (*words, name), found


COMMANDS = dict(commands(main))
each_command = pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
RUNS = {("up",)}
"""Prints no data."""


def test_the_commands_of_the_contract_are_there() -> None:
    wanted = """
    up|demo|push film|push celebrity|push file|film|films|celebrity|celebrities|topics|topology|schemas|asyncapi
    evaluate|dlq list|dlq show
    dlq replay|dlq purge|doctor|config check|archive status|archive verify|rebuild|models list|models show
    models compare|models promote|models rollback
    connectors kinds|connectors list|connectors check|connectors show|connectors run|connectors pause
    connectors resume|connectors backfill|connectors runs|matches
    """
    named = {tuple(words.split()) for line in wanted.strip().splitlines() for words in line.split("|")}
    assert named <= set(COMMANDS)


@each_command
def test_every_command_has_help_with_an_example_of_itself(words: tuple[str, ...], marquee: Marquee) -> None:
    text = marquee(*words, "--help").stdout
    (example,) = [line for line in text.splitlines() if line.startswith("Example: ") or " Example: " in line]
    assert f"marquee {' '.join(words)}" in example
    assert COMMANDS[words].help, "says nothing of itself"


@pytest.mark.parametrize("name", [name for name, found in main.commands.items() if isinstance(found, click.Group)])
def test_every_group_has_help_with_an_example_of_a_command_of_its_own(name: str, marquee: Marquee) -> None:
    (example,) = [line for line in marquee(name, "--help").stdout.splitlines() if "Example: " in line]
    words = example.partition("Example: marquee ")[2].split()
    assert (words[0], words[1] in main.commands[name].commands) == (name, True)


@pytest.mark.parametrize("words", ["push film --title Heat", "dlq list"])
def test_without_a_broker_there_is_one_line(words: str, tmp_path: Path) -> None:
    environment = {**os.environ, "MARQUEE_BROKER__URL": "kafka://127.0.0.1:1"}
    call = [sys.executable, "-m", "app", *words.split()]
    done = subprocess.run(call, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    (line,) = done.stderr.splitlines()
    assert line.startswith("marquee: no Kafka answers at kafka://127.0.0.1:1")


def test_doctor_tells_of_a_missing_broker_in_its_table_only(tmp_path: Path) -> None:
    environment = {**os.environ, "MARQUEE_BROKER__URL": "kafka://127.0.0.1:1", "MARQUEE_MONGO__TIMEOUT": "1"}
    call = [sys.executable, "-m", "app", "doctor"]
    done = subprocess.run(call, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert "no Kafka answers" in done.stdout


@pytest.mark.parametrize("words", ["rebuild --projection films", "rebuild --model future-rating"])
def test_without_a_database_one_line_says_what_to_do(words: str, marquee: Marquee) -> None:
    line = marquee.mistake(*words.split())
    assert line.startswith("marquee: MongoDB: 127.0.0.1:1: ")
    assert "[mongo] url" in line
    assert "Topology" not in line
    assert "timeout" not in line.lower()


@each_command
def test_every_command_takes_the_common_options(words: tuple[str, ...]) -> None:
    options = {name for parameter in COMMANDS[words].params for name in parameter.opts}
    assert {"--config", "--data-dir", "--debug"} <= options
    assert ("--json" in options) is (words not in RUNS)


@each_command
def test_an_unknown_option_is_called_wrongly(words: tuple[str, ...], marquee: Marquee) -> None:
    line = marquee.mistake(*words, "--no-such-thing", code=2)
    assert f"marquee {' '.join(words)} --help" in line


@each_command
def test_a_broken_configuration_is_told_by_every_command_that_reads_it(
    words: tuple[str, ...], marquee: Marquee
) -> None:
    (marquee.directory / "marquee.toml").write_text("[web]\nprot = 1\n")
    (marquee.directory / "films.csv").write_text("title\nHeat\n")
    arguments = {"ID": "tt1375666", "NAME": "ratings", "PATH": "films.csv", "FILE": "films.csv", "ID...": "5f0c"}
    arguments["VERSION"] = "1"
    given = [
        arguments[str(p.metavar or p.name).upper()] for p in COMMANDS[words].params if isinstance(p, click.Argument)
    ]
    needed = {("push", "film"): ["--title", "T"], ("push", "celebrity"): ["--name", "N"]}
    needed["connectors", "backfill"] = ["--from", "2026-01-01", "--to", "2026-01-02"]
    if words in {("topology",), ("schemas",), ("connectors", "kinds"), ("evaluate",), ("demo",)}:
        return
    if words == ("doctor",):
        assert "marquee.toml:2: web.prot" in marquee(*words, code=1).stdout
        return
    assert "marquee.toml:2: web.prot" in marquee.mistake(*words, *given, *needed.get(words, []))


def test_help_comes_at_once_because_nothing_heavy_is_imported() -> None:
    program = (
        "import sys, app.cli\n"
        "heavy = {'faust', 'river', 'mlflow', 'aiokafka', 'aiohttp', 'numpy', 'motor', 'rich'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_module_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "app", "push", "film"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines() == ["marquee: Missing option '--title'. See `marquee push film --help`."]


def test_an_unknown_command_is_called_wrongly(marquee: Marquee) -> None:
    assert "No such command 'filmz'" in marquee.mistake("filmz", code=2)


def test_debug_shows_where_an_error_came_from() -> None:
    words = [sys.executable, "-m", "app", "films", "--data-dir", "/no/such/place", "--debug"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" in done.stderr


@pytest.mark.parametrize("words", [("film", "tt1"), ("films",), ("models", "list")], ids=" ".join)
def test_without_a_worker_look_ups_say_how_to_start_one(words: tuple[str, ...], marquee: Marquee) -> None:
    assert "marquee up --embedded" in marquee.mistake(*words)


@pytest.mark.parametrize("words", [("push", "film", "--title", "T"), ("dlq", "list")], ids=" ".join)
def test_without_a_broker_a_command_says_how_to_start_one(words: tuple[str, ...], marquee: Marquee) -> None:
    assert "marquee up --embedded" in marquee.mistake(*words)


def test_a_data_directory_in_which_nothing_runs_is_named(marquee: Marquee) -> None:
    assert "no Marquee runs in elsewhere" in marquee.mistake("films", "--data-dir", "elsewhere")


@pytest.mark.parametrize("written", [True, False])
def test_a_marquee_that_starts_is_not_taken_for_another_that_runs(marquee: Marquee, written: bool) -> None:
    asked: list[str] = []

    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

    lock = DirectoryLock(marquee.directory / "d")
    lock.acquire()
    with HTTPServer(("127.0.0.1", 0), Other) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        marquee.environment["MARQUEE_BROKER__URL"] = None
        marquee.environment["MARQUEE_WEB__PORT"] = str(other.server_port)
        try:
            if written:
                publish(marquee.directory / "d", Addresses("kafka://h:1", "mongodb://h/x", "", None, os.getpid()))
            told = marquee.mistake("films", "--data-dir", "d")
        finally:
            other.shutdown()
            lock.release()
    assert "starts" in told
    assert "try again in a moment" in told
    assert asked == []

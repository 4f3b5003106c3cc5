"""A changed `marquee.toml` taken up by a Marquee that runs: what is new is collected, what is wrong changes nothing."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.cli.checks import leftover_processes
from tests.embedded.test_up import FILMS, Up, rows

pytestmark = [pytest.mark.embedded, pytest.mark.slow, pytest.mark.timeout(600)]

BEFORE = """[connectors.ml]
kind = "csv"
path = "ratings.csv"
schedule = "0 6 29 2 *"
"""
AFTER = """[[films]]
title = "Heat"
year = 1995
imdb = "tt0113277"

[connectors.ml]
kind = "csv"
path = "ratings.csv"
schedule = "* * * * *"

[connectors.more]
kind = "csv"
path = "more.csv"
"""
WRONG = [
    (AFTER.replace('"* * * * *"', '"every day"'), ("marquee.toml:9:", "connectors.ml.schedule", "five fields")),
    (AFTER.replace('kind = "csv"', 'kind = "cvs"', 1), ("marquee.toml:7:", "connectors.ml.kind", "known:", "csv")),
    (AFTER.replace("year", "yaer"), ("marquee.toml:3:", "films[0].yaer", "`year`", "Allowed: title, kind, year")),
    (AFTER + 'profile = "x"', ("marquee.toml:14:", "connectors.more.profile", "Allowed:", "path")),
    (f'{AFTER}\n[worker]\nlog = "loud"', ("marquee.toml:16:", "worker.log", "Allowed: auto, human, json")),
    (AFTER + "[[[", ("marquee.toml", "not valid TOML", "line 14")),
]
HEAD = "userId,movieId,rating,timestamp\n"


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    """A Marquee that runs, with a connector whose day is far away."""
    found = Up(tmp_path)
    (tmp_path / "marquee.toml").write_text(BEFORE)
    (tmp_path / "ratings.csv").write_text(HEAD + rows(0, 60))
    (tmp_path / "more.csv").write_text(HEAD + rows(60, 100))
    found.start()
    yield found
    found.kill_what_is_left()


def runs(up: Up, name: str) -> list[dict[str, Any]]:
    """The runs of a connector that are over."""
    found: list[dict[str, Any]] = up("connectors", "runs", name)["items"]
    return [run for run in found if run["status"] == "success"]


def post(up: Up, path: str) -> int:
    """The status of an answer of the worker, which reads no file to be found."""
    found = re.search(r"Marquee is up: (http://\S+)", up.said())
    assert found is not None
    asked = urllib.request.Request(found[1] + path, b"{}", {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=60) as answer:
        return int(answer.status)


def refused(up: Up, text: str) -> tuple[str, str]:
    """What the command line says of a configuration that it refuses, and what the worker itself does."""
    (up.directory / "marquee.toml").write_text(text)
    words = [sys.executable, "-m", "app", "config", "apply", "--data-dir", str(up.data)]
    done = subprocess.run(words, cwd=up.directory, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done
    with pytest.raises(urllib.error.HTTPError) as error:
        post(up, "/config/apply")
    assert error.value.code == 422
    return done.stderr, str(json.load(error.value)["detail"])


def test_a_changed_configuration_is_taken_up_without_a_restart_and_a_wrong_one_is_not(up: Up) -> None:
    processes = leftover_processes(up.data)
    assert runs(up, "ml") == []
    (up.directory / "marquee.toml").write_text(AFTER)
    said = up("config", "apply")
    assert said["connectors"] == {"added": ["more"], "changed": ["ml"], "removed": []}
    assert (said["pushed"], said["needs_restart"], said["others"]) == (1, [], [])
    assert up("connectors", "run", "more")["counts"]["records"] == 40
    up.until(lambda: "tt0113277" in up.films())
    up.until(lambda: runs(up, "ml") != [])
    assert runs(up, "ml")[-1]["trigger"] == "schedule"
    up.until(lambda: up.predicted() == 100)
    # The same numbers in two files are different films.
    assert len(up.films()) == 2 * FILMS + 1

    for text, place in WRONG:
        for told in refused(up, text):
            assert all(word in told for word in place), told
    # What was taken up before goes on.
    with (up.directory / "more.csv").open("a") as more:
        more.write(rows(100, 110))
    assert post(up, "/connectors/more/run") == 202
    (up.directory / "marquee.toml").write_text(AFTER)
    up.until(lambda: up.predicted() == 110)
    assert [each["name"] for each in up("connectors", "list")["items"]] == ["ml", "more"]
    assert leftover_processes(up.data) == processes, "something was restarted"

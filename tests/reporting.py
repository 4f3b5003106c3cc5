"""Says at the end of a test run what it ran, what it left out, and which command runs that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

ELSEWHERE = {
    "soak": ("that kill and compare for minutes", "make test-soak"),
    "kafka": ("on a real Apache Kafka", "make test-kafka"),
    "browser": ("in a real browser", "make test-browser"),
}
HERE = ("that need nothing but .venv", "make test")

_left_out: Counter[tuple[str, str]] = Counter()
_ran: Counter[str] = Counter()


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Count what the markers on the command line left out, by the command that would run it."""
    for item in items:
        marks = [mark for mark in ELSEWHERE if item.get_closest_marker(mark)]
        _left_out[ELSEWHERE[marks[0]] if marks else HERE] += 1


def pytest_runtest_logfinish(nodeid: str) -> None:
    """Count what was run, by folder."""
    _ran[Path(nodeid.partition("::")[0]).parent.as_posix()] += 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print both counts above pytest's own last line."""
    terminalreporter.section("what was run")
    for folder, count in sorted(_ran.items()):
        terminalreporter.line(f"{count:5} tests of {folder}")
    for (which, command), count in sorted(_left_out.items()):
        terminalreporter.line(f"NOT RUN: {count} tests {which} ({command})", bold=True)

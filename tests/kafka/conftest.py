"""What these tests measured, printed at the end of the run."""

from __future__ import annotations

from collections.abc import Callable

import pytest

_figures: list[str] = []


@pytest.fixture
def report() -> Callable[[str], None]:
    """Says a figure at the end of the run."""
    return _figures.append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures, whether or not the tests passed."""
    if _figures:
        terminalreporter.section("what was measured")
        for line in _figures:
            terminalreporter.line(line)

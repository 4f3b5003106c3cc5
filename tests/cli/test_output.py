"""Tables as a terminal shows them."""

from __future__ import annotations

import re

import pytest

from app.cli import output


def test_in_a_narrow_terminal_ids_stay_whole_and_empty_columns_go(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(output.sys.stdout, "isatty", lambda: True)  # type: ignore[attr-defined]
    rows = [("tmdb:movie/123456789", "A title that is too long for it", None, 8.1234), ("Q1", "[bold]", None, None)]
    output.print_table(("film id", "title", "wikidata", "predicted"), rows)
    text = re.sub(r"\x1b\[\d*m", "", capsys.readouterr().out)
    assert "tmdb:movie/123456789" in text
    assert "[bold]" in text
    assert "wikidata" not in text
    assert max(map(len, text.splitlines())) <= 40

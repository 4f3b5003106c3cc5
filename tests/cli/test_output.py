"""Tables as a terminal shows them."""

from __future__ import annotations

import json
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


EVIL = "Bell\x07 \x1b[2J\nnext\tline\x9b31m \u202egnp \u2028\ud800Zoë 🏳️‍🌈"
SHOWN = "Bell\\x07 \\x1b[2J next line\\x9b31m \\u202egnp  \\ud800Zoë 🏳️‍🌈"


@pytest.mark.parametrize("terminal", [True, False])
def test_what_somebody_sent_neither_steers_the_terminal_nor_breaks_the_table(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(output.sys.stdout, "isatty", lambda: terminal)  # type: ignore[attr-defined]
    output.print_table(("id", "name"), [("Q1", EVIL), ("Q2", None)])
    text = re.sub(r"\x1b\[\d*m", "", capsys.readouterr().out)
    assert SHOWN in text
    assert len(text.splitlines()) == 3


def test_fields_and_json_steer_nothing_either(capsys: pytest.CaptureFixture[str]) -> None:
    told = EVIL.replace("\ud800", "")
    output.print_fields({"name": told, told: {"a": [told, {told: told}]}})
    text = capsys.readouterr().out
    assert len(text.splitlines()) == 5
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)
    output.print_json({"name": told, "more": ["a"]})
    text = capsys.readouterr().out
    assert json.loads(text) == {"name": told, "more": ["a"]}
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)
    assert len(text.splitlines()) == 6

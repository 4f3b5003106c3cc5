"""`marquee up` refuses what could not work before it starts anything."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Marquee


def test_an_address_that_others_reach_needs_a_token_before_anything_is_started(marquee: Marquee) -> None:
    marquee.environment |= {"MARQUEE_WEB__HOST": "0.0.0.0", "MARQUEE_API_TOKEN": None}
    for words in (("up", "--embedded"), ("up",)):
        assert "MARQUEE_API_TOKEN is not set" in marquee.mistake(*words)
    assert list(marquee.directory.iterdir()) == []


def test_the_embedded_broker_serves_one_worker(marquee: Marquee) -> None:
    assert "serves one worker" in marquee("up", "--embedded", "--workers", "2", code=2).stderr


@pytest.mark.parametrize("place", ["there", "there/below"])
def test_a_data_directory_that_is_a_file_is_told_in_one_line(marquee: Marquee, place: str) -> None:
    (marquee.directory / "there").write_text("mine")
    for words in (("up", "--embedded"), ("up",)):
        told = marquee.mistake(*words, "--data-dir", place)
        assert told.startswith(f"marquee: {place}: ")
        assert told.endswith("name another data directory with --data-dir or [storage] data")
    assert (marquee.directory / "there").read_text() == "mine"

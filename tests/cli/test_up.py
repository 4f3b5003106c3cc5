"""`marquee up` refuses what could not work before it starts anything."""

from __future__ import annotations

from tests.cli.conftest import Marquee


def test_an_address_that_others_reach_needs_a_token_before_anything_is_started(marquee: Marquee) -> None:
    marquee.environment |= {"MARQUEE_WEB__HOST": "0.0.0.0", "MARQUEE_API_TOKEN": None}
    for words in (("up", "--embedded"), ("up",)):
        assert "MARQUEE_API_TOKEN is not set" in marquee.mistake(*words)
    assert list(marquee.directory.iterdir()) == []


def test_the_embedded_broker_serves_one_worker(marquee: Marquee) -> None:
    assert "serves one worker" in marquee("up", "--embedded", "--workers", "2", code=2).stderr

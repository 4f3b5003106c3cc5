"""What is known of answers that were read whole, and when it holds no longer."""

from __future__ import annotations

from typing import Any

from app.connectors.config import ConnectorConfig, Terms
from app.connectors.revalidation import DAY_SECONDS, MOST_KEPT, Revalidation, Validators

URL = "https://films.example/tt1375666"
TAGGED = {"ETag": '"a"', "Last-Modified": "Tue, 03 Nov 2026 12:00:00 GMT"}
ASKING = {"If-None-Match": '"a"', "If-Modified-Since": "Tue, 03 Nov 2026 12:00:00 GMT"}


def begun(kept: Validators, now: float = 0.0, **keys: Any) -> Revalidation:
    """A run's, at a moment, for a configuration."""
    revalidation = Revalidation(ConnectorConfig(kind="html", **keys), lambda: now)
    revalidation.begin(kept)
    return revalidation


def kept(*urls: str, now: float = 0.0, **keys: Any) -> Validators:
    """What a run keeps that read these."""
    run = begun({}, now, **keys)
    for url in urls:
        run.answered(url, TAGGED)
    return run.kept()


def test_what_was_read_is_asked_for_if_it_changed() -> None:
    run = begun(kept(URL))
    assert run.headers(URL) == ASKING
    assert run.headers(f"{URL}?page=2") == {}


def test_a_server_that_tells_nothing_is_asked_for_all_of_it() -> None:
    run = begun(kept(URL))
    run.answered(URL, {})
    assert begun(run.kept()).headers(URL) == {}


def test_a_word_about_an_answer_is_there_when_it_did_not_change_and_is_no_header() -> None:
    first = begun({})
    first.answered(URL, TAGGED)
    first.note(URL, "page=2")
    second = begun(first.kept())
    assert (second.noted(URL), second.headers(URL)) == ("page=2", ASKING)
    second.unchanged(URL)
    assert begun(second.kept()).noted(URL) == "page=2"
    second.answered(URL, TAGGED)
    assert begun(second.kept()).noted(URL) == ""


def test_what_was_forgotten_is_asked_for_as_a_whole() -> None:
    run = begun(kept(URL))
    run.forget(URL)
    assert begun(run.kept()).headers(URL) == {}


def test_other_settings_know_nothing() -> None:
    assert begun(kept(URL), robots=True).headers(URL) == {}


def test_what_may_be_stored_for_a_time_is_read_again_when_half_of_it_is_over() -> None:
    terms = Terms(ttl_days=30)
    first = kept(URL, now=0.0, terms=terms)
    assert begun(first, 14 * DAY_SECONDS, terms=terms).headers(URL) == ASKING
    assert begun(first, 15 * DAY_SECONDS, terms=terms).headers(URL) == {}
    # From the reading on that was whole, not from the last that found nothing new.
    middle = begun(first, 10 * DAY_SECONDS, terms=terms)
    middle.unchanged(URL)
    assert begun(middle.kept(), 20 * DAY_SECONDS, terms=terms).headers(URL) == {}
    # A clock that was set back is no reason to trust it for ever.
    assert begun({**first, "": {**first[""], "since": "no moment"}}, terms=terms).headers(URL) == {}


def test_of_more_than_may_be_kept_the_same_ones_are_kept_in_every_round() -> None:
    urls = [f"{URL}/{n}" for n in range(MOST_KEPT + 100)]
    first = kept(*urls)
    second = begun(first)
    for url in urls:
        second.unchanged(url) if second.headers(url) else second.answered(url, TAGGED)
    assert set(second.kept()) == set(first)
    assert len(first) == MOST_KEPT + 1


def test_no_address_is_written_down() -> None:
    assert "films.example" not in str(kept(URL))

"""Odd answers of the three news aggregators."""

from __future__ import annotations

import msgspec
import pytest

from app.connectors.base import FilmTarget
from app.connectors.errors import IncompleteError, MalformedError
from app.connectors.film_signs import headline_is_of, names, reviewed, scored_title, shows_a_film
from app.connectors.news_payloads import (
    Article,
    compact,
    parse_article,
    parse_gdelt,
    parse_guardian,
    parse_newsapi,
    short_id,
    when,
)
from schemas.events import ReviewObserved

DUNE = FilmTarget(film_id="tt1160419", title="Dune", year=2021)


def guardian(**fields: object) -> bytes:
    """An answer with one article."""
    article = {"id": "film/1", "webTitle": "Dune review", "fields": fields}
    return msgspec.json.encode({"response": {"status": "ok", "pages": 1, "results": [article]}})


@pytest.mark.parametrize(
    ("said", "stars"), [("4", 4.0), (3, 3.0), ("0", 0.0), ("", None), ("five", None), ("6", None), (None, None)]
)
def test_stars_are_0_to_5_or_nothing(said: object, stars: float | None) -> None:
    assert parse_guardian(guardian(starRating=said)).articles[0].stars == stars


def test_an_article_without_fields_is_its_headline() -> None:
    article_ = b'{"id":"film/1","webTitle":" Dune review ","webPublicationDate":"soon"}'
    body = b'{"response":{"pages":1,"results":[' + article_ + b"]}}"
    (article,) = parse_guardian(body).articles
    assert (article.title, article.text, article.when, article.url) == ("Dune review", "", None, None)
    record = parse_article(article, DUNE, "guardian")
    assert isinstance(record, ReviewObserved)
    assert record.text == "Dune review"


@pytest.mark.parametrize("body", [b"[]", b'{"response":{}}', b"null", b"", b'{"response":{"pages":"x","results":[]}}'])
def test_what_is_no_answer_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_guardian(body)


def test_half_an_answer_is_incomplete() -> None:
    with pytest.raises(IncompleteError):
        parse_newsapi(b'{"status":"ok","totalResults":1,"articles":[{"tit', "en")


def test_gdelt_writes_json_that_is_none() -> None:
    body = rb"""{"articles":[{"url":"https://a.example/1","title":"Dune\'s s\and,CONTROL \u00e9",
        "seendate":"20261101T121500Z","language":"Klingon"}]}""".replace(b"CONTROL", b"\x01")
    (article,) = parse_gdelt(body).articles
    assert article.title == "Dune\\'s s\\and, é"
    assert (article.when, article.lang) == ("2026-11-01T12:15:00.000Z", None)


def test_gdelt_finds_nothing_with_an_empty_object() -> None:
    assert parse_gdelt(b"{}").articles == []


def test_newsapi_may_know_nothing_but_the_address() -> None:
    body = b'{"status":"ok","totalResults":2,"articles":[{"url":"https://a.example"},{"title":"x","url":null}]}'
    page = parse_newsapi(body, "en")
    assert (page.articles, page.entries) == ([], 2)


def test_a_score_in_the_headline_counts_where_there_are_no_stars() -> None:
    record = parse_article(Article("1", "Dune review: 8/10", "", None), DUNE, "s")
    assert isinstance(record, ReviewObserved)
    assert (record.rating, record.best) == (8.0, 10.0)


def test_long_addresses_become_short_ids() -> None:
    assert short_id("https://a.example") == "https://a.example"
    assert short_id("x" * 600) == short_id("x" * 600) != short_id("x" * 601)
    assert len(short_id("x" * 600)) == 32


def test_moments_in_every_form() -> None:
    assert when("2026-11-01T12:00:00+01:00") == "2026-11-01T11:00:00.000Z"
    assert when("20261101") is None
    assert when("") is None
    assert compact("2026-11-01T11:00:00.000Z") == "20261101110000"


@pytest.mark.parametrize(
    ("headline", "title", "about"),
    [
        ("Dune review – sand", "Dune", True),
        ("Dune: Part Two review – more sand", "Dune", False),
        ("Dune Part Two breaks records", "Dune", False),
        ("Toy Story 3 is coming", "Toy Story", False),
        ("Rocky II at forty", "Rocky", False),
        ("Why ‘Amélie’ still charms", "Amelie", True),
        ("Upgrade your cinema", "Up", False),
        ("Nothing here", "!!!", False),
    ],
)
def test_what_a_headline_is_about(headline: str, title: str, about: bool) -> None:
    assert headline_is_of(headline, title) is about


def test_only_a_headline_of_a_review_names_its_film() -> None:
    assert reviewed("“Heat” film review: still hot") == "Heat"
    assert reviewed("In review: the year") is not None
    assert reviewed("The best of Heat") is None


def test_signs_of_a_film() -> None:
    assert shows_a_film("Saw Heat (1995) again")
    assert shows_a_film("look", ("https://www.imdb.com/title/tt0113277/",))
    assert not shows_a_film("Great film! (I was 12)")
    assert not shows_a_film("(1995)")
    assert not names("", "Heat")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Dune 9/10", ("Dune", None)),
        ("dune (2021) – 4/5", ("dune", 2021)),
        ("Dune: 8.5/10\nbecause of the sand", ("Dune", None)),
        ("Dune ★★★★☆", ("Dune", None)),
        ("Dune was 9/10", None),
        ("It was great 9/10", None),
        ("Dune", None),
        ("", None),
        ("9/10", None),
        ("Dune 3/17", None),
    ],
)
def test_a_scored_title_has_to_be_followed(text: str, found: tuple[str, int | None] | None) -> None:
    assert scored_title(text, [DUNE]) == found

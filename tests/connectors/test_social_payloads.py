"""Odd posts of the three networks."""

from __future__ import annotations

import msgspec
import pytest

from app.connectors.base import FilmTarget
from app.connectors.errors import MalformedError
from app.connectors.post_text import film_addresses, html_text, nameless
from app.connectors.social_payloads import (
    Post,
    hashtag,
    newest,
    parse_bluesky,
    parse_mastodon,
    parse_post,
    parse_reddit,
)
from schemas.events import ReviewObserved
from schemas.mentions import FilmMentioned

HEAT = FilmTarget(film_id="tt0113277", title="Heat", year=1995)


def post(text: str, *addresses: str) -> Post:
    """A post with a text."""
    return Post("1", text, addresses, None, None, None, "somebody", "1")


@pytest.mark.parametrize("body", [b"{}", b'[{"content":"x"},{},null]', b"[1,2,3]", b""])
def test_what_is_no_timeline_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_mastodon(body, "https://m.example", None)


def test_a_status_may_be_nearly_empty() -> None:
    page = parse_mastodon(b'[{"id":"1","content":"","language":null,"created_at":"x"}]', "https://m.example/", None)
    (found,) = page.posts
    assert (found.text, found.when, found.url) == ("", None, "https://m.example/api/v1/statuses/1")
    assert parse_post(found, HEAT, (), "m") is None


def test_html_becomes_text_and_links() -> None:
    html = (
        "<p>Heat &amp; dust<br>9/10</p><script>no()</script><p>see <a href='https://www.imdb.com/title/tt0113277/'>"
        "<span class='invisible'>https://www.</span><span>imdb.com/tit…</span></a></p><p>"
    )
    text, links = html_text(html)
    assert text == "Heat & dust\n9/10\n\nsee https://www.imdb.com/tit…"
    assert film_addresses(text, links) == ("https://www.imdb.com/title/tt0113277/",)
    assert html_text("") == ("", [])


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("@anna and @bob@m.example agree", "@… and @… agree"),
        ("https://m.example/@anna/1", "https://m.example/@…/1"),
        ("mail anna.a@m.example", "mail …"),
        ("as /u/anna and u/bob said", "as u/… and u/… said"),
        ("@anna:m.example 8/10", "@… 8/10"),
        ("8 @ 10", "8 @ 10"),
        ("broken \ud800 pair", "broken ? pair"),
    ],
)
def test_nobody_is_named(said: str, kept: str) -> None:
    assert nameless(said) == kept


@pytest.mark.parametrize("part", ["a", "-", "- ", "@a", "1 ", "(", "★", "<p>", "https://", "> ", "a@", "Heat "])
def test_long_texts_of_one_thing_are_read_in_one_go(part: str) -> None:
    """Patterns that try again from every letter would take hours for these."""
    text, _ = html_text(part * (200_000 // len(part)) if part != "<p>" else part * 2000)
    plain = nameless(part * (200_000 // len(part)))
    assert len(text) <= 200_000
    assert parse_post(post(plain), HEAT, (HEAT,), "s", "Heat") is None
    assert parse_post(post(plain), None, (HEAT,), "s") is None


def test_only_the_addresses_of_films_are_kept() -> None:
    text = "https://m.example/@anna (https://www.themoviedb.org/movie/949-heat), https://www.wikidata.org/wiki/Q42198"
    assert film_addresses(text) == (
        "https://www.themoviedb.org/movie/949-heat",
        "https://www.wikidata.org/wiki/Q42198",
    )


def test_the_future_that_an_author_claims_is_not_believed() -> None:
    each = {
        "uri": "at://did:plc:a/app.bsky.feed.post/1", "author": {"did": "did:plc:a", "labels": None},
        "record": {"text": "Heat", "createdAt": "2099-01-01T00:00:00Z", "langs": None, "facets": None},
        "indexedAt": "2026-11-01T00:00:00.000Z",
    }  # fmt: skip
    page = parse_bluesky(msgspec.json.encode({"posts": [each], "cursor": None}))
    assert page.posts[0].when == "2026-11-01T00:00:00.000Z"
    assert page.posts[0].url == "https://bsky.app/profile/did:plc:a/post/1"


def test_links_that_bluesky_cuts_are_in_its_facets() -> None:
    link = {"$type": "app.bsky.richtext.facet#link", "uri": "https://www.imdb.com/title/tt0113277/"}
    facets = [{"index": {}, "features": [link, {"$type": "app.bsky.richtext.facet#tag", "tag": "x"}, 7]}, {}]
    each = {"uri": "at://a/b/c/d", "author": {"did": "a"}, "record": {"text": "imdb.com/title…", "facets": facets}}
    (found,) = parse_bluesky(msgspec.json.encode({"posts": [each]})).posts
    assert (found.addresses, found.url, found.when) == ((link["uri"],), None, None)


def test_a_cursor_without_posts_ends_the_search() -> None:
    assert parse_bluesky(b'{"posts":[],"cursor":"100"}').next is None


def test_a_listing_may_hold_other_things() -> None:
    body = (
        b'{"kind":"Listing","data":{"after":null,"children":[{"kind":"t5","data":{"name":7}},'
        b'{"kind":"t3","data":{"name":"t3_a","title":"Heat","selftext":null,"author":null,"created_utc":null}}]}}'
    )
    (found,) = parse_reddit(body).posts
    assert (found.text, found.when, found.url, found.author) == ("Heat", None, None, None)


@pytest.mark.parametrize("moment", ["1e30", "-1e30", "1e12", "0"])
def test_a_time_that_is_none_is_left_out_and_is_not_the_newest(moment: str) -> None:
    body = f'{{"data":{{"children":[{{"kind":"t3","data":{{"name":"t3_a","title":"Heat","created_utc":{moment}}}}}]}}}}'
    page = parse_reddit(body.encode())
    assert [(found.when, found.order) for found in page.posts] == [(None, "0")]
    assert page.orders == ["0"]


@pytest.mark.parametrize(
    ("text", "is_of"),
    [
        ("Heat, 9/10", True),
        ("Watched #Heat yesterday", True),
        ("Heat is the best film of 1995", True),
        ("The heat today is unbearable", False),
        ("Heat 2 is in the cinema", False),
        ("Preheat the oven, 9/10", False),
        ("", False),
    ],
)
def test_a_title_alone_is_a_word(text: str, is_of: bool) -> None:
    record = parse_post(post(text), HEAT, (), "s", "Heat")
    assert isinstance(record, ReviewObserved) is is_of


def test_what_links_to_a_film_is_matched_by_that() -> None:
    record = parse_post(post("Heat 9/10", "https://www.imdb.com/title/tt0017136/"), HEAT, (HEAT,), "s")
    assert isinstance(record, FilmMentioned)
    assert record.addresses == ("https://www.imdb.com/title/tt0017136/",)


def test_ids_of_more_digits_are_newer() -> None:
    assert newest(["99", "100", "98"]) == "100"
    assert newest([]) == ""
    assert newest(["", "2026-11-01T00:00:00.000Z"]) == "2026-11-01T00:00:00.000Z"


def test_a_hashtag_has_letters_and_digits_only() -> None:
    assert hashtag("The Lord of the Rings: Part 1") == "TheLordoftheRingsPart1"
    assert hashtag("…") == ""

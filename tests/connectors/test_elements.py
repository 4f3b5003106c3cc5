"""One element of a list that has no sense costs that element, of whatever kind the service is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from aiohttp import web

from app.connectors.base import FilmTarget, PersonTarget, Refused, Request
from app.connectors.elements import NONSENSE, Each
from app.connectors.errors import MAX_RAW, IncompleteError, MalformedError
from app.connectors.google_payloads import parse_cse, parse_serpapi
from app.connectors.mediawiki import values_of
from app.connectors.news_payloads import parse_gdelt, parse_guardian, parse_newsapi
from app.connectors.social_payloads import parse_bluesky, parse_mastodon, parse_reddit
from app.connectors.tmdb_payloads import (
    Film,
    Images,
    Person,
    Reviews,
    parse_film,
    parse_found,
    parse_person,
    parse_reviews,
)
from app.connectors.wiki_pages import parse_pages, parse_same_film, parse_views
from app.connectors.youtube_payloads import parse_comments, parse_search, parse_videos
from tests.connectors.service import serving
from tests.connectors.suite import NAME, Broker, FakeClock
from tests.connectors.test_google_images_contract import Cse, TestGoogleCse
from tests.connectors.test_tmdb_contract import TestTmdb, Tmdb, person

HEAT: Final = FilmTarget(film_id="tt0113277", title="Heat", year=1995)
SOMEBODY: Final = PersonTarget(celebrity_id="Q1", name="Somebody")
IMAGES: Final = Images("https://i.example/", ["original"])
TIME: Final = "2026-01-01T00:00:00Z"
COMMENT: Final = {"id": "c", "snippet": {"textOriginal": "Fine.", "publishedAt": TIME}}
CHILD: Final = {"kind": "t3", "data": {"name": "t3_1", "title": "Heat", "created_utc": 1.7e9}}


class Shape(msgspec.Struct):
    """An element of tests."""

    id: str
    size: int | None = None


def raws(*elements: Any) -> list[msgspec.Raw]:
    """A list as a shape holds it."""
    return [msgspec.Raw(msgspec.json.encode(each)) for each in elements]


def test_what_has_no_shape_is_refused_with_its_reason_and_its_bytes() -> None:
    found = Each(Shape, "a thing")(raws({"id": "a", "size": "12"}, {"id": None}, {"id": "b", "size": None}, None))
    assert found.good == [Shape("a", 12), Shape("b")]
    assert [(each.reason, each.raw) for each in found.refused] == [
        ("a thing: Expected `str`, got `null` - at `$.id`", b'{"id":null}'),
        ("a thing: Expected `object`, got `null`", b"null"),
    ]
    assert Each(Shape, "a thing")(None) == ([], [])


def test_a_list_without_any_sense_is_an_answer_without_any() -> None:
    each = Each(Shape, "a thing")
    assert len(each(raws(*[{}] * (NONSENSE - 1))).refused) == NONSENSE - 1
    with pytest.raises(MalformedError, match="none of 3 has sense: a thing: "):
        each(raws(*[{}] * NONSENSE))


def test_bytes_that_are_no_text_are_refused_and_so_is_no_more_of_them_kept_than_of_answers() -> None:
    (refused,) = Each(Shape, "a thing")([msgspec.Raw(b'{"id":"\xff"}')]).refused
    assert refused.raw == b'{"id":"\xff"}'
    (refused,) = Each(Shape, "a thing")(raws({"x": "y" * 2 * MAX_RAW})).refused
    assert len(refused.raw) == MAX_RAW


def test_of_a_secret_element_nothing_is_kept() -> None:
    (refused,) = Each(Shape, "a thing", secret=True)([msgspec.Raw(b'{"id":"very private \xff"}')]).refused
    assert (refused.reason, refused.raw) == ("a thing: no JSON", b"")


def _cse(body: bytes) -> Any:
    return parse_cse(body, SOMEBODY, "g").found, parse_cse(body, SOMEBODY, "g").refused


def _serpapi(body: bytes) -> Any:
    return parse_serpapi(body, SOMEBODY, "g").found, parse_serpapi(body, SOMEBODY, "g").refused


def _comments(body: bytes) -> Any:
    return parse_comments(body, "tt1", "v", "s")[:2]


def _articles(parse: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    return lambda body: (parse(body).articles, parse(body).refused)


def _posts(parse: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    return lambda body: (parse(body).posts, parse(body).refused)


def _reviews(body: bytes) -> Any:
    found = list(parse_reviews(msgspec.json.decode(body, type=Reviews), HEAT, "t"))
    refused = [each for each in found if isinstance(each, Refused)]
    return [each for each in found if not isinstance(each, Refused)], refused


SERVICES: Final[dict[str, tuple[Callable[[bytes], Any], Callable[[list[Any]], Any], Any, Any]]] = {
    # How it is read, the answer around a list, a good element, and the same with nothing in what may lack.
    "cse": (
        _cse,
        lambda items: {"items": items, "queries": {"nextPage": [{"startIndex": 11}]}},
        {"link": "https://h/1.jpg", "image": {"width": "6"}},
        {"link": "https://h/2.jpg", "image": None},
    ),
    "serpapi": (
        _serpapi,
        lambda items: {"images_results": items},
        {"original": "https://h/1.jpg", "original_width": "600"},
        {"original": "https://h/2.jpg", "original_width": None, "link": None},
    ),
    "youtube comments": (
        _comments,
        lambda items: {"items": items},
        {"snippet": {"topLevelComment": COMMENT}},
        {"snippet": {"topLevelComment": {**COMMENT, "snippet": {**COMMENT["snippet"], "publishedAt": None,  # type: ignore[dict-item]
                                                                "authorChannelId": None}}}},
    ),
    "youtube videos": (
        parse_videos,
        lambda items: {"items": items},
        {"id": "v", "snippet": {"title": "t"}, "statistics": {"commentCount": "1"}},
        {"id": "w", "snippet": None, "statistics": None},
    ),
    "youtube search": (
        lambda body: parse_search(body, HEAT),
        lambda items: {"items": items},
        {"id": {"videoId": "v"}, "snippet": {"title": "Heat (1995)", "description": None}},
        {"id": {"videoId": "w"}, "snippet": {"title": "Heat 1995"}},
    ),
    "guardian": (
        _articles(parse_guardian),
        lambda items: {"response": {"results": items, "pages": 1}},
        {"id": "a", "webTitle": "Heat"},
        {"id": "b", "webTitle": "Heat", "fields": None, "webUrl": None},
    ),
    "newsapi": (
        _articles(lambda body: parse_newsapi(body, "en")),
        lambda items: {"totalResults": 9, "articles": items},
        {"url": "https://a", "title": "Heat"},
        {"url": "https://b", "title": "Heat", "content": None, "description": None, "author": None},
    ),
    "gdelt": (
        _articles(parse_gdelt),
        lambda items: {"articles": items},
        {"url": "https://a", "title": "Heat"},
        {"url": "https://b", "title": "Heat", "language": None, "seendate": None},
    ),
    "mastodon": (
        _posts(lambda body: parse_mastodon(body, "https://m.example", None)),
        lambda items: items,
        {"id": "1", "content": "<p>Heat</p>"},
        {"id": "2", "content": None, "account": None, "created_at": None},
    ),
    "bluesky": (
        _posts(parse_bluesky),
        lambda items: {"posts": items},
        {"uri": "at://did/app.bsky.feed.post/1", "author": {"did": "d"}, "record": {"text": "Heat"}},
        {"uri": "at://did/app.bsky.feed.post/2", "author": {"did": "d", "labels": None},
         "record": {"text": None, "facets": [{"features": 7}]}},
    ),
    "reddit": (
        _posts(parse_reddit),
        lambda items: {"data": {"children": items}},
        CHILD,
        {"kind": "t3", "data": {"name": "t3_2", "title": "Heat", "selftext": None, "author": None}},
    ),
    "tmdb reviews": (
        _reviews,
        lambda items: {"results": items, "total_pages": 1},
        {"id": "r", "content": "Fine."},
        {"id": "s", "content": "Fine.", "author_details": None, "url": None},
    ),
}  # fmt: skip


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    "odd", [None, {}, 7, {"id": 7, "kind": "t3", "data": None, "link": None, "original": 7, "url": 7}]
)
def test_what_stands_beside_an_element_without_sense_is_read(service: str, odd: Any) -> None:
    read, around, full, bare = SERVICES[service]
    good, refused = read(msgspec.json.encode(around([full, odd, bare])))
    assert len(good) == 2
    # Where everything may lack, an element with nothing in it is one that says nothing.
    assert len(refused) == (0 if odd == {} and service in ("serpapi", "newsapi") else 1)


@pytest.mark.parametrize("service", SERVICES)
def test_an_answer_that_is_none_at_all_is_malformed(service: str) -> None:
    read, around, _, _ = SERVICES[service]
    for body in (around({"not": "a list"}), around([7, 8, 9]), "x"):  # type: ignore[arg-type]
        with pytest.raises(MalformedError):
            _held(read, msgspec.json.encode(body))


def _held(read: Callable[[bytes], Any], body: bytes) -> None:
    try:
        read(body)
    except msgspec.ValidationError as error:
        # Reviews are held to their shape by the session.
        raise MalformedError(str(error)) from error


def test_serpapi_may_write_null_for_no_results() -> None:
    assert parse_serpapi(b'{"images_results":null}', SOMEBODY, "g").found == []
    assert parse_cse(b'{"items":null,"queries":null}', SOMEBODY, "g") == ([], [], None)


def test_a_comment_that_was_deleted_is_none() -> None:
    threads = [{"snippet": {"topLevelComment": None}}, {"snippet": {}}, {"snippet": {"topLevelComment": COMMENT}}]
    page = parse_comments(msgspec.json.encode({"items": threads}), "tt1", "v", "s")
    assert ([review.text for review in page.reviews], page.refused, page.oldest) == (["Fine."], [], TIME)


def test_a_person_of_whom_next_to_nothing_is_known_stays_one() -> None:
    nothing = {"id": 7, "name": None, "images": None, "external_ids": None}
    (who,) = parse_person(msgspec.convert(nothing, Person), SOMEBODY, "t", IMAGES, "w185")
    assert not isinstance(who, Refused)
    assert who.name == "Somebody"  # type: ignore[attr-defined]


def test_a_film_has_the_genres_that_can_be_read() -> None:
    said = {"id": 7, "title": "Heat", "genres": [{"name": "Crime"}, {"name": None}], "episode_run_time": [None],
            "external_ids": None}  # fmt: skip
    refused, _, facts = parse_film(msgspec.json.decode(msgspec.json.encode(said), type=Film), HEAT, "t")
    assert isinstance(refused, Refused)
    assert facts.genres == ("Crime",)  # type: ignore[union-attr]


def test_the_first_result_with_a_number_is_the_one() -> None:
    assert parse_found(raws({"id": None}, {"id": 7})) == 7
    assert parse_found(None) is None


def test_a_wikis_statements_are_read_one_by_one() -> None:
    said = ({"datavalue": {"value": {"no": "text"}}}, None, {"datavalue": None}, {"datavalue": {"value": "tt1"}})
    claims = {"P345": raws(None, *({"mainsnak": each} for each in said))}
    assert list(values_of(claims, "P345")) == [{"no": "text"}, "tt1"]
    body = msgspec.json.encode({"entities": {"Q1": {"claims": claims}}})
    assert parse_same_film(body, "tt1") == ["Q1"]


def test_a_candidate_that_has_no_sense_is_none_of_the_candidates() -> None:
    good = {"title": "Heat", "pageprops": None, "revisions": [{"slots": None}], "lastrevid": None}
    pages, _ = parse_pages(msgspec.json.encode({"query": {"pages": [{"title": None}, good]}}))
    assert [(page.title, page.item, page.source) for page in pages] == [("Heat", None, "")]
    with pytest.raises(MalformedError):
        parse_pages(b'{"query":{"pages":[{"title":null}]}}')
    assert parse_views(b'{"items":[{"views":3},{"views":null},{}]}') == 3


@pytest.mark.parametrize("text", [rb"cut \ud83d", rb"\uDE00 and more of it", rb"\\ud83d \ud83d\u2026 and so on"])
def test_a_letter_that_was_cut_in_its_middle_costs_that_letter(text: bytes) -> None:
    body = (
        rb'{"totalResults":2,"articles":[{"url":"https://a","title":"%s"},{"url":"https://b","title":"\ud83d\ude00"}]}'
    )
    first, second = parse_newsapi(body % text, "en").articles
    assert (first.title.count("\ufffd"), second.title) == (1, "\U0001f600")
    with pytest.raises(IncompleteError):
        parse_newsapi((body % text)[:-9], "en")


async def test_pages_behind_a_result_without_an_address_are_asked_for(tmp_path: Path) -> None:
    class Odd(Cse):
        async def answer(self, request: web.Request) -> web.Response:
            answer = await super().answer(request)
            page = msgspec.json.decode(answer.body or b"")  # type: ignore[arg-type]
            if request.query["start"] == "1":
                del page["items"][3]["link"]
            return web.json_response(page)

    suite = TestGoogleCse()
    suite.request = lambda: Request(NAME, people=(SOMEBODY,))  # type: ignore[method-assign]
    async with serving(Odd()) as site:
        broker = Broker()
        report = await suite.run(site, tmp_path, FakeClock(), broker)
    assert (len(broker.records("images-found")), report.refused) == (13, 1)


async def test_a_picture_without_a_size_costs_none_of_the_others(tmp_path: Path) -> None:
    class Odd(Tmdb):
        def find(self, request: web.Request) -> dict[str, Any] | None:
            if "person/" not in request.path:
                return super().find(request)
            found = person(1)
            first, second, _ = found["images"]["profiles"]
            first.update(width=None, height=None)
            second.update(file_path=None)
            return {**found, "name": None, "external_ids": None}

    suite = TestTmdb()
    whom = PersonTarget(celebrity_id="tmdb:person/1", name="Somebody", tmdb=1)
    suite.request = lambda: Request(NAME, people=(whom,))  # type: ignore[method-assign]
    async with serving(Odd()) as site:
        broker = Broker()
        report = await suite.run(site, tmp_path, FakeClock(), broker)
    (who,) = broker.records("celebrity-submissions")
    found = [(each["url"].rpartition("/")[2], each.get("width")) for each in broker.records("images-found")]
    assert (who["name"], report.refused) == ("Somebody", 1)
    assert found == [("p1-0.jpg", None), ("p1-2.jpg", 546)]

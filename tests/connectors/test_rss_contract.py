"""The `rss` connector against a server with feeds of every version, and its parser against what feeds really hold."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest
from aiohttp import web

from app.connectors.errors import IncompleteError, MalformedError
from app.connectors.feed_entries import Entry, parse_entry, parse_feed
from app.connectors.registry import config_of
from app.connectors.runner import CursorStore, Report
from app.settings import ConfigError
from schemas.events import ReviewObserved
from schemas.mentions import FilmMentioned
from tests.connectors.service import Service, instead, serving
from tests.connectors.suite import Broker, ConnectorSuite, FakeClock

RSS_2 = """<?xml version="1.0" encoding="utf-8"?>
<rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/"
 xmlns:dc="http://purl.org/dc/elements/1.1/"><channel>
<title>Reviews</title><link>https://reviews.example/</link><description>x</description><language>en-GB</language>
<item><title>Inception (2010): 9/10</title><link>https://reviews.example/inception</link>
 <guid isPermaLink="false">7</guid><pubDate>Tue, 03 Nov 2026 10:00:00 +1300</pubDate><dc:creator>Anna Smith</dc:creator>
 <description>A beginning …</description>
 <content:encoded><![CDATA[<p>All of it &amp; <a href="https://www.imdb.com/title/tt1375666/">more</a>.</p>
 <script>alert(1)</script><p>Good.</p>]]></content:encoded></item>
<item><title>Letters</title><link>/letters</link><description>Plain words</description></item>
</channel></rss>"""
ATOM = """<?xml version="1.0" encoding="utf-8"?>
<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="de"><title>Kritiken</title><id>tag:k.example,2026:f</id>
<updated>2026-11-03T10:00:00Z</updated>
<entry><title type="html">The &lt;b&gt;Matrix&lt;/b&gt;</title><id>tag:k.example,2026:1</id><link href="/m"/>
<updated>2026-11-03T10:00:00+01:00</updated><author><name>Bernd</name></author>
<content type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml"><p>Gut, 8/10.</p></div></content></entry>
<entry><title>Noch eine</title><id>tag:k.example,2026:2</id><updated>2026-11-02T10:00:00Z</updated>
<summary>Kurz</summary></entry></feed>"""
RSS_1 = """<?xml version="1.0"?><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
 xmlns="http://purl.org/rss/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/">
<channel rdf:about="https://old.example/"><title>Old</title><link>https://old.example/</link>
<description>x</description></channel>
<item rdf:about="https://old.example/1"><title>One</title><link>https://old.example/1</link>
<dc:date>2003-02-01T00:00:00Z</dc:date><description>Words</description></item></rdf:RDF>"""
RSS_091 = """<?xml version="1.0"?><!DOCTYPE rss PUBLIC "-//Netscape Communications//DTD RSS 0.91//EN"
 "http://my.netscape.com/publish/formats/rss-0.91.dtd"><rss version="0.91"><channel><title>Older</title>
<link>https://older.example/</link><description>x</description><language>en</language>
<item><title>Caf&eacute; Society</title><link>https://older.example/1</link><description>B+ film</description></item>
</channel></rss>"""
FEEDS = {"/two.xml": RSS_2, "/atom.xml": ATOM, "/one.rdf": RSS_1, "/old.xml": RSS_091}


class Feeds(Service):
    """A web server with feeds, which says what changed."""

    def __init__(self) -> None:
        super().__init__()
        self.feeds = dict(FEEDS)

    async def answer(self, request: web.Request) -> web.Response:
        """The feed; gone for good where there is one no more."""
        if request.path not in self.feeds:
            return web.Response(status=410 if request.path == "/gone.xml" else 404)
        return web.Response(text=self.feeds[request.path], content_type="application/xml")


class TestRss(ConnectorSuite):
    """Feeds of four versions, of which one is about a single film."""

    kind = "rss"
    keys: ClassVar[dict[str, Any]] = {
        "feeds": ["two.xml", {"url": "atom.xml", "film": "tt0133093"}, "one.rdf", "old.xml"],
        "robots": False,
    }
    records = 6
    topics = {"film-mentions", "reviews"}  # noqa: RUF012
    pages = 4
    inside_200 = staticmethod(instead("<html><title>Service unavailable</title></html>", "text/html"))
    inside_200_says = "no feed but"

    def service(self) -> Service:
        """The feeds' server."""
        return Feeds()


async def _run(folder: Path, site: Service, clock: FakeClock | None = None, **keys: Any) -> tuple[Broker, Report]:
    broker = Broker()
    return broker, await TestRss().run(site, folder, clock or FakeClock(), broker, CursorStore(folder), **keys)


async def test_an_entry_that_names_no_film_by_id_is_a_mention_with_its_addresses(tmp_path: Path) -> None:
    async with serving(Feeds()) as site:
        broker, _ = await _run(tmp_path, site, feeds=["two.xml"])
    letters, inception = broker.records("film-mentions")
    assert inception["text"] == "Inception (2010): 9/10\nAll of it & more.\nGood."
    assert inception["addresses"] == ["https://reviews.example/inception", "https://www.imdb.com/title/tt1375666/"]
    assert (inception["observed_at"], inception["lang"]) == ("2026-11-02T21:00:00.000Z", "en-GB")
    assert inception["source_record_id"] == f"127.0.0.1:{site.port}/two.xml#7"
    assert "Anna" not in str(inception)
    assert (inception["title"], inception["value"]) == (None, None)
    assert letters["url"] == f"{site.url}/letters"


async def test_a_feed_about_one_film_gives_reviews_with_the_scores_in_them(tmp_path: Path) -> None:
    async with serving(Feeds()) as site:
        broker, _ = await _run(tmp_path, site, feeds=[{"url": "atom.xml", "film": "tt0133093"}])
    short, matrix = broker.records("reviews")
    assert (matrix["film_id"], matrix["rating"], matrix["best"]) == ("tt0133093", 8.0, 10.0)
    assert (matrix["text"], matrix["lang"]) == ("The Matrix\nGut, 8/10.", "de")
    assert (matrix["source_record_id"], matrix["url"]) == ("tag:k.example,2026:1", f"{site.url}/m")
    assert short["rating"] is None


async def test_only_what_is_new_in_a_feed_that_changed_is_sent(tmp_path: Path) -> None:
    site = Feeds()
    async with serving(site):
        first, _ = await _run(tmp_path, site, feeds=["two.xml"])
        site.feeds["/two.xml"] = RSS_2.replace("<item><title>L", "<item><title>New</title></item><item><title>L")
        second, _ = await _run(tmp_path, site, feeds=["two.xml"])
        site.feeds["/two.xml"] = RSS_2.replace("Plain words", "Other words")
        third, _ = await _run(tmp_path, site, feeds=["two.xml"])
    assert len(first.sent()) == 2
    assert [each["text"] for each in second.records("film-mentions")] == ["New"]
    (changed,) = third.records("film-mentions")
    assert changed["text"] == "Letters\nOther words"
    assert changed["mention_id"] in {each["mention_id"] for each in first.records("film-mentions")}


async def test_a_feed_that_is_gone_for_good_is_not_asked_for_again(tmp_path: Path) -> None:
    async with serving(Feeds()) as site:
        _, first = await _run(tmp_path, site, feeds=["gone.xml", "two.xml"])
        site.asked.clear()
        _, second = await _run(tmp_path, site, feeds=["gone.xml", "two.xml"])
        assert [asked.path for asked in site.asked] == ["/two.xml"]
    assert (first.status, first.records) == ("success", 2)
    assert any("gone for good" in note for note in second.notes)


class Broken(Service):
    """Always in trouble."""

    async def answer(self, request: web.Request) -> web.Response:
        """Nothing but trouble."""
        return web.Response(status=503)


class Beside(Feeds):
    """Feeds, with another server that may be reached as well."""

    def __init__(self, other: Service) -> None:
        super().__init__()
        self.other = other

    @property
    def allow(self) -> tuple[str, ...]:
        """Both."""
        return (*super().allow, *self.other.allow)


async def test_a_host_in_trouble_costs_only_its_own_feeds(tmp_path: Path) -> None:
    async with serving(Broken()) as bad, serving(Beside(bad)) as good:
        feeds = [f"{bad.url}/a.xml", f"{bad.url}/b.xml", f"{good.url}/two.xml", f"{good.url}/one.rdf"]
        broker, report = await _run(tmp_path, good, feeds=feeds, retries=1)
        assert [asked.path for asked in bad.asked] == ["/a.xml"] * 2
    assert (report.status, report.reaction, len(broker.sent())) == ("failed", "retry", 3)
    assert "503" in (report.error or "")


async def test_without_the_library_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "feedparser", None)
    async with serving(Feeds()) as site:
        _, report = await _run(tmp_path, site)
    assert (report.reaction, "extra [sources]" in (report.error or "")) == ("stop", True)


async def test_robots_are_asked_before_a_feed(tmp_path: Path) -> None:
    class Shy(Feeds):
        """Wants no programs."""

        async def handle(self, request: web.Request) -> web.StreamResponse:
            if request.path == "/robots.txt":
                return web.Response(text="User-agent: *\nDisallow: /\n")
            return await super().handle(request)

    async with serving(Shy()) as site:
        broker, report = await _run(tmp_path, site, feeds=["two.xml"], robots=True)
        assert site.asked == []
    assert (report.error_class, broker.sent()) == ("Blocked", [])


async def test_a_feed_that_is_not_for_programs_keeps_no_other_of_its_site_from_being_read(tmp_path: Path) -> None:
    class Partly(Feeds):
        """Shows one feed to no program, and asks for another to be left alone."""

        async def handle(self, request: web.Request) -> web.StreamResponse:
            if request.path == "/robots.txt":
                return web.Response(text="User-agent: *\nDisallow: /atom\n")
            if request.path == "/members.xml":
                return web.Response(status=403)
            return await super().handle(request)

    async with serving(Partly()) as site:
        feeds = ["atom.xml", "members.xml", "two.xml"]
        broker, report = await _run(tmp_path, site, feeds=feeds, robots=True)
        assert [asked.path for asked in site.asked] == ["/two.xml"]
    assert (report.status, report.error_class, len(broker.sent())) == ("failed", "Blocked", 2)
    assert any("members.xml: access refused (403)" in note for note in report.notes)


async def test_a_feed_whose_robots_txt_is_in_trouble_is_asked_again_by_the_next_run(tmp_path: Path) -> None:
    class Troubled(Feeds):
        """Knows its rules later."""

        rules = 503

        async def handle(self, request: web.Request) -> web.StreamResponse:
            if request.path == "/robots.txt":
                return web.Response(status=self.rules)
            return await super().handle(request)

    async with serving(Troubled()) as site:
        _, report = await _run(tmp_path, site, feeds=["two.xml"], robots=True)
        assert (report.status, report.reaction, report.error_class) == ("failed", "retry", "Retryable")
        site.rules = 404
        broker, report = await _run(tmp_path, site, feeds=["two.xml"], robots=True)
    assert (report.status, len(broker.sent())) == ("success", 2)


async def test_a_pattern_tells_the_film_in_the_titles_of_entries(tmp_path: Path) -> None:
    async with serving(Feeds()) as site:
        broker, _ = await _run(tmp_path, site, feeds=["two.xml"], title=r"^(?P<title>.+?) \((?P<year>\d{4})\)")
    letters, inception = broker.records("film-mentions")
    assert (inception["title"], inception["year"]) == ("Inception", 2010)
    assert (letters["title"], letters["year"]) == (None, None)


def entries(item: str, head: str = '<?xml version="1.0"?>', channel: str = "") -> list[Entry]:
    """The entries of an RSS 2.0 feed around an item."""
    text = f"{head}<rss version='2.0'><channel><title>T</title>{channel}{item}</channel></rss>"
    return parse_feed(text.encode(), "https://h.example/feed").entries


def test_a_diary_that_states_film_year_number_and_stars_is_believed() -> None:
    (entry,) = parse_feed(
        b"""<rss version="2.0" xmlns:letterboxd="https://letterboxd.com" xmlns:tmdb="https://themoviedb.org"><channel>
        <item><title>Inception, 2010 - \xe2\x98\x85\xe2\x98\x85</title><guid>letterboxd-review-1</guid>
        <letterboxd:filmTitle>Inception</letterboxd:filmTitle><letterboxd:filmYear>2010</letterboxd:filmYear>
        <letterboxd:memberRating>3.5</letterboxd:memberRating><tmdb:movieId>27205</tmdb:movieId>
        <description>Fine.</description></item></channel></rss>""",
        "https://h.example/anna/rss/",
    ).entries
    (mention,) = parse_entry(entry, "diary", "https://h.example/anna/rss/", None, (None, None))
    assert isinstance(mention, FilmMentioned)
    assert (mention.title, mention.year, mention.tmdb) == ("Inception", 2010, 27205)
    assert (mention.value, mention.best, mention.worst) == (3.5, 5.0, 0.0)
    (review,) = parse_entry(entry, "diary", "https://h.example/anna/rss/", "tt1375666", (None, None))
    assert isinstance(review, ReviewObserved)
    assert (review.rating, review.best) == (3.5, 5.0)


def test_an_entry_without_an_id_has_the_same_one_every_time() -> None:
    (first,) = entries("<item><description>Words</description></item>")
    (second,) = entries("<item><description>Words</description></item>", channel="<ttl>5</ttl>")
    assert first.id == second.id
    assert first.id != entries("<item><description>Other</description></item>")[0].id


def test_numbers_of_two_feeds_do_not_name_one_entry() -> None:
    (entry,) = entries("<item><guid isPermaLink='false'>12</guid><title>x</title></item>")
    names = {next(parse_entry(entry, "s", f"https://{host}/f", None, (None, None))).key for host in ("a.b", "c.d")}
    assert len(names) == 2


def test_an_entry_that_says_nothing_is_left_out() -> None:
    assert entries("<item><guid>1</guid><link>https://h/1</link></item>") == []


def test_a_date_that_is_none_is_left_out() -> None:
    (entry,) = entries("<item><title>x</title><pubDate>yesterday, more or less</pubDate></item>")
    assert entry.observed_at is None


def test_addresses_that_are_no_web_addresses_are_left_out() -> None:
    item = "<item><title>x</title><link>javascript:alert(1)</link><description>{}</description></item>"
    (entry,) = entries(item.format("&lt;a href='mailto:a@b'&gt;a&lt;/a&gt; &lt;a href='/b'&gt;b&lt;/a&gt;"))
    assert entry.url is None
    assert all(address.startswith("http") for address in entry.addresses)


def test_letters_of_html_and_of_windows_are_read_in_feeds_that_do_not_declare_them() -> None:
    (entry,) = entries("<item><title>Am&amp;eacute;lie &amp;#8211; caf\u00e9</title></item>")
    assert entry.title == "Amélie – café"
    head = "<?xml version='1.0' encoding='windows-1252'?><rss version='2.0'><channel>"
    body = f"{head}<item><title>d\u00e9j\u00e0</title></item></channel></rss>"
    (entry,) = parse_feed(body.encode("cp1252"), "https://h/f").entries
    assert entry.title == "déjà"


def test_a_server_that_calls_a_feed_a_page_or_a_text_is_forgiven() -> None:
    for said in ("text/html", "text/plain; charset=utf-8", "application/octet-stream", ""):
        assert len(parse_feed(RSS_2.encode(), "https://h/f", said).entries) == 2


def test_a_feed_with_an_unclosed_tag_or_a_stray_ampersand_is_read_as_far_as_it_goes() -> None:
    assert entries("<item><title>Tom & Jerry</title><description>a < b</description></item>")[0].title == "Tom & Jerry"


@pytest.mark.parametrize(
    "body",
    [b"", b"<!DOCTYPE html><html><body>Sign in</body></html>", b'{"version":"https://jsonfeed.org/version/1.1"}',
     b"<?xml version='1.0'?><opml version='2.0'></opml>"],
)  # fmt: skip
def test_what_is_no_feed_is_not_an_empty_feed(body: bytes) -> None:
    with pytest.raises(MalformedError, match="no feed"):
        parse_feed(body, "https://h/f")


def test_a_feed_that_its_parser_chokes_on_is_malformed() -> None:
    with pytest.raises(MalformedError, match="unreadable"):
        entries("<item><title>a & b &#x110000;</title></item>")


def test_an_empty_feed_is_one() -> None:
    assert entries("") == []
    assert parse_feed(b"<feed xmlns='http://www.w3.org/2005/Atom'/>", "https://h/f").entries == []


def test_half_a_feed_is_told_from_a_whole_one() -> None:
    for feed in (RSS_2, ATOM, RSS_1, RSS_091):
        with pytest.raises(IncompleteError):
            parse_feed(feed.encode()[: len(feed) * 2 // 3], "https://h/f")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_feed_that_would_blow_up_is_refused_before_it_is_parsed(encoding: str) -> None:
    bomb = f'<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY a "{"x" * 5000}">]><rss version="2.0"><channel>'
    item = f"<item><title>{'&a;' * 1000}</title></item>"
    with pytest.raises(MalformedError, match="declares an entity"):
        parse_feed(f"{bomb}{item}</channel></rss>".encode(encoding), "https://h/f")


def test_a_feed_that_names_a_file_of_this_machine_does_not_open_it(tmp_path: Path) -> None:
    secret = tmp_path / "secret.xml"
    secret.write_text(RSS_2)
    with pytest.raises(MalformedError):
        parse_feed(str(secret).encode(), "https://h/f")
    head = f"<!DOCTYPE rss [<!ENTITY x SYSTEM 'file://{secret}'>]>"
    with pytest.raises(MalformedError, match="declares an entity"):
        entries("<item><title>&x;</title></item>", head)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"feeds": ["feed.xml"]}, "no whole address"),
        ({"feeds": [{"url": "https://h/f", "film": "Inception"}]}, "none of tt"),
        ({"feeds": ["https://h/f"], "title": "("}, "no pattern"),
        ({"feeds": ["https://h/f"], "title": "x"}, "needs a group"),
        ({"feeds": []}, "Expected `array` of length >= 1"),
    ],
)
def test_a_mistake_in_the_configuration_is_named(keys: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        config_of("feeds", {"kind": "rss", **keys})


async def test_parsing_does_not_hold_up_the_loop() -> None:
    item = "<item><title>x</title><description>words</description></item>"
    body = f"<rss version='2.0'><channel>{item * 300}</channel></rss>".encode()
    ticks, done = 0, asyncio.create_task(asyncio.to_thread(parse_feed, body, "https://h/f"))
    while not done.done():
        await asyncio.sleep(0.001)
        ticks += 1
    assert len((await done).entries) == 300
    assert ticks > 1

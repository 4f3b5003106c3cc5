"""Downloads against a real server that behaves as badly as the open web does."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from agents.errors import Unavailable
from app.pictures.download import GATHERED, Downloader, FailedError, RefusedError, shown
from app.pictures.robots import Robots, refused_by_tag
from app.settings import Fetch

CONTENT = b"\xff\xd8\xff" + b"picture" * 1000
PARTS = 700


def part(n: int) -> bytes:
    return n.to_bytes(2, "big") * 500


class BadWeb:
    """The routes of a server, and what was asked of it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.robots: tuple[int, str] = (404, "")
        self.failures = 0
        self.busy = self.busiest = 0

    def application(self) -> web.Application:
        async def answer(request: web.Request) -> web.StreamResponse:
            return await (self.robots_txt(request) if request.path == "/robots.txt" else self.answer(request))

        application = web.Application()
        application.router.add_get("/{path:.*}", answer)
        return application

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        name = request.path.rpartition("/")[2]
        run = getattr(self, name.partition(".")[0].replace("-", "_"), None)
        return await run(request) if run is not None else web.Response(status=404)

    async def robots_txt(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=self.robots[0])
        # As servers do for whoever says that it is welcome.
        response.enable_compression()
        await response.prepare(request)
        for line in self.robots[1].splitlines(keepends=True):
            await response.write(line.encode())
            await asyncio.sleep(0.01)
        return response

    async def good(self, request: web.Request) -> web.StreamResponse:
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        await asyncio.sleep(0.02)
        self.busy -= 1
        return web.Response(body=CONTENT, content_type="text/html")

    async def huge(self, request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"x" * 60_000)

    async def endless(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 8192)

    async def parts(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for n in range(PARTS):
            await response.write(part(n))
        return response

    async def brimful(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for size in (49_999, 2):
            await response.write(b"x" * size)
            await asyncio.sleep(0.05)
        await asyncio.sleep(60)
        return response

    async def slow(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(1000):
            await response.write(b"x")
            await asyncio.sleep(0.05)
        return response

    async def cut(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"x" * 10)
        assert request.transport is not None
        request.transport.close()
        return response

    async def loop(self, request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("/loop")

    async def away(self, request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound(request.query["to"])

    async def ill(self, request: web.Request) -> web.StreamResponse:
        self.failures += 1
        if self.failures < 3:
            return web.Response(status=503, headers={"Retry-After": "3"})
        return web.Response(body=CONTENT)

    async def patience(self, request: web.Request) -> web.StreamResponse:
        return web.Response(status=429, headers={"Retry-After": "3600"})

    async def private(self, request: web.Request) -> web.StreamResponse:
        return web.Response(body=CONTENT, headers={"X-Robots-Tag": "otherbot: noindex, noai"})

    async def tagged(self, request: web.Request) -> web.StreamResponse:
        return web.Response(body=CONTENT, headers={"X-Robots-Tag": "noimageindex"})

    async def packed(self, request: web.Request) -> web.StreamResponse:
        """As stores of files send what they hold packed, whatever was asked for."""
        packed = {"cut": gzip.compress(CONTENT)[:-9], "bomb": gzip.compress(bytes(32 << 20)), "plain": CONTENT}
        packed["parts"] = gzip.compress(CONTENT[:5]) + gzip.compress(CONTENT[5:]) + bytes(9)
        body = packed.get(request.query_string, gzip.compress(CONTENT))
        return web.Response(body=body, headers={"Content-Encoding": "gzip"})


@pytest.fixture
async def bad_web() -> AsyncIterator[tuple[BadWeb, TestServer]]:
    site = BadWeb()
    server = TestServer(site.application())
    await server.start_server()
    yield site, server
    await server.close()


def temporary(folder: Path) -> Path:
    return folder / f"{uuid.uuid4()}.part"


@asynccontextmanager
async def downloading(folder: Path, server: TestServer | None = None, **keys: object) -> AsyncIterator[Downloader]:
    allow = (f"{server.host}:{server.port}",) if server is not None else ()
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    fetch = Fetch(**({"allow": allow, "seconds": 5.0, "max_bytes": 50_000} | keys))
    async with Downloader(fetch, partial(temporary, folder), sleep=sleep, jitter=lambda: 0.0) as downloader:
        downloader.pauses = pauses
        yield downloader


async def test_a_picture_lies_in_a_temporary_file_under_its_digest(bad_web, tmp_path):
    _, server = bad_web
    async with downloading(tmp_path, server) as downloader:
        got = await downloader.download(str(server.make_url("/good.jpg")))
    assert got.path.read_bytes() == CONTENT
    assert (got.sha256, got.bytes) == (hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


@pytest.mark.parametrize("how", ["gzip", "parts", "plain"])
async def test_a_picture_that_a_server_packed_unasked_is_unpacked(bad_web, tmp_path, how):
    _, server = bad_web
    async with downloading(tmp_path, server) as downloader:
        got = await downloader.download(f"{server.make_url('/packed')}?{how}")
    assert got.path.read_bytes() == CONTENT
    assert (got.sha256, got.bytes) == (hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


async def test_a_large_picture_that_comes_in_small_parts_is_kept_whole(bad_web, tmp_path):
    _, server = bad_web
    whole = b"".join(map(part, range(PARTS)))
    assert len(whole) > 2 * GATHERED
    async with downloading(tmp_path, server, max_bytes=len(whole)) as downloader:
        got = await downloader.download(str(server.make_url("/parts")))
    assert got.path.read_bytes() == whole
    assert (got.sha256, got.bytes) == (hashlib.sha256(whole).hexdigest(), len(whole))


@pytest.mark.parametrize(
    ("path", "error", "reason"),
    [
        ("/huge", RefusedError, "60000 bytes, 50000 are allowed"),
        ("/endless", RefusedError, "more than the 50000 bytes"),
        ("/brimful", RefusedError, "more than the 50000 bytes"),
        ("/loop", RefusedError, "more than 5 redirects"),
        ("/tagged", RefusedError, "X-Robots-Tag: noimageindex"),
        ("/cut", FailedError, "/cut: "),
        ("/nothing-there", FailedError, "answered 404"),
        ("/patience", FailedError, "answered 429"),
        ("/packed?cut", FailedError, "/packed: what it packed ends in the middle"),
        ("/packed?bomb", RefusedError, "more than the 50000 bytes"),
    ],
)
async def test_what_cannot_be_kept_is_said_and_leaves_no_file(bad_web, tmp_path, path, error, reason):
    _, server = bad_web
    async with downloading(tmp_path, server) as downloader:
        with pytest.raises(error, match=reason):
            await downloader.download(str(server.make_url(path)))
    assert list(tmp_path.iterdir()) == []


async def test_a_slow_body_is_given_up_in_time(bad_web, tmp_path):
    _, server = bad_web
    async with downloading(tmp_path, server, seconds=0.5) as downloader:
        with pytest.raises(FailedError, match=r"not there within 0\.5 s"):
            await downloader.download(str(server.make_url("/slow")))
    assert list(tmp_path.iterdir()) == []


async def test_a_server_in_trouble_is_asked_again_when_it_says(bad_web, tmp_path):
    _, server = bad_web
    async with downloading(tmp_path, server) as downloader:
        await downloader.download(str(server.make_url("/ill")))
        assert downloader.pauses == [3.0, 3.0]


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "127.1", "2130706433", "0x7f.0.0.1", "0", "0177.0.0.1"],
)
async def test_no_notation_of_loopback_gets_through(bad_web, tmp_path, host):
    site, server = bad_web
    async with downloading(tmp_path) as downloader:
        with pytest.raises((RefusedError, FailedError)):
            await downloader.download(f"http://{host}:{server.port}/good")
    assert site.asked == []


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "169.254.169.254", "224.0.0.1", "[fe80::1]", "192.168.1.1", "100.64.0.1"]
)
async def test_private_and_metadata_addresses_are_refused(tmp_path, address):
    async with downloading(tmp_path) as downloader:
        with pytest.raises(RefusedError, match="is a private address"):
            await downloader.download(f"http://{address}/picture.jpg")


async def test_the_reason_names_the_private_address(bad_web, tmp_path):
    site, server = bad_web
    async with downloading(tmp_path) as downloader:
        for _ in range(2):
            with pytest.raises(RefusedError, match=r"/good: 127\.0\.0\.1 is a private address; if that is meant, add"):
                await downloader.download(str(server.make_url("/good")))
    assert site.asked == []


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1:99999/x.jpg", "http://[::1/x.jpg", "http://127.0.0.1:-1/", "http://127.0.0.1:abc/"],
)
async def test_an_address_that_cannot_be_read_is_refused(tmp_path, address):
    async with downloading(tmp_path) as downloader:
        with pytest.raises(RefusedError) as refused:
            await downloader.download(address)
        assert str(refused.value) == f"{address}: not an address that can be fetched"


async def test_an_entry_of_ipv6_lets_its_host_through(tmp_path):
    server = TestServer(BadWeb().application(), host="::1")
    try:
        await server.start_server()
    except OSError:
        pytest.skip("this machine has no IPv6")
    place = f"[::1]:{server.port}"
    async with downloading(tmp_path, allow=(place,)) as downloader:
        await downloader.download(f"http://{place}/good.jpg")
        with pytest.raises(FailedError) as failed:
            await downloader.download(f"http://{place}/nothing-there")
        assert str(failed.value) == f"http://{place}/nothing-there: the server answered 404"
    async with downloading(tmp_path) as downloader:
        with pytest.raises(RefusedError, match=r"^http://\[::1\]:\d+/good\.jpg: ::1 is a private address"):
            await downloader.download(f"http://{place}/good.jpg")
    await server.close()


async def test_where_the_name_of_a_host_is_not_known_the_reason_says_so(tmp_path):
    async with downloading(tmp_path) as downloader:
        with pytest.raises(FailedError, match=r"^http://nobody\.invalid/x\.jpg: .*the host's name is not known$"):
            await downloader.download("http://nobody.invalid/x.jpg")


@pytest.mark.parametrize(
    "to", ["http://localhost:{port}/good", "http://127.0.0.1:1/good", "file:///etc/passwd", "//[::1]/"]
)
async def test_a_redirect_is_checked_like_the_address_itself(bad_web, tmp_path, to):
    site, server = bad_web
    async with downloading(tmp_path, server) as downloader:
        with pytest.raises((RefusedError, FailedError)):
            await downloader.download(str(server.make_url("/away").with_query(to=to.format(port=server.port))))
    assert site.asked == ["/away"]


@pytest.mark.parametrize(
    ("robots", "allowed"),
    [
        ((200, "User-agent: *\nDisallow: /good"), False),
        ((200, "User-agent: marquee\nAllow: /\n\nUser-agent: *\nDisallow: /"), True),
        ((404, ""), True),
        ((200, "\x00 no rules at all <html>"), True),
    ],
)
async def test_robots_txt_is_honoured(bad_web, tmp_path, robots, allowed):
    site, server = bad_web
    site.robots = robots
    async with downloading(tmp_path, server) as downloader:
        if allowed:
            await downloader.download(str(server.make_url("/good")))
        else:
            with pytest.raises(RefusedError, match=r"robots\.txt"):
                await downloader.download(str(server.make_url("/good")))
    assert ("/good" in site.asked) is allowed


NOTHING_HERE = "User-agent: *\nDisallow: /good\n"


@pytest.mark.parametrize(
    "rules",
    [
        NOTHING_HERE.encode("utf-8-sig"),
        NOTHING_HERE.encode("utf-16"),
        gzip.compress(NOTHING_HERE.encode("utf-8-sig")),
        gzip.compress(NOTHING_HERE.encode() + b"#" * (8 << 20)),
        b"User-agent: *\nAllow: /\n\nUser-Agent: Marquee/0.1.0 # as our log has it\nDisallow: /good\n",
    ],
    ids=["BOM", "UTF-16", "gzip", "gzip bomb", "with its version"],
)
async def test_robots_txt_is_honoured_however_it_is_written(rules):
    async def get(url: str) -> tuple[int, bytes]:
        return 200, rules

    robots = Robots(get)
    assert await robots.allows("https://a.example/good") is False
    assert await robots.allows("https://a.example/other") is True


async def test_a_robots_txt_that_says_to_be_packed_and_is_not_forbids_nothing():
    async def get(url: str) -> tuple[int, bytes]:
        return 200, b"\x1f\x8bDisallow: /"

    assert await Robots(get).allows("https://a.example/good") is True


async def test_a_site_whose_robots_txt_cannot_be_read_now_is_left_alone_for_now(bad_web, tmp_path):
    site, server = bad_web
    site.robots = (503, "")
    async with downloading(tmp_path, server) as downloader:
        with pytest.raises(FailedError, match=r"robots\.txt cannot be read"):
            await downloader.download(str(server.make_url("/good")))
        assert site.asked == []
        site.robots = (404, "")
        await downloader.download(str(server.make_url("/good")))


async def test_one_host_is_asked_for_few_pictures_at_once(bad_web, tmp_path):
    site, server = bad_web
    async with downloading(tmp_path, server, per_host=3) as downloader:
        await asyncio.gather(*(downloader.download(str(server.make_url(f"/good?{n}"))) for n in range(20)))
    assert 1 < site.busiest <= 3


async def test_a_disk_that_takes_nothing_is_not_the_servers_fault(bad_web, tmp_path):
    _, server = bad_web
    async with downloading(tmp_path / "not-there", server) as downloader:
        with pytest.raises(Unavailable, match="the pictures' folder"):
            await downloader.download(str(server.make_url("/good")))


def test_a_tag_for_another_robot_is_not_for_marquee():
    assert refused_by_tag(["otherbot: noindex, noai"]) is None
    assert refused_by_tag(["marquee: noai"]) == "noai"
    assert refused_by_tag(["max-image-preview: large, noindex"]) == "noindex"


@pytest.mark.parametrize(
    "said",
    [
        "max-snippet:-1, max-image-preview:large, max-video-preview:-1, noai",
        "max-video-preview: 0, noai",
        "all, indexifembedded, noai",
        "nosnippet, notranslate, nofollow, noarchive, noai",
        "unavailable_after: 25 Jun 2010 15:00:00 PST, noai",
        "unavailable_after: Friday, 25-Jun-10 15:00:00 UTC, noai",
        "unavailable_after: Wed, 03 Dec 2025 13:09:53 GMT, noai",
        "unavailable_after: Jul 4, 2030, 15:00:00, noai",
        "unavailable_after: 2030-12-03T13:09:53+01:00, noai",
        "googlebot: unavailable_after: Wed, 03 Dec 2025 13:09:53 GMT, marquee: noai",
        "otherbot: noindex, *: noai",
        "max-something-new: 3, noai",
        "something-new: large, noai",
        "x-rule:, noai",
        "otherbot: max-video-preview: -1, noindex, marquee: max-snippet: 3, noai",
        "Marquee : NoAI",
    ],
)
def test_no_rule_of_a_tag_hides_the_word_behind_it(said):
    assert refused_by_tag([said]) == "noai"


@pytest.mark.parametrize("word", ["none", "noindex", "noimageindex", "noai", "noimageai"])
def test_a_word_against_it_refuses_a_picture_wherever_it_stands(word):
    assert refused_by_tag([word]) == refused_by_tag(["all", f"max-snippet: 5, {word}, nofollow"]) == word


@pytest.mark.parametrize(
    "said",
    [
        "all",
        "nofollow, nosnippet, indexifembedded, notranslate, noarchive",
        "max-snippet: 20, max-image-preview: none, max-video-preview: -1",
        "unavailable_after: Wed, 03 Dec 2025 13:09:53 GMT",
        "otherbot: unavailable_after: Wed, 03 Dec 2025 13:09:53 GMT, noai",
        "otherbot: max-snippet: -1, max-video-preview: 3, noindex",
        "360spider: none",
        "otherbot: all, noindex",
        "",
    ],
)
def test_a_tag_without_a_word_to_marquee_refuses_nothing(said):
    assert refused_by_tag([said]) is None


def test_reasons_do_not_tell_secrets_of_an_address():
    assert shown("https://user:pass@host.example:8443/a.jpg?token=secret#x") == "https://host.example:8443/a.jpg"
    assert shown("https://user:pass@host.example:x/a@b.jpg?token=secret#x") == "https://host.example:x/a@b.jpg"
    assert [shown(each) for each in ("/a.jpg?token=secret", "data:image/png,x")] == ["/a.jpg", "data:image/png,x"]

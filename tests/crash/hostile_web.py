"""A web that means harm: every hostile file there is, servers that misbehave, and good pictures around them."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from aiohttp.test_utils import TestServer

from app.pictures.decode import Reason
from tests.pictures.hostile import Hostile, cases, encoded, good, photo

GOOD: Final = 60
SECONDS: Final = 3.0
"""What a download may take; slow hosts take longer."""
PRIVATE: Final = "private address"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Trap:
    """An address, the verdict on what lies there, and words that its reason has."""

    url: str
    verdict: str
    reason: str


class HostileWeb:
    """Two servers: one that may be asked, and one inside, which nobody must ever reach."""

    def __init__(self) -> None:
        self.reached: list[str] = []
        self.open_bodies = 0
        self.authority = ""
        """host:port of the server that may be asked."""
        self._files: dict[str, Hostile] = {case.name: case for case in cases()}
        self._outer = TestServer(self._application())
        self._inner = TestServer(self._secret())
        self._port: int | None = None

    @asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        """For as long as the block lasts."""
        await self._outer.start_server()
        await self._inner.start_server()
        self.authority, self._port = f"{self._outer.host}:{self._outer.port}", self._inner.port
        try:
            yield
        finally:
            await self._outer.close()
            await self._inner.close()

    def url(self, path: str) -> str:
        """An address of the server that may be asked."""
        return f"http://{self.authority}/{path}"

    def good(self) -> list[str]:
        """Addresses of pictures that nobody can object to."""
        return [self.url(f"good/{n}.jpg") for n in range(GOOD)]

    def disarmed(self) -> list[str]:
        """Addresses of odd or dangerous files with a good picture in them."""
        return [self.url(f"files/{case.name}") for case in cases() if case.reason is None]

    def traps(self) -> list[Trap]:
        """Everything else."""
        return [*self._refused_files(), *self._misbehaviour(), *self._inside()]

    def _refused_files(self) -> Iterator[Trap]:
        for case in cases():
            if case.reason is not None:
                # The byte cap is the download's, everything else is seen by looking at the bytes.
                capped = case.reason is Reason.TOO_MANY_BYTES
                yield Trap(
                    self.url(f"files/{case.name}"), "rejected", "20000000 are allowed" if capped else case.reason.value
                )

    def _misbehaviour(self) -> Iterator[Trap]:
        late = f"not there within {SECONDS:g} s"
        yield from (
            Trap(self.url("endless"), "rejected", "more than the 20000000 bytes allowed"),
            Trap(self.url("says-it-is-endless"), "rejected", "20000000 are allowed"),
            Trap(self.url("drips"), "failed", late),
            Trap(self.url("never-answers"), "failed", late),
            Trap(self.url("breaks-off"), "failed", "breaks-off"),
            Trap(self.url("long-header"), "failed", "long-header"),
            Trap(self.url("zipped"), "rejected", "more than the 20000000 bytes allowed"),
            Trap(self.url("broken"), "failed", "the server answered 500"),
            Trap(self.url("gone"), "failed", "the server answered 404"),
            Trap(self.url("no-ai"), "rejected", "X-Robots-Tag: noai"),
            Trap(self.url("off-limits/1.jpg"), "rejected", "robots.txt"),
            Trap(self.url("loop"), "rejected", "redirects"),
            Trap(self.url("ping"), "rejected", "redirects"),
            Trap(self.url("to?where=file:///etc/passwd"), "rejected", "only http and https"),
            Trap("ftp://127.0.0.1/a.jpg", "rejected", "only http and https"),
            Trap("file:///etc/passwd", "rejected", "only http and https"),
            Trap("data:image/gif;base64,R0lGODlhAQABAAAAACw=", "rejected", "only http and https"),
        )

    def _inside(self) -> Iterator[Trap]:
        """The server inside by every name that it has, straight and by a redirect."""
        for host in INSIDE:
            words = PRIVATE if host not in ODD else ""
            yield Trap(f"http://{host}:{self._port}/straight.jpg", "rejected", words)
            yield Trap(self.url(f"to?where=http://{host}:{self._port}/redirected.jpg"), "rejected", words)
        for host in ELSEWHERE:
            yield Trap(f"http://{host}/latest/meta-data/", "rejected", PRIVATE)

    def _application(self) -> web.Application:
        application = web.Application()
        handlers: dict[str, Handler] = {
            "/robots.txt": _robots,
            "/good/{n}.jpg": _good,
            "/files/{name}": self._file,
            "/endless": self._endless,
            "/says-it-is-endless": _says_it_is_endless,
            "/drips": _drips,
            "/never-answers": _never,
            "/breaks-off": _breaks_off,
            "/long-header": _long_header,
            "/zipped": _zipped,
            "/broken": _broken,
            "/no-ai": _no_ai,
            "/loop": _redirect("/loop"),
            "/ping": _redirect("/pong"),
            "/pong": _redirect("/ping"),
            "/to": _to,
        }
        for path, handler in handlers.items():
            application.router.add_get(path, handler)
        return application

    def _secret(self) -> web.Application:
        async def answer(request: web.Request) -> web.Response:
            self.reached.append(str(request.url))
            return web.Response(body=good(999), content_type="image/jpeg")

        application = web.Application()
        application.router.add_get("/{path:.*}", answer)
        return application

    async def _file(self, request: web.Request) -> web.Response:
        case = self._files[request.match_info["name"]]
        return web.Response(body=case.data, content_type=case.content_type)

    async def _endless(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "image/jpeg"})
        await response.prepare(request)
        self.open_bodies += 1
        try:
            await response.write(good(1))
            while True:
                await response.write(bytes(1 << 16))
        finally:
            self.open_bodies -= 1


INSIDE: Final = (
    "127.0.0.1",
    "localhost",
    "LOCALHOST",
    "127.1",
    "127.000.000.001",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "0",
    "0.0.0.0",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "user:secret@127.0.0.1",
    "１２７.０.０.１",
    "127。0。0。1",
)
"""Ways to write this machine."""
ODD: Final = INSIDE[3:10]
"""What aiohttp refuses as no address, or the resolver may not know: which of them comes first is not ours to say."""
ELSEWHERE: Final = (
    "169.254.169.254",
    "[fd00:ec2::254]",
    "100.100.100.200",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "[fe80::1]",
    "[fc00::1]",
    "224.0.0.1",
    "[ff02::1]",
    "255.255.255.255",
)
"""Private and link-local networks, where clouds keep their secrets; multicast and broadcast."""


async def _robots(request: web.Request) -> web.Response:
    return web.Response(text="User-agent: *\nDisallow: /off-limits/\n")


async def _good(request: web.Request) -> web.Response:
    # Far from the seeds of the hostile files, which must not be taken for copies of these.
    return web.Response(body=encoded(photo(5_000 + int(request.match_info["n"]))), content_type="image/jpeg")


async def _says_it_is_endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "image/jpeg", "Content-Length": str(1 << 40)})
    await response.prepare(request)
    await response.write(good(1))
    return response


async def _drips(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "image/jpeg"})
    await response.prepare(request)
    for place in range(600):
        await response.write(good(1)[place : place + 1])
        await asyncio.sleep(0.2)
    return response


async def _never(request: web.Request) -> web.Response:
    await asyncio.sleep(20 * SECONDS)
    return web.Response()


async def _breaks_off(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "image/jpeg", "Content-Length": "100000"})
    await response.prepare(request)
    await response.write(good(1)[:500])
    assert request.transport is not None
    request.transport.abort()
    return response


async def _long_header(request: web.Request) -> web.Response:
    return web.Response(body=good(1), headers={"X-Long": "a" * 200_000})


async def _zipped(request: web.Request) -> web.Response:
    body = gzip.compress(bytes(30 << 20))
    return web.Response(body=body, headers={"Content-Encoding": "gzip", "Content-Type": "image/jpeg"})


async def _broken(request: web.Request) -> web.Response:
    return web.Response(status=500)


async def _no_ai(request: web.Request) -> web.Response:
    return web.Response(body=good(1), headers={"X-Robots-Tag": "noai"})


def _redirect(where: str) -> Handler:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": where})

    return answer


async def _to(request: web.Request) -> web.Response:
    return web.Response(status=307, headers={"Location": request.query["where"]})

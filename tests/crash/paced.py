"""A local source that gives only so much before it waits: a file of ratings, and reviews page by page."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from aiohttp import web

PAGES: Final = 60
REVIEWS_A_PAGE: Final = 20
FILM: Final = 11
CHUNK: Final = 2048


class PacedSource:
    """`/ratings.csv`, and `/3/movie/11/reviews` in the layout of TMDB; `share` of both is given, the rest waits."""

    def __init__(self, rows: int) -> None:
        lines = [f"{n},{n % 40 + 1},{(n * 7) % 10 / 2 + 0.5},{1_500_000_000 + n}" for n in range(rows)]
        self.file = "\n".join(["userId,movieId,rating,timestamp", *lines, ""]).encode()
        self.tag = f'"{hashlib.blake2b(self.file, digest_size=8).hexdigest()}"'
        self.share = 0.0
        self.given = 0
        """Bytes of the file and pages that were sent, over all requests."""
        self.port = 0

    @property
    def tables(self) -> str:
        """The lines of `marquee.toml` that collect all of it."""
        base = f"http://127.0.0.1:{self.port}"
        return (
            f'[fetch]\nallow = ["127.0.0.1:{self.port}"]\n\n'
            f'[[films]]\ntitle = "Solaris"\nyear = 1972\ntmdb = {FILM}\n\n'
            f'[connectors.file]\nkind = "csv"\npath = "{base}/ratings.csv"\n\n'
            f'[connectors.pages]\nkind = "tmdb"\nbase_url = "{base}/3"\nrate = "100/s"\n'
        )

    async def ratings(self, request: web.Request) -> web.StreamResponse:
        """The file from the byte that is asked for on."""
        start = request.http_range.start or 0 if request.headers.get("If-Range") == self.tag else 0
        if start >= len(self.file):
            return web.Response(status=416)
        response = web.StreamResponse(status=206 if start else 200, headers={"ETag": self.tag})
        response.content_length = len(self.file) - start
        await response.prepare(request)
        with suppress(ConnectionError):
            for begin in range(start, len(self.file), CHUNK):
                await self._wait(request, begin / len(self.file))
                await response.write(self.file[begin : begin + CHUNK])
                self.given += CHUNK
        return response

    async def film(self, _: web.Request) -> web.Response:
        """As TMDB tells of a film."""
        known = {"vote_average": 8.0, "vote_count": 900, "release_date": "1972-03-20", "original_language": "ru"}
        ids = {"imdb_id": None, "wikidata_id": None}
        return web.json_response({"id": FILM, "title": "Solaris", "external_ids": ids, **known})

    async def reviews(self, request: web.Request) -> web.Response:
        """A page of reviews."""
        page = int(request.query["page"])
        with suppress(ConnectionError):
            await self._wait(request, page / PAGES)
            self.given += CHUNK
        return web.json_response(
            {"id": FILM, "page": page, "total_pages": PAGES, "total_results": PAGES * REVIEWS_A_PAGE,
             "results": [_review(page * REVIEWS_A_PAGE + n) for n in range(REVIEWS_A_PAGE)]}
        )  # fmt: skip

    async def _wait(self, request: web.Request, share: float) -> None:
        while share > self.share:
            # Who was killed does not come back to this answer.
            if request.transport is None or request.transport.is_closing():
                raise ConnectionResetError
            await asyncio.sleep(0.02)


def _review(number: int) -> dict[str, Any]:
    return {
        "id": f"review{number}", "author": f"Reviewer {number}", "content": f"Review {number}: slow and wonderful.",
        "author_details": {"username": f"user{number}", "rating": None}, "url": f"https://tmdb.example/{number}",
        "created_at": "2017-02-13T22:23:01.268Z", "updated_at": "2021-06-23T15:57:50.602Z",
    }  # fmt: skip


@asynccontextmanager
async def paced(rows: int) -> AsyncIterator[PacedSource]:
    """The source on a free loopback port for as long as the block lasts."""
    source = PacedSource(rows)
    application = web.Application()
    application.router.add_get("/ratings.csv", source.ratings)
    application.router.add_get(f"/3/movie/{FILM}", source.film)
    application.router.add_get(f"/3/movie/{FILM}/reviews", source.reviews)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    source.port = runner.addresses[0][1]
    try:
        yield source
    finally:
        await runner.cleanup()

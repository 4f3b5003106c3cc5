"""Cleaned pictures over HTTP: only what a document names, only files that were disarmed, and nothing else with them."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Final

from aiohttp import web

from app.pictures.files import Area, PictureFiles
from app.web.problems import Problem, not_found
from app.web.site import SITE

MEDIA_TYPES: Final = {".jpg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}
HEADERS: Final = {
    # Even as a page of its own a picture may load and run nothing; the styles are those of the browser's viewer.
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; frame-ancestors 'none'; sandbox"
    ),
    "X-Content-Type-Options": "nosniff",
    "Content-Disposition": "inline",
}
FOR_EVER: Final = "private, max-age=31536000, immutable"
ASK_AGAIN: Final = "private, no-cache"

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


async def get_image(request: web.Request) -> web.StreamResponse:
    """A cleaned picture, by the SHA-256 of the cleaned file or by the picture's id (that of the bytes as fetched)."""
    return await _file(request, ("clean",))


async def get_thumbnail(request: web.Request) -> web.StreamResponse:
    """A small copy of a cleaned picture, named as the picture is."""
    # One that was lost can be made again; meanwhile the picture itself is small enough.
    return await _file(request, ("thumbnail", "clean"))


async def _file(request: web.Request, areas: tuple[Area, ...]) -> web.StreamResponse:
    digest = request.match_info["sha256"]
    if not _DIGEST.fullmatch(digest):
        raise Problem(404, "This is no picture's name: it is a SHA-256, 64 hexadecimal digits in lower case.")
    site = request.app[SITE]
    # Who is erased from the documents is not shown any more, even while the file is still on its way out.
    cleaned: str | None = await site.worker.store.people.cleaned(digest)
    found = await asyncio.to_thread(_find, site.files, areas, cleaned) if cleaned else None
    if found is None or found[1].suffix not in MEDIA_TYPES:
        raise not_found("No cleaned picture of this name is kept here.")
    area, path = found
    # A picture's id stays while its cleaned copy may be made anew; a file's own digest always means the same bytes.
    caching = FOR_EVER if cleaned == digest and area == areas[0] else ASK_AGAIN
    headers = {**HEADERS, "Content-Type": MEDIA_TYPES[path.suffix], "Cache-Control": caching}
    return web.FileResponse(path, headers=headers)


def _find(files: PictureFiles, areas: tuple[Area, ...], sha256: str) -> tuple[Area, Path] | None:
    found = ((area, files.find(area, sha256)) for area in areas)
    return next(((area, files.path(relative)) for area, relative in found if relative), None)

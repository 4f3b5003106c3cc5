"""Cleaned pictures over HTTP: only what a document names, only files that were disarmed, and nothing else with them."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Final

from aiohttp import web

from agents.errors import Unavailable
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
_ABSENT: Final = "No cleaned picture of this name is kept here."


async def get_image(request: web.Request) -> web.StreamResponse:
    """A cleaned picture, by the SHA-256 of the cleaned file or by the picture's id (that of the bytes as fetched)."""
    digest, cleaned = await _cleaned(request)
    return _sent(digest, cleaned, await _file(request, cleaned))


async def get_thumbnail(request: web.Request) -> web.StreamResponse:
    """A small copy of a cleaned picture, named as the picture is, and made when it is first asked for."""
    digest, cleaned = await _cleaned(request)
    try:
        small = await request.app[SITE].worker.pictures.thumbnail(cleaned)
    except Unavailable:
        small = None
    if small is not None:
        return _sent(digest, cleaned, small)
    # Where none can be made now, the picture itself is small enough.
    return _sent("", cleaned, await _file(request, cleaned))


async def _cleaned(request: web.Request) -> tuple[str, str]:
    """The name that was asked for, and the SHA-256 of the cleaned file that it means. Raises Problem."""
    digest = request.match_info["sha256"]
    if not _DIGEST.fullmatch(digest):
        raise Problem(404, "This is no picture's name: it is a SHA-256, 64 hexadecimal digits in lower case.")
    # Who is erased from the documents is not shown any more, even while the file is still on its way out.
    cleaned: str | None = await request.app[SITE].worker.store.people.cleaned(digest)
    if cleaned is None:
        raise not_found(_ABSENT)
    return digest, cleaned


async def _file(request: web.Request, cleaned: str) -> Path:
    files = request.app[SITE].files
    found = await asyncio.to_thread(files.find, "clean", cleaned)
    if found is None:
        raise not_found(_ABSENT)
    return files.path(found)


def _sent(digest: str, cleaned: str, path: Path) -> web.StreamResponse:
    if path.suffix not in MEDIA_TYPES:
        raise not_found(_ABSENT)
    # A picture's id stays while its cleaned copy may be made anew; a file's own digest always means the same bytes.
    caching = FOR_EVER if cleaned == digest else ASK_AGAIN
    headers = {**HEADERS, "Content-Type": MEDIA_TYPES[path.suffix], "Cache-Control": caching}
    return web.FileResponse(path, headers=headers)

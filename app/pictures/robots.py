"""What sites ask robots to leave alone: robots.txt (RFC 9309) and X-Robots-Tag, honoured before and after a fetch."""

from __future__ import annotations

import asyncio
import re
import time
import zlib
from collections.abc import Awaitable, Callable, Iterable
from typing import Final
from urllib.parse import urlsplit

from protego import Protego

AGENT: Final = "marquee"
KEPT_SECONDS: Final = 3600.0
KEPT_SITES: Final = 4096
MOST_BYTES: Final = 512 << 10
"""RFC 9309 asks for at least 500 KiB to be read."""
LONGEST_DELAY: Final = 86400.0
REFUSALS: Final = frozenset({"noindex", "noimageindex", "noai", "noimageai", "none"})
"""Words of X-Robots-Tag that speak against keeping a picture or learning from it."""
ALLOWING: Final = frozenset({"all", "index", "follow", "archive", "snippet", "indexifembedded"})
"""Its other words that do not begin with `no`."""
WITH_VALUE: Final = ("unavailable_after", "max-")
"""How the names of its rules begin that have a value behind a colon, as the name of a robot has its rules."""

_VERSIONED: Final = re.compile(rf"^([ \t]*user-agent[ \t]*:[ \t]*{AGENT})/[^\s#]*", re.I | re.M)
"""A group for Marquee under the name that stands in logs, with its version, which is no part of a robot's name."""
_GZIP: Final = b"\x1f\x8b"
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")

Get = Callable[[str], Awaitable[tuple[int, bytes]]]
"""Fetches a small file: its status and its bytes. OSError where no answer came is no rules; others go to who asked."""


class Robots:
    """The rules of the sites that were asked, each read once an hour."""

    def __init__(self, get: Get, clock: Callable[[], float] = time.monotonic) -> None:
        self._get = get
        self._clock = clock
        self._rules: dict[str, tuple[float, asyncio.Future[Protego | None]]] = {}

    def delay(self, url: str) -> float:
        """Seconds that a site wants between two requests (Crawl-delay); 0 where it wants none, or was not asked yet."""
        _, rules = self._rules.get(_site(url), (0.0, None))
        read = rules is not None and rules.done() and not rules.cancelled() and rules.exception() is None
        found = rules.result() if rules is not None and read else None
        seconds = found.crawl_delay(AGENT) if found is not None else None
        # What is no number, or more than a day, is no wish that anybody has.
        return min(float(seconds), LONGEST_DELAY) if seconds is not None and seconds > 0 else 0.0

    async def allows(self, url: str) -> bool | None:
        """Whether the site lets Marquee fetch the address; None where its rules cannot be had, and it is left alone."""
        site = _site(url)
        at, rules = self._rules.get(site, (0.0, None))
        if rules is None or self._clock() - at > KEPT_SECONDS:
            if len(self._rules) >= KEPT_SITES:
                self._rules.pop(next(iter(self._rules)))
            rules = asyncio.ensure_future(self._read(site))
            self._rules[site] = (self._clock(), rules)
        # One of many waiters that is cancelled must not take the answer from the others.
        try:
            found = await asyncio.shield(rules)
        except Exception:
            self._rules.pop(site, None)
            raise
        if found is None:
            # A server in trouble is asked again for the next picture.
            self._rules.pop(site, None)
            return None
        return bool(found.can_fetch(url, AGENT))

    async def _read(self, site: str) -> Protego | None:
        try:
            status, content = await self._get(f"{site}/robots.txt")
        except OSError:
            return None
        if status >= 500 or status == 429:
            return None
        return Protego.parse(_VERSIONED.sub(r"\1", _text(content)) if status == 200 else "")


def _text(content: bytes) -> str:
    """The rules as text, of which no more is read than counts; a mark before the first line is none of it.

    Some servers pack what they were asked to leave as it is; read as text it would be rules that forbid nothing.
    """
    if content.startswith(_GZIP):
        try:
            content = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(content, MOST_BYTES)
        except zlib.error:
            return ""
    encoding = "utf-16" if content.startswith(_UTF_16) else "utf-8-sig"
    return content[:MOST_BYTES].decode(encoding, "replace")


def _site(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def refused_by_tag(headers: Iterable[str]) -> str | None:
    """The word of X-Robots-Tag headers that speaks against the picture, None where nothing does.

    `marquee: noai` speaks to Marquee alone, and `otherbot: noai` not to it. What is known neither as a rule nor as a
    robot's name in front of one is passed over, so that it hides nothing behind it.
    """
    for header in headers:
        agent = ""
        for part in header.lower().split(","):
            word = part.strip()
            name, colon, rest = (piece.strip() for piece in word.partition(":"))
            if colon and _is_rule(rest) and not name.startswith(WITH_VALUE):
                agent, word = name, rest
            if word in REFUSALS and agent in ("", "*", AGENT):
                return word
    return None


def _is_rule(text: str) -> bool:
    """Whether a text is a rule of X-Robots-Tag; the rest of a date, which may hold commas and colons, is none."""
    return text.startswith(("no", *WITH_VALUE)) or text in ALLOWING

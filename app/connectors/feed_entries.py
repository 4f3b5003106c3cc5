"""What feeds of all versions hold: the feed itself is read by feedparser, on bytes that were looked at before."""

from __future__ import annotations

import calendar
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from app.connectors.errors import IncompleteError, MalformedError
from app.connectors.extras import extra
from app.connectors.identifiers import tmdb_number
from app.connectors.markup import MOST_ADDRESSES, links_in, plain_text, web_address
from app.connectors.pseudonym import pseudonym
from models.scores_in_text import Score, score_in
from schemas.base import Record
from schemas.events import ReviewObserved
from schemas.ids import derived_id, fenced
from schemas.mentions import FilmMentioned

LONGEST_TEXT: Final = 200_000
LONGEST_ENTITY: Final = 64
"""Bytes of the declaration of an entity: enough for a letter, too short to blow a feed up."""
LETTERBOXD_BEST: Final = 5.0

_ROOT: Final = re.compile(rb"<(?:\w+:)?(rss|feed|rdf)\b", re.I)
_ENTITY: Final = re.compile(rb"<!ENTITY\s[^>]*>?", re.I)
_ENDS: Final = re.compile(rb"</(?:\w+:)?(?:rss|feed|rdf)\s*>", re.I)
_EMPTY: Final = re.compile(rb"<(?:\w+:)?(?:rss|feed)\b[^>]*/>", re.I)
_SEEN_FROM_THE_END: Final = 4096


class Entry(msgspec.Struct, frozen=True):
    """One entry of a feed. `title` is the entry's own; `film` is a title that the feed states as a film's."""

    id: str
    title: str
    text: str
    url: str | None
    addresses: tuple[str, ...]
    author: str | None
    lang: str | None
    observed_at: str | None
    film: str | None = None
    year: int | None = None
    tmdb: int | None = None
    stars: float | None = None


class Parsed(msgspec.Struct, frozen=True):
    """A feed: which version of which format, its title, and its entries in the order in which they stand."""

    version: str
    title: str
    entries: list[Entry]


def look_at_feed(body: bytes, place: str) -> None:
    """Raises MalformedError for what is no feed or would blow up, IncompleteError for one that ends in its middle."""
    # Two bytes a letter hide nothing.
    plain = body.replace(b"\0", b"") if b"\0" in body[:64] else body
    if not _ROOT.search(plain[:LONGEST_TEXT]):
        raise MalformedError(f"{place}: no feed but {plain[:200].decode('utf-8', 'replace').strip()!r}", body)
    # feedparser replaces entities by what they stand for; some feeds declare a few letters so.
    for entity in _ENTITY.findall(plain):
        if len(entity) > LONGEST_ENTITY:
            raise MalformedError(f"{place}: declares an entity of {len(entity)} bytes, which no feed needs", body)
    if not _ENDS.search(plain[-_SEEN_FROM_THE_END:]) and not _EMPTY.search(plain):
        raise IncompleteError(f"{place}: the feed ends in the middle")


def parse_feed(body: bytes, place: str, content_type: str = "") -> Parsed:
    """A feed's entries; those that say nothing are left out. Raises MalformedError, IncompleteError, SourceError."""
    look_at_feed(body, place)
    headers = {"content-location": place, **({"content-type": content_type} if content_type else {})}
    feedparser = extra("feedparser", "rss")
    try:
        # Bytes and not a name or an address: feedparser would open either.
        found = feedparser.parse(io.BytesIO(body), response_headers=headers)
    except Exception as error:
        # What no parser of XML can read goes to one of tag soup, in which letters that do not exist raise anything.
        raise MalformedError(f"{place}: unreadable: {error}", body) from error
    if not found.version:
        raise MalformedError(f"{place}: no feed of any version that is known", body)
    entries = [_entry(entry, found.feed, place) for entry in found.entries]
    return Parsed(found.version, found.feed.get("title", ""), [entry for entry in entries if entry.text or entry.title])


def parse_entry(
    entry: Entry, source: str, place: str, film_id: str | None, named: tuple[str | None, int | None]
) -> Iterator[Record]:
    """The entry as a review of a film, or as a mention whose film is to be found; `named` is a title and a year."""
    text = (entry.text if entry.text.startswith(entry.title) else f"{entry.title}\n{entry.text}").strip()
    text = text[:LONGEST_TEXT]
    record_id = _record_id(entry.id, place)
    author = pseudonym(source, entry.author)
    if film_id is not None:
        score = Score(entry.stars, LETTERBOXD_BEST) if entry.stars is not None else score_in(text)
        yield ReviewObserved(
            film_id=film_id,
            source=source,
            source_record_id=record_id,
            text=text,
            lang=entry.lang,
            rating=score.value if score else None,
            best=score.best if score else None,
            worst=score.worst if score else None,
            author=author,
            observed_at=entry.observed_at,
            url=entry.url,
        )
        return
    title, year = (entry.film, entry.year) if entry.film else named
    yield FilmMentioned(
        mention_id=derived_id(f"{fenced(source)}|{record_id}", "mention"),
        source=source,
        source_record_id=record_id,
        title=title[:500] if title else None,
        year=year,
        tmdb=entry.tmdb,
        value=entry.stars,
        best=None if entry.stars is None else LETTERBOXD_BEST,
        worst=None if entry.stars is None else 0.0,
        text=text,
        lang=entry.lang,
        author=author,
        observed_at=entry.observed_at,
        url=entry.url,
        addresses=entry.addresses,
    )


def _entry(entry: Any, feed: Any, place: str) -> Entry:
    base = entry.get("link") or feed.get("link") or place
    whole, markup = _longest(entry)
    text = plain_text(whole, "rss") if markup else whole.strip()
    title = " ".join(plain_text(entry.get("title", ""), "rss").split())
    linked = [web_address(link.get("href"), base) for link in entry.get("links", ())]
    within = links_in(whole, base, "rss") if markup else []
    addresses = dict.fromkeys(address for address in (*linked, *within) if address)
    year = entry.get("letterboxd_filmyear", "")
    detail = entry.get("title_detail") or {}
    # By the way of a plain dict: feedparser gives another date for one that is not there, with a warning.
    when = dict.get(entry, "published_parsed") or dict.get(entry, "updated_parsed")
    return Entry(
        id=entry.get("id") or entry.get("link") or _digest(f"{title}\n{text}"),
        title=title[:LONGEST_TEXT],
        text=text[:LONGEST_TEXT],
        url=web_address(entry.get("link"), place),
        addresses=tuple(addresses)[:MOST_ADDRESSES],
        author=entry.get("author") or None,
        lang=(detail.get("language") or feed.get("language") or "")[:35] or None,
        observed_at=_moment(when),
        film=entry.get("letterboxd_filmtitle") or None,
        year=int(year) if year.isdecimal() and len(year) == 4 else None,
        tmdb=tmdb_number(entry.get("tmdb_movieid")),
        stars=_stars(entry.get("letterboxd_memberrating")),
    )


def _longest(entry: Any) -> tuple[str, bool]:
    """The fullest text of an entry, as some put only its beginning into the summary, and whether it is HTML."""
    detail = entry.get("summary_detail")
    texts = [each for each in (*entry.get("content", ()), *((detail,) if detail else ())) if each.get("value")]
    found = max(texts, key=lambda each: len(each["value"]), default=None)
    if found is None:
        return "", False
    return found["value"], "html" in (found.get("type") or "html")


def _record_id(entry_id: str, place: str) -> str:
    # A bare number is only the feed's own; what looks like an address or a tag: URI is everybody's.
    parts = urlsplit(place)
    known = entry_id if ":" in entry_id else f"{parts.netloc}{parts.path}#{entry_id}"
    return known if len(known) <= 512 else _digest(known)


def _moment(when: Any) -> str | None:
    try:
        found = datetime.fromtimestamp(calendar.timegm(when), UTC) if when else None
    except (ValueError, OverflowError, OSError, TypeError):
        return None
    return found.isoformat(timespec="milliseconds").replace("+00:00", "Z") if found else None


def _stars(text: str | None) -> float | None:
    try:
        value = float(text) if text else None
    except ValueError:
        return None
    return value if value is not None and 0 <= value <= LETTERBOXD_BEST else None


def _digest(text: str) -> str:
    return blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest()

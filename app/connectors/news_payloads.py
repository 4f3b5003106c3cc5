"""What Guardian, NewsAPI and GDELT answer, as articles of one form, and the records in them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import msgspec

from app.connectors.answers import decoded
from app.connectors.base import FilmTarget, Refused
from app.connectors.elements import Each, Raws
from app.connectors.errors import (
    MalformedError,
)
from app.connectors.film_signs import headline_is_of, reviewed, shows_a_film
from app.connectors.movielens import moment
from app.connectors.pseudonym import pseudonym
from models.scores_in_text import score_in
from schemas.base import Record, Rejected
from schemas.events import RatingKind, ReviewObserved
from schemas.ids import derived_id, fenced
from schemas.mentions import FilmMentioned

LONGEST_TEXT: Final = 200_000
LONGEST_ID: Final = 512
BEST_STARS: Final = 5.0
LANGUAGES: Final = {
    "en": "English", "de": "German", "fr": "French", "es": "Spanish", "it": "Italian", "pt": "Portuguese",
    "nl": "Dutch", "sv": "Swedish", "pl": "Polish", "ru": "Russian", "ja": "Japanese", "zh": "Chinese",
    "ko": "Korean", "ar": "Arabic", "tr": "Turkish", "hi": "Hindi",
}  # fmt: skip
_CODES: Final = {name: code for code, name in LANGUAGES.items()}
_CUT: Final = re.compile(r"(?:…|\.\.\.)?\s*\[\+\d+ chars\]\s*$")
_LOOSE_ESCAPE: Final = re.compile(rb'\\(?!["\\/bfnrt]|u[0-9a-fA-F]{4})')
_CONTROL: Final = re.compile(rb"[\x00-\x1f]")


class Article(NamedTuple):
    """One article; `when` RFC 3339, `stars` 0 to 5."""

    id: str
    title: str
    text: str
    when: str | None
    url: str | None = None
    lang: str | None = None
    author: str | None = None
    stars: float | None = None


class Page(NamedTuple):
    """Articles of one answer, how many entries it had, how many pages or articles there are in all, what is none."""

    articles: list[Article]
    entries: int
    total: int
    refused: list[Refused]


class GuardianFields(msgspec.Struct, rename="camel"):
    """What show-fields asks for; texts all of them, each may be missing."""

    star_rating: str | float | None = None
    body_text: str | None = None
    byline: str | None = None


class GuardianArticle(msgspec.Struct, rename="camel"):
    """One of /search."""

    id: str
    web_title: str
    web_url: str | None = None
    web_publication_date: str | None = None
    fields: GuardianFields | None = None


class GuardianPage(msgspec.Struct):
    """The inside of /search."""

    results: Raws
    pages: int
    total: int = 0


class GuardianAnswer(msgspec.Struct):
    """The whole of /search."""

    response: GuardianPage


class NewsArticle(msgspec.Struct, rename="camel"):
    """One of /v2/everything; anything may be null."""

    url: str | None = None
    title: str | None = None
    description: str | None = None
    content: str | None = None
    author: str | None = None
    published_at: str | None = None


class NewsAnswer(msgspec.Struct, rename="camel"):
    """The whole of /v2/everything."""

    total_results: int
    articles: Raws


class GdeltArticle(msgspec.Struct):
    """One of mode=artlist."""

    url: str
    title: str | None = None
    seendate: str | None = None
    language: str | None = None


class GdeltAnswer(msgspec.Struct):
    """The whole of mode=artlist; nothing at all where nothing was found."""

    articles: Raws | None = None


_guardian: Final = Each(GuardianArticle, "an article")
_newsapi: Final = Each(NewsArticle, "an article")
_gdelt: Final = Each(GdeltArticle, "an article")


def parse_guardian(body: bytes) -> Page:
    """An answer of /search; `total` counts pages. Raises MalformedError, IncompleteError."""
    found = decoded(body, GuardianAnswer).response
    results, refused = _guardian(found.results)
    said = ((each, each.fields or GuardianFields()) for each in results)
    articles = [
        Article(
            id=short_id(each.id),
            title=each.web_title.strip(),
            text=(fields.body_text or "").strip(),
            when=when(each.web_publication_date),
            url=each.web_url,
            lang="en",
            author=fields.byline,
            stars=_stars(fields.star_rating),
        )
        for each, fields in said
    ]
    return Page(articles, len(found.results), found.pages, refused)


def parse_newsapi(body: bytes, lang: str) -> Page:
    """An answer of /v2/everything; `total` counts articles. Raises MalformedError, IncompleteError."""
    found = decoded(body, NewsAnswer)
    said, refused = _newsapi(found.articles)
    articles = [
        Article(
            id=short_id(each.url),
            title=each.title.strip(),
            # Publishers cut the text and count what is missing.
            text="\n\n".join(filter(None, (each.description, _CUT.sub("…", each.content or "")))).strip(),
            when=when(each.published_at),
            url=each.url,
            lang=lang,
            author=each.author,
        )
        for each in said
        # What was withdrawn keeps its place in the list.
        if each.url and each.title and each.title != "[Removed]"
    ]
    return Page(articles, len(found.articles), found.total_results, refused)


def parse_gdelt(body: bytes) -> Page:
    """An answer of mode=artlist, the oldest first. Raises MalformedError, IncompleteError."""
    try:
        found = decoded(body, GdeltAnswer)
    except MalformedError:
        # Titles are written into the JSON as they were on the page.
        found = decoded(_LOOSE_ESCAPE.sub(rb"\\\\", _CONTROL.sub(b" ", body)), GdeltAnswer)
    said, refused = _gdelt(found.articles)
    articles = [
        Article(
            id=short_id(each.url),
            title=" ".join(title.split()),
            text="",
            when=when(each.seendate),
            url=each.url,
            lang=_CODES.get(each.language or ""),
        )
        for each in said
        if each.url and (title := (each.title or "").strip())
    ]
    entries = len(found.articles or ())
    return Page(articles, entries, entries, refused)


def parse_article(article: Article, target: FilmTarget | None, source: str) -> Record | None:
    """A review of the film that was asked for, or a mention where none was; None for what is not certainly of a film.

    Only the headline says what an article is about: films are named in each other's reviews all the time.
    """
    text = f"{article.title}\n\n{article.text}".strip()[:LONGEST_TEXT]
    stars = score_in(article.title) if article.stars is None else (article.stars, BEST_STARS, 0.0)
    value, best, worst = stars or (None, None, None)
    url = article.url if article.url is None or len(article.url) <= 4096 else None
    common: dict[str, Any] = {
        "source": source, "source_record_id": article.id, "text": text, "lang": article.lang, "best": best,
        "worst": worst, "author": pseudonym(source, article.author), "observed_at": article.when, "url": url,
    }  # fmt: skip
    if target is not None:
        if not headline_is_of(article.title, target.title or ""):
            return None
        return ReviewObserved(film_id=target.film_id, rating=value, **common)
    title = reviewed(article.title)
    if title is None and not shows_a_film(text):
        return None
    kind: RatingKind | None = None if value is None else "single"
    mention = derived_id(fenced(source, "/"), article.id)
    return FilmMentioned(mention_id=mention, title=title, value=value, rating_kind=kind, **common)


def when(text: str | None) -> str | None:
    """RFC 3339 in UTC of any ISO 8601 form; None for what is none."""
    try:
        return moment(text) if text and not text.isdigit() else None
    except Rejected:
        return None


def compact(moment_: str) -> str:
    """A moment as GDELT writes it in addresses: 20261101120000."""
    return datetime.fromisoformat(moment_).strftime("%Y%m%d%H%M%S")


def short_id(text: str) -> str:
    """An address or id as a record's id: itself, or a digest where it is too long for one."""
    return text if len(text) <= LONGEST_ID else blake2b(text.encode(), digest_size=16).hexdigest()


def digests(articles: Sequence[Article]) -> list[str]:
    """Articles that another page will show again, in a few bytes each."""
    return [blake2b(article.id.encode(), digest_size=6).hexdigest() for article in articles]


def _stars(said: str | float | None) -> float | None:
    try:
        stars = float(said) if said is not None else None
    except ValueError:
        return None
    return stars if stars is not None and 0.0 <= stars <= BEST_STARS else None

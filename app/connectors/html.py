"""Kind `html`: thematic sites with a page a film, read by schema.org's terms, else by selectors."""

from __future__ import annotations

import asyncio
import re
import string
import unicodedata
from collections.abc import AsyncGenerator, Iterator
from functools import partial
from typing import Annotated, ClassVar, Final

import msgspec
from msgspec import Meta

from app.connectors.answers import Answer
from app.connectors.base import (
    About,
    Connector,
    ConnectorConfig,
    Cursor,
    FilmTarget,
    Note,
    Observed,
    Refused,
    Request,
    Said,
    observed,
)
from app.connectors.config import Rate, Robots
from app.connectors.errors import MAX_RAW, BlockedError, NotFoundError, SourceError
from app.connectors.fields import ends_of
from app.connectors.film_pages import FilmPage
from app.connectors.guard import authority, is_web_address
from app.connectors.page_records import Reading, mismatch, parse_page, records_of
from app.connectors.page_selectors import Selectors, check_selectors
from app.connectors.session import Session
from app.connectors.targets import At, each_target
from app.secret_urls import without_user
from schemas.ids import FILM_ID_FORMS, is_film_id

BY_ID: Final = frozenset({"imdb", "wikidata", "tmdb"})
"""What leads to the page of exactly one film; a title may lead to another film's."""
HOLES: Final = frozenset({*BY_ID, "title", "year"})
SAMPLE: Final = FilmTarget(
    film_id="tt0111161", title="The Shawshank Redemption", year=1994, imdb="tt0111161", wikidata="Q172241", tmdb=278
)
"""A film that most sites have, to see whether they answer."""
LONGEST_REASON: Final = 1000
WALLS: Final = re.compile(
    rb"<title>\s*(?:Just a moment\.\.\.|Attention Required! \| Cloudflare|Access denied|Pardon Our Interruption"
    rb"|Human Verification|Robot Check|Are you a robot\?)|window\._cf_chl_opt|window\.gokuProps|captcha-delivery\.com"
    rb"|_Incapsula_Resource|px-captcha",
    re.I,
)
"""What stands near the beginning of a page that wants to know whether a person asks."""
WALL_BYTES: Final = 30_000
"""Pages longer than this are no walls, whatever scripts they carry."""


Found = Observed | Refused | Note | At


class Page(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A page that is known to be about a film."""

    url: Annotated[str, Meta(min_length=1, max_length=4096)]
    film: Annotated[str, Meta(description="canonical id of the film")]

    @property
    def id(self) -> str:
        """Its address."""
        return self.url


class Config(ConnectorConfig, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """`[connectors.NAME]` with `kind = "html"`."""

    rate: Rate | None = "1/s"
    robots: Robots = True
    url: Annotated[
        str, Meta(description="address of a film's page with {imdb}, {wikidata}, {tmdb}, or {title} and perhaps {year}")
    ] = ""
    pages: Annotated[tuple[Page, ...], Meta(description="pages of films where no rule gives their addresses")] = ()
    space: Annotated[str, Meta(max_length=3, description="stands between the words of a {title}")] = "-"
    scale: Annotated[
        str, Meta(pattern=r"^(\d+(\.\d+)?:\d+(\.\d+)?)?$", description="worst:best where a page does not say it")
    ] = ""
    most_pages: Annotated[int, Meta(ge=1, le=500, description="pages of reviews a film, by its links to the next")] = 1
    selectors: Selectors = Selectors()


class HtmlConnector(Connector[Config]):
    """Reads a film's page for facts, its mean score and reviews; JSON-LD, then microdata, then selectors."""

    kind: ClassVar[str] = "html"
    about: ClassVar[About] = "films"
    targeted: ClassVar[bool] = True
    spec: ClassVar[type[ConnectorConfig]] = Config

    def __init__(self, config: Config, session: Session) -> None:
        super().__init__(config, session)
        if not config.url and not config.pages:
            raise SourceError("url: an address with {imdb} or {title} is needed, or a list of `pages`")
        self._holes = _holes(config.url)
        for page in config.pages:
            if not is_film_id(page.film):
                raise SourceError(f"pages: film {page.film!r} is none of {FILM_ID_FORMS}")
        for address in (config.url, *(page.url for page in config.pages)):
            if address and "://" not in address and not config.base_url:
                raise SourceError(f"{address!r} is no whole address, and there is no base_url")
            if "://" in address and not is_web_address(address):
                key = "url" if address == config.url else "pages"
                raise SourceError(
                    f"{key}: {without_user(address)!r} cannot be fetched; write it like https://example.org/film"
                )
        self._reading = Reading(config.selectors, ends_of(config.scale) if config.scale else None)
        check_selectors(config.selectors)

    def fault(self, answer: Answer) -> SourceError | None:
        """Walls against programs; some stand there with a status of success."""
        challenged = "cf-mitigated" in answer.headers or "x-amzn-waf-action" in answer.headers
        short = len(answer.body) < WALL_BYTES and "html" in answer.content_type
        if challenged or (short and WALLS.search(answer.body)):
            return BlockedError(f"{answer.url}: the site asks for proof that a person reads it; it is left alone")
        return None

    async def check(self) -> str:
        """Whether the site answers where a run would ask, and with a page. Raises SourceError."""
        place = self.config.pages[0].url if self.config.pages else self._address(SAMPLE) or ""
        try:
            answer = await self.session.ask(place, accept=("html", "xml"))
        except NotFoundError as error:
            if self.config.pages:
                raise
            # No site has every film, and many have nothing at their root.
            return f"{authority(self.session.url(place))} answers, but does not know {SAMPLE.title} ({error})"
        return f"{answer.url} answers ({len(answer.body)} bytes)"

    def read(self, request: Request, cursor: Cursor) -> AsyncGenerator[Said]:
        """The pages of the list, and those of the films of the request. Raises SourceError."""
        known = {film.film_id: film for film in request.films}
        pages = {page.url: known.get(page.film) or FilmTarget(film_id=page.film) for page in self.config.pages}
        targets = [
            *(_Asked(url, film, True) for url, film in pages.items()),
            *(_Asked(film.film_id, film, False) for film in request.films if self.config.url),
        ]
        return each_target(targets, cursor, partial(self._film, self.source(request)))

    async def _film(self, source: str, asked: _Asked, place: Cursor, memory: Cursor) -> AsyncGenerator[Found]:
        first = asked.id if asked.listed else self._address(asked.film)
        if first is None:
            yield Note(f"{asked.id}: has no {' or '.join(sorted(self._holes))} to ask for")
            return
        first = self.session.url(first)
        url, page = place.get("url", first), int(place.get("page", 1))
        certain = page > 1 or asked.listed or bool(self._holes & BY_ID)
        while url is not None:
            answer = await self.session.ask(url, accept=("html", "xml"), decode=self._reading.look_at, revalidate=True)
            if answer.not_modified:
                following = self.session.revalidation.noted(answer.url) or None
            else:
                read, following = await asyncio.to_thread(parse_page, answer, self._reading)
                wrong = mismatch(read.subject, asked.film, certain)
                if wrong is not None:
                    # What is known of the film may change, though the page does not.
                    self.session.revalidation.forget(answer.url)
                    yield Note(f"{asked.film.film_id}: {answer.url} {wrong}; nothing is taken from it")
                    return
                for each in self._said(read, answer, asked.film, source, first, page):
                    yield each
                self.session.revalidation.note(answer.url, following or "")
            more = page < self.config.most_pages and following is not None and following != url
            if not more or following is None or authority(following) != authority(url):
                return
            # What follows is another part of a page whose film is known.
            url, page, certain = following, page + 1, True
            yield At({"url": url, "page": page})

    def _said(
        self, read: FilmPage, answer: Answer, film: FilmTarget, source: str, first: str, page: int
    ) -> Iterator[Observed | Refused]:
        if read.complaints:
            wrong = "; ".join(dict.fromkeys(read.complaints))
            yield Refused(0, f"{answer.url}: {wrong}"[:LONGEST_REASON], answer.body[:MAX_RAW])
        for record in records_of(read, film.film_id, source, self.session.redact(first), page == 1):
            yield observed(record)

    def _address(self, film: FilmTarget) -> str | None:
        """The film's page; None where the film lacks what the address is made of."""
        values = {
            "imdb": film.imdb,
            "wikidata": film.wikidata,
            "tmdb": str(film.tmdb) if film.tmdb else None,
            "title": slug(film.title or "", self.config.space) or None,
            "year": str(film.year) if film.year else None,
        }
        if any(values[hole] is None for hole in self._holes):
            return None
        return self.config.url.format_map(values)


class _Asked(msgspec.Struct, frozen=True):
    """A page to be read: one of the list by its address, else that of a film by its id."""

    id: str
    film: FilmTarget
    listed: bool


def slug(title: str, space: str) -> str:
    """A title as addresses have it: small letters without accents, words with `space` between them."""
    plain = unicodedata.normalize("NFKD", title.replace("&", " and ").replace("'", "").replace("’", "")).casefold()
    kept = "".join(char if char.isalnum() else " " for char in plain if not unicodedata.combining(char))
    return space.join(kept.split())


def _holes(url: str) -> frozenset[str]:
    """What an address is to be filled with. Raises SourceError."""
    try:
        holes = frozenset(name for _, name, _, _ in string.Formatter().parse(url) if name is not None)
    except ValueError as error:
        raise SourceError(f"url: {url!r}: {error}") from error
    unknown = sorted(holes - HOLES)
    if unknown or (url and not holes & (BY_ID | {"title"})):
        what = f"{{{unknown[0]}}} is unknown" if unknown else "nothing in it changes from film to film"
        raise SourceError(f"url: {what}; use {', '.join(f'{{{hole}}}' for hole in sorted(HOLES))}")
    return holes

"""Kind `wikipedia`: plots, lengths, budgets and stated review scores of films, found by their items in Wikidata."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, ClassVar, Final, TypeVar
from urllib.parse import quote, urlsplit

from msgspec import Meta

from agents.scrapes import Sign
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
    Terms,
    observed,
)
from app.connectors.config import Attribution, Rate
from app.connectors.errors import NotFoundError, SourceError
from app.connectors.mediawiki import API, FORMAT, mediawiki_fault
from app.connectors.targets import At, Keep, each_target
from app.connectors.wiki_pages import (
    WikiPage,
    parse_film_page,
    parse_pages,
    parse_same_film,
    parse_sitelink,
    parse_views,
    text_of,
    the_page,
)

MOST_PARTS: Final = 10
"""Answers that one page may come in."""
CANDIDATES: Final = 10
DAYS_OF_VIEWS: Final = 30
LAG: Final = 5
"""Seconds that the wiki's databases may be behind before it would rather not be asked."""

T = TypeVar("T")
Found = Observed | Refused | Note | At | Keep
Title = Annotated[str, Meta(min_length=1, max_length=255)]


class WikipediaTerms(Terms, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The licence of Wikipedia's texts."""

    attribution: Attribution = "Text from Wikipedia under CC BY-SA 4.0."


class Config(ConnectorConfig, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """`[connectors.NAME]` with `kind = "wikipedia"`."""

    language: Annotated[str, Meta(pattern="^[a-z]{2,3}$", description="of the Wikipedia")] = "en"
    wikidata_url: Annotated[str, Meta(description="address of the wiki that knows which page is which film's")] = (
        "https://www.wikidata.org"
    )
    views_url: Annotated[str, Meta(description="address of the REST API with page views")] = (
        "https://wikimedia.org/api/rest_v1"
    )
    rate: Rate | None = "1/s"
    terms: WikipediaTerms = WikipediaTerms()
    plot: Annotated[tuple[Title, ...], Meta(description="headings under which plots stand")] = (
        "Plot", "Synopsis", "Premise", "Plot summary", "Handlung", "Inhalt", "Argumento", "Trama", "Сюжет",
    )  # fmt: skip
    scores: Annotated[bool, Meta(description="whether review scores that the text states are read")] = True
    views: Annotated[bool, Meta(description="whether the report notes how often a page was looked at in a month")] = (
        False
    )

    def home(self) -> str:
        """The Wikipedia of the language."""
        return self.base_url or f"https://{self.language}.wikipedia.org"


class WikipediaConnector(Connector[Config]):
    """Reads a film's page for facts, plot and aggregators' scores; found by Wikidata or IMDb id."""

    kind: ClassVar[str] = "wikipedia"
    about: ClassVar[About] = "films"
    targeted: ClassVar[bool] = True
    looks_up_by: ClassVar[tuple[Sign, ...]] = ("name", "year", "imdb", "wikidata")
    spec: ClassVar[type[ConnectorConfig]] = Config

    def fault(self, answer: Answer) -> SourceError | None:
        """Wikis state errors inside a 200."""
        return mediawiki_fault(answer)

    async def check(self) -> str:
        """The wiki's name and version. Raises SourceError."""
        said = await self.session.get_json(API, {**FORMAT, "meta": "siteinfo"})
        general = said["query"]["general"] if "query" in said else {}
        return f"{general.get('sitename', 'a wiki')}, {general.get('generator', 'of unknown version')}"

    def read(self, request: Request, cursor: Cursor) -> AsyncGenerator[Said]:
        """The pages of the films of the request. Raises SourceError."""
        return each_target(request.films, cursor, partial(self._film, self.source(request)))

    async def _film(self, source: str, film: FilmTarget, place: Cursor, memory: Cursor) -> AsyncGenerator[Found]:
        item = film.wikidata or memory.get("item") or await self._item(film)
        title = await self._title(item) if item else None
        if title is None:
            why = f"{item} has no page here" if item else "no item of Wikidata is certainly it"
            yield Note(f"{film.film_id}: {why}; nothing is guessed from the title")
            return
        asked: dict[str, str | int] = {"titles": title, "redirects": 1, "prop": "info|pageprops", "inprop": "url"}
        page = the_page(await self._pages(asked), title)
        # A redirect may lead to a page about all of a series.
        if page.item != item:
            yield Note(f"{film.film_id}: {title!r} leads to {page.title!r}, which is not {item}'s page")
            return
        if self.config.views:
            yield await self._viewed(film, page.title)
        if page.lastrevid and page.lastrevid == memory.get("revision"):
            return
        whole: dict[str, str | int] = {
            "titles": page.title, "prop": "extracts|revisions", "explaintext": 1, "exsectionformat": "wiki",
            "rvprop": "content", "rvslots": "main",
        }  # fmt: skip
        content = the_page(await self._pages(whole), page.title)
        page.extract, page.revisions = content.extract, content.revisions
        if page.extract is None and page.source:
            page.extract = text_of(page.source)
            yield Note(f"{film.film_id}: this wiki has no TextExtracts, its text was made from the page's source")
        for record in parse_film_page(page, film, source, self.config.plot):
            if self.config.scores or record.topic != "ratings":
                yield observed(record)
        yield Keep({"item": item, "revision": page.lastrevid})

    async def _pages(self, asked: dict[str, str | int], parts: int = MOST_PARTS) -> list[WikiPage]:
        """The pages of a query, put together from the parts in which they come."""
        found: dict[str, WikiPage] = {}
        more: dict[str, str | int] = {}
        for _ in range(parts):
            pages, more = await self.session.get_parsed(
                API, {**FORMAT, "maxlag": LAG, **asked, **more}, parse=parse_pages
            )
            for page in pages:
                known = found.setdefault(page.title, page)
                known.extract = known.extract or page.extract
                known.revisions = known.revisions or page.revisions
                if page.item:
                    known.pageprops = page.pageprops
            if not more:
                break
        return list(found.values())

    async def _item(self, film: FilmTarget) -> str | None:
        """The one item with the film's IMDb id among the pages that a search for title and year finds."""
        if film.imdb is None or not film.title:
            return None
        search = f'intitle:"{film.title.replace(chr(34), " ")}" {film.year or ""} film'
        asked: dict[str, str | int] = {"generator": "search", "gsrsearch": search, "gsrlimit": CANDIDATES}
        # What would follow are the less likely ones.
        pages = await self._pages({**asked, "gsrnamespace": 0, "prop": "pageprops"}, parts=1)
        items = sorted({page.item for page in pages if page.item})
        if not items:
            return None
        same = await self._entities("|".join(items), "claims", partial(parse_same_film, imdb=film.imdb))
        return same[0] if len(same) == 1 else None

    async def _title(self, item: str) -> str | None:
        site = f"{self.config.language.replace('-', '_')}wiki"
        return await self._entities(item, "sitelinks", partial(parse_sitelink, site=site), sitefilter=site)

    async def _entities(self, items: str, props: str, parse: Callable[[bytes], T], **more: str) -> T:
        place = f"{self.config.wikidata_url.rstrip('/')}/{API}"
        params = {**FORMAT, "action": "wbgetentities", "maxlag": LAG, "ids": items, "props": props, **more}
        return await self.session.get_parsed(place, params, parse=parse)

    async def _viewed(self, film: FilmTarget, title: str) -> Note:
        """How often the page was looked at in the days before today, which no record has a place for."""
        today = datetime.fromtimestamp(self.session.clock(), UTC).date()
        begin, end = (f"{today - timedelta(days=days):%Y%m%d}" for days in (DAYS_OF_VIEWS, 1))
        project = urlsplit(self.config.home()).hostname
        article = quote(title.replace(" ", "_"), safe="")
        place = f"{self.config.views_url.rstrip('/')}/metrics/pageviews/per-article/{project}/all-access/user/{article}"
        try:
            views = await self.session.get_parsed(f"{place}/daily/{begin}/{end}", parse=parse_views)
        except NotFoundError:
            views = 0
        return Note(f"{film.film_id}: {title!r} was looked at {views} times in {DAYS_OF_VIEWS} days")

"""Kind `news_api`: what newspapers write about the films, through whichever aggregator there is a key for."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any, ClassVar, Final, Literal, NamedTuple

import msgspec
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
from app.connectors.by_profile import Usual, fill
from app.connectors.config import Days, Learnt
from app.connectors.errors import SourceError
from app.connectors.news_faults import EndOfResultsError, gdelt_fault, guardian_fault, newsapi_fault
from app.connectors.news_payloads import (
    LANGUAGES,
    Page,
    compact,
    digests,
    parse_article,
    parse_gdelt,
    parse_guardian,
    parse_newsapi,
)
from app.connectors.session import Session
from app.connectors.targets import At, Keep, each_target

Profile = Literal["guardian", "newsapi", "gdelt"]
USUAL: Final = {
    "guardian": Usual(
        home="https://content.guardianapis.com",
        rate="1/s",
        quota="500/d",
        token_env="MARQUEE_GUARDIAN_TOKEN",
        attribution="Powered by the Guardian",
    ),
    "newsapi": Usual(
        home="https://newsapi.org",
        rate="1/s",
        quota="100/d",
        token_env="MARQUEE_NEWSAPI_TOKEN",
        attribution="Powered by NewsAPI.org",
    ),
    # One request in five seconds.
    "gdelt": Usual(home="https://api.gdeltproject.org", rate="12/m", attribution="The GDELT Project"),
}
QUERIES: Final = {
    "guardian": '"{title}"',
    "newsapi": '"{title}" AND (film OR movie)',
    "gdelt": '"{title}" (film OR movie)',
}
A_PAGE: Final = {"guardian": 50, "newsapi": 100, "gdelt": 250}
FAULTS: Final[dict[str, Callable[[Answer], SourceError | None]]] = {
    "guardian": guardian_fault,
    "newsapi": newsapi_fault,
    "gdelt": gdelt_fault,
}


class NewsTerms(Terms, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The strictest reading of the three: kept for a month, nothing learnt from it without an agreement."""

    ttl_days: Days | None = 30
    train_allowed: Learnt = False


class Config(ConnectorConfig, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """`[connectors.NAME]` with `kind = "news_api"`."""

    profile: Profile
    terms: NewsTerms = NewsTerms()
    query: Annotated[
        str,
        Meta(description="what is searched for; without {title} one search for all films, whose articles are matched"),
    ] = ""
    language: Annotated[str, Meta(pattern="^[a-z]{2}$", description="of the articles; newsapi and gdelt")] = "en"
    section: Annotated[str, Meta(description="guardian's section; empty: all")] = "film"
    tag: Annotated[str, Meta(description="guardian's tags, with commas; empty: all")] = "tone/reviews"
    page_size: Annotated[int, Meta(ge=1, le=250, description="articles a request; newsapi 100 at most")] | None = None
    pages: Annotated[int, Meta(ge=1, le=100, description="requests a film and run")] = 5

    def __post_init__(self) -> None:
        fill(self, USUAL[self.profile])

    def home(self) -> str:
        """The service's address."""
        return self.base_url or USUAL[self.profile].home


class Search(msgspec.Struct, frozen=True):
    """One search that is about no film in particular."""

    id: str


class Found(NamedTuple):
    """A page with the place of the one after it; None where there is none."""

    page: Page
    next: Cursor | None


class NewsConnector(Connector[Config]):
    """Reads articles and the stars that reviewers gave; Guardian, NewsAPI or GDELT."""

    kind: ClassVar[str] = "news_api"
    about: ClassVar[About] = "films"
    targeted: ClassVar[bool] = True
    looks_up_by: ClassVar[tuple[Sign, ...]] = ("name",)
    profiles: ClassVar[tuple[str, ...]] = ("guardian", "newsapi", "gdelt")
    spec: ClassVar[type[ConnectorConfig]] = Config

    def __init__(self, config: Config, session: Session) -> None:
        super().__init__(config, session)
        if config.language not in LANGUAGES:
            raise SourceError(f"language: {config.language} is not one of {', '.join(LANGUAGES)}")
        self._size = config.page_size or A_PAGE[config.profile]
        if config.profile == "newsapi" and self._size > A_PAGE["newsapi"]:
            raise SourceError("page_size: newsapi gives 100 articles at most")
        self._query = config.query or QUERIES[config.profile]
        self._ask = {"guardian": self._guardian, "newsapi": self._newsapi, "gdelt": self._gdelt}[config.profile]

    def fault(self, answer: Answer) -> SourceError | None:
        """Each vendor has its own way of saying no."""
        return FAULTS[self.config.profile](answer)

    async def check(self) -> str:
        """Whether a search for anything is answered, which costs one request. Raises SourceError."""
        found = await self._ask("film", None, {})
        return f"{self.config.home()} answers: {found.page.entries} articles on its first page"

    def read(self, request: Request, cursor: Cursor) -> AsyncGenerator[Said]:
        """Articles about the films of the request, or whatever one search finds. Raises SourceError."""
        source = self.source(request)
        if "{title}" in self._query:
            return each_target(request.films, cursor, partial(self._search, source))
        return each_target([Search(self._query)], cursor, partial(self._search, source))

    async def _search(
        self, source: str, target: FilmTarget | Search, place: Cursor, memory: Cursor
    ) -> AsyncGenerator[Observed | Refused | Note | At | Keep]:
        film = target if isinstance(target, FilmTarget) else None
        if film is not None and not film.title:
            yield Note(f"{film.id}: has no title to search for")
            return
        query = self._query.replace("{title}", (film.title or "").replace('"', " ").strip() if film else "")
        known = self._come(memory.get("since"))
        since, newest = known or self._first(film), max(known, self._come(place.get("newest")))
        asked, passed = int(place.get("asked", 0)), 0
        following: Cursor | None = place
        while following is not None and asked < self.config.pages:
            try:
                found = await self._ask(query, since, following)
            except EndOfResultsError as error:
                yield Note(f"{target.id}: {error}")
                break
            for each in found.page.refused:
                yield each
            for article in found.page.articles:
                record = parse_article(article, film, source)
                if record is not None:
                    yield observed(record)
                passed += record is None
                newest = max(newest, self._come(article.when))
            following, asked = found.next, asked + 1
            if following is not None and asked < self.config.pages:
                following = {**following, "newest": newest, "asked": asked}
                yield At(following)
        if passed:
            yield Note(f"{target.id}: {passed} articles whose headline does not name the film were passed over")
        if following is not None and asked >= self.config.pages and self.config.profile == "newsapi":
            yield Note(f"{target.id}: there are more articles, older ones, than `pages` allows")
        if newest:
            yield Keep({"since": newest})

    def _come(self, when: str | None) -> str:
        """A moment that has come, else nothing: behind one of the future no article would be found until then."""
        now = datetime.fromtimestamp(self.session.clock(), UTC)
        return when if when and datetime.fromisoformat(when) <= now else ""

    def _first(self, film: FilmTarget | None) -> str | None:
        """Nothing that was written before a film's year is about it; only one of the three looks so far back."""
        if self.config.profile != "guardian" or film is None or film.year is None:
            return None
        return f"{film.year}-01-01T00:00:00.000Z"

    async def _guardian(self, query: str, since: str | None, place: Cursor) -> Found:
        number, config = int(place.get("page", 1)), self.config
        params: dict[str, Any] = {
            "q": query, "show-fields": "starRating,bodyText,byline", "order-by": "oldest", "page": number,
            "page-size": self._size, "from-date": since[:10] if since else None, "section": config.section or None,
            "tag": config.tag or None, "api-key": self.session.token(),
        }  # fmt: skip
        page = await self.session.get_parsed("search", params, parse=parse_guardian)
        return Found(page, {"page": number + 1} if number < page.total else None)

    async def _newsapi(self, query: str, since: str | None, place: Cursor) -> Found:
        number, language = int(place.get("page", 1)), self.config.language
        page = await self.session.get_parsed(
            "v2/everything",
            {"q": query, "language": language, "sortBy": "publishedAt", "pageSize": self._size, "page": number,
             "from": since and since[:19]},
            parse=partial(parse_newsapi, lang=language),
            headers={"X-Api-Key": self.session.token()},
        )  # fmt: skip
        more = page.entries > 0 and number * self._size < page.total
        return Found(page, {"page": number + 1} if more else None)

    async def _gdelt(self, query: str, since: str | None, place: Cursor) -> Found:
        start = place.get("start") or (compact(since) if since else None)
        params: dict[str, Any] = {
            "query": f"{query} sourcelang:{LANGUAGES[self.config.language].lower()}", "mode": "artlist",
            "format": "json", "sort": "dateasc", "maxrecords": self._size, "startdatetime": start,
        }  # fmt: skip
        page = await self.session.get_parsed("api/v2/doc/doc", params, parse=parse_gdelt)
        last = max((article.when or "" for article in page.articles), default="")
        seen = set(place.get("seen", ()))
        new = [a for a, digest in zip(page.articles, digests(page.articles), strict=True) if digest not in seen]
        found = page._replace(articles=new)
        if page.entries < self._size or not last:
            return Found(found, None)
        # It has no pages: the next begins at the moment of the last article, which others may share.
        shared = digests([article for article in page.articles if article.when == last])
        if compact(last) == start:
            after = datetime.fromisoformat(last) + timedelta(seconds=1)
            return Found(found, {"start": after.strftime("%Y%m%d%H%M%S")})
        return Found(found, {"start": compact(last), "seen": shared})

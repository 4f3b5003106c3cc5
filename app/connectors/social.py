"""Kind `social`: what people write about films in public, in networks that let programs read along."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncGenerator
from functools import partial
from typing import Annotated, Any, ClassVar, Final, Literal
from urllib.parse import quote

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
from app.connectors.config import Days, Learnt, Variable
from app.connectors.errors import SourceError
from app.connectors.session import Params, Session
from app.connectors.social_faults import ExpiredError, bluesky_fault, confidential, mastodon_fault, reddit_fault
from app.connectors.social_payloads import (
    Page,
    hashtag,
    newest,
    parse_bluesky,
    parse_mastodon,
    parse_post,
    parse_reddit,
)
from app.connectors.targets import At, Keep, each_target

USUAL: Final = {
    "mastodon": Usual(rate="30/m", token_env="MARQUEE_MASTODON_TOKEN"),
    "bluesky": Usual(home="https://bsky.social", rate="30/m", token_env="MARQUEE_BLUESKY_PASSWORD"),
    "reddit": Usual(home="https://oauth.reddit.com", rate="30/m", token_env="MARQUEE_REDDIT_SECRET"),
}
REDDIT_LOGIN: Final = "https://www.reddit.com/api/v1/access_token"
QUERIES: Final = {"mastodon": "{tag}", "bluesky": '"{title}" film', "reddit": 'title:"{title}"'}
A_PAGE: Final = {"mastodon": 40, "bluesky": 100, "reddit": 100}
FAULTS: Final = {"mastodon": mastodon_fault, "bluesky": bluesky_fault, "reddit": reddit_fault}
EARLY: Final = 60.0
"""Seconds before its end at which an access token is not used any more."""


class SocialTerms(Terms, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """People may delete what they wrote: kept for a month, and nothing learnt from it without an agreement."""

    ttl_days: Days | None = 30
    train_allowed: Learnt = False


class Config(ConnectorConfig, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """`[connectors.NAME]` with `kind = "social"`."""

    profile: Literal["mastodon", "bluesky", "reddit"]
    terms: SocialTerms = SocialTerms()
    feeds: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=200)], ...],
        Meta(description="hashtags, searches or forums that are read whole; none: every film is searched for"),
    ] = ()
    query: Annotated[str, Meta(description="what is searched for a film; {title} or, as a hashtag, {tag}")] = ""
    forum: Annotated[
        str, Meta(pattern=r"^\w+(\+\w+)*$", description="forums that reddit searches: movies+TrueFilm")
    ] = "movies"
    account: Annotated[str, Meta(description="bluesky's handle, whose app password token_env holds")] = ""
    client_env: Annotated[Variable, Meta(description="variable with reddit's client id; token_env has its secret")] = (
        "MARQUEE_REDDIT_CLIENT"
    )
    page_size: Annotated[int, Meta(ge=1, le=100, description="posts a request")] | None = None
    pages: Annotated[int, Meta(ge=1, le=100, description="requests a film or feed and run")] = 5

    def __post_init__(self) -> None:
        fill(self, USUAL[self.profile])

    def home(self) -> str:
        """The service's address; Mastodon has no common one."""
        return self.base_url or USUAL[self.profile].home


class Feed(msgspec.Struct, frozen=True):
    """What is read whole, whatever film it is about."""

    id: str


class Opened(msgspec.Struct, rename="camel"):
    """Of com.atproto.server.createSession."""

    access_jwt: str


class Granted(msgspec.Struct):
    """Of Reddit's access_token."""

    access_token: str
    expires_in: float = 3600.0


class SocialConnector(Connector[Config]):
    """Reads posts with a score or about a film; Mastodon, Bluesky or Reddit, authors by pseudonym."""

    kind: ClassVar[str] = "social"
    about: ClassVar[About] = "films"
    targeted: ClassVar[bool] = True
    looks_up_by: ClassVar[tuple[Sign, ...]] = ("name",)
    profiles: ClassVar[tuple[str, ...]] = ("mastodon", "bluesky", "reddit")
    spec: ClassVar[type[ConnectorConfig]] = Config

    def __init__(self, config: Config, session: Session) -> None:
        super().__init__(config, session)
        if config.profile == "mastodon" and not config.base_url:
            raise SourceError("base_url: mastodon is many servers: name one")
        if config.profile == "bluesky" and not config.account:
            raise SourceError("account: bluesky searches for those who are logged in only: name a handle")
        self._size = min(config.page_size or A_PAGE[config.profile], A_PAGE[config.profile])
        self._query = config.query or QUERIES[config.profile]
        self._bearer, self._until = "", 0.0

    def fault(self, answer: Answer) -> SourceError | None:
        """Each network has its own way of saying no."""
        return FAULTS[self.config.profile](answer, self.session.clock)

    async def check(self) -> str:
        """Whether a page of anything is answered, after the log-in where there is one. Raises SourceError."""
        feed = Feed(next(iter(self.config.feeds), self.config.forum if self.config.profile == "reddit" else "film"))
        page = await self._page(feed, feed.id, "", {})
        return f"{self.config.home()} answers: {len(page.orders)} posts on its first page"

    def read(self, request: Request, cursor: Cursor) -> AsyncGenerator[Said]:
        """Posts of the feeds, else about the films of the request. Raises SourceError."""
        search = partial(self._search, self.source(request), request.films)
        if self.config.feeds:
            return each_target([Feed(each) for each in self.config.feeds], cursor, search)
        return each_target(request.films, cursor, search)

    async def _search(
        self, source: str, films: tuple[FilmTarget, ...], target: FilmTarget | Feed, place: Cursor, memory: Cursor
    ) -> AsyncGenerator[Observed | Refused | Note | At | Keep]:
        film = target if isinstance(target, FilmTarget) else None
        tag = hashtag(film.title or "") if film is not None else ""
        if film is not None and not tag:
            yield Note(f"{film.id}: has no title to search for")
            return
        title = (film.title or "").replace('"', " ") if film is not None else ""
        query = self._query.replace("{title}", title).replace("{tag}", tag) if film is not None else target.id
        since, last = str(memory.get("since", "")), str(place.get("last", memory.get("since", "")))
        asked, following = int(place.get("asked", 0)), str(place.get("next", ""))
        while asked < self.config.pages:
            page = await self._page(target, query, since, {"next": following})
            for each in page.refused:
                yield each
            for post in page.posts:
                record = parse_post(post, film, films, source, tag)
                if record is not None:
                    yield observed(record)
            asked, last = asked + 1, newest((last, *page.orders))
            if not page.next:
                break
            following = page.next
            if asked < self.config.pages:
                yield At({"next": following, "last": last, "asked": asked})
        if last:
            yield Keep({"since": last})

    async def _page(self, target: FilmTarget | Feed, query: str, since: str, place: Cursor) -> Page:
        following = str(place.get("next", "")) or None
        match self.config.profile:
            case "mastodon":
                return await self._mastodon(query, since, following)
            case "bluesky":
                return await self._bluesky(query, since, following)
            case "reddit":
                return await self._reddit(target, query, since, following)

    async def _mastodon(self, tag: str, since: str, following: str | None) -> Page:
        token = self.session.token_if_set()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        # The first time backwards from now on, later forwards from what was the newest.
        params: Params = {
            "limit": self._size,
            "min_id": (following or since) if since else None,
            "max_id": None if since else following,
        }
        found: list[Page] = []
        place, home = f"api/v1/timelines/tag/{quote(tag.lstrip('#'), safe='')}", self.session.home
        await self.session.ask(
            place,
            params,
            headers=headers,
            decode=lambda answer: found.append(parse_mastodon(answer.body, home, answer.next)),
        )
        page = found[-1]
        return page._replace(next=newest(page.orders) or None) if since else page

    async def _bluesky(self, query: str, since: str, following: str | None) -> Page:
        params: Params = {
            "q": query, "sort": "latest", "limit": self._size, "cursor": following, "since": since or None,
        }  # fmt: skip
        try:
            return await self._search_posts(params)
        except ExpiredError:
            self._bearer = ""
            return await self._search_posts(params)

    async def _search_posts(self, params: Params) -> Page:
        if not self._bearer:
            body = {"identifier": self.config.account, "password": self.session.token()}
            await self._log_in(
                "xrpc/com.atproto.server.createSession",
                lambda answer: self._begin(confidential(answer, Opened).access_jwt, float("inf")),
                data=msgspec.json.encode(body),
                headers={"Content-Type": "application/json"},
            )
        return await self._authorised("xrpc/app.bsky.feed.searchPosts", params, parse_bluesky)

    async def _reddit(self, target: FilmTarget | Feed, query: str, since: str, following: str | None) -> Page:
        if self.session.clock() >= self._until:
            secret = self.session.token()
            known = b64encode(f"{self.session.token(self.config.client_env)}:{secret}".encode()).decode()
            self.session.hide(known)

            def grant(answer: Answer) -> None:
                granted = confidential(answer, Granted)
                self._begin(granted.access_token, self.session.clock() + granted.expires_in - EARLY)

            await self._log_in(
                "api/v1/access_token" if self.config.base_url else REDDIT_LOGIN,
                grant,
                data=b"grant_type=client_credentials",
                headers={"Authorization": f"Basic {known}", "Content-Type": "application/x-www-form-urlencoded"},
            )
        params: dict[str, Any] = {"limit": self._size, "raw_json": 1, "after": following}
        if isinstance(target, Feed):
            place = f"r/{quote(target.id.removeprefix('r/'), safe='+')}/new"
        else:
            place = f"r/{self.config.forum}/search"
            params |= {"q": query, "restrict_sr": 1, "sort": "new", "type": "link"}
        page = await self._authorised(place, params, parse_reddit)
        # The newest come first: behind one that is known there are only known ones.
        known_too = bool(since) and any(newest((order, since)) == since for order in page.orders)
        return page._replace(next=None) if known_too else page

    async def _log_in(self, place: str, decode: Any, *, data: bytes, headers: dict[str, str]) -> None:
        await self.session.ask(place, method="POST", data=data, headers=headers, decode=decode)

    def _begin(self, bearer: str, until: float) -> None:
        self.session.hide(bearer)
        self._bearer, self._until = bearer, until

    async def _authorised(self, place: str, params: Params, parse: Any) -> Page:
        headers = {"Authorization": f"Bearer {self._bearer}"}
        page: Page = await self.session.get_parsed(place, params, parse=parse, headers=headers)
        return page

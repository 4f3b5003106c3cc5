"""Kind `rss`: RSS and Atom feeds, whose entries are reviews of a film or mention one that is to be found."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Annotated, ClassVar, Final

import msgspec
from msgspec import Meta

from app.connectors.answers import Answer
from app.connectors.base import (
    About,
    Connector,
    ConnectorConfig,
    Cursor,
    Note,
    Observed,
    Refused,
    Request,
    Said,
    observed,
)
from app.connectors.config import Rate, Robots
from app.connectors.errors import (
    AuthFailedError,
    BlockedError,
    IncompleteError,
    NotFoundError,
    RetryableError,
    SourceError,
)
from app.connectors.feed_entries import Entry, Parsed, look_at_feed, parse_entry, parse_feed
from app.connectors.guard import authority, is_web_address
from app.connectors.session import Session
from app.connectors.targets import At, Keep, each_target
from app.secret_urls import without_user
from schemas.ids import FILM_ID_FORMS, is_film_id

DIGEST: Final = 8
"""Characters of an event's id by which the next run knows that it was sent."""
FILM_YEARS: Final = range(1870, 2201)
OF_ONE_HOST: Final = (RetryableError, IncompleteError, AuthFailedError)
"""What is wrong with one host is no reason to leave the feeds of others unread."""

Found = Observed | Refused | Note | At | Keep
Address = Annotated[str, Meta(min_length=1, max_length=4096)]


class GoneError(NotFoundError):
    """The server says that there will never be such a feed again."""


class Feed(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A feed; where `film` is named, all its entries are reviews of that film."""

    url: Address
    film: Annotated[str, Meta(description="canonical id of the one film that the feed is about")] | None = None

    @property
    def id(self) -> str:
        """Its address."""
        return self.url


class Config(ConnectorConfig, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """`[connectors.NAME]` with `kind = "rss"`."""

    rate: Rate | None = "1/s"
    robots: Robots = True
    feeds: Annotated[
        tuple[Address | Feed, ...], Meta(min_length=1, description="addresses, or tables with url and film")
    ]
    title: Annotated[
        str, Meta(description="pattern with groups `title` and perhaps `year` for titles of entries that name a film")
    ] = ""


class RssConnector(Connector[Config]):
    """Reads RSS and Atom feeds; entries become reviews where a feed is about one film, else mentions to be matched."""

    kind: ClassVar[str] = "rss"
    about: ClassVar[About] = "films"
    spec: ClassVar[type[ConnectorConfig]] = Config

    def __init__(self, config: Config, session: Session) -> None:
        super().__init__(config, session)
        self._feeds = tuple(Feed(url=feed) if isinstance(feed, str) else feed for feed in config.feeds)
        for feed in self._feeds:
            if "://" not in feed.url and not config.base_url:
                raise SourceError(f"feeds: {feed.url!r} is no whole address, and there is no base_url")
            if "://" in feed.url and not is_web_address(feed.url):
                raise SourceError(
                    f"feeds: {without_user(feed.url)!r} cannot be fetched; write it like https://example.org/feed"
                )
            if feed.film is not None and not is_film_id(feed.film):
                raise SourceError(f"feeds: film {feed.film!r} is none of {FILM_ID_FORMS}")
        try:
            self._title = re.compile(config.title)
        except re.error as error:
            raise SourceError(f"title: {config.title!r} is no pattern: {error}") from error
        if config.title and "title" not in self._title.groupindex:
            raise SourceError("title: the pattern needs a group (?P<title>...)")

    def fault(self, answer: Answer) -> SourceError | None:
        """A feed that is gone for good says so by its status."""
        if answer.status == 410:
            return GoneError(f"{answer.url}: the feed is gone for good; take it out of `feeds`")
        return None

    async def check(self) -> str:
        """What the first feed is. Raises SourceError."""
        found = await self._parsed(self._feeds[0].url, await self._ask(self._feeds[0].url))
        return f"{found.title or self._feeds[0].url} ({found.version}) with {len(found.entries)} entries"

    async def read(self, request: Request, cursor: Cursor) -> AsyncGenerator[Said]:
        """What is new in the feeds; those of hosts in trouble are left for the next run. Raises SourceError."""
        source, failed, refused = self.source(request), dict[str, SourceError](), list[BlockedError]()

        async def one(feed: Feed, place: Cursor, memory: Cursor) -> AsyncGenerator[Found]:
            host = authority(self.session.url(feed.url))
            if host in failed:
                yield Note(f"{feed.url}: left for the next run, as its host is in trouble")
                return
            try:
                async with aclosing(self._feed(source, feed, memory)) as said:
                    async for each in said:
                        yield each
            except OF_ONE_HOST as error:
                failed[host] = error
                yield Note(str(error))
            except BlockedError as error:
                # A site that keeps one feed from programs may have others for them.
                refused.append(error)
                yield Note(str(error))

        async with aclosing(each_target(self._feeds, cursor, one)) as said:
            async for each in said:
                yield each
        for error in (*failed.values(), *refused):
            raise error

    async def _feed(self, source: str, feed: Feed, memory: Cursor) -> AsyncGenerator[Found]:
        if memory.get("gone"):
            yield Note(f"{feed.url}: is gone for good and no longer asked for; take it out of `feeds`")
            return
        try:
            answer = await self._ask(feed.url, revalidate=True)
        except GoneError as error:
            yield Note(str(error))
            yield Keep({"gone": True})
            return
        if answer.not_modified:
            return
        found, sent = await self._parsed(feed.url, answer), set(memory.get("sent", ()))
        now: list[str] = []
        # The newest stands first in a feed; what was said first comes first here.
        for entry in reversed(found.entries):
            for each in self._said(entry, source, feed):
                name = each.event_id[:DIGEST] if isinstance(each, Observed) else ""
                if name:
                    now.append(name)
                if name not in sent:
                    yield each
        yield Keep({"sent": now})

    def _said(self, entry: Entry, source: str, feed: Feed) -> Iterator[Observed | Refused]:
        named = self._title.search(entry.title) if self.config.title else None
        groups = named.groupdict() if named else {}
        title, year = (groups.get("title") or "").strip() or None, groups.get("year") or ""
        stated = int(year) if year.isdecimal() and int(year) in FILM_YEARS else None
        place = self.session.redact(self.session.url(feed.url))
        for record in parse_entry(entry, source, place, feed.film, (title, stated)):
            yield observed(record)

    async def _ask(self, url: str, revalidate: bool = False) -> Answer:
        shown = self.session.redact(url)
        # Held to its form while it may still be asked for again.
        return await self.session.ask(
            url, revalidate=revalidate, decode=lambda answer: look_at_feed(answer.body, shown)
        )

    async def _parsed(self, url: str, answer: Answer) -> Parsed:
        return await asyncio.to_thread(
            parse_feed, answer.body, self.session.redact(self.session.url(url)), answer.headers.get("Content-Type", "")
        )

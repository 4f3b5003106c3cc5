"""Kind `youtube`: what people write under videos about films, through the YouTube Data API."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Annotated, Any, ClassVar, Final

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
from app.connectors.config import Attribution, DailyQuota, Days, Learnt, QuotaZone, Rate, Variable
from app.connectors.elements import Elements
from app.connectors.errors import SourceError
from app.connectors.session import Session
from app.connectors.targets import At, Keep, each_target
from app.connectors.youtube_payloads import (
    Comments,
    CommentsClosedError,
    StalePageError,
    Video,
    parse_comments,
    parse_search,
    parse_videos,
    youtube_fault,
)
from schemas.ids import FILM_ID_FORMS, is_film_id

API: Final = "youtube/v3"
A_PAGE: Final = 100
SEARCH: Final = "search"
"""The daily quota of searches, which is apart from that of all other calls."""
SEARCHED_AGAIN: Final = 30 * 86_400.0
"""Seconds after which a film that no video was found for is searched for again."""
DONE: Final = "~"
"""Stands behind all characters of an id, and so after the video and before the next one."""

Found = Observed | Refused | Note | At | Keep
VideoId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{6,20}$")]


class YouTubeTerms(Terms, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """YouTube's own: thirty days of storage, so nothing that a model would keep for longer."""

    ttl_days: Days | None = 30
    train_allowed: Learnt = False
    attribution: Attribution = "Comments from YouTube."


class Config(ConnectorConfig, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """`[connectors.NAME]` with `kind = "youtube"`."""

    base_url: Annotated[str, Meta(description="address of the API")] = "https://youtube.googleapis.com"
    rate: Rate | None = "5/s"
    quota: DailyQuota | None = "10000/d"
    searches: Annotated[DailyQuota, Meta(description="searches a day, a quota of their own")] = "100/d"
    quota_timezone: QuotaZone = "America/Los_Angeles"
    token_env: Variable | None = "MARQUEE_YOUTUBE_TOKEN"
    terms: YouTubeTerms = YouTubeTerms()
    query: Annotated[str, Meta(pattern=r"\{title\}", description="what is searched for; {title} and {year} are")] = (
        "{title} {year} official trailer"
    )
    most_videos: Annotated[int, Meta(ge=1, le=50, description="videos a film")] = 5
    most_pages: Annotated[int, Meta(ge=1, le=1000, description="pages of 100 comments a video and run")] = 5
    videos: Annotated[
        dict[str, tuple[VideoId, ...]], Meta(description="ids of videos by canonical film id, which are not searched")
    ] = msgspec.field(default_factory=dict)

    def quotas(self) -> dict[str, str]:
        """Searches apart from all else."""
        return {**({"": self.quota} if self.quota else {}), SEARCH: self.searches}


class Known(msgspec.Struct, omit_defaults=True):
    """What is kept of a film: its videos with the newest comment that was read and how many there were."""

    videos: dict[str, tuple[str, int]] = {}
    searched: float = 0.0
    """When a search found nothing, in seconds since 1970."""


class Place(msgspec.Struct, omit_defaults=True):
    """How far in a film a run is: which video, which page of it, and the newest comment of the pages before."""

    known: Known
    video: str = ""
    token: str | None = None
    page: int = 1
    newest: str = ""


class YouTubeConnector(Connector[Config]):
    """Reads comments under videos about a film; videos are found once by search and then remembered."""

    kind: ClassVar[str] = "youtube"
    about: ClassVar[About] = "films"
    targeted: ClassVar[bool] = True
    looks_up_by: ClassVar[tuple[Sign, ...]] = ("name", "year", "imdb")
    spec: ClassVar[type[ConnectorConfig]] = Config

    def __init__(self, config: Config, session: Session) -> None:
        super().__init__(config, session)
        wrong = next((film for film in config.videos if not is_film_id(film)), None)
        if wrong is not None:
            raise SourceError(f"videos: film {wrong!r} is none of {FILM_ID_FORMS}")

    def fault(self, answer: Answer) -> SourceError | None:
        """One status stands for a spent day, for haste, for a bad key and for a video without comments."""
        return youtube_fault(answer)

    async def check(self) -> str:
        """Whether the key is good, by a question that costs one unit. Raises SourceError."""
        said = await self.session.get_json(f"{API}/i18nLanguages", self._keyed(part="snippet"))
        return f"{len(said['items'])} languages of the site"

    def read(self, request: Request, cursor: Cursor) -> AsyncGenerator[Said]:
        """Comments about the films of the request. Raises SourceError."""
        return each_target(request.films, cursor, partial(self._film, self.source(request)))

    async def _film(self, source: str, film: FilmTarget, place: Cursor, memory: Cursor) -> AsyncGenerator[Found]:
        begun = msgspec.convert(place, Place) if place else None
        refused: list[Refused] = []
        known = begun.known if begun else await self._known(film, msgspec.convert(memory, Known), refused)
        for each in refused:
            yield each
        if not known.videos:
            yield Note(f"{film.film_id}: no video is certainly about it")
            yield Keep(msgspec.to_builtins(known))
            return
        if begun is None and not memory:
            # A search is dear: what it found is kept before anything else is asked.
            yield At(msgspec.to_builtins(Place(known)))
        videos = await self._there(known)
        for each in videos.refused:
            yield each
        for video in videos.good:
            if begun is not None and video.id < begun.video:
                continue
            newest, count = known.videos[video.id]
            if not video.comments or (newest and video.comments == count):
                continue
            at = begun if begun is not None and begun.video == video.id else Place(known, video.id)
            try:
                async with aclosing(self._comments(source, film, video, at, newest)) as said:
                    async for found in said:
                        yield found
            except CommentsClosedError as error:
                yield Note(f"{film.film_id}: {error}")
            yield At(msgspec.to_builtins(Place(known, f"{video.id}{DONE}")))
        yield Keep(msgspec.to_builtins(known))

    async def _comments(
        self, source: str, film: FilmTarget, video: Video, at: Place, known: str
    ) -> AsyncGenerator[Found]:
        """Pages of comments, newest first, until one reaches what an earlier run read."""
        while True:
            try:
                page = await self._page(source, film, video, at.token)
            except StalePageError:
                if at.token is None:
                    raise
                at = Place(at.known, video.id)
                continue
            for each in page.refused:
                yield each
            for review in page.reviews:
                yield observed(review)
            at.newest = max(at.newest, page.newest)
            if page.next is None or at.page >= self.config.most_pages or (known and page.oldest <= known):
                break
            at = Place(at.known, video.id, page.next, at.page + 1, at.newest)
            yield At(msgspec.to_builtins(at))
        at.known.videos[video.id] = (max(at.newest, known), video.comments or 0)

    async def _known(self, film: FilmTarget, known: Known, refused: list[Refused]) -> Known:
        """The film's videos: those of the configuration, else what an earlier search found, else what one finds now."""
        listed = self.config.videos.get(film.film_id)
        if listed is not None:
            return Known({video: known.videos.get(video, ("", 0)) for video in listed})
        now = self.session.clock()
        if known.videos or not film.title or now - known.searched < SEARCHED_AGAIN:
            return known
        query = self.config.query.replace("{title}", film.title).replace("{year}", str(film.year or ""))
        asked = self._keyed(part="snippet", type="video", q=" ".join(query.split()), maxResults=50)
        found = await self.session.get_parsed(
            f"{API}/search", asked, parse=partial(parse_search, film=film), bucket=SEARCH
        )
        refused += found.refused
        chosen = sorted(dict.fromkeys(found.good[: self.config.most_videos]))
        return Known(dict.fromkeys(chosen, ("", 0)), 0.0 if chosen else now)

    async def _there(self, known: Known) -> Elements[Video]:
        """Those of the videos that are still to be seen, by their ids."""
        asked = self._keyed(part="snippet,statistics", id=",".join(sorted(known.videos)), maxResults=50)
        found = await self.session.get_parsed(f"{API}/videos", asked, parse=parse_videos)
        there = sorted((video for video in found.good if video.id in known.videos), key=lambda video: video.id)
        return Elements(there, found.refused)

    async def _page(self, source: str, film: FilmTarget, video: Video, token: str | None) -> Comments:
        asked = self._keyed(
            part="snippet", videoId=video.id, maxResults=A_PAGE, order="time", textFormat="plainText", pageToken=token
        )
        parse = partial(parse_comments, film_id=film.film_id, video=video.id, source=source)
        return await self.session.get_parsed(f"{API}/commentThreads", asked, parse=parse)

    def _keyed(self, **params: Any) -> dict[str, Any]:
        return {**params, "key": self.session.token()}

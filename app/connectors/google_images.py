"""Kind `google_images`: pictures that Google finds for a person's name, through whichever service still sells that."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from functools import partial
from typing import Annotated, ClassVar, Final, Literal

from msgspec import Meta

from agents.scrapes import Sign
from app.connectors.answers import Answer
from app.connectors.base import (
    About,
    Connector,
    ConnectorConfig,
    Cursor,
    Observed,
    PersonTarget,
    Refused,
    Request,
    Said,
    observed,
)
from app.connectors.config import DailyQuota, QuotaZone, Rate, Variable
from app.connectors.errors import SourceError
from app.connectors.google_payloads import Page, cse_fault, parse_cse, parse_serpapi, serpapi_fault
from app.connectors.session import Session
from app.connectors.targets import At, each_target

A_PAGE: Final = 10
"""Results of one page of Google's own service, which never gives more than 100 in all."""
HOMES: Final = {"google_cse": "https://www.googleapis.com", "serpapi": "https://serpapi.com"}


class Config(ConnectorConfig, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """`[connectors.NAME]` with `kind = "google_images"`."""

    profile: Literal["google_cse", "serpapi"]
    rate: Rate | None = "1/s"
    quota: DailyQuota | None = "100/d"
    quota_timezone: QuotaZone = "America/Los_Angeles"
    token_env: Variable | None = "MARQUEE_GOOGLE_IMAGES_TOKEN"
    cx: Annotated[str, Meta(description="id of the search engine, for google_cse")] = ""
    query: Annotated[str, Meta(pattern=r"\{name\}", description="what is searched for; {name} is the person's")] = (
        "{name}"
    )
    results: Annotated[int, Meta(ge=1, le=100, description="pictures a person")] = 30

    def home(self) -> str:
        """The service's address."""
        return self.base_url or HOMES[self.profile]


class GoogleImagesConnector(Connector[Config]):
    """Finds pictures by a person's name; official service (closes in 2027) or SerpApi."""

    kind: ClassVar[str] = "google_images"
    about: ClassVar[About] = "people"
    targeted: ClassVar[bool] = True
    looks_up_by: ClassVar[tuple[Sign, ...]] = ("name",)
    profiles: ClassVar[tuple[str, ...]] = ("google_cse", "serpapi")
    spec: ClassVar[type[ConnectorConfig]] = Config

    def __init__(self, config: Config, session: Session) -> None:
        super().__init__(config, session)
        if config.profile == "google_cse" and not config.cx:
            raise SourceError("cx: google_cse needs the id of a search engine")

    def fault(self, answer: Answer) -> SourceError | None:
        """A spent day is told from too much haste by the body only."""
        return (cse_fault if self.config.profile == "google_cse" else serpapi_fault)(answer)

    async def check(self) -> str:
        """Whether the key is good, by the cheapest question there is. Raises SourceError."""
        if self.config.profile == "serpapi":
            account = await self.session.get_json("account.json", {"api_key": self.session.token()})
            return f"{account.get('total_searches_left', 'unknown')} searches left"
        page = await self._page(PersonTarget(celebrity_id="", name="film"), "", 1)
        return f"{len(page.found)} results for a trial search, which costs one"

    def read(self, request: Request, cursor: Cursor) -> AsyncGenerator[Said]:
        """Pictures of the people of the request. Raises SourceError."""
        return each_target(request.people, cursor, partial(self._person, self.source(request)))

    async def _person(
        self, source: str, target: PersonTarget, place: Cursor, memory: Cursor
    ) -> AsyncGenerator[Observed | Refused | At]:
        start: int | None = int(place.get("start", 1))
        while start is not None and start <= self.config.results:
            page = await self._page(target, source, start)
            for each in page.refused:
                yield each
            for image in page.found[: self.config.results - start + 1]:
                yield observed(image)
            start = page.next
            if start is not None:
                yield At({"start": start})

    async def _page(self, target: PersonTarget, source: str, start: int) -> Page:
        query = self.config.query.replace("{name}", target.name)
        # Texts of runs stay when a person is forgotten: addresses in them are without the name.
        if self.config.profile == "serpapi":
            return await self.session.get_parsed(
                "search.json",
                {"engine": "google_images", "q": query, "ijn": 0, "api_key": self.session.token()},
                parse=partial(parse_serpapi, target=target, source=source),
                called=self.session.url("search.json"),
            )
        params: dict[str, str | int] = {"q": query, "searchType": "image", "imgType": "face", "num": A_PAGE}
        return await self.session.get_parsed(
            "customsearch/v1",
            {**params, "start": start, "cx": self.config.cx, "key": self.session.token()},
            parse=partial(parse_cse, target=target, source=source),
            called=self.session.url("customsearch/v1"),
        )

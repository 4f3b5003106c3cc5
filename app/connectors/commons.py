"""Kind `commons`: pictures of people on Wikimedia Commons, with their sizes and licences."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from functools import partial
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from agents.scrapes import Sign
from app.connectors.answers import Answer
from app.connectors.base import (
    About,
    Connector,
    ConnectorConfig,
    Cursor,
    Note,
    Observed,
    PersonTarget,
    Refused,
    Request,
    Said,
    Terms,
    observed,
)
from app.connectors.commons_payloads import parse_item, parse_pictures
from app.connectors.config import Rate
from app.connectors.errors import SourceError
from app.connectors.mediawiki import API, FORMAT, mediawiki_fault
from app.connectors.targets import At, each_target

Way = Literal["p18", "category", "search"]


class Config(ConnectorConfig, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """`[connectors.NAME]` with `kind = "commons"`."""

    base_url: Annotated[str, Meta(description="address of the wiki with the pictures")] = (
        "https://commons.wikimedia.org"
    )
    wikidata_url: Annotated[str, Meta(description="address of the wiki that knows who is who")] = (
        "https://www.wikidata.org"
    )
    rate: Rate | None = "1/s"
    terms: Terms = Terms(attribution="Pictures from Wikimedia Commons, each under the licence stated with it.")
    ways: Annotated[
        tuple[Way, ...], Meta(min_length=1, description="the item's picture, its category, or a search by name")
    ] = ("p18", "category")
    width: Annotated[int, Meta(ge=64, le=4096, description="pixels; wider pictures are asked for scaled down")] = 1280
    results: Annotated[int, Meta(ge=1, le=500, description="pictures of one category or search")] = 50


class CommonsConnector(Connector[Config]):
    """Finds a person's pictures by the Wikidata item (picture and category), and by name where `ways` has search."""

    kind: ClassVar[str] = "commons"
    about: ClassVar[About] = "people"
    targeted: ClassVar[bool] = True
    looks_up_by: ClassVar[tuple[Sign, ...]] = ("name", "wikidata")
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
        """Pictures of the people of the request. Raises SourceError."""
        return each_target(request.people, cursor, partial(self._person, self.source(request)))

    async def _person(
        self, source: str, target: PersonTarget, place: Cursor, memory: Cursor
    ) -> AsyncGenerator[Observed | Refused | Note | At]:
        ways: list[dict[str, str | int]] = place["ways"] if "ways" in place else await self._ways(target)
        if not ways and not place:
            yield Note(f"{target.id}: no item of Wikidata leads to a picture")
        seen = set(place.get("seen", ()))
        while ways:
            asked = {**FORMAT, "prop": "imageinfo", "iiprop": "url|size|mime|extmetadata"}
            page = await self.session.get_parsed(
                API,
                {**asked, "iiurlwidth": self.config.width, **ways[0]},
                parse=partial(parse_pictures, target=target, source=source),
                # Texts of runs stay when a person is forgotten, and a search has the name in its address.
                called=self.session.url(API),
            )
            for each in page.refused:
                yield each
            for image in page.found:
                # One picture is often the item's own and in the category as well.
                if image.url not in seen:
                    seen.add(image.url)
                    yield observed(image)
            more = bool(page.more) and len(seen) < self.config.results
            ways = [{**ways[0], **page.more}, *ways[1:]] if more else ways[1:]
            if ways:
                yield At({"ways": ways, "seen": sorted(seen)})

    async def _ways(self, target: PersonTarget) -> list[dict[str, str | int]]:
        """The questions that lead to a person's pictures."""
        limit = min(self.config.results, 50)
        files, category = await self._item(target.wikidata) if target.wikidata else ((), None)
        ways: list[dict[str, str | int]] = []
        if "p18" in self.config.ways and files:
            ways.append({"titles": "|".join(f"File:{name}" for name in files[:50])})
        if "category" in self.config.ways and category:
            members: dict[str, str | int] = {"generator": "categorymembers", "gcmtype": "file", "gcmlimit": limit}
            ways.append({**members, "gcmtitle": f"Category:{category}"})
        if "search" in self.config.ways:
            search: dict[str, str | int] = {"generator": "search", "gsrnamespace": 6, "gsrlimit": limit}
            ways.append({**search, "gsrsearch": f'"{target.name}" filetype:bitmap'})
        return ways

    async def _item(self, item: str) -> tuple[tuple[str, ...], str | None]:
        place = f"{self.config.wikidata_url.rstrip('/')}/{API}"
        params = {**FORMAT, "action": "wbgetentities", "ids": item, "props": "claims"}
        return await self.session.get_parsed(place, params, parse=partial(parse_item, item=item))

"""Kind `tmdb`: The Movie Database, for people with their pictures and for films with ratings and reviews."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from functools import partial
from typing import Annotated, ClassVar, TypeVar

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
    PersonTarget,
    Refused,
    Request,
    Said,
    Terms,
    told,
)
from app.connectors.config import Attribution, Days, Learnt, Rate, Variable
from app.connectors.errors import SourceError
from app.connectors.targets import At, each_target
from app.connectors.tmdb_payloads import (
    MOST_PAGES,
    Configuration,
    Film,
    Finds,
    Images,
    Person,
    Reviews,
    parse_fault,
    parse_film,
    parse_found,
    parse_person,
    parse_reviews,
)

S = TypeVar("S")


class TmdbTerms(Terms, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """TMDB's own: half a year of storage, no training without an agreement, and a sentence to be shown."""

    ttl_days: Days | None = 180
    train_allowed: Learnt = False
    attribution: Attribution = "This product uses the TMDB API but is not endorsed or certified by TMDB."


class Config(ConnectorConfig, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """`[connectors.NAME]` with `kind = "tmdb"`."""

    base_url: Annotated[str, Meta(description="address of the API")] = "https://api.themoviedb.org/3"
    rate: Rate | None = "20/s"
    token_env: Variable | None = "MARQUEE_TMDB_TOKEN"
    terms: TmdbTerms = TmdbTerms()
    size: Annotated[
        str, Meta(pattern=r"^(original|[wh][1-9]\d*)$", description="size of people's pictures, as /configuration has")
    ] = "original"
    language: Annotated[str, Meta(pattern="^[a-z]{2}(-[A-Z]{2})?$")] = "en-US"
    reviews: Annotated[bool, Meta(description="whether reviews of films are read")] = True


class TmdbConnector(Connector[Config]):
    """Reads people and their pictures, films with facts, ratings and reviews; found by TMDB, IMDb or Wikidata id."""

    kind: ClassVar[str] = "tmdb"
    about: ClassVar[About] = "any"
    targeted: ClassVar[bool] = True
    looks_up_by: ClassVar[tuple[Sign, ...]] = ("imdb", "wikidata", "tmdb")
    spec: ClassVar[type[ConnectorConfig]] = Config

    def fault(self, answer: Answer) -> SourceError | None:
        """TMDB says in the body what is wrong."""
        return parse_fault(answer) if answer.body[:1] == b"{" and len(answer.body) < 4096 else None

    async def check(self) -> str:
        """The sizes of pictures that are on offer. Raises SourceError."""
        images = await self._images()
        return f"pictures in {', '.join(images.profile_sizes)}"

    async def read(self, request: Request, cursor: Cursor) -> AsyncGenerator[Said]:
        """The people of the request, then its films. Raises SourceError."""
        source = self.source(request)
        images = await self._images() if request.people else None
        targets: tuple[PersonTarget | FilmTarget, ...] = (*request.people, *request.films)
        async with aclosing(each_target(targets, cursor, partial(self._target, source, images))) as said:
            async for each in said:
                yield each

    async def _target(
        self, source: str, images: Images | None, target: PersonTarget | FilmTarget, place: Cursor, memory: Cursor
    ) -> AsyncGenerator[Observed | Refused | Note | At]:
        number = target.tmdb or await self._number(target)
        if number is None:
            yield Note(f"{target.id}: TMDB knows none of its ids; nothing is guessed from the name")
            return
        if isinstance(target, FilmTarget):
            async with aclosing(self._film(source, target, number, place)) as said:
                async for each in said:
                    yield each
        elif images is not None:
            found = await self._get(f"person/{number}", Person, append_to_response="images,external_ids")
            for record in parse_person(found, target, source, images, self.config.size):
                yield told(record)

    async def _film(
        self, source: str, target: FilmTarget, number: int, place: Cursor
    ) -> AsyncGenerator[Observed | Refused | Note | At]:
        page = int(place.get("page", 0))
        if page == 0:
            film, _ = await self._new(f"{target.kind}/{number}", Film, append_to_response="external_ids")
            for record in parse_film(film, target, source) if film else ():
                yield told(record)
            page = 1
        while self.config.reviews and page <= MOST_PAGES:
            yield At({"page": page})
            reviews, url = await self._new(f"{target.kind}/{number}/reviews", Reviews, page=page)
            for review in parse_reviews(reviews, target, source) if reviews else ():
                yield told(review)
            if reviews is not None:
                self.session.revalidation.note(url, str(reviews.total_pages))
            pages = reviews.total_pages if reviews else int(self.session.revalidation.noted(url) or 0)
            if page >= pages:
                return
            page += 1

    async def _number(self, target: PersonTarget | FilmTarget) -> int | None:
        """TMDB's number of a film or person that other catalogues know."""
        for text, catalogue in ((target.imdb, "imdb_id"), (target.wikidata, "wikidata_id")):
            if text is None:
                continue
            finds = await self._get(f"find/{text}", Finds, external_source=catalogue)
            if isinstance(target, PersonTarget):
                number = parse_found(finds.person_results)
            else:
                number = parse_found(finds.tv_results if target.kind == "tv" else finds.movie_results)
            if number is not None:
                return number
        return None

    async def _images(self) -> Images:
        images: Images = (await self._get("configuration", Configuration)).images
        if self.config.size not in images.profile_sizes:
            raise SourceError(f"size: TMDB has {', '.join(images.profile_sizes)}, not {self.config.size}")
        return images

    async def _get(self, place: str, shape: type[S], **params: str | int) -> S:
        address, headers = self._keyed(place, params)
        found: S = await self.session.get_json(address, shape=shape, headers=headers)
        return found

    async def _new(self, place: str, shape: type[S], **params: str | int) -> tuple[S | None, str]:
        """What it answers unless that is what it answered in an earlier run, and the address without the key.

        For films only: a person who was forgotten and comes again needs pictures that did not change.
        """
        address, headers = self._keyed(place, params)
        found: list[S] = []
        answer = await self.session.ask(
            address, headers=headers, decode=lambda answer: found.append(answer.json(shape)), revalidate=True
        )
        return (None if answer.not_modified else found[-1]), answer.url

    def _keyed(self, place: str, params: Mapping[str, str | int]) -> tuple[str, dict[str, str]]:
        token = self.session.token()
        # The long tokens of version 4 go into a header; the short keys of version 3 work in the address only.
        bearer = token.startswith("eyJ")
        given = {"language": self.config.language, **params, "api_key": None if bearer else token}
        return self.session.url(place, given), {"Authorization": f"Bearer {token}"} if bearer else {}

"""The demo's own little web: a server that plays Wikidata, TMDB and a host of pictures, on loopback only."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote
from xml.sax.saxutils import escape

import msgspec
import pyoxigraph
from aiohttp import web

from app.connectors.html import slug
from app.demo.pictures import Person, Served
from app.demo.sources import ScoredFilm

CREDENTIAL: Final = "demo-credential"
_WIKIDATA: Final = "http://www.wikidata.org"
_LABEL: Final = "http://www.w3.org/2000/01/rdf-schema#label"
_SOLUTIONS: Final = pyoxigraph.QueryResultsFormat.JSON


class DemoWeb:
    """Serves what the demo's connectors ask for; `url` is where, once it is entered."""

    def __init__(self, people: Sequence[Person]) -> None:
        self.scores: list[ScoredFilm] = []
        """Films that the film site has a page of."""
        self._people = list(people)
        self._numbers = dict(enumerate(people, 1000))
        self._files = {each.name: each for person in people for each in person.pictures}
        self._store = pyoxigraph.Store()
        self._runner: web.AppRunner | None = None
        self.url = ""

    @property
    def authority(self) -> str:
        """host:port, as `[fetch] allow` wants it."""
        return self.url.removeprefix("http://")

    @property
    def addresses(self) -> int:
        """How many different addresses of pictures the sources name."""
        return sum(len(person.pictures) for person in self._people)

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.router.add_route("*", "/sparql", self._sparql)
        application.router.add_get("/3/configuration", self._configuration)
        application.router.add_get("/3/person/{number}", self._person)
        application.router.add_get("/films/{slug}", self._film)
        application.router.add_get("/pictures/{size}/{name:.+}", self._picture)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        self._load()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def config(self) -> list[str]:
        """The lines of `marquee.toml` that make the people known and point the connectors here."""
        lines = [line for person in self._people for line in ("[[celebrities]]", f"name = {_toml(person.name)}", "")]
        return [
            *lines,
            "[fetch]",
            f"allow = [{_toml(self.authority)}]",
            "per_host = 32",
            "",
            "[connectors.wikidata]",
            'kind = "sparql"',
            'profile = "wikidata"',
            f"base_url = {_toml(f'{self.url}/sparql')}",
            "",
            "[connectors.tmdb]",
            'kind = "tmdb"',
            f"base_url = {_toml(f'{self.url}/3')}",
            # Its pictures come from packages whose licences allow it, whatever TMDB itself says of its own.
            "terms = { train_allowed = true }",
            "",
            "[connectors.site]",
            'kind = "html"',
            f"base_url = {_toml(self.url)}",
            'url = "/films/{title}-{year}"',
            'rate = "100/s"',
            "",
        ]

    def _load(self) -> None:
        """What Wikidata would know: a label, the number at TMDB and a first picture of each person."""
        for number, person in self._numbers.items():
            item = pyoxigraph.NamedNode(f"{_WIKIDATA}/entity/Q{number}")
            facts: list[tuple[str, Any]] = [
                (_LABEL, pyoxigraph.Literal(person.name, language="en")),
                (f"{_WIKIDATA}/prop/direct/P31", pyoxigraph.NamedNode(f"{_WIKIDATA}/entity/Q5")),
                (f"{_WIKIDATA}/prop/direct/P345", pyoxigraph.Literal(f"nm{number:07d}")),
                (f"{_WIKIDATA}/prop/direct/P4985", pyoxigraph.Literal(str(number))),
            ]
            for predicate, value in facts:
                self._store.add(pyoxigraph.Quad(item, pyoxigraph.NamedNode(predicate), value))

    async def _sparql(self, request: web.Request) -> web.Response:
        form = await request.post() if request.method == "POST" else {}
        query = str(form.get("query") or request.query.get("query", ""))
        try:
            found: Any = self._store.query(query)
        except SyntaxError as error:
            return web.Response(status=400, text=str(error))
        body = found.serialize(format=_SOLUTIONS)
        return web.Response(body=body, content_type="application/sparql-results+json")

    async def _configuration(self, request: web.Request) -> web.Response:
        images = {"secure_base_url": f"{self.url}/pictures/", "profile_sizes": ["original"]}
        return web.json_response({"images": images})

    async def _person(self, request: web.Request) -> web.Response:
        number = request.match_info["number"]
        person = self._numbers.get(int(number)) if number.isdigit() else None
        if person is None:
            return web.json_response({"success": False, "status_code": 34, "status_message": "not found"}, status=404)
        profiles = [{"file_path": f"/{quote(each.name)}", "width": 0, "height": 0} for each in person.pictures]
        ids = {"imdb_id": f"nm{int(number):07d}", "wikidata_id": None}
        found = {"id": int(number), "name": person.name, "images": {"profiles": profiles}, "external_ids": ids}
        return web.json_response(found)

    async def _film(self, request: web.Request) -> web.Response:
        asked = request.match_info["slug"]
        for scored in self.scores:
            if slug(f"{scored.film.title} {scored.film.year}", "-") == asked:
                return web.Response(text=_film_page(scored, str(request.url)), content_type="text/html")
        return web.Response(status=404)

    async def _picture(self, request: web.Request) -> web.Response:
        served = self._files.get(request.match_info["name"])
        if served is None:
            return web.Response(status=404)
        tag = f'"{hashlib.sha256(served.data).hexdigest()[:16]}"'
        return web.Response(body=served.data, content_type=served.content_type, headers={"ETag": tag})

    def served(self, url: str) -> Served | None:
        """The file behind one of the addresses."""
        return next((each for each in self._files.values() if url.endswith(f"/{quote(each.name)}")), None)


def _film_page(scored: ScoredFilm, url: str) -> str:
    """A page as film sites have it: what machines read stands in a script in schema.org's words."""
    film = scored.film
    said = {
        "@context": "https://schema.org",
        "@type": "Movie",
        "name": film.title,
        "url": url,
        "datePublished": f"{film.year}-01-01",
        "aggregateRating": {
            "@type": "AggregateRating",
            "ratingValue": scored.score,
            "bestRating": 10,
            "worstRating": 1,
            "ratingCount": scored.votes,
        },
    }
    script = msgspec.json.encode(said).decode().replace("</", "<\\/")
    title = escape(f"{film.title} ({film.year})")
    return (
        f'<!doctype html><html lang="en"><title>{title}</title>'
        f'<script type="application/ld+json">{script}</script><h1>{title}</h1></html>'
    )


def _toml(text: str) -> str:
    # A JSON string is a TOML basic string.
    return msgspec.json.encode(text).decode()

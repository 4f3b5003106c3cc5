"""A service with pages that link to each other, and a connector that reads them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import ClassVar

from aiohttp import web

from app.connectors.answers import Answer
from app.connectors.base import Checkpoint, Connector, ConnectorConfig, Cursor, Note, Refused, Request, Said, observed
from schemas.commands import SubmitCelebrity
from schemas.events import FactsObserved
from schemas.mentions import FilmMentioned
from tests.connectors.service import Service


class Book(Service):
    """Pages of titles, each with a link to the next one."""

    def __init__(self) -> None:
        super().__init__()
        self.pages = [["one"], ["two"]]
        self.headers: dict[str, str] = {}
        self.told: list[int] = []
        """The statuses of the answers."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Any page, and what was answered."""
        response = await super().handle(request)
        self.told.append(response.status)
        return response

    async def answer(self, request: web.Request) -> web.Response:
        """A page."""
        number = int(request.query.get("page", "0"))
        link = {"Link": f'</?page={number + 1}>; rel="next"'} if number + 1 < len(self.pages) else {}
        return web.json_response(self.pages[number], headers=self.headers | link)

    def questions(self) -> list[bool]:
        """Which of the questions since the last time asked whether something changed."""
        asked, self.asked = self.asked, []
        return ["If-None-Match" in each.headers or "If-Modified-Since" in each.headers for each in asked]


class Reader(Connector[ConnectorConfig]):
    """Reads page after page, a checkpoint each."""

    kind: ClassVar[str] = "reader"
    spec: ClassVar[type[ConnectorConfig]] = ConnectorConfig
    log_in = ""
    refuses = ""
    last = ""
    """Something to be said at the end, for which nothing was asked any more."""
    calls: ClassVar[dict[str, str]] = {}
    """Titles that are others here, as where other films are known."""

    async def check(self) -> str:
        """Unused."""
        raise NotImplementedError

    async def read(self, request: Request, cursor: Cursor) -> AsyncGenerator[Said]:
        """Facts of films, and of whoever is called so people and mentions."""
        token = self.session.token_if_set()
        if self.log_in:
            self.session.hide(self.log_in)
        place: str | None = self.session.url("")
        while place is not None:
            found: list[list[str]] = []
            headers = {"Authorization": f"Bearer {self.log_in or token}"}
            answer = await self.session.ask(place, headers=headers, decode=lambda a, f=found: f.append(_titles(a)))
            for title in [self.calls.get(each, each) for each in found[-1]]:
                if title == self.refuses:
                    yield Refused(0, "no title", title.encode())
                elif title.startswith("person"):
                    yield observed(SubmitCelebrity(celebrity_id="Q1", name=title))
                elif title.startswith("mention"):
                    yield observed(FilmMentioned(mention_id=title, source="book", source_record_id="1", text=title))
                else:
                    yield observed(FactsObserved(film_id="tt1375666", source="book", title=title))
            yield Note(f"{answer.status} {answer.not_modified}")
            yield Checkpoint({}, 1)
            place = answer.next
        if self.last:
            yield observed(FactsObserved(film_id="tt1375666", source="book", title=self.last))
            yield Checkpoint({}, 1)


def _titles(answer: Answer) -> list[str]:
    if answer.body == b'["bad"]':
        raise answer.malformed("titles")
    found: list[str] = answer.json(list[str])
    return found

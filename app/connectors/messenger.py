"""Kind `messenger`: what groups say about films, where a bot or account of ours is a member."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from functools import partial
from typing import Annotated, Any, ClassVar, Final, Literal
from urllib.parse import quote

import msgspec
from msgspec import Meta

from app.connectors.answers import Answer
from app.connectors.base import (
    About,
    Checkpoint,
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
from app.connectors.errors import MalformedError, SourceError
from app.connectors.messenger_payloads import (
    FAULTS,
    PlaceLostError,
    Room,
    parse_message,
    parse_room,
    parse_update,
    parse_updates,
)
from app.connectors.session import Session
from app.connectors.targets import At, Keep, each_target

USUAL: Final = {
    "telegram": Usual(home="https://api.telegram.org", rate="1/s", token_env="MARQUEE_TELEGRAM_TOKEN"),
    "matrix": Usual(rate="1/s", token_env="MARQUEE_MATRIX_TOKEN"),
}
A_PAGE: Final = 100
WANTED: Final = '["message","edited_message","channel_post","edited_channel_post"]'
FILTER: Final = '{"types":["m.room.message","m.room.encrypted","m.room.redaction"]}'


class MessengerTerms(Terms, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Groups are people among themselves: kept for a month, and nothing learnt from it unless they agree."""

    ttl_days: Days | None = 30
    train_allowed: Learnt = False


class Config(ConnectorConfig, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """`[connectors.NAME]` with `kind = "messenger"`."""

    profile: Literal["telegram", "matrix"]
    terms: MessengerTerms = MessengerTerms()
    rooms: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=255)], ...],
        Meta(
            description="matrix: !id:server or #alias:server; telegram: -100123 or @name, none: all groups of the bot"
        ),
    ] = ()
    page_size: Annotated[int, Meta(ge=1, le=100, description="messages a request")] = A_PAGE
    pages: Annotated[int, Meta(ge=1, le=10_000, description="requests a room and run")] = 100

    def __post_init__(self) -> None:
        fill(self, USUAL[self.profile])

    def home(self) -> str:
        """The service's address; Matrix has no common one."""
        return self.base_url or USUAL[self.profile].home


class Chat(msgspec.Struct, frozen=True):
    """A room as the configuration names it."""

    id: str


class MessengerConnector(Connector[Config]):
    """Reads groups for what names a film; Telegram (as a bot) or Matrix, authors by pseudonym."""

    kind: ClassVar[str] = "messenger"
    about: ClassVar[About] = "films"
    profiles: ClassVar[tuple[str, ...]] = ("telegram", "matrix")
    spec: ClassVar[type[ConnectorConfig]] = Config

    def __init__(self, config: Config, session: Session) -> None:
        super().__init__(config, session)
        if config.profile == "matrix":
            if not config.base_url:
                raise SourceError("base_url: matrix is many servers: name one")
            if not config.rooms or any(room[0] not in "!#" for room in config.rooms):
                raise SourceError("rooms: name the rooms that are read, each !id:server or #alias:server")

    def fault(self, answer: Answer) -> SourceError | None:
        """Both say in the body what is wrong."""
        return FAULTS[self.config.profile](answer)

    async def check(self) -> str:
        """Who we are there. Raises SourceError."""
        if self.config.profile == "matrix":
            who = await self._matrix("account/whoami")
            return f"logged in as {who.get('user_id')}"
        me = (await self.session.get_json(self._method("getMe"), shape=dict[str, Any])).get("result", {})
        reads = "reads whole groups" if me.get("can_read_all_group_messages") else "has privacy mode on: sees commands"
        return f"@{me.get('username')} {reads}"

    def read(self, request: Request, cursor: Cursor) -> AsyncGenerator[Said]:
        """What was said since the cursor. Raises SourceError."""
        if self.config.profile == "telegram":
            return self._updates(self.source(request), request.films, cursor)
        rooms = [Chat(room) for room in self.config.rooms]
        return each_target(rooms, cursor, partial(self._room, self.source(request), request.films))

    # Telegram.

    async def _updates(self, source: str, films: tuple[FilmTarget, ...], cursor: Cursor) -> AsyncGenerator[Said]:
        """An offset deletes what is before it, so it is sent only after the cursor with it was kept."""
        offset, done = cursor.get("offset"), 0
        while True:
            updates = await self.session.get_parsed(
                self._method("getUpdates"),
                {"offset": offset, "limit": self.config.page_size, "timeout": 0, "allowed_updates": WANTED},
                parse=parse_updates,
            )
            if not updates.good:
                # What is confirmed is gone. A number kept for long would hide new updates: Telegram begins anew
                # with any number after a week without one.
                if offset is not None:
                    yield Checkpoint({}, done)
                return
            for each in updates.refused:
                yield each
            for number, raw in updates.good:
                offset = number + 1
                said = self._said(number, raw, source, films)
                if said is not None:
                    yield said
            done += len(updates.good) + len(updates.refused)
            yield Checkpoint({"offset": offset}, done)
            if done >= self.config.pages * self.config.page_size:
                yield Note("there are more messages than `pages` allows: the next run goes on")
                return

    def _said(self, number: int, raw: bytes, source: str, films: tuple[FilmTarget, ...]) -> Observed | Refused | None:
        try:
            said = parse_update(raw, self.config.rooms)
        except MalformedError as error:
            return Refused(0, f"update {number}: {error}", error.raw)
        record = parse_message(said, films, source) if said is not None else None
        return observed(record) if record is not None else None

    def _method(self, name: str) -> str:
        return f"bot{quote(self.session.token(), safe=':')}/{name}"

    # Matrix.

    async def _room(
        self, source: str, films: tuple[FilmTarget, ...], room: Chat, place: Cursor, memory: Cursor
    ) -> AsyncGenerator[Observed | Refused | Note | At | Keep]:
        known = {**memory, **place}
        ident = known.get("room") or await self._resolve(room.id)
        start: str | None = known.get("from")
        encrypted = redacted = 0
        for asked in range(self.config.pages):
            try:
                found = await self._page(ident, start)
            except PlaceLostError as error:
                yield Note(f"{room.id}: {error}; it is read from its beginning, which repeats nothing")
                found = await self._page(ident, None)
            for each in found.refused:
                yield each
            for said in found.said:
                record = parse_message(said, films, source)
                if record is not None:
                    yield observed(record)
            encrypted, redacted = encrypted + found.encrypted, redacted + found.redacted
            if found.end is None or found.end == start:
                break
            start = found.end
            if asked + 1 < self.config.pages:
                yield At({"room": ident, "from": start})
        if encrypted:
            yield Note(f"{room.id}: {encrypted} encrypted messages cannot be read")
        if redacted:
            yield Note(
                f"{room.id}: {redacted} messages were taken back; what was read of them before stays until it ages"
            )
        yield Keep({"room": ident, "from": start} if start else {"room": ident})

    async def _page(self, room: str, start: str | None) -> Room:
        return await self.session.get_parsed(
            f"_matrix/client/v3/rooms/{quote(room, safe='')}/messages",
            {"dir": "f", "limit": self.config.page_size, "filter": FILTER, "from": start},
            parse=partial(parse_room, room=room),
            headers=self._headers(),
        )

    async def _resolve(self, room: str) -> str:
        if room.startswith("!"):
            return room
        found = await self._matrix(f"directory/room/{quote(room, safe='')}")
        if not isinstance(found.get("room_id"), str):
            raise MalformedError(f"{room}: the server names no room for this alias")
        return str(found["room_id"])

    async def _matrix(self, place: str) -> dict[str, Any]:
        headers, shape = self._headers(), dict[str, Any]
        found: dict[str, Any] = await self.session.get_json(f"_matrix/client/v3/{place}", shape=shape, headers=headers)
        return found

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.session.token()}"}

"""What Telegram's Bot API and Matrix' client-server API answer, and the mentions of films in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from app.connectors.answers import Answer, decoded
from app.connectors.base import FilmTarget, Refused
from app.connectors.elements import Each, Elements, Raws
from app.connectors.errors import AuthFailedError, MalformedError, NotFoundError, RetryableError, SourceError
from app.connectors.film_signs import scored_title, shows_a_film
from app.connectors.moments import stated
from app.connectors.post_text import film_addresses, html_text, nameless
from app.connectors.pseudonym import pseudonym
from app.connectors.social_faults import said_by
from models.scores_in_text import score_in
from schemas.events import RatingKind
from schemas.ids import derived_id, fenced
from schemas.mentions import FilmMentioned

T = TypeVar("T")
GROUPS: Final = frozenset({"group", "supergroup", "channel"})
"""A chat with one person is private, whatever is said in it."""
PERSONAL: Final = frozenset({"mention", "text_mention", "email", "phone_number"})
_REPLY: Final = re.compile(r"\A(?:> ?.*\n)+\n?")


class PlaceLostError(SourceError):
    """The server does not know the place in a room that it once gave, as after a restore or a move."""


class Chat(msgspec.Struct):
    """Where a message stands."""

    id: int
    type: str
    username: str | None = None


class Sender(msgspec.Struct):
    """Who wrote it."""

    id: int
    is_bot: bool = False


class Entity(msgspec.Struct):
    """A stretch of a text with a meaning, counted in UTF-16 units."""

    type: str
    offset: int
    length: int
    url: str | None = None


class TelegramMessage(msgspec.Struct, rename={"sender": "from"}):
    """A message of a group, or a channel's post, which has no sender."""

    message_id: int
    chat: Chat
    date: int
    sender: Sender | None = None
    edit_date: int | None = None
    text: str | None = None
    caption: str | None = None
    entities: list[Entity] = []
    caption_entities: list[Entity] = []


class Update(msgspec.Struct):
    """One of getUpdates; it has one of these, or something that was not asked for."""

    update_id: int
    message: TelegramMessage | None = None
    edited_message: TelegramMessage | None = None
    channel_post: TelegramMessage | None = None
    edited_channel_post: TelegramMessage | None = None


class Numbered(msgspec.Struct):
    """An update whose content does not matter."""

    update_id: int


class Updates(msgspec.Struct):
    """Of getUpdates."""

    result: Raws


class Event(msgspec.Struct):
    """One of a Matrix room's timeline; redacted ones have lost their content."""

    type: str
    event_id: str
    sender: str | None = None
    origin_server_ts: int | None = None
    content: dict[str, Any] | None = None


class Messages(msgspec.Struct):
    """Of /rooms/{id}/messages."""

    chunk: Raws
    end: str | None = None


_events: Final = Each(Event, "an event", secret=True)


class Said(NamedTuple):
    """A message in a group; `room` and `id` name it, `author` becomes a pseudonym."""

    room: str
    id: str
    author: str | None
    text: str
    addresses: tuple[str, ...]
    when: str | None


class Room(NamedTuple):
    """A page of a Matrix room: what was said, and how many events were encrypted or taken back."""

    said: list[Said]
    encrypted: int
    redacted: int
    end: str | None
    refused: list[Refused]


def parse_updates(body: bytes) -> Elements[tuple[int, bytes]]:
    """The updates of getUpdates, each by its number and as it came. Raises MalformedError, IncompleteError."""
    good: list[tuple[int, bytes]] = []
    refused: list[Refused] = []
    for raw in map(bytes, _confined(body, Updates, "getUpdates").result):
        try:
            good.append((_confined(raw, Numbered, "an update").update_id, raw))
        except MalformedError as error:
            refused.append(Refused(0, str(error), b""))
    if refused and not good:
        # One without a number is confirmed together with a later one: where there is none, no run would get past it.
        raise MalformedError(f"getUpdates: none of {len(refused)} has sense: {refused[0].reason}")
    return Elements(good, refused)


def parse_update(raw: bytes, rooms: Sequence[str]) -> Said | None:
    """What was said in a group; None for private chats, programs, other groups and what has no text.

    Raises MalformedError.
    """
    update = _confined(raw, Update, "an update")
    message = update.message or update.edited_message or update.channel_post or update.edited_channel_post
    if message is None or message.chat.type not in GROUPS or (message.sender and message.sender.is_bot):
        return None
    chat = message.chat
    if rooms and str(chat.id) not in rooms and (not chat.username or f"@{chat.username}" not in rooms):
        return None
    text, entities = message.text or message.caption or "", message.entities or message.caption_entities
    hidden = _without(text, [each for each in entities if each.type in PERSONAL])
    links = [each.url for each in entities if each.type == "text_link" and each.url]
    return Said(
        str(chat.id),
        str(message.message_id),
        str(message.sender.id) if message.sender else None,
        nameless(hidden),
        film_addresses(hidden, links),
        stated((message.edit_date or message.date) * 1000),
    )


def parse_room(body: bytes, room: str) -> Room:
    """A page of a room. Raises MalformedError, IncompleteError."""
    found = _confined(body, Messages, "messages")
    events, refused = _events(found.chunk)
    said = [one for event in events if (one := _said(event, room)) is not None]
    encrypted = sum(event.type == "m.room.encrypted" for event in events)
    redacted = sum(event.type == "m.room.redaction" for event in events)
    return Room(said, encrypted, redacted, found.end, refused)


def parse_message(said: Said, films: Iterable[FilmTarget], source: str) -> FilmMentioned | None:
    """A mention; None for what shows no sign of any film, which is most of what people say."""
    titled = scored_title(said.text, films)
    if not said.text or (titled is None and not shows_a_film(said.text, said.addresses)):
        return None
    author, score = pseudonym(source, said.author), score_in(said.text)
    # The author is part of the name: nobody can replace what another person said.
    record = f"{said.room}/{said.id}/{author or ''}"[:512]
    title, year = titled or (None, None)
    kind: RatingKind | None = "single" if score else None
    return FilmMentioned(
        mention_id=derived_id(fenced(source, "/"), record),
        source=source,
        source_record_id=record,
        title=title,
        year=year,
        value=score.value if score else None,
        best=score.best if score else None,
        worst=score.worst if score else None,
        rating_kind=kind,
        text=said.text,
        author=author,
        observed_at=said.when,
        addresses=said.addresses,
    )


def telegram_fault(answer: Answer) -> SourceError | None:
    """`ok` is false where something is wrong, and `parameters` say for how long."""
    said = said_by(answer)
    if said.get("ok") is not False:
        return None
    code, text = said.get("error_code"), f"{answer.url}: {said.get('description') or 'no reason given'}"
    parameters = said.get("parameters")
    after = parameters.get("retry_after") if isinstance(parameters, dict) else None
    if code == 429 or (isinstance(code, int) and code >= 500):
        return RetryableError(text, float(after) if isinstance(after, (int, float)) else None)
    if code in (401, 403, 404):
        # A token that is none at all leads nowhere.
        return AuthFailedError(f"{text}; check the bot's token")
    if code == 409:
        return SourceError(f"{text}; a bot's messages can have one reader: end the other one, or its webhook")
    return SourceError(text)


def matrix_fault(answer: Answer) -> SourceError | None:
    """Errors have codes; a room that the account may not read is no matter of its token."""
    said = said_by(answer)
    code = said.get("errcode")
    if not isinstance(code, str):
        return None
    text, after = f"{answer.url}: {said.get('error') or 'no reason given'} ({code})", said.get("retry_after_ms")
    if code == "M_LIMIT_EXCEEDED":
        asked = "Retry-After" not in answer.headers and isinstance(after, (int, float))
        return RetryableError(text, after / 1000 if asked and after is not None else None)
    if code in ("M_UNKNOWN_TOKEN", "M_MISSING_TOKEN", "M_USER_DEACTIVATED", "M_USER_LOCKED"):
        return AuthFailedError(text)
    if code in ("M_FORBIDDEN", "M_NOT_FOUND", "M_UNRECOGNIZED"):
        return NotFoundError(text)
    if answer.status == 400 and "from=" in answer.url and "from" in str(said.get("error")):
        return PlaceLostError(text)
    return None if answer.status >= 500 else SourceError(text)


FAULTS: Final[dict[str, Callable[[Answer], SourceError | None]]] = {"telegram": telegram_fault, "matrix": matrix_fault}


def _confined(body: bytes, shape: type[T], place: str) -> T:
    """JSON held to a shape, whose errors do not show what people said to each other."""
    try:
        return decoded(body, shape, place)
    except MalformedError as error:
        if body[:1] != b"{":
            raise
        why = error.__cause__ if isinstance(error.__cause__, msgspec.ValidationError) else "no JSON"
        raise MalformedError(f"{place}: {why}") from None


def _said(event: Event, room: str) -> Said | None:
    """What a person said in words; edits go under the id of what they edit."""
    content = event.content or {}
    if event.type != "m.room.message":
        return None
    relates = content.get("m.relates_to")
    relates = relates if isinstance(relates, dict) else {}
    ident = event.event_id
    if relates.get("rel_type") == "m.replace" and isinstance(content.get("m.new_content"), dict):
        ident, content = str(relates.get("event_id") or ident), content["m.new_content"]
    # Notices are what programs say.
    if content.get("msgtype") not in ("m.text", "m.emote") or not isinstance(content.get("body"), str):
        return None
    text = _REPLY.sub("", content["body"]) if "m.in_reply_to" in relates else content["body"]
    html = content.get("formatted_body")
    links = html_text(html.rpartition("</mx-reply>")[2])[1] if isinstance(html, str) else []
    when = stated(event.origin_server_ts or 0)
    return Said(room, ident, event.sender or None, nameless(text), film_addresses(text, links), when)


def _without(text: str, entities: Iterable[Entity]) -> str:
    """A text with dots for stretches that are counted in UTF-16 units, as Telegram does."""
    units = text.encode("utf-16-le", "surrogatepass")
    for each in sorted(entities, key=lambda entity: -entity.offset):
        start, end = each.offset * 2, (each.offset + each.length) * 2
        units = units[:start] + "…".encode("utf-16-le") + units[end:]
    return units.decode("utf-16-le", "replace")

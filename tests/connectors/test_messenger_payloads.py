"""Odd messages of the two messengers."""

from __future__ import annotations

import msgspec
import pytest

from app.connectors.errors import IncompleteError, MalformedError
from app.connectors.messenger_payloads import Said as Message
from app.connectors.messenger_payloads import parse_message, parse_room, parse_update, parse_updates

CHAT = {"id": -1, "type": "group"}
LOST = b'{"type":"m.room.message","body":"very private"}'


def update(**message: object) -> bytes:
    """An update with a message of a group."""
    return msgspec.json.encode({"update_id": 1, "message": {"message_id": 2, "date": 3, "chat": CHAT} | message})


@pytest.mark.parametrize("body", [b'{"ok":true}', b'{"ok":true,"result":{}}', b"[]", b'{"result": "very private}'])
def test_what_is_no_answer_is_malformed_or_cut(body: bytes) -> None:
    with pytest.raises((MalformedError, IncompleteError)):
        parse_updates(body)


def test_errors_do_not_show_what_was_said() -> None:
    for parse, body in (
        (parse_updates, b'{"result":"very private"}'),
        (parse_updates, b'{"result":[{"message":{"text":"very private"}}]}'),
        (lambda body: parse_room(body, "!r"), b'{"chunk":[%s]}' % b",".join([LOST] * 3)),
        (lambda body: parse_room(body, "!r"), b'{"chunk":very private}'),
    ):
        with pytest.raises(MalformedError) as caught:
            parse(body)
        assert b"private" not in caught.value.raw
        assert "private" not in str(caught.value)


def test_an_update_without_a_number_costs_itself_and_shows_nothing() -> None:
    body = b'{"result":[{"update_id":null,"message":{"text":"very private"}},"very private",%s]}' % update(text="Heat")
    found = parse_updates(body)
    assert [number for number, _ in found.good] == [1]
    assert [each.raw for each in found.refused] == [b"", b""]
    assert "private" not in repr(found.refused)


def test_an_event_that_has_no_sense_costs_itself_and_shows_nothing() -> None:
    good = b'{"type":"m.room.message","event_id":"$1","content":{"msgtype":"m.text","body":"Heat"}}'
    null = b'{"type":"m.room.message","event_id":"$2","sender":null,"origin_server_ts":null,"content":null}'
    room = parse_room(b'{"chunk":[%s],"end":"t2"}' % b",".join([LOST, null, good]), "!r")
    assert ([said.text for said in room.said], room.end) == (["Heat"], "t2")
    (refused,) = room.refused
    assert "private" not in refused.reason
    assert refused.raw == b""


def test_a_picture_has_a_caption() -> None:
    said = parse_update(update(caption="Heat (1995)", photo=[{}]), ())
    assert said is not None
    assert said.text == "Heat (1995)"


def test_a_service_message_says_nothing() -> None:
    said = parse_update(update(new_chat_members=[{"id": 1, "first_name": "Anna"}]), ())
    assert said is not None
    assert parse_message(said, (), "t") is None


@pytest.mark.parametrize("date", [10**15, -(10**15), 10**18, 0])
def test_a_time_that_is_none_is_left_out(date: int) -> None:
    said = parse_update(update(text="Heat (1995)", date=date), ())
    assert said is not None
    assert (said.text, said.when) == ("Heat (1995)", None)
    event = {"type": "m.room.message", "event_id": "$1", "content": {"msgtype": "m.text", "body": "Heat (1995)"}}
    room = parse_room(msgspec.json.encode({"chunk": [event | {"origin_server_ts": date * 1000}]}), "!r")
    assert [one.when for one in room.said] == [None]


@pytest.mark.parametrize(("offset", "length"), [(-5, 3), (0, 9999), (500, 3)])
def test_entities_outside_of_the_text_do_no_harm(offset: int, length: int) -> None:
    entity = {"type": "mention", "offset": offset, "length": length}
    assert parse_update(update(text="Heat 🎬 (1995)", entities=[entity]), ()) is not None


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"msgtype": "m.text"},
        {"msgtype": "m.text", "body": 7},
        {"msgtype": "m.image", "body": "Heat (1995).jpg"},
        {"msgtype": "m.text", "body": "x", "m.relates_to": "nothing", "formatted_body": 7},
        {"body": "* x", "msgtype": "m.text", "m.new_content": {}, "m.relates_to": {"rel_type": "m.replace"}},
    ],
)
def test_odd_events_are_no_mentions(content: dict[str, object]) -> None:
    event = {"type": "m.room.message", "event_id": "$1", "sender": "@a:b", "origin_server_ts": 0, "content": content}
    room = parse_room(msgspec.json.encode({"chunk": [event], "start": "t1"}), "!r")
    assert [parse_message(said, (), "m") for said in room.said] in ([], [None])


def test_a_link_behind_a_word_is_followed_and_one_in_a_quotation_is_not() -> None:
    html = (
        "<mx-reply><blockquote><a href='https://www.imdb.com/title/tt0000001/'>x</a></blockquote></mx-reply>"
        "<a href='https://www.imdb.com/title/tt0113277/'>this</a>"
    )
    content = {"msgtype": "m.text", "body": "this", "format": "org.matrix.custom.html", "formatted_body": html}
    event = {"type": "m.room.message", "event_id": "$1", "sender": "@a:b", "origin_server_ts": 1, "content": content}
    (said,) = parse_room(msgspec.json.encode({"chunk": [event]}), "!r").said
    assert said.addresses == ("https://www.imdb.com/title/tt0113277/",)


def test_small_talk_is_no_mention() -> None:
    assert parse_message(Message("r", "1", "a", "see you at 8", (), None), (), "m") is None

"""The `messenger` connector against servers with the fields, paging and errors of Telegram's and Matrix' documents."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote

import msgspec
import pytest
from aiohttp import web

from app.connectors.base import Request
from app.connectors.registry import config_of
from app.connectors.runner import CursorStore
from tests.connectors.service import Service, instead, serving, status
from tests.connectors.suite import (
    FILMS,
    NAME,
    Broker,
    ConnectorSuite,
    DyingStore,
    FakeClock,
    KilledError,
)

ROOMS = ("!heat:local.test", "!dune:local.test")
ANSWERED = {"content_type": "application/json"}


class Telegram(Service):
    """The Bot API. Updates that an offset confirms are gone, unless the service is told to `keep` them for tests."""

    keeps: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        texts = ["Inception 9/10", "hello", "saw https://www.imdb.com/title/tt0133093/", "Heat (1995) again", "9/10"]
        self.updates = [self.update(700 + n, text) for n, text in enumerate(texts)]
        self.offsets: list[int | None] = []

    def update(self, number: int, text: str, **more: Any) -> dict[str, Any]:
        """One update with a message of a supergroup."""
        message = {
            "message_id": number - 600, "date": 1793534400 + number, "text": text,
            "from": {"id": 4711, "is_bot": False, "first_name": "Anna", "username": "anna", "language_code": "de"},
            "chat": {"id": -1001, "title": "Cinema", "type": "supergroup", "username": "cinema"},
        }  # fmt: skip
        return {"update_id": number, more.pop("field", "message"): message | more}

    async def answer(self, request: web.Request) -> web.Response:
        """Whatever is behind the offset."""
        bot, _, method = request.path.rpartition("/")
        if not bot.startswith("/bot") or len(bot) < 8:
            return web.json_response({"ok": False, "error_code": 401, "description": "Unauthorized"}, status=401)
        if method == "getMe":
            me = {"id": 1, "is_bot": True, "username": "films_bot", "can_read_all_group_messages": False}
            return web.json_response({"ok": True, "result": me})
        assert method == "getUpdates"
        assert 1 <= int(request.query["limit"]) <= 100
        assert "edited_message" in msgspec.json.decode(request.query["allowed_updates"])
        offset = int(request.query["offset"]) if "offset" in request.query else None
        self.offsets.append(offset)
        rest = [each for each in self.updates if each["update_id"] >= (offset or 0)]
        if not self.keeps:
            self.updates = rest
        return web.json_response({"ok": True, "result": rest[: int(request.query["limit"])]})


class Deleting(Telegram):
    """As it is in truth."""

    keeps = False


class Matrix(Service):
    """A homeserver with two rooms."""

    def __init__(self) -> None:
        super().__init__()
        texts = ["Inception tt1375666 — 9/10", "hello", "The Matrix: 4/5", "Heat (1995), again", "nothing"]
        self.rooms = {
            ROOMS[0]: [self.event(n, text) for n, text in enumerate(texts)],
            ROOMS[1]: [self.event(n, f"Dune (2021) part {n}") for n in range(10, 12)],
        }

    def event(self, n: int, body: str, kind: str = "m.room.message", **content: Any) -> dict[str, Any]:
        """One event."""
        said = {"msgtype": "m.text", "body": body} | content if kind == "m.room.message" else content
        return {
            "type": kind, "event_id": f"$e{n}", "sender": "@anna:local.test", "room_id": "!r",
            "origin_server_ts": 1795323627903 + n, "content": said, "unsigned": {"age": 5},
        }  # fmt: skip

    async def answer(self, request: web.Request) -> web.Response:
        """Pages of a room, forwards; a page without `end` is the last one, and it is empty."""
        if not request.headers.get("Authorization", "").startswith("Bearer "):
            said = {"errcode": "M_MISSING_TOKEN", "error": "Missing access token"}
            return web.json_response(said, status=401)
        path = unquote(request.path).removeprefix("/_matrix/client/v3/")
        if path == "account/whoami":
            return web.json_response({"user_id": "@films:local.test", "device_id": "D"})
        if path.startswith("directory/room/#heat"):
            return web.json_response({"room_id": ROOMS[0], "servers": ["local.test"]})
        _, room, method = path.split("/")
        assert method == "messages"
        assert request.query["dir"] == "f"
        if room not in self.rooms:
            said = {"errcode": "M_FORBIDDEN", "error": "User @films:local.test not in room"}
            return web.json_response(said, status=403)
        kinds = msgspec.json.decode(request.query["filter"])["types"]
        events = [each for each in self.rooms[room] if each["type"] in kinds]
        start = int(request.query.get("from", "t0")[1:])
        chunk = events[start : start + int(request.query["limit"])]
        end = {"end": f"t{start + len(chunk)}"} if chunk else {}
        return web.json_response({"chunk": chunk, "start": f"t{start}", **end})


class TestTelegram(ConnectorSuite):
    """A bot in a group."""

    kind = "messenger"
    keys = {"profile": "telegram", "page_size": 2}  # noqa: RUF012
    records = 3
    topics = {"film-mentions"}  # noqa: RUF012
    pages = 4
    secret = "MARQUEE_TELEGRAM_TOKEN"
    auth = staticmethod(status(401, '{"ok":false,"error_code":401,"description":"Unauthorized"}'))
    inside_200 = staticmethod(
        instead('{"ok":false,"error_code":400,"description":"Bad Request: no"}', "application/json")
    )
    inside_200_says = "Bad Request: no"

    def service(self) -> Service:
        """The Bot API."""
        return Telegram()


class TestMatrix(ConnectorSuite):
    """An account in two rooms."""

    kind = "messenger"
    keys = {"profile": "matrix", "page_size": 2, "rooms": list(ROOMS)}  # noqa: RUF012
    records = 5
    topics = {"film-mentions"}  # noqa: RUF012
    pages = 6
    secret = "MARQUEE_MATRIX_TOKEN"
    auth = staticmethod(
        status(401, '{"errcode":"M_UNKNOWN_TOKEN","error":"Invalid access token passed.","soft_logout":false}')
    )
    inside_200 = staticmethod(instead('{"errcode":"M_UNKNOWN","error":"Out of luck"}', "application/json"))
    inside_200_says = "Out of luck"

    def service(self) -> Service:
        """A homeserver."""
        return Matrix()


async def runs(
    suite: ConnectorSuite, folder: Path, site: Service, *requests: Request, **keys: Any
) -> tuple[list[Broker], list[Any]]:
    """Runs one after another, with what each sent and reported."""
    brokers, reports = [], []
    async with serving(site):
        for request in requests:
            suite.request = lambda request=request: request  # type: ignore[method-assign,misc]
            brokers.append(Broker())
            reports.append(await suite.run(site, folder, FakeClock(), brokers[-1], **keys))
    return brokers, reports


ALL = Request(NAME, FILMS)


async def test_what_is_read_is_deleted_only_after_it_is_kept(tmp_path: Path) -> None:
    expected = {each[1] for each in (await runs(TestTelegram(), tmp_path / "all", Telegram(), ALL))[0][0].sent()}
    for kind, batch in (("broker", 0), ("broker", 1), ("store", 0), ("store", 1), ("store", 2)):
        site, suite, folder = Deleting(), TestTelegram(), tmp_path / f"{kind}{batch}"
        first, rest = Broker(dies_at=batch if kind == "broker" else None), Broker()
        store = DyingStore(folder, batch) if kind == "store" else None
        async with serving(site):
            with pytest.raises(KilledError):
                await suite.run(site, folder, FakeClock(), first, store)
            kept = int(str(CursorStore(folder).load(NAME).cursor.get("offset", 0)))
            assert max((offset or 0 for offset in site.offsets), default=0) <= kept
            assert (await suite.run(site, folder, FakeClock(), rest)).status == "success"
        assert {each[1] for each in first.sent() + rest.sent()} == expected
        assert site.updates == []


async def test_numbers_that_telegram_begins_anew_are_not_hidden_by_an_old_one(tmp_path: Path) -> None:
    site, suite = Deleting(), TestTelegram()
    await runs(suite, tmp_path, site, ALL)
    site.updates = [site.update(3, "The Matrix 8/10")]
    (broker,), _ = await runs(suite, tmp_path, site, ALL)
    assert [each["title"] for each in broker.records("film-mentions")] == ["The Matrix"]
    assert site.offsets[-2:] == [None, 4]


async def test_a_second_reader_is_told_of_and_not_fought(tmp_path: Path) -> None:
    site = Telegram()
    text = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
    site.faults.append(status(409, msgspec.json.encode({"ok": False, "error_code": 409, "description": text})))
    _, (report,) = await runs(TestTelegram(), tmp_path, site, ALL)
    assert (report.status, report.reaction, report.retries) == ("failed", "stop", 0)
    assert "one reader" in report.error


@pytest.mark.parametrize(
    ("suite", "body", "slept"),
    [
        (TestTelegram(), '{"ok":false,"error_code":429,"description":"Too Many","parameters":{"retry_after":5}}', 5.0),
        (TestMatrix(), '{"errcode":"M_LIMIT_EXCEEDED","error":"Too Many Requests","retry_after_ms":3638}', 3.638),
    ],
    ids=["telegram", "matrix"],
)
async def test_the_body_says_for_how_long_to_wait(
    suite: ConnectorSuite, body: str, slept: float, tmp_path: Path
) -> None:
    site, clock = suite.service(), FakeClock()
    site.faults.append(status(429, body))
    async with serving(site):
        report = await suite.run(site, tmp_path, clock, Broker())
    assert (report.status, clock.slept) == ("success", [slept])


@pytest.mark.parametrize("after", ["1e30", "99999999999999999999"])
async def test_nobody_waits_for_longer_than_a_month(after: str, tmp_path: Path) -> None:
    suite, site, clock = TestTelegram(), Telegram(), FakeClock()
    site.faults.append(
        status(429, f'{{"ok":false,"error_code":429,"description":"busy","parameters":{{"retry_after":{after}}}}}')
    )
    async with serving(site):
        report = await suite.run(site, tmp_path, clock, Broker())
    month = datetime.fromtimestamp(clock.time + 30 * 86_400, UTC).isoformat(timespec="seconds")
    assert (report.status, report.reaction, report.retry_at) == ("failed", "retry", month)


async def test_private_chats_programs_and_other_groups_are_not_read(tmp_path: Path) -> None:
    site, text = Telegram(), "Inception 9/10"
    site.updates = [
        site.update(1, text, chat={"id": 7, "type": "private", "first_name": "Anna"}),
        site.update(2, text, **{"from": {"id": 8, "is_bot": True}}),
        site.update(3, text, chat={"id": -1002, "title": "Others", "type": "group"}),
        site.update(4, text, field="channel_post", chat={"id": -1003, "type": "channel", "username": "kino"}),
        {"update_id": 5, "my_chat_member": {"chat": {}}},
        {"update_id": 6, "message": {"message_id": "six", "text": "very private"}},
    ]
    (broker,), (report,) = await runs(TestTelegram(), tmp_path, site, ALL, rooms=["-1001", "@kino"])
    assert [each["source_record_id"].split("/")[0] for each in broker.records("film-mentions")] == ["-1003"]
    assert (report.status, report.refused) == ("partial", 1)
    assert "update 6" in report.faults[0][1]
    assert "very private" not in str(broker.sent(dead=True)) + str(report)


async def test_nobody_in_a_group_is_named(tmp_path: Path) -> None:
    site = Telegram()
    site.updates = [
        site.update(
            1,
            "🎬 Inception (2010) says Anna Ärger and @bob, +49 30 1234",
            entities=[
                {"type": "text_mention", "offset": 25, "length": 10, "user": {"id": 9, "first_name": "Anna"}},
                {"type": "phone_number", "offset": 46, "length": 11},
                {"type": "text_link", "offset": 3, "length": 9, "url": "https://www.imdb.com/title/tt1375666/"},
            ],
        )
    ]
    (broker,), _ = await runs(TestTelegram(), tmp_path, site, ALL)
    (found,) = broker.records("film-mentions")
    assert found["text"] == "🎬 Inception (2010) says … and @…, …"
    assert found["addresses"] == ["https://www.imdb.com/title/tt1375666/"]
    assert len(found["author"]) == 16
    assert not any(name in str(broker.sent()) for name in ("Anna", "anna", "bob", "4711", "1234"))


async def test_an_edited_message_is_a_later_version_of_the_same_mention(tmp_path: Path) -> None:
    site = Telegram()
    site.updates = [
        site.update(701, "Inception 9/10"),
        site.update(702, "Inception 4/10", field="edited_message", message_id=101, edit_date=1793540000),
    ]
    (broker,), _ = await runs(TestTelegram(), tmp_path, site, ALL)
    first, second = broker.records("film-mentions")
    assert first["mention_id"] == second["mention_id"]
    assert (first["value"], second["value"]) == (9.0, 4.0)
    assert second["observed_at"] > first["observed_at"]


async def test_the_next_round_goes_on_where_the_room_ended(tmp_path: Path) -> None:
    site, suite = Matrix(), TestMatrix()
    await runs(suite, tmp_path, site, ALL)
    site.rooms[ROOMS[0]].append(site.event(50, "Inception 3/10"))
    before = len(site.asked)
    (broker,), _ = await runs(suite, tmp_path, site, ALL)
    assert [each["value"] for each in broker.records("film-mentions")] == [3.0]
    assert len(site.asked) - before == 3


async def test_a_room_by_its_alias_and_one_that_is_closed_to_us(tmp_path: Path) -> None:
    site = Matrix()
    rooms = ["#heat:local.test", "!closed:local.test"]
    (broker,), (report,) = await runs(TestMatrix(), tmp_path, site, ALL, rooms=rooms)
    assert (report.status, len(broker.records("film-mentions"))) == ("success", 3)
    assert any("not in room" in note for note in report.notes)


async def test_a_place_that_the_server_lost_is_left_for_the_beginning(tmp_path: Path) -> None:
    site, suite = Matrix(), TestMatrix()
    (first,), _ = await runs(suite, tmp_path, site, ALL, rooms=[ROOMS[0]])
    site.faults.append(status(400, '{"errcode":"M_UNKNOWN","error":"\'from\' parameter is invalid"}'))
    (again,), (report,) = await runs(suite, tmp_path, site, ALL, rooms=[ROOMS[0]])
    assert (report.status, again.sent()) == ("success", first.sent())
    assert any("from its beginning" in note for note in report.notes)


async def test_edits_redactions_replies_and_what_is_encrypted(tmp_path: Path) -> None:
    site = Matrix()
    new = {"msgtype": "m.text", "body": "Inception 5/10"}
    edit = {"m.new_content": new, "m.relates_to": {"rel_type": "m.replace", "event_id": "$e1"}}
    reply = {"m.relates_to": {"m.in_reply_to": {"event_id": "$e1"}}}
    forged = site.event(9, "* Inception 0/10", **(edit | {"m.new_content": new | {"body": "Inception 0/10"}}))
    site.rooms = {
        ROOMS[0]: [
            site.event(1, "Inception 9/10"),
            site.event(2, "* Inception 5/10", **edit),
            site.event(3, "> <@anna:local.test> Inception 9/10\n\nno way, @bob:local.test", **reply),
            site.event(4, "> <@anna:local.test> Inception 9/10\n\nThe Matrix 8/10", **reply),
            site.event(5, "", "m.room.encrypted", algorithm="m.megolm.v1.aes-sha2"),
            {**site.event(6, "x"), "content": {}},
            site.event(7, "", "m.room.redaction", redacts="$e6"),
            site.event(8, "Inception 7/10", msgtype="m.notice"),
            forged | {"sender": "@eve:local.test"},
        ]
    }
    (broker,), (report,) = await runs(TestMatrix(), tmp_path, site, ALL, rooms=[ROOMS[0]])
    found = broker.records("film-mentions")
    assert [(each["title"], each["value"]) for each in found] == [
        ("Inception", 9.0), ("Inception", 5.0), ("The Matrix", 8.0), ("Inception", 0.0),
    ]  # fmt: skip
    ids = [each["mention_id"] for each in found]
    assert ids[0] == ids[1]
    assert ids[3] not in ids[:3], "somebody edited what another person said"
    assert "anna" not in str(broker.sent())
    assert any("1 encrypted" in note for note in report.notes)
    assert any("1 messages were taken back" in note for note in report.notes)


async def test_a_check_says_whether_the_bot_sees_anything(tmp_path: Path) -> None:
    site = Telegram()
    async with serving(site), TestTelegram().connector(site, FakeClock()) as connector:
        assert await connector.check() == "@films_bot has privacy mode on: sees commands"


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"rooms": ["!a:b"]}, "name one"),
        ({"base_url": "https://m.example"}, "name the rooms"),
        ({"base_url": "https://m.example", "rooms": ["films"]}, "name the rooms"),
    ],
)
def test_matrix_needs_a_server_and_rooms(keys: dict[str, Any], says: str) -> None:
    with pytest.raises(Exception, match=says):
        config_of("m", {"kind": "messenger", "profile": "matrix", **keys})

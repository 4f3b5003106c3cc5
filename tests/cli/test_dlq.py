"""Dead letters listed, shown, replayed and given up."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from app.cli.call import CliError
from app.cli.dead_letters import chosen
from app.delivery.moved import MOVED_HEADER
from app.embedded.broker import Broker
from tests.cli.conftest import Marquee
from tests.cli.records import on_topic, put, put_dead_letter

pytestmark = pytest.mark.embedded

VALUE = b'{"film_id": "tt0113277", "value": 9, "best": 5}'


@pytest.fixture(autouse=True)
def topics(connected: Marquee) -> None:
    """Topics that are declared, and no dead letter that is open."""
    connected("push", "film", "--title", "Heat")
    connected("dlq", "purge", "--all")


def test_an_open_letter_is_listed_with_its_origin_and_reason(connected: Marquee, broker: Broker) -> None:
    letter = put_dead_letter(broker, VALUE, offset=17)
    (row,) = connected.json("dlq", "list")
    assert (row["id"], row["origin_topic"], row["origin_partition"], row["origin_offset"]) == (letter, "ratings", 1, 17)
    assert row["resolved"] is False
    text = connected("dlq", "list").stdout
    assert "ratings-1-17" in text
    assert "outside its scale" in text


def test_letters_can_be_picked_by_stage(connected: Marquee, broker: Broker) -> None:
    put_dead_letter(broker, VALUE, offset=1)
    wanted = put_dead_letter(broker, VALUE, offset=2, stage="intake")
    assert [row["id"] for row in connected.json("dlq", "list", "--stage", "intake")] == [wanted]


def test_a_letter_is_shown_whole_and_cannot_steer_the_terminal(connected: Marquee, broker: Broker) -> None:
    letter = put_dead_letter(broker, b"\x1b[2J evil \xff", offset=3, headers=[("ce_id", b"abc")])
    text = connected("dlq", "show", letter[:8]).stdout
    assert "ce_id" in text
    assert "\\x1b[2J evil \\xff" in text
    assert "\x1b" not in text


def test_a_replayed_record_stands_on_its_topic_as_it_was_and_has_an_id(connected: Marquee, broker: Broker) -> None:
    letter = put_dead_letter(broker, VALUE, offset=40, headers=[("x", b"1"), (MOVED_HEADER, b"0-3")])
    connected("dlq", "replay", letter)
    (raw,) = [raw for raw in on_topic(broker, "ratings") if dict(raw.headers).get("ce_id") == b"ratings-1-40"]
    assert (raw.key, raw.value, raw.partition) == (b"tt1", VALUE, 1)
    assert dict(raw.headers)["x"] == b"1"
    assert MOVED_HEADER not in dict(raw.headers), "it would be taken for a repeat"


def test_a_record_keeps_the_id_that_it_had(connected: Marquee, broker: Broker) -> None:
    letter = put_dead_letter(broker, VALUE, offset=41, headers=[("ce_id", b"own-id")])
    connected("dlq", "replay", letter)
    assert [dict(raw.headers)["ce_id"] for raw in on_topic(broker, "ratings")][-1] == b"own-id"


def test_a_record_with_an_id_that_is_none_gets_that_of_its_place(connected: Marquee, broker: Broker) -> None:
    letter = put_dead_letter(broker, VALUE, offset=42, headers=[("ce_id", b"\xff"), ("x", b"1")])
    connected("dlq", "replay", letter)
    assert on_topic(broker, "ratings")[-1].headers[-2:] == [("x", b"1"), ("ce_id", b"ratings-1-42")]


def test_a_tombstone_without_a_key_goes_back_like_any_other(connected: Marquee, broker: Broker) -> None:
    letters = [put_dead_letter(broker, None, offset=45, key=None), put_dead_letter(broker, VALUE, offset=46)]
    assert connected.json("dlq", "replay", *letters)["replayed"] == letters
    tombstone, other = on_topic(broker, "ratings")[-2:]
    assert (tombstone.key or b"", tombstone.value, dict(tombstone.headers)["ce_id"]) == (b"", None, b"ratings-1-45")
    assert other.value == VALUE


def test_a_record_that_several_stages_gave_up_is_sent_once(connected: Marquee, broker: Broker) -> None:
    letters = [put_dead_letter(broker, VALUE, offset=43, stage=stage) for stage in ("clean", "latest", "intake")]
    other = put_dead_letter(broker, VALUE, offset=44)
    before = len(on_topic(broker, "ratings"))
    connected("dlq", "replay", letters[0], letters[1])
    assert len(on_topic(broker, "ratings")) == before + 1
    # The third stage has it again as well.
    assert [row["id"] for row in connected.json("dlq", "list")] == [other]


def test_replaying_twice_sends_once(connected: Marquee, broker: Broker) -> None:
    letter = put_dead_letter(broker, VALUE, offset=42)
    assert connected.json("dlq", "replay", letter)["replayed"] == [letter]
    before = len(on_topic(broker, "ratings"))
    assert connected.json("dlq", "replay", letter)["replayed"] == []
    assert connected.json("dlq", "replay", "--all")["replayed"] == []
    assert len(on_topic(broker, "ratings")) == before
    assert connected.json("dlq", "list") == []
    assert letter in [row["id"] for row in connected.json("dlq", "list", "--all") if row["resolved"]]


def test_a_record_that_fails_again_is_an_open_letter_again(connected: Marquee, broker: Broker) -> None:
    letter = put_dead_letter(broker, VALUE, offset=43)
    connected("dlq", "replay", letter)
    put_dead_letter(broker, VALUE, offset=43)
    assert [row["id"] for row in connected.json("dlq", "list")] == [letter]


def test_a_mended_value_can_be_sent_in_its_place(connected: Marquee, broker: Broker) -> None:
    letter = put_dead_letter(broker, VALUE, offset=44, headers=[("ce_dataschema", b"/schemas/ratings/99")])
    (connected.directory / "mended.json").write_bytes(b'{"mended": true}')
    connected("dlq", "replay", letter, "--value", "mended.json", "--drop-header", "ce_dataschema")
    raw = on_topic(broker, "ratings")[-1]
    found = [r for r in on_topic(broker, "ratings") if dict(r.headers).get("ce_id") == b"ratings-1-44"]
    assert [json.loads(r.value or b"") for r in found] == [{"mended": True}]
    assert "ce_dataschema" not in dict(found[0].headers)
    assert raw.topic == "ratings"


def test_a_dry_run_only_says_what_it_would_do(connected: Marquee, broker: Broker) -> None:
    letter = put_dead_letter(broker, VALUE, offset=45)
    before = len(on_topic(broker, "ratings"))
    assert connected.json("dlq", "replay", "--all", "--dry-run")["would_be_replayed"] == [letter]
    assert connected.json("dlq", "purge", "--all", "--dry-run")["would_be_purged"] == [letter]
    assert len(on_topic(broker, "ratings")) == before
    assert len(connected.json("dlq", "list")) == 1


def test_purging_resolves_without_sending(connected: Marquee, broker: Broker) -> None:
    letter = put_dead_letter(broker, VALUE, offset=46)
    before = len(on_topic(broker, "ratings"))
    assert connected.json("dlq", "purge", letter)["purged"] == [letter]
    assert connected.json("dlq", "list") == []
    assert len(on_topic(broker, "ratings")) == before


def test_a_value_too_large_to_keep_is_read_from_its_topic_again(connected: Marquee, broker: Broker) -> None:
    large = b'"' + b"x" * (6 << 20) + b'"'
    small = put(broker, "reviews", b'"small"', partition=2)
    letter = put_dead_letter(broker, large, offset=small, topic="reviews", partition=2, stage="clean-reviews")
    connected("dlq", "replay", letter)
    position = f"reviews-2-{small}".encode()
    (raw,) = [raw for raw in on_topic(broker, "reviews") if dict(raw.headers).get("ce_id") == position]
    assert raw.value == b'"small"'


def test_a_record_too_large_to_keep_goes_back_with_the_key_and_the_headers_that_it_has(
    connected: Marquee, broker: Broker
) -> None:
    large, headers = b"x" * (6 << 20), [("ce_id", b"its-own"), ("x", b"1")]
    place = put(broker, "reviews", b'"small"', key=b"tt1", partition=2, headers=headers)
    letter = put_dead_letter(broker, large, offset=place, topic="reviews", partition=2, headers=headers)
    connected("dlq", "replay", letter)
    raw = on_topic(broker, "reviews")[-1]
    assert (raw.key, raw.value, raw.headers) == (b"tt1", b'"small"', headers)


def test_a_letter_whose_record_is_gone_keeps_no_other_from_going_back(connected: Marquee, broker: Broker) -> None:
    gone = put_dead_letter(broker, b"x" * (6 << 20), offset=0, topic="no-such-topic", partition=0)
    other = put_dead_letter(broker, VALUE, offset=61)
    found = connected("dlq", "replay", "--all", "--json", code=1)
    said = json.loads(found.stdout)
    assert said["replayed"] == [other]
    assert gone in said["not_possible"][0]
    assert [row["id"] for row in connected.json("dlq", "list")] == [gone]
    assert on_topic(broker, "ratings")[-1].value == VALUE


def test_a_line_of_a_file_is_mended_in_the_file(connected: Marquee, broker: Broker) -> None:
    letter = put_dead_letter(broker, b"1,2,x,4", offset=9, topic="connector.ml", partition=0, stage="connector.ml")
    told = connected("dlq", "replay", "--all", code=1).stderr
    assert "marquee connectors run ml" in told
    assert [row["id"] for row in connected.json("dlq", "list")] == [letter]


def test_mistakes_are_told_in_one_line(connected: Marquee, broker: Broker) -> None:
    put_dead_letter(broker, VALUE, offset=47)
    put_dead_letter(broker, VALUE, offset=48)
    assert "no dead letter has the id zzz" in connected.mistake("dlq", "show", "zzz")
    assert "an id is empty: name a dead letter by" in connected.mistake("dlq", "show", "")
    assert "an id is empty" in connected.mistake("dlq", "purge", "")
    assert "Give IDs, or --all" in connected.mistake("dlq", "replay", code=2)
    assert "exactly one ID" in connected.mistake("dlq", "replay", "--all", "--value", "x", code=2)


def test_the_beginning_of_several_ids_is_not_enough() -> None:
    letters: list[Any] = [SimpleNamespace(id="5f0c1"), SimpleNamespace(id="5f0c2")]
    with pytest.raises(CliError, match="2 dead letters have an id that begins with 5f0c: give more of it"):
        chosen(letters, ["5f0c"])
    assert chosen(letters, ["5f0c2"]) == letters[1:]

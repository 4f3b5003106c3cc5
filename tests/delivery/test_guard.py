"""Whatever a record is like, it is read, refused with a reason, or sent on; nothing in it stops a worker."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import pytest
from msgspec.structs import replace

from agents.messages import Message
from app.delivery.guard import Misplaced, Reader, dead_letter, forwarded, outgoing
from app.delivery.moved import MOVED_HEADER
from app.delivery.producer import MAX_REQUEST_BYTES, Outgoing, partition_of
from app.delivery.raw import Raw
from schemas.base import Record, Rejected
from schemas.commands import PushCelebrity, PushFilm, SubmitFilm
from schemas.envelope import Headers, read_envelope
from schemas.events import FactsObserved, RatingObserved, RatingPredicted

FILM = "tt0133093"
HOME = partition_of(FILM.encode(), 4)
GOOD = {"film_id": FILM, "source": "ml", "source_record_id": "1", "value": 4.0}
MAX_VALUE = 1_000_000


def raw(
    value: object = GOOD, key: bytes | None = FILM.encode(), headers: Headers | None = None, partition: int = HOME
) -> Raw:
    """A record of `ratings`; `value` is encoded unless it is bytes already."""
    body = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
    return Raw("ratings", partition, 12, 1_700_000_000_123, key, body, headers or [])


def reader(*reads: type[Record], placed: bool = True) -> Reader:
    return Reader(reads or (RatingObserved,), 4, MAX_VALUE, placed)


def refused(record: Raw, *reads: type[Record]) -> str:
    with pytest.raises(Rejected) as refusal:
        reader(*reads).read(record)
    return str(refusal.value)


def without(*names: str, **others: object) -> dict[str, object]:
    return {name: value for name, value in (GOOD | others).items() if name not in names}


def test_a_good_record_is_read_with_its_place_and_identity() -> None:
    message = reader().read(raw(headers=[("ce_id", b"mine"), ("ce_correlationid", b"story")]))
    assert message.data == RatingObserved(**GOOD)  # type: ignore[arg-type]
    assert (message.topic, message.partition, message.offset) == ("ratings", HOME, 12)
    assert (message.envelope.id, message.envelope.correlation_id) == ("mine", "story")
    assert message.received_at == "2023-11-14T22:13:20.123Z"


def test_a_record_without_an_id_is_known_by_its_position() -> None:
    envelope = reader().read(raw()).envelope
    assert envelope.id == envelope.correlation_id == f"ratings-{HOME}-12"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "invalid JSON"),
        (b"not json", "invalid JSON"),
        (b'{"film_id":', "invalid JSON"),
        (b"\xff\xfe", "invalid JSON"),
        (b"\x00" * 100, "invalid JSON"),
        (b"[" * 100_000, "invalid"),
        (b'{"a":' * 50_000, "invalid"),
        (json.dumps(GOOD).encode() + b"x", "invalid JSON"),
        (b"null", "Expected `object`"),
        (b"[]", "Expected `object`"),
        (b'"text"', "Expected `object`"),
        (without(value="4"), "Expected `float`, got `str` - at `$.value`"),
        (without(film_id=7), "Expected `str`, got `int` - at `$.film_id`"),
        (without(votes=-1), "$.votes"),
        (without(kind="guess"), "$.kind"),
        (without(film_id=""), "$.film_id"),
        (without(source="s" * 513), "$.source"),
        (without("value"), "missing required field `value`"),
        (without("film_id"), "missing required field `film_id`"),
        (json.dumps(GOOD | {"value": math.nan}).encode(), "invalid JSON"),
        (json.dumps(GOOD | {"value": -math.inf}).encode(), "invalid JSON"),
        (b'{"film_id":"x","source":"s","source_record_id":"1","value":1e999}', "invalid"),
        (b'{"film_id":"\\ud800","source":"s","source_record_id":"1","value":1}', "invalid JSON"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_read_is_refused_with_the_reason(value: object, reason: str) -> None:
    assert reason in refused(raw(value))


def test_a_tombstone_is_refused() -> None:
    assert "tombstone" in refused(raw(None))


def test_a_value_of_five_megabytes_is_refused_before_it_is_parsed() -> None:
    assert refused(raw(b"x" * 5_000_000)) == "too large: 5000000 bytes, 1000000 are allowed"


@pytest.mark.parametrize(
    ("key", "reason"), [(b"", "empty key"), (b"\xff\xfe", "key is not UTF-8"), (b"tt\xc3", "key is not UTF-8")]
)
def test_a_key_that_is_no_text_is_refused(key: bytes, reason: str) -> None:
    assert reason in refused(raw(key=key))


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        (b"/schemas/ratings/2", "schema version 2 of ratings is unknown; known: 1 to 1"),
        (b"/schemas/ratings/0", "unknown"),
        (b"/schemas/reviews/1", "is not a version of /schemas/ratings"),
        (b"/schemas/ratings/", "is not a version"),
        (b"/schemas/ratings/-1", "is not a version"),
        (b"https://example.org/x", "is not a version"),
    ],
)
def test_a_schema_version_that_is_unknown_is_refused(schema: bytes, reason: str) -> None:
    assert reason in refused(raw(headers=[("ce_dataschema", schema)]))


def test_an_old_schema_version_is_read_as_todays() -> None:
    old = {"film_id": FILM, "source": "imdb", "genres": "Drama|War"}
    record = raw(old, headers=[("ce_dataschema", b"/schemas/facts/1")])
    message = reader(FactsObserved).read(record)
    assert isinstance(message.data, FactsObserved)
    assert message.data.genres == ("Drama", "War")


@pytest.mark.parametrize(
    "value", [b"null", b"[1]", b'{"film_id":1}', b'{"film_id":"x","source":"s","year":"old"}', b"{"]
)
def test_poison_in_an_old_schema_version_is_refused_too(value: bytes) -> None:
    assert refused(raw(value, headers=[("ce_dataschema", b"/schemas/facts/1")]), FactsObserved)


@pytest.mark.parametrize("value", [{"title": "A"}, {"type": "planet", "title": "A"}, {"type": 1}, {"type": "film"}])
def test_input_of_no_known_kind_is_refused(value: object) -> None:
    assert "invalid value" in refused(raw(value), PushFilm, PushCelebrity)


def test_headers_that_are_not_text_are_passed_over() -> None:
    envelope = reader().read(raw(headers=[("ce_id", b"\xff"), ("other", b"\xff")])).envelope
    assert envelope.id == f"ratings-{HOME}-12"


def test_a_header_without_a_value_is_passed_over() -> None:
    nothing: Any = None
    assert reader().read(raw(headers=[("ce_id", nothing)])).envelope.id == f"ratings-{HOME}-12"


def origin(lost: Raw) -> bytes:
    return f"{lost.partition}-{lost.offset}".encode()


def test_a_record_in_the_wrong_partition_is_sent_on_and_keeps_its_identity() -> None:
    lost = raw(key=None, partition=(HOME + 1) % 4)
    with pytest.raises(Misplaced) as misplaced:
        reader().read(lost)
    sent = forwarded(lost, misplaced.value.key)
    assert (sent.topic, sent.key, sent.value) == ("ratings", FILM.encode(), lost.value)
    arrived = raw(sent.value, sent.key, sent.headers)
    assert reader().read(arrived).envelope.id == lost.position


def test_a_record_that_brought_an_id_keeps_it_when_it_is_sent_on() -> None:
    lost = raw(headers=[("ce_id", b"mine"), ("trace", b"1")], partition=(HOME + 1) % 4)
    sent = forwarded(lost, FILM)
    assert sent.headers == [("ce_id", b"mine"), ("trace", b"1"), (MOVED_HEADER, origin(lost))]
    # Sent on twice, as after a crash, it is the same record twice.
    assert forwarded(lost, FILM) == sent


@pytest.mark.parametrize("unusable", [b"", b"x" * 1025, b"\xff", None])
def test_a_record_with_an_id_that_is_none_is_known_by_its_position_also_when_it_is_sent_on(unusable: Any) -> None:
    lost = raw(headers=[("ce_id", unusable), ("trace", b"1")], partition=(HOME + 1) % 4)
    sent = forwarded(lost, FILM)
    assert sent.headers == [("trace", b"1"), ("ce_id", lost.position.encode()), (MOVED_HEADER, origin(lost))]
    assert read_envelope(sent.headers, "?")[0].id == read_envelope(lost.headers, lost.position)[0].id == lost.position


def test_a_stage_without_rows_takes_a_record_from_any_partition() -> None:
    message = reader(placed=False).read(raw(partition=(HOME + 1) % 4))
    assert message.partition == (HOME + 1) % 4


def test_what_a_stage_makes_again_of_a_record_has_the_same_id_and_lineage() -> None:
    message = reader().read(raw(headers=[("ce_id", b"mine"), ("ce_correlationid", b"story")]))
    first, second = (outgoing(SubmitFilm(film_id=FILM), "clean", message, n) for n in (0, 1))
    assert first == outgoing(SubmitFilm(film_id=FILM), "clean", message, 0)
    one, two = (read_envelope(out.headers, "?")[0] for out in (first, second))
    assert one.id != two.id
    assert (one.correlation_id, one.causation_id) == ("story", "mine")
    assert one.time == "2023-11-14T22:13:20.123Z"
    assert (first.topic, first.key) == ("film-submissions", FILM.encode())


def test_a_record_that_has_its_own_event_id_keeps_it() -> None:
    message: Message[Record] = reader().read(raw())
    prediction = RatingPredicted(
        event_id="e", cause_id="c", film_id=FILM, predicted=5.0, current_mean=None, n_ratings=0, model="m",
        model_version="1", predicted_at="2026-01-01T00:00:00Z",
    )  # fmt: skip
    assert read_envelope(outgoing(prediction, "learn", message, 0).headers, "?")[0].id == "e"


def letter(record: Raw, error: Exception | None = None) -> tuple[dict[str, Any], Outgoing]:
    out = dead_letter(record, "clean", "rejected", error or Rejected("why"), 3, now=lambda: 1_700_000_000.5)
    return json.loads(out.value or b""), out


def test_a_dead_letter_holds_all_that_a_replay_needs() -> None:
    record = raw(b"\xffpoison", b"\xfe", [("ce_id", b"mine"), ("odd", b"\xff")])
    body, out = letter(record)
    assert base64.b64decode(body["value_base64"]) == record.value
    assert base64.b64decode(body["key_base64"]) == record.key
    assert [(name, base64.b64decode(value)) for name, value in body["headers"]] == record.headers
    assert (body["origin_topic"], body["origin_partition"], body["origin_offset"]) == ("ratings", HOME, 12)
    assert (body["stage"], body["reason"], body["error"], body["attempts"]) == ("clean", "rejected", "Rejected: why", 3)
    assert body["failed_at"] == "2023-11-14T22:13:20.500Z"
    assert out.topic == "dead-letters"


def test_a_dead_letter_written_twice_is_the_same_letter() -> None:
    assert letter(raw(b"x"))[0]["id"] == letter(raw(b"x"))[0]["id"]
    assert letter(raw(b"x"))[0]["id"] != letter(replace(raw(b"x"), offset=13))[0]["id"]


def test_the_dead_letter_of_a_tombstone_says_that_there_was_no_value() -> None:
    body, _ = letter(raw(None, None))
    assert (body["value_base64"], body["value_bytes"], body["key_base64"]) == (None, None, None)


@pytest.mark.parametrize(
    "record",
    [
        raw(b"x" * 5_000_000),
        raw(b"x" * (6 << 20)),
        raw(b"x" * 15_000_000),
        raw(b"x", key=b"k" * 15_000_000),
        raw(b"x", headers=[("h", b"v" * 15_000_000)]),
        raw(b"x", headers=[("h" * 5_000_000, b"v"), ("ce_id", b"v" * 8_000_000)]),
        raw(b"x" * (6 << 20), b"k" * 4_000_000, [("h", b"v" * 5_000_000)]),
    ],
    ids=["5 MB", "largest kept", "15 MB", "key", "header", "header name and id", "all of it"],
)
def test_a_dead_letter_fits_on_its_topic_whatever_the_record_is_like(record: Raw) -> None:
    body, out = letter(record, ValueError("long " * 10_000))
    size = len(out.value or b"") + len(out.key) + sum(len(name) + len(value) for name, value in out.headers)
    assert size < MAX_REQUEST_BYTES
    assert len(body["error"]) <= 2000
    assert record.value is not None
    assert body["value_bytes"] == len(record.value)


def test_an_id_that_no_event_could_carry_on_is_not_taken() -> None:
    # Every event that is made of the record names it, on topics that take a megabyte.
    envelope = (
        reader().read(raw(headers=[("ce_id", b"i" * 2_000_000), ("ce_correlationid", b"c" * 2_000_000)])).envelope
    )
    assert envelope.id == envelope.correlation_id == f"ratings-{HOME}-12"


def test_a_header_without_a_value_does_not_stop_its_dead_letter() -> None:
    nothing: Any = None
    body, _ = letter(raw(b"x", headers=[("ce_id", nothing)]))
    assert body["headers"] == [["ce_id", ""]]


def test_a_filler_is_known_by_its_header() -> None:
    assert raw(None, None, [("marquee-filler", b"")]).is_filler
    assert not raw(None, None).is_filler
    assert not raw(headers=[("ce_id", b"1")]).is_filler

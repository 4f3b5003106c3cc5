"""Topics, stages and schemas as people, programs and validators read them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from app.asyncapi import asyncapi
from app.settings import Settings
from app.topology import film_topology
from schemas.catalogue import RECORDS, topics
from schemas.envelope import schema_uri
from schemas.ids import celebrity_id, film_id
from schemas.json_schema import json_schema, json_schemas
from schemas.upcast import UPCASTERS
from tests.cli.conftest import Marquee

NAME = {"type": "string", "pattern": r"^[\w.-]+$"}
REF = {
    "type": "object",
    "required": ["$ref"],
    "properties": {"$ref": {"type": "string", "pattern": "^#/"}},
    "additionalProperties": False,
}
MESSAGE = {
    "type": "object",
    "required": ["name", "contentType", "payload"],
    "properties": {
        "name": {"type": "string"}, "title": {"type": "string"}, "summary": {"type": "string", "minLength": 1},
        "contentType": {"const": "application/json"}, "traits": {"type": "array", "items": REF}, "payload": REF,
        "bindings": {"type": "object"},
    },
    "patternProperties": {"^x-": {}},
    "additionalProperties": False,
}  # fmt: skip
CHANNEL = {
    "type": "object",
    "required": ["address", "messages"],
    "properties": {
        "address": {"type": "string"}, "description": {"type": "string"}, "bindings": {"type": "object"},
        "servers": {"type": "array", "items": REF},
        "messages": {"type": "object", "propertyNames": NAME, "additionalProperties": REF, "minProperties": 1},
    },
    "additionalProperties": False,
}  # fmt: skip
OPERATION = {
    "type": "object",
    "required": ["action", "channel"],
    "properties": {
        "action": {"enum": ["send", "receive"]}, "channel": REF, "summary": {"type": "string"},
        "messages": {"type": "array", "items": REF, "minItems": 1},
    },
    "additionalProperties": False,
}  # fmt: skip


def _named(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "propertyNames": NAME, "additionalProperties": item, "minProperties": 1}


ASYNCAPI_3 = {
    "type": "object",
    "required": ["asyncapi", "info"],
    "properties": {
        "asyncapi": {"const": "3.0.0"},
        "info": {
            "type": "object",
            "required": ["title", "version"],
            "properties": {
                "title": {"type": "string"}, "version": {"type": "string"}, "description": {"type": "string"},
                "license": {"type": "object", "required": ["name"]},
            },
            "additionalProperties": False,
        },
        "defaultContentType": {"type": "string"},
        "servers": _named({"type": "object", "required": ["host", "protocol"], "properties": {
            "host": {"type": "string", "pattern": "^[^/]+$"}, "protocol": {"const": "kafka"}}}),
        "channels": _named(CHANNEL),
        "operations": _named(OPERATION),
        "components": {
            "type": "object",
            "required": ["messages", "schemas"],
            "properties": {
                "messages": _named(MESSAGE),
                "messageTraits": _named({"type": "object", "not": {"required": ["payload"]}}),
                "schemas": _named({"$ref": "http://json-schema.org/draft-07/schema#"}),
            },
            "additionalProperties": False,
        },
    },
    "additionalProperties": False,
}  # fmt: skip
"""The parts of the AsyncAPI 3.0.0 rules that the document uses."""


def _faults(document: dict[str, Any]) -> list[str]:
    errors = jsonschema.Draft7Validator(ASYNCAPI_3).iter_errors(document)
    return [f"{error.json_path}: {error.message}" for error in errors]


def _document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(msgspec.json.encode(asyncapi(Settings())))
    return found


def _at(document: dict[str, Any], pointer: str) -> Any:
    for part in pointer.removeprefix("#/").split("/"):
        document = document[part]
    return document


def _refs(part: Any) -> list[str]:
    if isinstance(part, dict):
        own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return own + [ref for value in part.values() for ref in _refs(value)]
    return [ref for value in part for ref in _refs(value)] if isinstance(part, list) else []


def test_the_asyncapi_document_follows_the_rules_of_asyncapi_3() -> None:
    assert _faults(_document()) == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: d["operations"]["intake.receive"].update(action="publish"),
        lambda d: d["channels"]["input"].update(adress="input"),
        lambda d: d["info"].pop("version"),
        lambda d: d["components"]["schemas"]["RatingObserved"].update(type="rating"),
    ],
)
def test_the_rules_find_what_is_wrong(spoil: Any) -> None:
    document = _document()
    spoil(document)
    assert _faults(document)


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    document = _document()
    found = _refs(document)
    assert len(found) > 50
    for pointer in found:
        assert _at(document, pointer) is not None


def test_an_operation_uses_messages_of_its_own_channel() -> None:
    for operation in _document()["operations"].values():
        for message in operation["messages"]:
            assert message["$ref"].startswith(operation["channel"]["$ref"] + "/messages/")


def test_the_asyncapi_document_has_every_topic_and_every_stage() -> None:
    document = _document()
    assert set(document["channels"]) == set(topics())
    assert {f"{stage.name}.receive" for stage in film_topology().stages} <= set(document["operations"])
    for record in RECORDS:
        assert document["components"]["messages"][record.__name__]["x-dataschema"] == schema_uri(record)


def test_the_asyncapi_payloads_accept_what_is_really_sent() -> None:
    document = _document()
    rating = {"film_id": "tt0000001", "source": "s", "source_record_id": "1", "value": 3.5}
    dead = {
        "id": "i", "stage": "s", "reason": "r", "error": "e", "attempts": 1, "origin_topic": "t",
        "origin_partition": 0, "origin_offset": 0, "failed_at": "now", "headers": [["ce_id", "eA=="]],
    }  # fmt: skip
    for name, good, bad in (
        ("RatingObserved", rating, {**rating, "value": "x"}),
        ("DeadLettered", dead, {**dead, "headers": [["a", "b", "c"]]}),
    ):
        validator = jsonschema.Draft7Validator({"$ref": f"#/components/schemas/{name}", **document})
        assert validator.is_valid(good)
        assert not validator.is_valid(bad)


def test_the_document_can_be_written_to_a_file(marquee: Marquee, tmp_path: Path) -> None:
    marquee("asyncapi", "--out", tmp_path / "deep" / "asyncapi.json")
    printed = json.loads(marquee("asyncapi").stdout)
    assert json.loads((tmp_path / "deep" / "asyncapi.json").read_text()) == printed
    assert _faults(printed) == []


def test_there_is_a_schema_of_every_version_that_can_be_read(marquee: Marquee, tmp_path: Path) -> None:
    marquee("schemas", "--out", tmp_path / "s")
    written = {path.name: json.loads(path.read_text()) for path in (tmp_path / "s").iterdir()}
    assert written == json.loads(msgspec.json.encode(json_schemas()))
    for record in RECORDS:
        for version in range(1, record.version + 1):
            assert f"{record.topic}.{record.__name__}.v{version}.json" in written
    assert {(topic, version) for topic, version in UPCASTERS} <= {
        (name.split(".")[0], int(name.split(".v")[1].split(".")[0])) for name in written
    }


def test_every_schema_is_json_schema_2020_12_with_an_id_of_its_own() -> None:
    found = json_schemas()
    for schema in found.values():
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        jsonschema.Draft202012Validator.check_schema(schema)
    assert len({schema["$id"] for schema in found.values()}) == len(found)


def test_an_old_versions_schema_accepts_the_old_form_and_not_the_new() -> None:
    from schemas.events import FactsObserved

    old, new = (jsonschema.Draft202012Validator(json_schema(FactsObserved, version)) for version in (1, 2))
    bars = {"film_id": "tt0000001", "source": "s", "genres": "Drama|War"}
    listed = {**bars, "genres": ["Drama", "War"]}
    assert (old.is_valid(bars), old.is_valid(listed)) == (True, False)
    assert (new.is_valid(bars), new.is_valid(listed)) == (False, True)


@pytest.mark.parametrize(
    ("name", "record", "field", "good", "bad"),
    [
        ("ratings.RatingObserved", {"source": "s", "source_record_id": "1", "value": 3.5}, "film_id",
         ["tt0111161", "Q25188", "tmdb:movie/1", "tmdb:tv/1", film_id("Heat", 1995, "movie", None, None, None)],
         ["tt1", "q25188", "Q25188x", "tmdb:person/1", "nm0000001", "local:heat", " tt0111161", ""]),
        ("images-found.ImageFound", {"source": "s", "url": "http://a/b"}, "celebrity_id",
         ["Q200534", "nm0842770", "tmdb:person/1", celebrity_id("Tilda Swinton", None, None)],
         ["tt0111161", "tmdb:movie/1", "nm1", "Q0"]),
        ("input.PushFilm", {"type": "film", "title": "Heat"}, "imdb", ["tt0113277", None], ["nm0000001", "0113277"]),
        ("input.PushCelebrity", {"type": "celebrity", "name": "A"}, "wikidata", ["Q1", None], ["Q01", "P1"]),
    ],
)  # fmt: skip
def test_a_schema_says_of_what_form_ids_are(
    name: str, record: dict[str, object], field: str, good: list[str | None], bad: list[str]
) -> None:
    validator = jsonschema.Draft202012Validator(json_schemas()[f"{name}.v1.json"])
    assert [each for each in good if not validator.is_valid({**record, field: each})] == []
    assert [each for each in bad if validator.is_valid({**record, field: each})] == []


def test_topics_say_who_reads_and_writes_them(marquee: Marquee) -> None:
    rows = {row["topic"]: row for row in marquee.json("topics")}
    assert set(rows) == set(topics())
    assert rows["ratings"]["read_by"] == ["clean"]
    assert rows["ratings"]["written_by"] == ["match", "connectors", "anyone"]
    assert rows["ratings"]["retention_days"] is None
    assert rows["rating-predictions"]["retention_days"] == 30.0
    assert (rows["training-ratings"]["partitions"], rows["ratings"]["partitions"]) == (1, 4)
    assert all(row["written_by"] or row["topic"] == "celebrity-submissions" for row in rows.values())
    assert "for ever" in marquee("topics").stdout


def test_the_number_of_partitions_comes_from_the_configuration(marquee: Marquee) -> None:
    (marquee.directory / "other.toml").write_text("[topics]\npartitions = 7\n")
    rows = {row["topic"]: row for row in marquee.json("topics", "--config", "other.toml")}
    assert rows["ratings"]["partitions"] == 7


def test_the_topology_is_printed_row_by_row(marquee: Marquee) -> None:
    rows = marquee.json("topology")
    assert [row["stage"] for row in rows] == [stage.name for stage in film_topology().stages]
    assert rows[0] == {
        "stage": "intake", "kind": "decide", "reads": "input", "records": ["PushFilm", "PushCelebrity"],
        "emits": ["film-submissions", "celebrity-submissions"], "table": None, "looks_up": [],
    }  # fmt: skip
    assert "learn-ratings" in marquee("topology").stdout


def test_the_topology_as_a_flow_chart_has_an_arrow_for_each_topic_read_and_written(marquee: Marquee) -> None:
    chart = marquee("topology", "--mermaid").stdout.splitlines()
    stages = film_topology().stages
    arrows = sum(1 + len({record.topic for record in stage.emits}) for stage in stages)
    assert chart[0] == "flowchart LR"
    assert len(chart) == arrows + 1

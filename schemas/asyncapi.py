"""The AsyncAPI 3.0 document: which topics there are, what they carry and who sends and receives it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import msgspec

from schemas.base import Layout, Record
from schemas.catalogue import RECORDS, topics
from schemas.envelope import schema_uri

VERSION: Final = "3.0.0"

Json = dict[str, Any]


class Operation(NamedTuple):
    """One way of using a topic; `action` is "send" or "receive", as Marquee sees it."""

    name: str
    action: str
    records: tuple[type[Record], ...]
    summary: str

    @property
    def topic(self) -> str:
        """The topic that is sent to or read."""
        return self.records[0].topic


def document(operations: Iterable[Operation], version: str, server: str, partitions: dict[str, int]) -> Json:
    """The document as plain data; `server` is host:port of a broker, `partitions` how each topic is cut."""
    host, _, rest = server.partition("/")
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "Marquee",
            "version": version,
            "description": "Films on the open web as a stream of events, and predictions of where their ratings go.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {"kafka": {"host": host, "protocol": "kafka", **({"pathname": rest} if rest else {})}},
        "channels": {topic: _channel(topic, records, partitions[topic]) for topic, records in topics().items()},
        "operations": {operation.name: _operation(operation) for operation in operations},
        "components": {
            "messages": {record.__name__: _message(record) for record in RECORDS},
            "messageTraits": {"cloudEvent": _cloud_event()},
            "schemas": _components(),
        },
    }


def _channel(topic: str, records: tuple[type[Record], ...], partitions: int) -> Json:
    ordered = "one order over all records" if records[0].layout is Layout.SINGLE else "records of one key in order"
    return {
        "address": topic,
        "description": f"Key: `{records[0].key_field}` (murmur2 partitioner); {ordered}.",
        "servers": [{"$ref": "#/servers/kafka"}],
        "messages": {record.__name__: {"$ref": f"#/components/messages/{record.__name__}"} for record in records},
        "bindings": {"kafka": {"topic": topic, "partitions": partitions, "bindingVersion": "0.5.0"}},
    }


def _operation(operation: Operation) -> Json:
    return {
        "action": operation.action,
        "summary": operation.summary,
        "channel": {"$ref": f"#/channels/{operation.topic}"},
        "messages": [
            {"$ref": f"#/channels/{operation.topic}/messages/{record.__name__}"} for record in operation.records
        ],
    }


def _message(record: type[Record]) -> Json:
    return {
        "name": record.__name__,
        "title": f"marquee.{record.__name__}",
        "summary": (record.__doc__ or "").strip().splitlines()[0],
        "contentType": "application/json",
        "traits": [{"$ref": "#/components/messageTraits/cloudEvent"}],
        "payload": {"$ref": f"#/components/schemas/{record.__name__}"},
        "bindings": {"kafka": {"key": {"type": "string"}, "bindingVersion": "0.5.0"}},
        # Draft-07 schemas know no version; this is what `ce_dataschema` says.
        "x-dataschema": schema_uri(record),
    }


def _cloud_event() -> Json:
    text = {"type": "string"}
    names = ("ce_specversion", "ce_type", "ce_source", "ce_id", "ce_time", "ce_dataschema")
    extensions = ("ce_correlationid", "ce_causationid")
    return {
        "description": "CloudEvents 1.0, binary mode. Optional on what others send.",
        "headers": {"type": "object", "properties": dict.fromkeys((*names, *extensions, "content-type"), text)},
    }


def _components() -> Json:
    _, found = msgspec.json.schema_components(RECORDS, ref_template="#/components/schemas/{name}")
    return {name: _draft_07(schema) for name, schema in found.items()}


def _draft_07(schema: Any) -> Any:
    """AsyncAPI's own dialect is a superset of draft-07, where the items of a tuple have another name."""
    if isinstance(schema, list):
        return [_draft_07(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: _draft_07(part) for key, part in schema.items()}
    if "prefixItems" in plain:
        plain["items"], plain["additionalItems"] = plain.pop("prefixItems"), False
    return plain

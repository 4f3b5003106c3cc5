"""Holds answers of test servers to Google's own description of its services, so that no parser shapes them."""

from __future__ import annotations

from typing import Any

import msgspec
from googleapiclient.discovery_cache import get_static_doc

TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str, "integer": int, "number": (int, float), "boolean": bool, "array": list, "object": dict,
}  # fmt: skip


def document(service: str, version: str) -> dict[str, Any]:
    """The discovery document of a service."""
    found: dict[str, Any] = msgspec.json.decode(get_static_doc(service, version))
    return found


def hold(value: Any, schema: dict[str, Any], schemas: dict[str, Any], path: str = "$") -> None:
    """Raises AssertionError for a field that the description lacks, or of another type."""
    if "$ref" in schema:
        schema = schemas[schema["$ref"]]
    kind = schema.get("type")
    if kind in TYPES:
        assert isinstance(value, TYPES[kind]), f"{path}: {value!r} is no {kind}"
    if kind == "array":
        for n, each in enumerate(value):
            hold(each, schema["items"], schemas, f"{path}[{n}]")
    elif kind == "object" and "properties" in schema:
        for key, each in value.items():
            assert key in schema["properties"], f"{path}.{key}: not described"
            hold(each, schema["properties"][key], schemas, f"{path}.{key}")

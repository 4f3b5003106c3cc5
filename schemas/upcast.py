"""Old versions of records read as today's: one small step a version."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from schemas.base import Record, Rejected
from schemas.envelope import SCHEMA_PREFIX

Json = dict[str, Any]


def _facts_1_to_2(old: Json) -> Json:
    genres = old.get("genres") or ""
    return {**old, "genres": [g for g in str(genres).split("|") if g]}


UPCASTERS: Final[dict[tuple[str, int], Callable[[Json], Json]]] = {("facts", 1): _facts_1_to_2}
"""(topic, version) -> the step to the next version."""


@lru_cache(maxsize=256)
def schema_version(dataschema: str | None, record: type[Record]) -> int:
    """The version that a record says it has; the current one where it says nothing.

    Raises Rejected where it is of another type or of a version that this program does not know.
    """
    if dataschema is None:
        return record.version
    topic, _, version = dataschema.removeprefix(SCHEMA_PREFIX).rpartition("/")
    if topic != record.topic or not version.isascii() or not version.isdigit():
        raise Rejected(f"ce_dataschema {dataschema!r} is not a version of {SCHEMA_PREFIX}{record.topic}")
    if not 1 <= int(version) <= record.version:
        raise Rejected(f"schema version {version} of {record.topic} is unknown; known: 1 to {record.version}")
    return int(version)


def upcast(old: Json, record: type[Record], version: int) -> Json:
    """`old`, written under `version`, in the form of today's version."""
    for step in range(version, record.version):
        old = UPCASTERS[record.topic, step](old)
    return old

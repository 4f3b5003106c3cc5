"""The base of everything on the wire: a typed record that knows its topic, key and version."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, Final

import msgspec


class Layout(StrEnum):
    """How a topic is cut into partitions."""

    KEYED = "keyed"
    """As many partitions as configured; records of one key share a partition and stay in order."""
    SINGLE = "single"
    """One partition: one total order, one writer of whatever is derived from it."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One message on a topic. Subclasses say where they live and which version of the schema they are."""

    topic: ClassVar[str]
    key_field: ClassVar[str]
    version: ClassVar[int] = 1
    layout: ClassVar[Layout] = Layout.KEYED

    @property
    def key(self) -> str:
        """The entity's id, which is also the Kafka key."""
        return str(getattr(self, type(self).key_field))


class Entity(msgspec.Struct, kw_only=True):
    """State that is folded from events and kept in a table or a document."""


class Rejected(Exception):  # noqa: N818  a verdict on the record, not a fault of the program
    """The record can be read but not accepted; the text says why and goes into the dead letter."""


BEST_SCORE: Final = 10.0
"""Ratings are kept on 0 to this; sources keep their own scale in `value`, `best` and `worst`."""

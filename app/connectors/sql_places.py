"""Values of key columns as a cursor keeps them: JSON that comes back as exactly the type that the database gave."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from math import ceil
from typing import Any, Final
from uuid import UUID

from app.connectors.errors import SourceError

DAY: Final = 86400
_READ: Final[dict[str, Any]] = {
    "int": int,
    "str": str,
    "float": float.fromhex,
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "Decimal": Decimal,
    "UUID": UUID,
    "bytes": bytes.fromhex,
}


def packed(value: Any) -> list[str]:
    """Type and text. Raises SourceError for a type that does not order rows."""
    for name, kind in (("datetime", datetime), ("date", date)):
        if isinstance(value, kind):
            return [name, value.isoformat()]
    if isinstance(value, (float, bytes)):
        return [type(value).__name__, value.hex()]
    name = "UUID" if isinstance(value, UUID) else type(value).__name__
    if name not in _READ:
        raise SourceError(f"a key column holds {'NULL' if value is None else name}, which orders no rows")
    return [name, str(value)]


def before(after: list[Any] | None, overlap: float) -> list[Any] | None:
    """The place so many seconds or numbers before one. Raises SourceError where a key of its type has none."""
    if after is None or not overlap:
        return after
    first, *rest = after
    try:
        return [_before(first, overlap), *rest]
    except OverflowError:
        # Some databases say with their first day that they know none.
        return None


def _before(first: Any, overlap: float) -> Any:
    match first:
        case datetime():
            return first - timedelta(seconds=overlap)
        case date():
            return first - timedelta(days=ceil(overlap / DAY))
        case int():
            return first - ceil(overlap)
        case float():
            return first - overlap
        case Decimal():
            return first - Decimal(overlap)
        case _:
            raise SourceError(f"overlap: a {type(first).__name__} has no number or moment before it")


def unpacked(kept: list[str]) -> Any:
    """The value. Raises ValueError for what is none."""
    name, text = kept
    if name not in _READ:
        raise ValueError(f"unknown type {name!r}")
    return _READ[name](text)

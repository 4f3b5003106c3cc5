"""Values of key columns as a cursor keeps them: JSON that comes back as exactly the type that the database gave."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from app.connectors.errors import SourceError

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


def unpacked(kept: list[str]) -> Any:
    """The value. Raises ValueError for what is none."""
    name, text = kept
    if name not in _READ:
        raise ValueError(f"unknown type {name!r}")
    return _READ[name](text)

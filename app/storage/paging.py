"""Pages that stay right while documents come and go: a page starts behind a value, not behind a number of rows."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any, Final, Generic, TypeVar

import msgspec

from app.storage.documents import Collection, Document, Filter

T = TypeVar("T")

MAX_LIMIT: Final = 1000
_LEAST_NUMBER: Final = -1e308


class BadQueryError(Exception):
    """The question cannot be answered as it was put; the text says what is allowed."""


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Some items, and the cursor of the page after them; None where there is none."""

    items: list[T]
    next: str | None = None


class Order(msgspec.Struct, frozen=True):
    """Sorted by a field of text or numbers, ties by film id in the same direction, films without a value last."""

    field: str
    direction: int
    text: bool = False


class Position(msgspec.Struct, frozen=True, array_like=True):
    """The last row of a page; `order` is there so that a cursor cannot be used with another sort."""

    order: str
    value: str | float | None
    film_id: str


def encode_cursor(position: msgspec.Struct) -> str:
    """A position as text for a URL."""
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).decode().rstrip("=")


def decode_cursor(cursor: str, kind: type[T]) -> T:
    """The position in a cursor; raises BadQueryError for anything that is none."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        return msgspec.json.decode(base64.b64decode(padded, altchars=b"-_", validate=True), type=kind)
    except (msgspec.DecodeError, binascii.Error, ValueError) as error:
        raise BadQueryError("cursor: is none of those that a page gave as `next`") from error


def checked_limit(limit: int) -> int:
    """The limit; raises BadQueryError where it is none."""
    if not 1 <= limit <= MAX_LIMIT:
        raise BadQueryError(f"limit: must be 1 to {MAX_LIMIT}, not {limit}")
    return limit


async def rows_behind(
    collection: Collection, order: Order, position: Position | None, where: Filter, limit: int
) -> list[Document]:
    """Up to `limit` documents behind a position, in order."""
    rows: list[Document] = []
    # One simple range after the other: each can be answered from an index, their union often cannot.
    for stretch in _stretches(order, position):
        if len(rows) < limit:
            sort = [(order.field, order.direction), ("film_id", order.direction)]
            rows += await collection.find({**where, **stretch}, sort, limit - len(rows))
    return rows


def _stretches(order: Order, position: Position | None) -> Iterator[dict[str, Any]]:
    behind = "$gt" if order.direction > 0 else "$lt"
    absent: dict[str, Any] = {order.field: {"$eq": None}}
    if position is None:
        yield {order.field: {"$gte": "" if order.text else _LEAST_NUMBER}}
        yield absent
    elif position.value is None:
        yield {**absent, "film_id": {behind: position.film_id}}
    else:
        yield {order.field: position.value, "film_id": {behind: position.film_id}}
        yield {order.field: {behind: position.value}}
        yield absent

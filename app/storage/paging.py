"""Pages that stay right while documents come and go: a page starts behind a value, not behind a number of rows."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Generic, TypeVar

import msgspec

from app.storage.documents import Collection, Document, Filter
from schemas.ids import search_words

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
    """Sorted by a field of text or numbers, ties by the id in the same direction, documents without a value last."""

    field: str
    direction: int
    text: bool = False
    id: str = "film_id"
    """The field of the id."""


class Position(msgspec.Struct, frozen=True, array_like=True):
    """The last row of a page; `order` is there so that a cursor cannot be used with another sort."""

    order: str
    value: str | float | None
    id: str


def encode_cursor(position: msgspec.Struct) -> str:
    """A position as text for a URL."""
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).decode().rstrip("=")


_FOREIGN: Final = "cursor: is none of those that a page gave as `next`"


def decode_cursor(cursor: str, kind: type[T]) -> T:
    """The position in a cursor; raises BadQueryError for anything that is none."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        return msgspec.json.decode(base64.b64decode(padded, altchars=b"-_", validate=True), type=kind)
    except (msgspec.DecodeError, binascii.Error, ValueError) as error:
        raise BadQueryError(_FOREIGN) from error


def order_of(sort: str, orders: Mapping[str, Order]) -> Order:
    """The order that a word such as `year` or `-year` stands for; raises BadQueryError for others."""
    order = orders.get(sort.removeprefix("-"))
    if order is None:
        raise BadQueryError(f"sort: {sort!r} is none of {', '.join(orders)}, or one of these with a minus in front")
    return msgspec.structs.replace(order, direction=-order.direction) if sort.startswith("-") else order


def position_of(cursor: str | None, sort: str, order: Order) -> Position | None:
    """The position in a cursor of this sort, which stands for `order`; raises BadQueryError for one of another."""
    if cursor is None:
        return None
    position = decode_cursor(cursor, Position)
    if position.order != sort:
        raise BadQueryError(f"cursor: belongs to sort={position.order}, not to sort={sort}")
    if position.value is not None and isinstance(position.value, str) != order.text:
        raise BadQueryError(_FOREIGN)
    return position


def words_filter(field: str, search: str | None) -> Filter | None:
    """The filter of a search in normalised text, which is the bare text where that holds no letter or digit.

    None where nothing can match.
    """
    if search is None or not search.strip():
        return {}
    words = search_words(search) or [re.escape(signs) for signs in search.casefold().split() if signs.isprintable()]
    return {"$and": [{field: {"$regex": word}} for word in words]} if words else None


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
            sort = [(order.field, order.direction), (order.id, order.direction)]
            rows += await collection.find({**where, **stretch}, sort, limit - len(rows))
    return rows


def _stretches(order: Order, position: Position | None) -> Iterator[dict[str, Any]]:
    behind = "$gt" if order.direction > 0 else "$lt"
    absent: dict[str, Any] = {order.field: {"$eq": None}}
    if position is None:
        yield {order.field: {"$gte": "" if order.text else _LEAST_NUMBER}}
        yield absent
    elif position.value is None:
        yield {**absent, order.id: {behind: position.id}}
    else:
        yield {order.field: position.value, order.id: {behind: position.id}}
        yield {order.field: {behind: position.value}}
        yield absent

"""Documents in dictionaries, for stories in memory; held to the same tests as the real thing."""

from __future__ import annotations

import copy
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from app.storage.documents import Change, Document, Filter, Sort, value_at
from app.storage.store import Store

_COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "$eq": operator.eq,
    "$ne": operator.ne,
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
    "$regex": lambda value, pattern: re.search(pattern, value) is not None,
}


class MemoryStore(Store):
    """Everything that a worker keeps, in memory."""

    def __init__(self) -> None:
        super().__init__(MemoryDocuments())


class MemoryDocuments:
    """A database in memory."""

    def __init__(self) -> None:
        self._collections: dict[str, MemoryCollection] = {}

    def __getitem__(self, name: str) -> MemoryCollection:
        return self._collections.setdefault(name, MemoryCollection())

    async def ping(self) -> None:
        """Memory answers always."""

    def close(self) -> None:
        """There is nothing to disconnect."""


class MemoryCollection:
    """A collection in memory."""

    def __init__(self) -> None:
        self._documents: dict[str, Document] = {}

    async def add(self, documents: Sequence[Document]) -> None:
        """Insert what is new."""
        for document in documents:
            self._documents.setdefault(document["_id"], copy.deepcopy(document))

    async def replace(self, documents: Sequence[Document], guard: str) -> int:
        """Put whole documents in place of older ones."""
        wanted = [document for document in documents if self._lets_through(document["_id"], guard, document[guard])]
        self._documents |= {document["_id"]: copy.deepcopy(document) for document in wanted}
        return len(wanted)

    async def merge(self, changes: Sequence[Change]) -> int:
        """Apply changes."""
        reached = 0
        for change in changes:
            if change.guard is None or self._lets_through(change.id, change.guard, change.fields[change.guard]):
                present = self._documents.setdefault(change.id, {"_id": change.id, **copy.deepcopy(change.initial)})
                present.update(copy.deepcopy(change.fields))
                reached += 1
        return reached

    async def get(self, ids: Sequence[str]) -> list[Document]:
        """Documents by id."""
        return copy.deepcopy([self._documents[name] for name in dict.fromkeys(ids) if name in self._documents])

    async def find(
        self, where: Filter, sort: Sort = (), limit: int | None = None, fields: Sequence[str] = ()
    ) -> list[Document]:
        """Documents that match."""
        found = list(self._matching(where))
        for field, direction in reversed(sort):
            found.sort(key=lambda document: _rank(value_at(document, field)), reverse=direction < 0)
        kept = {"_id", *fields}
        cut = copy.deepcopy(found[:limit])
        return [{key: value for key, value in document.items() if not fields or key in kept} for document in cut]

    async def totals(self, where: Filter, by: str, of: str) -> list[tuple[str, int, float]]:
        """Counts and sums by a field."""
        groups: dict[str, list[float]] = {}
        for document in self._matching(where):
            groups.setdefault(value_at(document, by), []).append(value_at(document, of))
        return sorted((name, len(values), sum(values)) for name, values in groups.items())

    async def count(self, where: Filter) -> int:
        """How many match."""
        return len(list(self._matching(where)))

    async def remove(self, ids: Sequence[str], where: Filter | None = None) -> None:
        """Take documents away."""
        for name in ids:
            if name in self._documents and _matches(self._documents[name], where or {}):
                del self._documents[name]

    async def clear(self) -> None:
        """Take all documents away."""
        self._documents.clear()

    async def index(self, keys: Sequence[Sort], sparse: bool = False) -> None:
        """Memory is searched without indexes."""

    def _lets_through(self, name: str, guard: str, value: Any) -> bool:
        present = self._documents.get(name)
        # As in MongoDB, a document without the guarding field is not older than anything.
        return present is None or (present.get(guard) is not None and present[guard] <= value)

    def _matching(self, where: Filter) -> Iterable[Document]:
        return (document for document in self._documents.values() if _matches(document, where))


def _matches(document: Document, where: Filter) -> bool:
    for field, condition in where.items():
        if field == "$and":
            if not all(_matches(document, part) for part in condition):
                return False
            continue
        value = value_at(document, field)
        tests = condition if isinstance(condition, dict) else {"$eq": condition}
        for name, wanted in tests.items():
            # An absent value equals None and differs from anything, but is never larger or smaller.
            comparable = value is not None or name in ("$eq", "$ne")
            if not comparable or not _COMPARISONS[name](value, wanted):
                return False
    return True


def _rank(value: Any) -> tuple[bool, Any]:
    return (value is not None, value if value is not None else 0)
